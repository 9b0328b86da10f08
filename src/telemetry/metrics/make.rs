//! Metrics, made and registered.

use prometheus::core::Collector;
use prometheus::{
    Error, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::telemetry::version;

/// What every name begins with, except those of the process, whose names all programs share.
pub(super) const PREFIX: &str = "smartgate";

/// Upper bounds of the duration histograms in seconds: a cache hit takes tens of microseconds, a slow upstream seconds.
const BUCKETS: [f64; 17] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Makes metrics and registers them.
pub(super) struct Make<'r>(pub(super) &'r Registry);

impl Make<'_> {
    pub(super) fn registered<C: Collector + Clone + 'static>(&self, metric: C) -> Result<C, Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> Result<IntCounter, Error> {
        self.registered(IntCounter::with_opts(Opts::new(name, help).namespace(PREFIX))?)
    }

    pub(super) fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
        self.registered(IntCounterVec::new(Opts::new(name, help).namespace(PREFIX), labels)?)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, Error> {
        self.registered(IntGauge::with_opts(Opts::new(name, help).namespace(PREFIX))?)
    }

    pub(super) fn histograms(&self, name: &str, help: &str, label: &str) -> Result<HistogramVec, Error> {
        let opts = HistogramOpts::new(name, help).namespace(PREFIX).buckets(BUCKETS.to_vec());
        self.registered(HistogramVec::new(opts, &[label])?)
    }

    /// A gauge that is always 1 and tells by its labels what runs.
    pub(super) fn build_info(&self) -> Result<(), Error> {
        let opts = Opts::new("build_info", "The running version; always 1.").namespace(PREFIX);
        let gauge = self.registered(IntGaugeVec::new(opts, &["version", "commit"])?)?;
        gauge.with_label_values(&[version::NUMBER, version::COMMIT]).set(1);
        Ok(())
    }
}
