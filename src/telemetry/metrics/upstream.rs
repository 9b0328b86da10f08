//! What the FHIR server's addresses are up to. Labels are the addresses of the configuration and closed sets.

use std::collections::HashSet;

use parking_lot::Mutex;
use prometheus::{Error, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use super::Metrics;
use super::make::{Make, PREFIX};

/// Why a request was sent again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpstreamRetry {
    /// To another address: the first could not be reached.
    Elsewhere,
    /// On a new connection: the pooled one was closed.
    Fresh,
}

impl UpstreamRetry {
    const ALL: [Self; 2] = [Self::Elsewhere, Self::Fresh];

    fn label(self) -> &'static str {
        match self {
            Self::Elsewhere => "unreachable",
            Self::Fresh => "closed",
        }
    }
}

pub(super) struct Upstreams {
    healthy: IntGaugeVec,
    opened: IntCounterVec,
    circuit: IntGaugeVec,
    retries: IntCounterVec,
    requests: IntGauge,
    waiting: IntGauge,
    /// Addresses that are shown.
    shown: Mutex<HashSet<String>>,
}

impl Upstreams {
    pub(super) fn new(make: &Make<'_>) -> Result<Self, Error> {
        let gauges = |name: &str, help: &str| {
            make.registered(IntGaugeVec::new(Opts::new(name, help).namespace(PREFIX), &["upstream"])?)
        };
        let all = Self {
            healthy: gauges(
                "upstream_healthy",
                "Whether this address of the FHIR server is asked (1) or left out (0).",
            )?,
            opened: make.counters(
                "upstream_circuit_opened_total",
                "How often this address was left out because requests failed in a row.",
                &["upstream"],
            )?,
            circuit: gauges(
                "upstream_circuit_state",
                "Of this address: 0 asked, 1 to be tried by the next request, 2 left out.",
            )?,
            retries: make.counters(
                "upstream_retries_total",
                "Requests sent again, because an address could not be reached or a kept connection was closed.",
                &["reason"],
            )?,
            requests: make.gauge("upstream_requests", "Requests that are with the FHIR server.")?,
            waiting: make
                .gauge("upstream_requests_waiting", "Requests that wait for their turn at the FHIR server.")?,
            shown: Mutex::default(),
        };
        for retry in UpstreamRetry::ALL {
            all.retries.with_label_values(&[retry.label()]);
        }
        Ok(all)
    }
}

impl Metrics {
    /// Shows each address of the FHIR server, and no others: whether it is asked, and its circuit's state (0 closed, 1 half-open,
    /// 2 open).
    pub fn upstream_addresses<'a>(&self, addresses: impl Iterator<Item = (&'a str, i64)>) {
        let all = &self.0.upstreams;
        let mut shown = all.shown.lock();
        let before = std::mem::take(&mut *shown);
        for (base, state) in addresses {
            all.healthy.with_label_values(&[base]).set((state == 0).into());
            all.circuit.with_label_values(&[base]).set(state);
            all.opened.with_label_values(&[base]);
            shown.insert(base.to_owned());
        }
        for gone in before.difference(&shown) {
            // Not there is as good as removed.
            let _ = (all.healthy.remove_label_values(&[gone]), all.circuit.remove_label_values(&[gone]));
            let _ = all.opened.remove_label_values(&[gone]);
        }
    }

    /// An address is left out because requests failed there.
    pub fn upstream_opened(&self, base: &str) {
        self.0.upstreams.opened.with_label_values(&[base]).inc();
    }

    /// A request was sent again.
    pub fn upstream_retry(&self, reason: UpstreamRetry) {
        self.0.upstreams.retries.with_label_values(&[reason.label()]).inc();
    }

    /// Shows how many requests are with the FHIR server, and how many wait for their turn.
    pub fn upstream_load(&self, requests: usize, waiting: usize) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.0.upstreams.requests.set(number(requests));
        self.0.upstreams.waiting.set(number(waiting));
    }
}
