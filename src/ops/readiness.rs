//! Whether a load balancer should send requests here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::store::Store;

/// How long an answer of the store counts, so that probes cannot load it.
const ANSWER_COUNTS: Duration = Duration::from_secs(1);

/// Longest wait for the store's answer.
const PING_LIMIT: Duration = Duration::from_secs(2);

/// Whether the gate wants requests: true once it listens and has its keys, false from the moment it drains.
#[derive(Debug, Default)]
pub struct Readiness {
    serving: AtomicBool,
    /// When the store was last asked, and whether it answered. The lock is held while it is asked: however many ask here,
    /// the store is asked once.
    store: Mutex<Option<(Instant, bool)>>,
}

impl Readiness {
    /// Turns `/readyz` green or red.
    pub fn set(&self, ready: bool) {
        self.serving.store(ready, Ordering::Release);
    }

    pub fn is_ready(&self) -> bool {
        self.serving.load(Ordering::Acquire)
    }

    /// What is not ready, in one word.
    pub(super) async fn missing(&self, store: &dyn Store) -> Option<&'static str> {
        if !self.is_ready() {
            return Some("serving");
        }
        (!self.store_answers(store, Instant::now()).await).then_some("store")
    }

    pub(super) async fn store_answers(&self, store: &dyn Store, now: Instant) -> bool {
        let mut last = self.store.lock().await;
        if let Some((asked, answered)) = *last
            && now.saturating_duration_since(asked) < ANSWER_COUNTS
        {
            return answered;
        }
        let answered = match tokio::time::timeout(PING_LIMIT, store.ping()).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "not ready");
                false
            }
            Err(_) => {
                tracing::warn!("not ready: the store does not answer");
                false
            }
        };
        *last = Some((now, answered));
        answered
    }
}
