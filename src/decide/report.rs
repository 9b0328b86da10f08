//! Report mode (enforcement.md §9), and the only place that knows of it: what rules of scope, patient and filter would refuse is
//! let pass and told.
//!
//! [`decide`](super::decide()) enforces, always. A request that it refuses, or narrows, is decided a second time as if its token
//! covered everything; whatever refuses it then holds in either mode. The result is a [`Reported`], which is no
//! [`Permit`](super::Permit): code that carries out permits cannot take one by mistake.

use super::{Action, Grant, Permit, Refusal, decide};
use crate::ambient::UnixSeconds;
use crate::config::{Report, Snapshot};
use crate::fhir::interaction::{Interaction, Request};

/// The rule by which a request passes in report mode that enforcement refuses or cuts.
pub const REPORT_MODE: &str = "report-mode";

/// Statuses of what is wrong with a request or its token, and holds in either mode.
const ALWAYS: [u16; 5] = [400, 401, 405, 413, 415];

/// What becomes of a request in the mode that is on.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the way of every request allocates nothing")]
pub enum Decided {
    Enforced(Permit),
    Reported(Box<Reported>),
}

/// A request that enforcement would refuse, or answer with less.
#[derive(Debug)]
pub struct Reported {
    enforced: Result<Permit, Refusal>,
    permit: Permit,
    grant: Grant,
}

impl Reported {
    /// The rule that would have refused it before anything was looked at.
    pub fn rule(&self) -> Option<&'static str> {
        self.enforced.as_ref().err().map(|refusal| refusal.rule.name)
    }

    /// What enforcement decides.
    pub fn enforced(&self) -> &Result<Permit, Refusal> {
        &self.enforced
    }

    /// What is carried out instead, under [`Reported::grant`].
    pub fn permit(&self) -> &Permit {
        &self.permit
    }

    /// The token's grant as if it covered everything.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }
}

impl Decided {
    /// What is carried out.
    pub fn permit(&self) -> &Permit {
        match self {
            Self::Enforced(permit) => permit,
            Self::Reported(reported) => reported.permit(),
        }
    }

    /// The rule that lets it pass.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Enforced(permit) => permit.rule(),
            Self::Reported(_) => REPORT_MODE,
        }
    }
}

/// Report mode, if it is on at the moment `now`: past its day the same configuration enforces.
pub fn reporting(snapshot: &Snapshot, now: UnixSeconds) -> Option<&Report> {
    snapshot.enforcement.report.as_ref().filter(|report| now < report.until)
}

/// Decides one request in the mode that is on at the moment `now`.
///
/// # Errors
/// The rule that refuses it.
pub fn decide_in_mode(
    snapshot: &Snapshot,
    grant: &Grant,
    request: &Request,
    now: UnixSeconds,
) -> Result<Decided, Refusal> {
    let enforced = decide(snapshot, grant, request);
    // Of operations not even the scopes are relaxed: which of them pass, and how their answers are verified, is one table.
    let is_operation = matches!(request.interaction, Interaction::Operation { .. });
    if is_operation
        || reporting(snapshot, now).is_none()
        || is_exempt(snapshot, grant)
        || enforced.as_ref().err().is_some_and(holds)
    {
        return enforced.map(Decided::Enforced);
    }
    let everything = grant.as_everything(snapshot);
    match (decide(snapshot, &everything, request), enforced) {
        // Nothing about it is relaxed; the entries of a Bundle are still to be decided.
        (Ok(permit), Ok(same)) if permit == same && *permit.action() != Action::Bundle => Ok(Decided::Enforced(same)),
        (Ok(permit), enforced) => Ok(Decided::Reported(Box::new(Reported { enforced, permit, grant: everything }))),
        (Err(_), Ok(permit)) => Ok(Decided::Enforced(permit)),
        (Err(refusal), Err(_)) => Err(refusal),
    }
}

fn is_exempt(snapshot: &Snapshot, grant: &Grant) -> bool {
    let client = grant.claims.client.as_deref().and_then(|id| snapshot.clients.get(id));
    client.is_some_and(|client| client.enforced)
}

/// Whether a refusal holds in report mode too. Any other still has to be one that a token for everything does not meet.
pub(crate) fn holds(refusal: &Refusal) -> bool {
    ALWAYS.contains(&refusal.rule.status)
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
