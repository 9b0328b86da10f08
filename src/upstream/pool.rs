//! Connections to one FHIR server that wait for their next request.
//!
//! pingora's own pool keeps a task for each idle connection and reads from it three times between two requests. This one looks
//! at a connection when it is taken, and now and then at all of them.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
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
    /// Where connections may lead to; anywhere while it is not said.
    places: ArcSwapOption<Vec<SocketAddr>>,
}

/// A connection, and where it leads to.
pub(super) struct Connection {
    pub(super) stream: Stream,
    pub(super) place: SocketAddr,
}

struct Idle {
    connection: Connection,
    until: Instant,
}

impl Pool {
    /// An empty pool, swept until it is dropped.
    pub(super) fn start() -> Arc<Self> {
        let pool = Arc::new(Self { idle: ArrayQueue::new(SIZE), places: ArcSwapOption::empty() });
        tokio::spawn(sweep(Arc::downgrade(&pool)));
        pool
    }

    /// A connection that was alive a moment before `now`.
    pub(super) fn take(&self, now: Instant) -> Option<Connection> {
        while let Some(mut idle) = self.idle.pop() {
            if idle.is_alive(now) {
                return Some(idle.connection);
            }
        }
        None
    }

    /// Keeps a connection that has nothing outstanding for at most `idle_timeout`; in a full pool it is closed.
    pub(super) fn put(&self, connection: Connection, idle_timeout: Duration) {
        if self.may_lead_to(connection.place) {
            drop(self.idle.push(Idle { connection, until: Instant::now() + idle_timeout }));
        }
    }

    /// Keeps connections to these places only, from now on.
    pub(super) fn keep_to(&self, places: &[SocketAddr]) {
        self.places.store(Some(Arc::new(places.to_vec())));
        self.sweep();
    }

    fn may_lead_to(&self, place: SocketAddr) -> bool {
        self.places.load().as_ref().is_none_or(|places| places.contains(&place))
    }

    fn sweep(&self) {
        let now = Instant::now();
        for _ in 0..self.idle.len() {
            let Some(mut idle) = self.idle.pop() else { return };
            if idle.is_alive(now) && self.may_lead_to(idle.connection.place) {
                drop(self.idle.push(idle));
            }
        }
    }
}

impl Idle {
    /// Whether its time is not over and its server neither closed it nor sent what nobody asked for.
    fn is_alive(&mut self, now: Instant) -> bool {
        // A read that is cut short by the task's budget would look like a silent connection.
        let silent = |stream: &mut Stream| tokio::task::unconstrained(stream.read(&mut [0])).now_or_never().is_none();
        now < self.until && silent(&mut self.connection.stream)
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
