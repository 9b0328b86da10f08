//! Outcomes that are counted: closed sets, so that labels stay bounded.

use crate::ambient::UnixSeconds;

/// How a login went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoginOutcome {
    Success,
    /// Wrong password or no such user.
    Failure,
    /// Too many at once, or too many failures.
    Refused,
}

impl LoginOutcome {
    pub(super) const ALL: [Self; 3] = [Self::Success, Self::Failure, Self::Refused];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Refused => "refused",
        }
    }
}

/// Why a connection was closed before its first request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TurnedAway {
    /// There are as many connections as there may be.
    Full,
    /// Its address has as many as one may have.
    Address,
    /// A load balancer's PROXY header was not there or not right.
    Proxy,
    /// No TLS was agreed on, or the client showed no good certificate.
    Tls,
    /// All of this took too long.
    Slow,
}

impl TurnedAway {
    pub(super) const ALL: [Self; 5] = [Self::Full, Self::Address, Self::Proxy, Self::Tls, Self::Slow];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Address => "address",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Slow => "slow",
        }
    }
}

/// One reading of the configuration while the gate runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reload {
    pub outcome: ReloadOutcome,
    pub at: UnixSeconds,
    /// The configuration in effect afterwards.
    pub generation: u64,
    /// What is wrong with the files, each with its line; or the keys that need a restart.
    pub errors: Vec<String>,
}

/// How a reload went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReloadOutcome {
    /// A new configuration is in effect.
    Applied,
    /// The files say the same as before.
    Unchanged,
    /// The files are wrong; the last good configuration stays.
    Rejected,
    /// Keys changed that cannot change while running; the last good configuration stays.
    NeedsRestart,
}

impl ReloadOutcome {
    pub(super) const ALL: [Self; 4] = [Self::Applied, Self::Unchanged, Self::Rejected, Self::NeedsRestart];

    /// The label's value.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Rejected => "rejected",
            Self::NeedsRestart => "needs_restart",
        }
    }

    /// Whether the files and what is in effect agree.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Applied | Self::Unchanged)
    }
}

/// What a token was issued for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenGrant {
    AuthorizationCode,
    RefreshToken,
    ClientCredentials,
}

impl TokenGrant {
    pub(super) const ALL: [Self; 3] = [Self::AuthorizationCode, Self::RefreshToken, Self::ClientCredentials];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
        }
    }
}

/// What became of a question to another issuer about a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IssuerAnswer {
    Active,
    Inactive,
    /// It did not answer, or not what can be read.
    Failed,
    /// It was not asked: there were too many questions.
    Shed,
}

impl IssuerAnswer {
    pub(super) const ALL: [Self; 4] = [Self::Active, Self::Inactive, Self::Failed, Self::Shed];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Failed => "failed",
            Self::Shed => "shed",
        }
    }
}
