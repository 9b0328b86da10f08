//! Spans that left the gate, and such that did not.

use prometheus::{Error, IntCounter, IntCounterVec};

use super::Metrics;
use super::make::Make;

/// Why a span did not get to the collector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpanLoss {
    /// More came than could be sent.
    QueueFull,
    /// The collector could not be reached, or would not have it.
    NotTaken,
}

impl SpanLoss {
    const ALL: [Self; 2] = [Self::QueueFull, Self::NotTaken];

    fn label(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::NotTaken => "not_taken",
        }
    }
}

pub(super) struct Spans {
    exported: IntCounter,
    lost: IntCounterVec,
}

impl Spans {
    pub(super) fn new(make: &Make<'_>) -> Result<Self, Error> {
        let lost =
            make.counters("spans_lost_total", "Spans that the collector did not get, by reason.", &["reason"])?;
        for loss in SpanLoss::ALL {
            lost.with_label_values(&[loss.label()]);
        }
        Ok(Self { exported: make.counter("spans_exported_total", "Spans that the collector took.")?, lost })
    }
}

impl Metrics {
    /// The collector took this many spans.
    pub fn spans_exported(&self, spans: u64) {
        self.0.spans.exported.inc_by(spans);
    }

    /// This many spans are lost.
    pub fn spans_lost(&self, why: SpanLoss, spans: u64) {
        self.0.spans.lost.with_label_values(&[why.label()]).inc_by(spans);
    }
}
