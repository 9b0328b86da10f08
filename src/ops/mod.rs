//! The admin listener: metrics, health, readiness.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;

use crate::config::Snapshot;
use crate::store::SharedStore;
use crate::telemetry::Metrics;

/// Whether the gate wants requests: true once it listens, false from the moment it drains.
#[derive(Debug, Default)]
pub struct Readiness(AtomicBool);

impl Readiness {
    /// Turns `/readyz` green or red.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The application behind the admin listener: `/metrics`, `/healthz`, `/readyz`.
pub struct AdminApp {
    pub config: Arc<ArcSwap<Snapshot>>,
    pub metrics: Metrics,
    pub readiness: Arc<Readiness>,
    pub store: SharedStore,
}
