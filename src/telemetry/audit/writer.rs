//! The one writer of the audit log.
//!
//! Lines are gathered into a batch and written whole: the first at once, then every [`GATHER`] what came meanwhile, so that a busy
//! gate neither wakes the writer nor writes for each line. A write that fails is tried again with the same bytes until it works: meanwhile the queue fills, and requests wait or
//! lines are shed, as configured. Nothing is passed over in silence.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::sink::Sink;
use super::{Message, Recent};
use crate::telemetry::Metrics;

/// Bytes that are gathered before they are written.
const BATCH: usize = 64 * 1024;

/// How long lines are gathered while they keep coming.
const GATHER: Duration = Duration::from_millis(5);

/// How long the writer waits after a write that failed.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// At most this often a failing sink is logged.
const LOG_EVERY: Duration = Duration::from_secs(60);

pub(super) struct Writer<S> {
    sink: S,
    recent: Arc<Recent>,
    metrics: Metrics,
    batch: Vec<u8>,
    /// How much of the batch is written.
    written: usize,
    /// When it was last logged that a write failed.
    logged: Option<Instant>,
}

impl<S: Sink> Writer<S> {
    pub(super) fn new(sink: S, recent: Arc<Recent>, metrics: Metrics) -> Self {
        Self { sink, recent, metrics, batch: Vec::with_capacity(BATCH), written: 0, logged: None }
    }

    /// Writes what comes until nobody can send any more.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Message>) {
        while let Some(message) = queue.blocking_recv() {
            self.take(message);
            while let Ok(message) = queue.try_recv() {
                self.take(message);
            }
            self.write_batch();
            std::thread::sleep(GATHER);
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Line(line) => {
                self.batch.extend_from_slice(&line);
                self.recent.keep(line);
                if self.batch.len() >= BATCH {
                    self.write_batch();
                }
            }
            Message::Flush(done) => {
                self.write_batch();
                // Whoever asked may have stopped waiting.
                let _ = done.send(());
            }
        }
    }

    fn write_batch(&mut self) {
        while let Err(error) = self.try_batch() {
            // A full pipe is not a failure, only slow.
            if error.kind() != io::ErrorKind::WouldBlock {
                self.metrics.audit_write_error();
                if self.logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
                    self.logged = Some(Instant::now());
                    tracing::error!(%error, "the audit log cannot be written; trying again until it can");
                }
            }
            std::thread::sleep(RETRY_AFTER);
        }
    }

    fn try_batch(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        if self.sink.renew()? {
            self.begin_line_again();
        }
        while let Some(rest) = self.batch.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.sink.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => self.written = self.written.saturating_add(taken),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.batch.clear();
        self.written = 0;
        Ok(())
    }

    /// A line that was cut in one file is written whole to the next.
    fn begin_line_again(&mut self) {
        let written = self.batch.get(..self.written).unwrap_or_default();
        self.written = memchr::memrchr(b'\n', written).map_or(0, |end| end + 1);
    }
}
