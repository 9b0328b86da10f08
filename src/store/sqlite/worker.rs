//! A thread that owns one connection and carries out what has queued up as one transaction.
//!
//! Group commit: nobody is answered before the commit, and one flush of the disk serves everybody who waits. Where several waited
//! the last time, more are on their way, and the next flush waits a moment for them. A caller that goes away loses only its answer.

use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::super::StoreError;
use super::place::OpenedAt;

/// Operations that may wait; more callers wait to get in.
const QUEUE: usize = 1024;

/// Operations in one transaction.
const BATCH: usize = 256;

/// How long a write waits for others to share its flush; a flush itself takes as long.
const GATHER: Duration = Duration::from_micros(500);

/// How a worker begins its transactions.
#[derive(Clone, Copy)]
pub(super) enum Access {
    Read,
    /// Takes the write lock at once, so that a transaction never fails half-way for want of it.
    Write,
}

/// The thread; it ends when this is dropped.
pub(super) struct Worker {
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Worker {
    pub(super) fn start(connection: Connection, access: Access, place: OpenedAt) -> Result<Self, StoreError> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || serve(&connection, access, &place, jobs))
            .map_err(|error| StoreError(format!("no thread can be started: {error}")))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Carries out `work`; what it changed is on the disk when this returns, or was never done.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let ended = || StoreError("its thread has ended".to_owned());
        let (to, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(ended)?;
        queue.send(Box::new(Task { work: Some(work), result: None, to })).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's thread ended by a panic");
        }
    }
}

trait Job: Send {
    /// Does the work; if it fails, what it did has to be taken back.
    fn run(&mut self, connection: &Connection) -> Result<(), String>;

    /// Answers the caller; with a failure of the transaction the work's own result counts for nothing.
    fn answer(self: Box<Self>, failure: Option<&str>);
}

struct Task<T, F> {
    work: Option<F>,
    result: Option<rusqlite::Result<T>>,
    to: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: FnOnce(&Connection) -> rusqlite::Result<T> + Send> Job for Task<T, F> {
    fn run(&mut self, connection: &Connection) -> Result<(), String> {
        self.result = self.work.take().map(|work| work(connection));
        match &self.result {
            Some(Err(error)) => Err(error.to_string()),
            _ => Ok(()),
        }
    }

    fn answer(self: Box<Self>, failure: Option<&str>) {
        let answer = match (failure, self.result) {
            (Some(failure), _) => Err(StoreError(failure.to_owned())),
            (None, Some(result)) => result.map_err(|error| StoreError(error.to_string())),
            (None, None) => Err(StoreError("the operation was not carried out".to_owned())),
        };
        if self.to.send(answer).is_err() {
            tracing::debug!("an operation was carried out for a caller that had gone");
        }
    }
}

fn serve(connection: &Connection, access: Access, place: &OpenedAt, mut queue: mpsc::Receiver<Box<dyn Job>>) {
    let mut several = false;
    while let Some(first) = queue.blocking_recv() {
        if several && matches!(access, Access::Write) {
            thread::sleep(GATHER);
        }
        let mut jobs = vec![first];
        while jobs.len() < BATCH
            && let Ok(job) = queue.try_recv()
        {
            jobs.push(job);
        }
        several = jobs.len() > 1;
        let failure = place.still().and_then(|()| transaction(connection, access, &mut jobs)).err();
        if failure.is_some()
            && !connection.is_autocommit()
            && let Err(error) = connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a failed transaction of the store could not be taken back");
        }
        for job in jobs {
            job.answer(failure.as_deref());
        }
    }
}

/// One failed job takes back only itself; when SQLite gave up the whole transaction with it (a full disk), it failed for
/// everybody.
fn transaction(connection: &Connection, access: Access, jobs: &mut [Box<dyn Job>]) -> Result<(), String> {
    let execute = |statement| connection.execute_batch(statement).map_err(|error| error.to_string());
    execute(match access {
        Access::Read => "BEGIN",
        Access::Write => "BEGIN IMMEDIATE",
    })?;
    for job in jobs {
        execute("SAVEPOINT job")?;
        match job.run(connection) {
            Ok(()) => execute("RELEASE job")?,
            Err(failure) if connection.is_autocommit() => return Err(failure),
            Err(_) => execute("ROLLBACK TO job; RELEASE job")?,
        }
    }
    execute("COMMIT")
}
