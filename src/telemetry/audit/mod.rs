//! The audit log: one JSON line per decision and per auth event, through a bounded queue with one writer.

mod record;
mod sink;
mod writer;

use std::path::PathBuf;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

pub use record::{AuditRecord, AuthRecord, DecisionRecord};

use super::Metrics;
use sink::{Appended, Sink, StandardOutput};
use writer::Writer;

/// Lines that wait for the writer; at some hundred bytes each about a megabyte.
const QUEUE: usize = 4096;

/// Where audit lines go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AuditSink {
    /// Nowhere: nothing is kept of who saw what.
    Off,
    Stdout,
    /// Appended to; made with mode 0640 where it is not there, and again after it was moved away (logrotate).
    File(PathBuf),
}

/// What happens when lines come faster than they can be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnFull {
    /// Requests wait.
    Block,
    /// The line is dropped and counted.
    Shed,
}

/// The audit log cannot be written to.
#[derive(Debug, thiserror::Error)]
#[error("the audit log `{sink}` cannot be written: {why}")]
pub struct AuditError {
    sink: String,
    why: String,
}

/// What the writer is told.
enum Message {
    /// A whole line, with its end.
    Line(Vec<u8>),
    /// To answer once everything before it is written.
    Flush(oneshot::Sender<()>),
}

/// The sending end of the audit queue; clones share one writer.
#[derive(Clone)]
pub struct AuditLog {
    /// None where nothing is written.
    queue: Option<mpsc::Sender<Message>>,
    on_full: OnFull,
    metrics: Metrics,
}

impl AuditLog {
    /// Opens the sink and starts its writer.
    ///
    /// # Errors
    /// The sink cannot be written.
    pub fn open(sink: &AuditSink, on_full: OnFull, metrics: Metrics) -> Result<Self, AuditError> {
        match sink {
            AuditSink::Off => {
                tracing::warn!("[audit] file is \"off\": nothing is written of who saw what");
                Ok(Self { queue: None, on_full, metrics })
            }
            AuditSink::Stdout => {
                let failed = |why: std::io::Error| AuditError { sink: "stdout".into(), why: why.to_string() };
                Self::start(StandardOutput::open().map_err(failed)?, QUEUE, on_full, metrics).map_err(failed)
            }
            AuditSink::File(path) => {
                let failed =
                    |why: std::io::Error| AuditError { sink: path.display().to_string(), why: why.to_string() };
                Self::start(Appended::open(path).map_err(failed)?, QUEUE, on_full, metrics).map_err(failed)
            }
        }
    }

    fn start(
        sink: impl Sink + 'static,
        queue: usize,
        on_full: OnFull,
        metrics: Metrics,
    ) -> Result<Self, std::io::Error> {
        let (sender, receiver) = mpsc::channel(queue);
        let writer = Writer::new(sink, metrics.clone());
        // A thread of its own: writing to a file blocks, and the queue must be emptied whatever the runtimes do.
        std::thread::Builder::new().name("audit".into()).spawn(move || writer.run(receiver))?;
        Ok(Self { queue: Some(sender), on_full, metrics })
    }

    /// Queues a line. With [`OnFull::Block`] this waits for a place in the queue.
    pub async fn record(&self, record: AuditRecord<'_>) {
        let Some(queue) = &self.queue else { return };
        let mut line = match serde_json::to_vec(&record) {
            Ok(line) => line,
            Err(error) => {
                tracing::error!(%error, "an audit line cannot be printed");
                self.metrics.audit_shed();
                return;
            }
        };
        line.push(b'\n');
        let queued = match self.on_full {
            OnFull::Block => queue.send(Message::Line(line)).await.is_ok(),
            OnFull::Shed => match queue.try_send(Message::Line(line)) {
                Ok(()) => true,
                Err(TrySendError::Full(_)) => {
                    self.metrics.audit_shed();
                    return;
                }
                Err(TrySendError::Closed(_)) => false,
            },
        };
        if !queued {
            tracing::error!("the audit writer is gone; a line is lost");
            self.metrics.audit_shed();
        }
    }

    /// Waits until everything queued so far is written; as long as the sink takes nothing, that is for ever.
    pub async fn flush(&self) {
        let Some(queue) = &self.queue else { return };
        let (done, written) = oneshot::channel();
        if queue.send(Message::Flush(done)).await.is_err() || written.await.is_err() {
            tracing::error!("the audit writer is gone; lines are lost");
        }
    }
}

#[cfg(test)]
mod tests;
