//! The metrics registry. Labels come from closed sets; handles are resolved once, so the request path only adds.

use std::time::Duration;

use super::{LoginOutcome, ReloadOutcome, TokenGrant};

/// How a request was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathTaken {
    Stream,
    Guard,
    /// By the gate itself.
    Answer,
    /// By the authorization server.
    Auth,
}

impl PathTaken {
    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Guard => "guard",
            Self::Answer => "answer",
            Self::Auth => "auth",
        }
    }
}

/// Every metric of the gate; clones share them.
#[derive(Clone)]
pub struct Metrics {}

/// A request being answered; it is counted as long as this lives.
pub struct InFlight {}

impl Metrics {
    /// A registry of its own.
    ///
    /// # Errors
    /// Two metrics of one name, which a test rules out.
    pub fn new() -> Result<Self, prometheus::Error> {
        todo!()
    }

    /// A request begins.
    pub fn in_flight(&self) -> InFlight {
        todo!()
    }

    /// A request was answered: how long the gate itself took, and how long the FHIR server.
    pub fn request(
        &self,
        _interaction: &'static str,
        _outcome: &'static str,
        _path: PathTaken,
        _gate: Duration,
        _upstream: Option<Duration>,
    ) {
        todo!()
    }

    pub fn refused(&self, _rule: &'static str) {
        todo!()
    }

    pub fn removed(&self, _resources: u64) {
        todo!()
    }

    pub fn token_cache(&self, _hit: bool) {
        todo!()
    }

    pub fn reload(&self, _outcome: &ReloadOutcome, _generation: u64) {
        todo!()
    }

    pub fn login(&self, _outcome: LoginOutcome) {
        todo!()
    }

    pub fn token_issued(&self, _grant: TokenGrant) {
        todo!()
    }

    /// A store operation ended; `operation` is from the trait's method names.
    pub fn store(&self, _operation: &'static str, _took: Duration, _ok: bool) {
        todo!()
    }

    /// An audit line was dropped (`on_full = "shed"`).
    pub fn audit_shed(&self) {
        todo!()
    }

    /// The registry in Prometheus' text format 0.0.4.
    pub fn render(&self) -> String {
        todo!()
    }
}
