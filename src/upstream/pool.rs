//! Connections to one FHIR server that wait for their next request.
//!
//! pingora's own pool keeps a task for each idle connection and reads from it three times between two requests. This one looks
//! at a connection when it is taken, and now and then at all of them.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use futures_util::FutureExt as _;
use pingora::protocols::Stream;
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, sleep};

/// Idle connections that are kept.
const SIZE: usize = 512;

/// How often connections that nobody takes are looked at.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

pub(super) struct Pool {
    idle: ArrayQueue<Idle>,
}

struct Idle {
    stream: Stream,
    until: Instant,
}

impl Pool {
    /// An empty pool, swept until it is dropped.
    pub(super) fn start() -> Arc<Self> {
        let pool = Arc::new(Self { idle: ArrayQueue::new(SIZE) });
        tokio::spawn(sweep(Arc::downgrade(&pool)));
        pool
    }

    /// A connection that was alive a moment ago.
    pub(super) fn take(&self) -> Option<Stream> {
        while let Some(mut idle) = self.idle.pop() {
            if idle.is_alive() {
                return Some(idle.stream);
            }
        }
        None
    }

    /// Keeps a connection that has nothing outstanding for at most `idle_timeout`; in a full pool it is closed.
    pub(super) fn put(&self, stream: Stream, idle_timeout: Duration) {
        drop(self.idle.push(Idle { stream, until: Instant::now() + idle_timeout }));
    }

    fn sweep(&self) {
        for _ in 0..self.idle.len() {
            let Some(mut idle) = self.idle.pop() else { return };
            if idle.is_alive() {
                drop(self.idle.push(idle));
            }
        }
    }
}

impl Idle {
    /// Whether its time is not over and its server neither closed it nor sent what nobody asked for.
    fn is_alive(&mut self) -> bool {
        // A read that is cut short by the task's budget would look like a silent connection.
        let silent = |stream: &mut Stream| tokio::task::unconstrained(stream.read(&mut [0])).now_or_never().is_none();
        Instant::now() < self.until && silent(&mut self.stream)
    }
}

async fn sweep(pool: Weak<Pool>) {
    loop {
        sleep(SWEEP_EVERY).await;
        match pool.upgrade() {
            Some(pool) => pool.sweep(),
            None => return,
        }
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
