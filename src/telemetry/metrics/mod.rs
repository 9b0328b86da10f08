//! The metrics registry. Labels come from closed sets; handles are resolved once, so the request path only adds.

mod handles;
mod instruments;
mod make;
mod spans;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Error, IntCounter, IntGauge, TextEncoder};

use instruments::{Instruments, StoreHandles};
pub use spans::SpanLoss;
pub use upstream::UpstreamRetry;

use super::{IssuerAnswer, LoginOutcome, Reload, TokenGrant, TurnedAway};
use crate::ambient::UnixSeconds;

/// How a request was answered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
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
pub struct Metrics(Arc<Instruments>);

/// A request being answered; it is counted as long as this lives.
pub struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// A registry of its own.
    ///
    /// # Errors
    /// Two metrics of one name, which a test rules out.
    pub fn new() -> Result<Self, Error> {
        let instruments = Instruments::new()?;
        let metrics = Self(Arc::new(instruments));
        metrics.enforcement(false);
        Ok(metrics)
    }

    /// How many connections are open.
    pub fn connections(&self, open: usize) {
        self.0.connections.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    /// How many connections are open, as was said last.
    pub fn open_connections(&self) -> i64 {
        self.0.connections.get()
    }

    /// A connection was closed before its first request.
    pub fn turned_away(&self, why: TurnedAway) {
        self.0.turned_away.with_label_values(&[why.label()]).inc();
    }

    /// A request begins.
    pub fn in_flight(&self) -> InFlight {
        self.0.in_flight.inc();
        InFlight(self.0.in_flight.clone())
    }

    /// How many requests are being answered.
    pub fn requests_in_flight(&self) -> i64 {
        self.0.in_flight.get()
    }

    /// A request was answered: how long the gate itself took, and how long the FHIR server.
    pub fn request(
        &self,
        interaction: &'static str,
        outcome: &'static str,
        path: PathTaken,
        gate: Duration,
        upstream: Option<Duration>,
    ) {
        let all = &self.0;
        all.request_handles.with(
            (interaction, outcome, path),
            || all.requests.with_label_values(&[interaction, outcome, path.label()]),
            IntCounter::inc,
        );
        all.gate.get(path).observe(gate.as_secs_f64());
        if let Some(upstream) = upstream {
            all.upstream.get(path).observe(upstream.as_secs_f64());
        }
    }

    /// Lets the series of `rule` begin at 0, so that its first refusal is an increase.
    pub fn declare_rule(&self, rule: &'static str) {
        self.0.refusals.with_label_values(&[rule]);
    }

    /// A request was refused by `rule`.
    pub fn refused(&self, rule: &'static str) {
        let all = &self.0;
        all.refusal_handles.with(rule, || all.refusals.with_label_values(&[rule]), IntCounter::inc);
    }

    /// An entry of a batch or transaction was dealt with.
    pub fn entry(&self, interaction: &'static str, permitted: bool) {
        let outcome = if permitted { "permitted" } else { "refused" };
        self.0.bundle_entries.with_label_values(&[interaction, outcome]).inc();
    }

    /// Verification removed this many resources from an answer.
    pub fn removed(&self, resources: u64) {
        self.0.removed.inc_by(resources);
    }

    /// Shows which mode is on.
    pub fn enforcement(&self, reporting: bool) {
        self.0.enforcement.with_label_values(&["enforce"]).set((!reporting).into());
        self.0.enforcement.with_label_values(&["report"]).set(reporting.into());
    }

    /// Shows when the gate's own certificates end: of those for clients the first, and the one for the FHIR server.
    pub fn certificates(&self, server: Option<UnixSeconds>, upstream: Option<UnixSeconds>) {
        for (shown_to, not_after) in [("clients", server), ("upstream", upstream)] {
            match not_after {
                Some(not_after) => self.0.certificates.with_label_values(&[shown_to]).set(not_after),
                // None was there.
                None => drop(self.0.certificates.remove_label_values(&[shown_to])),
            }
        }
    }

    /// A request passed in report mode: what enforcement does to such a one.
    pub fn reported(&self, rule: Option<&'static str>, resources: u64) {
        if let Some(rule) = rule {
            self.0.reported.with_label_values(&[rule]).inc();
        }
        if resources > 0 {
            self.0.would_remove.inc_by(resources);
        }
    }

    /// A token was looked up in the cache.
    pub fn token_cache(&self, hit: bool) {
        if hit { self.0.cache_hits.inc() } else { self.0.cache_misses.inc() }
    }

    /// The configuration was read again.
    pub fn reload(&self, reload: Reload) {
        self.0.reloads.with_label_values(&[reload.outcome.label()]).inc();
        self.0.reload_successful.set(reload.outcome.is_success().into());
        self.0.generation.set(i64::try_from(reload.generation).unwrap_or(i64::MAX));
        self.0.last_reload.store(Some(Arc::new(reload)));
    }

    /// How the last reload went; none while the configuration is the one of the start.
    pub fn last_reload(&self) -> Option<Arc<Reload>> {
        self.0.last_reload.load_full()
    }

    /// A user tried to log in.
    pub fn login(&self, outcome: LoginOutcome) {
        self.0.logins.with_label_values(&[outcome.label()]).inc();
    }

    /// A client proved who it is, or did not.
    pub fn client_authentication(&self, outcome: LoginOutcome) {
        self.0.client_authentications.with_label_values(&[outcome.label()]).inc();
    }

    /// Somebody showed an admin token.
    pub fn admin_access(&self, outcome: LoginOutcome) {
        self.0.admin_accesses.with_label_values(&[outcome.label()]).inc();
    }

    /// A caller was told of a token.
    pub fn introspected(&self, active: bool) {
        self.0.introspections.with_label_values(&[if active { "active" } else { "inactive" }]).inc();
    }

    /// Another issuer was asked about a token, or was not.
    pub fn asked_issuer(&self, outcome: IssuerAnswer) {
        self.0.questions.with_label_values(&[outcome.label()]).inc();
    }

    /// An access token was issued.
    pub fn token_issued(&self, grant: TokenGrant) {
        self.0.tokens.with_label_values(&[grant.label()]).inc();
    }

    /// An app asked to register itself.
    pub fn registration(&self, registered: bool) {
        let outcome = if registered { "success" } else { "failure" };
        self.0.registrations.with_label_values(&[outcome]).inc();
    }

    /// A store operation ended; `operation` is from the trait's method names.
    pub fn store(&self, operation: &'static str, took: Duration, ok: bool) {
        let all = &self.0;
        let resolve = || StoreHandles {
            duration: all.store_durations.with_label_values(&[operation]),
            errors: all.store_errors.with_label_values(&[operation]),
        };
        all.store_handles.with(operation, resolve, |handles| {
            handles.duration.observe(took.as_secs_f64());
            if !ok {
                handles.errors.inc();
            }
        });
    }

    /// An audit line was dropped (`on_full = "shed"`).
    pub fn audit_shed(&self) {
        self.0.audit_shed.inc();
    }

    /// An attempt to write audit lines failed.
    pub(super) fn audit_write_error(&self) {
        self.0.audit_write_errors.inc();
    }

    /// The FHIR endpoint took an AuditEvent.
    pub fn audit_sent(&self) {
        self.0.audit_events_sent.inc();
    }

    /// The FHIR endpoint will not take an AuditEvent.
    pub fn audit_rejected(&self) {
        self.0.audit_events_rejected.inc();
    }

    /// AuditEvents could not be sent.
    pub fn audit_send_error(&self) {
        self.0.audit_send_errors.inc();
    }

    /// What waits for the FHIR endpoint: bytes, and the age of the oldest in seconds.
    pub fn audit_backlog(&self, bytes: u64, seconds: i64) {
        self.0.audit_spool_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.0.audit_backlog.set(seconds);
    }

    /// The registry in Prometheus' text format 0.0.4, sorted by name.
    pub fn render(&self) -> String {
        self.0.process.refresh();
        TextEncoder::new().encode_to_string(&self.0.registry.gather()).unwrap_or_else(|error| {
            tracing::error!(%error, "the metrics cannot be printed");
            String::new()
        })
    }
}

#[cfg(test)]
mod tests;
