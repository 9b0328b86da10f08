//! So many requests at a time and no more: the others wait for a turn, a bounded number of them and for a bounded time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pingora::time::timeout;
use tokio::sync::Notify;

use super::UpstreamError;
use crate::config::Upstream;

/// The turns of one client.
#[derive(Default)]
pub(super) struct Turns {
    busy: AtomicUsize,
    waiting: AtomicUsize,
    freed: Notify,
}

/// A turn; it is over when this is dropped.
pub(super) struct Turn(Arc<Turns>);

/// One who waits.
struct Waiting<'t>(&'t AtomicUsize);

impl Turns {
    /// A turn at `upstream`.
    ///
    /// # Errors
    /// There is none within the time, or too many wait already.
    pub(super) async fn take(self: &Arc<Self>, upstream: &Upstream) -> Result<Turn, UpstreamError> {
        if self.try_take(upstream.max_concurrent) {
            return Ok(Turn(self.clone()));
        }
        let waiting = Waiting(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::SeqCst) >= upstream.max_waiting {
            return Err(UpstreamError::Busy);
        }
        let wait = async {
            loop {
                let freed = self.freed.notified();
                tokio::pin!(freed);
                // From here on nothing that is freed is missed.
                freed.as_mut().enable();
                if self.try_take(upstream.max_concurrent) {
                    return Turn(self.clone());
                }
                freed.await;
            }
        };
        let turn = Box::pin(timeout(upstream.max_wait, wait)).await.map_err(|_| UpstreamError::Busy);
        drop(waiting);
        turn
    }

    pub(super) fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn try_take(&self, limit: usize) -> bool {
        let more = |busy| (busy < limit).then_some(busy + 1);
        self.busy.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
    }

    fn give_back(&self) {
        self.busy.fetch_sub(1, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.freed.notify_one();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
