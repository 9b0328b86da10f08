//! Where passwords are hashed: on threads that give way to requests.
//!
//! A hash takes a core for some twenty milliseconds. Under Linux's SCHED_IDLE a request that becomes ready takes the core from it at
//! once; a thread that is merely nice keeps it until its slice is over, which is what the slowest requests then wait. Cores
//! that requests fill leave SCHED_IDLE next to nothing, so that a hash which is not done within [`PATIENCE`] is begun again on
//! one thread that is only nice: a tenth of a core is what logins get of the busiest machine. And the memory of a hash is kept for
//! the next one: for a new one the system makes five thousand pages, and takes them back, while requests wait for it.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use argon2::Block;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, sleep, timeout};

/// Hashes at a time on threads that give way; each takes as many MiB as its parameters say, 19 by default.
const MOST: usize = 4;

/// How long a hash may wait for a core that nobody else wants.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long memory is kept that no hash needs.
const KEPT: Duration = Duration::from_secs(10);

/// How a hash that lost patience competes, from 0 to 99: this is nice 10, a tenth of a core beside one other thread.
#[cfg(target_os = "linux")]
const LATE: u8 = 22;

/// Threads for hashing, no more than there are places.
pub(super) struct Hashing {
    idle: Arc<Semaphore>,
    late: Arc<Semaphore>,
    spare: Arc<Spare>,
}

/// What a hash is computed in.
#[derive(Default)]
pub(super) struct Memory(Vec<Block>);

/// The memory that no hash needs at the moment, and since when: no more of it than there are places.
#[derive(Default)]
struct Spare(Mutex<Vec<(Memory, Instant)>>);

/// How a thread competes for a core.
#[derive(Clone, Copy)]
enum Priority {
    Idle,
    Late,
}

impl Hashing {
    pub(super) fn new() -> Self {
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1));
        Self::with_places(cores.clamp(1, MOST))
    }

    fn with_places(idle: usize) -> Self {
        Self { idle: Arc::new(Semaphore::new(idle)), late: Arc::new(Semaphore::new(1)), spare: Arc::default() }
    }

    /// Does `work`, twice where it takes long; none where there is no thread for it or it panics.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Memory) -> T + Clone + Send + 'static,
    ) -> Option<T> {
        match timeout(PATIENCE, self.on_thread(&self.idle, Priority::Idle, work.clone())).await {
            Ok(done) => done,
            Err(_) => self.on_thread(&self.late, Priority::Late, work).await,
        }
    }

    /// Does `work` on a thread of its own. Its place is taken as long as the work lasts, also when nobody waits for it any more.
    async fn on_thread<T: Send + 'static>(
        &self,
        places: &Arc<Semaphore>,
        priority: Priority,
        work: impl Fn(&mut Memory) -> T + Send + 'static,
    ) -> Option<T> {
        let place = places.clone().acquire_owned().await.ok()?;
        let (done, result) = oneshot::channel();
        let (spare, runtime) = (self.spare.clone(), Handle::current());
        let started = thread::Builder::new().name("password".to_owned()).spawn(move || {
            let _place = place;
            priority.assume();
            let mut memory = spare.take();
            let worked = work(&mut memory);
            spare.put(memory);
            runtime.spawn(async move {
                sleep(KEPT).await;
                spare.forget();
            });
            let _ = done.send(worked);
        });
        if let Err(error) = started {
            tracing::error!(%error, "there is no thread to hash a password on");
            return None;
        }
        result.await.ok()
    }
}

impl Memory {
    /// So many blocks, with anything in them; none where there is no room.
    pub(super) fn blocks(&mut self, count: usize) -> &mut [Block] {
        let more = count.saturating_sub(self.0.len());
        if self.0.try_reserve_exact(more).is_ok() {
            self.0.resize(self.0.len() + more, Block::default());
        }
        self.0.get_mut(..count).unwrap_or_default()
    }
}

impl Spare {
    fn take(&self) -> Memory {
        self.0.lock().pop().map(|(memory, _)| memory).unwrap_or_default()
    }

    fn put(&self, memory: Memory) {
        self.0.lock().push((memory, Instant::now()));
    }

    /// Gives back to the system what was not needed for long.
    fn forget(&self) {
        self.0.lock().retain(|(_, since)| since.elapsed() < KEPT);
    }
}

impl Priority {
    /// Gives it to this thread, where the system lets it.
    #[cfg(target_os = "linux")]
    fn assume(self) {
        use thread_priority::{
            NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
            thread_native_id,
        };
        let (priority, policy) = match self {
            Self::Idle => (ThreadPriority::Min, NormalThreadSchedulePolicy::Idle),
            Self::Late => {
                let late = LATE.try_into().map_or(ThreadPriority::Min, ThreadPriority::Crossplatform);
                (late, NormalThreadSchedulePolicy::Other)
            }
        };
        let assumed =
            set_thread_priority_and_policy(thread_native_id(), priority, ThreadSchedulePolicy::Normal(policy));
        if let Err(error) = assumed {
            tracing::debug!(?error, "a thread that hashes a password competes with requests");
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn assume(self) {}
}

#[cfg(test)]
#[path = "hashing_tests.rs"]
mod tests;
