//! Rules by name: each refusal carries one, and so do its answer, its audit line and its metric.
//!
//! A rule is a constant beside the code that applies it, so that one search for its name finds both. [`all`] lists them for
//! the documentation and for the test that no name is used twice.

use std::time::Duration;

use super::{
    bundle, change, checked, conditional, grant, naming, operation, parameters, patch, pin, provenance, reach, read,
    references, request, search, subjects, write,
};

/// The error of a `WWW-Authenticate: Bearer` challenge (RFC 6750 §3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Challenge {
    /// The answer carries no challenge.
    None,
    /// No token was shown, so no error is named.
    Bare,
    InvalidRequest,
    InvalidToken,
    InsufficientScope,
}

impl Challenge {
    /// The value of `error`, where there is one.
    pub fn error(self) -> Option<&'static str> {
        match self {
            Self::None | Self::Bare => None,
            Self::InvalidRequest => Some("invalid_request"),
            Self::InvalidToken => Some("invalid_token"),
            Self::InsufficientScope => Some("insufficient_scope"),
        }
    }
}

/// One rule by which requests are refused. The text is constant: it never depends on data behind the gate.
#[derive(PartialEq, Eq, Debug)]
pub struct Rule {
    /// Stable, kebab-case: `details.coding.code`, the audit's `rule`, the metric's label.
    pub name: &'static str,
    /// HTTP status, 4xx or 5xx.
    pub status: u16,
    /// Code of FHIR's IssueType.
    pub issue: &'static str,
    pub challenge: Challenge,
    /// What was asked and what would be right, in a sentence for developers.
    pub text: &'static str,
}

impl Rule {
    /// The request itself is wrong.
    pub const fn bad_request(name: &'static str, text: &'static str) -> Self {
        Self { name, status: 400, issue: "invalid", challenge: Challenge::None, text }
    }

    /// The scopes rule the request out without looking at data.
    pub const fn forbidden(name: &'static str, text: &'static str) -> Self {
        Self { name, status: 403, issue: "forbidden", challenge: Challenge::InsufficientScope, text }
    }

    /// The token is not accepted.
    pub const fn unauthorized(name: &'static str, text: &'static str) -> Self {
        Self { name, status: 401, issue: "login", challenge: Challenge::InvalidToken, text }
    }

    /// A refusal with any other status.
    pub const fn other(name: &'static str, status: u16, issue: &'static str, text: &'static str) -> Self {
        Self { name, status, issue, challenge: Challenge::None, text }
    }

    /// A refusal by this rule.
    pub fn refuse(&'static self) -> Refusal {
        Refusal { rule: self, needed: None, detail: None, entry: None, wait: None }
    }
}

/// A request that does not pass.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub rule: &'static Rule,
    /// The scope that would allow it, for `insufficient_scope`.
    pub needed: Option<String>,
    /// For the log, never for the client.
    pub detail: Option<String>,
    /// The entry of the client's Bundle that is refused, where the others are with it.
    pub entry: Option<usize>,
    /// How long to wait before it is worth while to ask again.
    pub wait: Option<Duration>,
}

impl Refusal {
    /// Names the scope that would allow the request.
    #[must_use]
    pub fn needing(mut self, scope: String) -> Self {
        self.needed = Some(scope);
        self
    }

    /// Names the entry of a transaction.
    #[must_use]
    pub fn at_entry(mut self, index: usize) -> Self {
        self.entry = Some(index);
        self
    }

    /// Says when to ask again.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// Adds what an operator wants to read; it must hold no token and no search value.
    #[must_use]
    pub fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// Every rule of the decision.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    [
        request::RULES,
        grant::RULES,
        reach::RULES,
        read::RULES,
        search::RULES,
        naming::RULES,
        parameters::RULES,
        write::RULES,
        checked::RULES,
        conditional::RULES,
        subjects::RULES,
        change::RULES,
        patch::RULES,
        pin::RULES,
        references::RULES,
        operation::RULES,
        provenance::RULES,
        operation::EXPORT_RULES,
        bundle::RULES,
    ]
    .into_iter()
    .flatten()
    .copied()
}
