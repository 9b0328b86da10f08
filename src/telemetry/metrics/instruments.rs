//! Every metric by its name and what it tells.

use arc_swap::ArcSwapOption;
use prometheus::{Error, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::PathTaken;
use super::handles::{Handles, PerPath};
use super::make::{Make, PREFIX};
use super::spans::Spans;
use super::upstream::Upstreams;
use crate::telemetry::process::Process;
use crate::telemetry::{IssuerAnswer, LoginOutcome, Reload, ReloadOutcome, TokenGrant, TurnedAway};

/// The metrics themselves.
pub(super) struct Instruments {
    pub(super) registry: Registry,
    pub(super) process: Process,
    pub(super) connections: IntGauge,
    pub(super) turned_away: IntCounterVec,
    pub(super) in_flight: IntGauge,
    pub(super) requests: IntCounterVec,
    pub(super) request_handles: Handles<(&'static str, &'static str, PathTaken), IntCounter>,
    pub(super) gate: PerPath,
    pub(super) upstream: PerPath,
    pub(super) upstreams: Upstreams,
    pub(super) refusals: IntCounterVec,
    pub(super) refusal_handles: Handles<&'static str, IntCounter>,
    pub(super) bundle_entries: IntCounterVec,
    pub(super) removed: IntCounter,
    pub(super) enforcement: IntGaugeVec,
    pub(super) certificates: IntGaugeVec,
    pub(super) reported: IntCounterVec,
    pub(super) would_remove: IntCounter,
    pub(super) cache_hits: IntCounter,
    pub(super) cache_misses: IntCounter,
    pub(super) reloads: IntCounterVec,
    pub(super) reload_successful: IntGauge,
    pub(super) generation: IntGauge,
    pub(super) last_reload: ArcSwapOption<Reload>,
    pub(super) logins: IntCounterVec,
    pub(super) client_authentications: IntCounterVec,
    pub(super) introspections: IntCounterVec,
    pub(super) questions: IntCounterVec,
    pub(super) admin_accesses: IntCounterVec,
    pub(super) tokens: IntCounterVec,
    pub(super) registrations: IntCounterVec,
    pub(super) store_durations: HistogramVec,
    pub(super) store_handles: Handles<&'static str, StoreHandles>,
    pub(super) store_errors: IntCounterVec,
    pub(super) audit_shed: IntCounter,
    pub(super) audit_write_errors: IntCounter,
    pub(super) audit_events_sent: IntCounter,
    pub(super) audit_events_rejected: IntCounter,
    pub(super) audit_send_errors: IntCounter,
    pub(super) audit_spool_bytes: IntGauge,
    pub(super) audit_backlog: IntGauge,
    pub(super) spans: Spans,
}

/// Those of one operation of the store.
pub(super) struct StoreHandles {
    pub(super) duration: Histogram,
    pub(super) errors: IntCounter,
}

impl Instruments {
    /// All of them, in a registry of their own.
    ///
    /// # Errors
    /// Two of one name.
    pub(super) fn new() -> Result<Self, Error> {
        let registry = Registry::new();
        let make = Make(&registry);
        make.build_info()?;
        let cache = make.counters(
            "token_cache_requests_total",
            "Bearer tokens looked up in the verified-token cache.",
            &["result"],
        )?;
        let gate = make.histograms(
            "gate_duration_seconds",
            "Time from a request's head to the last byte of its answer, without the time the FHIR server took.",
            "path",
        )?;
        let upstream =
            make.histograms("upstream_duration_seconds", "Time that requests waited for the FHIR server.", "path")?;
        let instruments = Self {
            process: Process::new(&registry)?,
            connections: make.gauge("connections", "Connections of apps that are open.")?,
            turned_away: make.counters(
                "connections_refused_total",
                "Connections of apps that were closed before their first request, by reason.",
                &["reason"],
            )?,
            in_flight: make.gauge("requests_in_flight", "Requests being answered.")?,
            requests: make.counters(
                "requests_total",
                "Requests answered, by interaction, outcome and the path taken.",
                &["interaction", "outcome", "path"],
            )?,
            request_handles: Handles::new(),
            gate: PerPath::of(&gate),
            upstream: PerPath::of(&upstream),
            upstreams: Upstreams::new(&make)?,
            refusals: make.counters("refusals_total", "Requests refused, by rule.", &["rule"])?,
            refusal_handles: Handles::new(),
            bundle_entries: make.counters(
                "bundle_entries_total",
                "Entries of batches and transactions dealt with.",
                &["interaction", "outcome"],
            )?,
            removed: make.counter("resources_removed_total", "Resources removed from answers by verification.")?,
            enforcement: make.registered(IntGaugeVec::new(
                Opts::new("enforcement_mode", "Whether rules are enforced; 1 for the mode in effect.")
                    .namespace(PREFIX),
                &["mode"],
            )?)?,
            certificates: make.registered(IntGaugeVec::new(
                Opts::new("certificate_not_after_seconds", "When the gate's own certificate ends, as Unix time.")
                    .namespace(PREFIX),
                &["shown_to"],
            )?)?,
            reported: make.counters(
                "reported_total",
                "Requests that passed in report mode and that enforcement refuses, by rule.",
                &["rule"],
            )?,
            would_remove: make.counter(
                "resources_reported_total",
                "Resources that passed in report mode and that enforcement removes.",
            )?,
            cache_hits: cache.with_label_values(&["hit"]),
            cache_misses: cache.with_label_values(&["miss"]),
            reloads: make.counters("reloads_total", "Reloads of the configuration, by outcome.", &["outcome"])?,
            reload_successful: make.gauge(
                "config_last_reload_successful",
                "Whether the configuration in effect is what the files say (1) or an older one (0).",
            )?,
            generation: make.gauge("config_generation", "Number of the configuration in effect.")?,
            last_reload: ArcSwapOption::empty(),
            logins: make.counters("logins_total", "Logins of users, by outcome.", &["outcome"])?,
            client_authentications: make.counters(
                "client_authentications_total",
                "Authentications of clients by secret or assertion, by outcome.",
                &["outcome"],
            )?,
            admin_accesses: make.counters(
                "admin_accesses_total",
                "Uses of the admin token, by outcome.",
                &["outcome"],
            )?,
            introspections: make.counters(
                "introspections_total",
                "Tokens told of by introspection, by whether they were active.",
                &["result"],
            )?,
            questions: make.counters(
                "issuer_introspections_total",
                "Questions to other issuers about opaque tokens, by what became of them.",
                &["outcome"],
            )?,
            tokens: make.counters("tokens_issued_total", "Access tokens issued, by grant.", &["grant"])?,
            registrations: make.counters(
                "registrations_total",
                "Apps that asked to register themselves, by outcome.",
                &["outcome"],
            )?,
            store_durations: make.histograms(
                "store_operation_duration_seconds",
                "Time that operations of the store took.",
                "operation",
            )?,
            store_handles: Handles::new(),
            store_errors: make.counters(
                "store_errors_total",
                "Operations of the store that failed.",
                &["operation"],
            )?,
            audit_shed: make.counter("audit_lines_shed_total", "Audit lines dropped because the queue was full.")?,
            audit_write_errors: make.counter(
                "audit_write_errors_total",
                "Failed attempts to write the audit log; the lines are tried again.",
            )?,
            audit_events_sent: make.counter("audit_events_sent_total", "AuditEvents that the FHIR endpoint took.")?,
            audit_events_rejected: make.counter(
                "audit_events_rejected_total",
                "AuditEvents that the FHIR endpoint will not take; their lines are put aside.",
            )?,
            audit_send_errors: make
                .counter("audit_send_errors_total", "Failed attempts to send AuditEvents; they are tried again.")?,
            audit_spool_bytes: make.gauge("audit_spool_bytes", "Audit lines that wait for the FHIR endpoint.")?,
            audit_backlog: make.gauge("audit_backlog_seconds", "Age of the oldest audit line that waits.")?,
            spans: Spans::new(&make)?,
            registry,
        };
        instruments.begin();
        Ok(instruments)
    }

    /// Shows known labels from the start, so that a rate has something to rise from and an alert on absence means absence.
    fn begin(&self) {
        for outcome in ReloadOutcome::ALL {
            self.reloads.with_label_values(&[outcome.label()]);
        }
        for why in TurnedAway::ALL {
            self.turned_away.with_label_values(&[why.label()]);
        }
        for outcome in LoginOutcome::ALL {
            self.logins.with_label_values(&[outcome.label()]);
            self.client_authentications.with_label_values(&[outcome.label()]);
            self.admin_accesses.with_label_values(&[outcome.label()]);
        }
        for outcome in ["success", "failure"] {
            self.registrations.with_label_values(&[outcome]);
        }
        for result in ["active", "inactive"] {
            self.introspections.with_label_values(&[result]);
        }
        for outcome in IssuerAnswer::ALL {
            self.questions.with_label_values(&[outcome.label()]);
        }
        for grant in TokenGrant::ALL {
            self.tokens.with_label_values(&[grant.label()]);
        }
        // The process runs, so its first configuration was right.
        self.reload_successful.set(1);
        self.generation.set(1);
    }
}
