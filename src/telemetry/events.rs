//! Outcomes that are counted: closed sets, so that labels stay bounded.

/// How a login went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoginOutcome {
    Success,
    /// Wrong password or no such user.
    Failure,
    /// Too many at once, or too many failures.
    Refused,
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

/// What a token was issued for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenGrant {
    AuthorizationCode,
    ClientCredentials,
}
