//! The audit log: one JSON line per decision and per auth event, through a bounded queue with one writer.

mod line;
mod recent;
mod record;
mod sink;
mod spool;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

pub use recent::{Recent, Refusals, Refused};
pub use record::{AuditRecord, AuthRecord, DecisionRecord};
pub use spool::{Batch, Position, Spool};

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

/// The sending ends of the audit queues; clones share the writers.
#[derive(Clone)]
pub struct AuditLog {
    /// The way to the sink; none where that is turned off.
    queue: Option<mpsc::Sender<Message>>,
    /// The way to the FHIR endpoint, where there is one.
    spooled: Option<(mpsc::Sender<Message>, Arc<Spool>)>,
    on_full: OnFull,
    metrics: Metrics,
    recent: Arc<Recent>,
}

impl AuditLog {
    /// Opens the sink and starts its writer.
    ///
    /// # Errors
    /// The sink cannot be written.
    pub fn open(sink: &AuditSink, on_full: OnFull, metrics: Metrics) -> Result<Self, AuditError> {
        let recent = Arc::new(Recent::new(0));
        match sink {
            AuditSink::Off => {
                tracing::warn!("[audit] file is \"off\": nothing is written of who saw what");
                Ok(Self { queue: None, spooled: None, on_full, metrics, recent })
            }
            AuditSink::Stdout => {
                let failed = |why: std::io::Error| AuditError { sink: "stdout".into(), why: why.to_string() };
                Self::start(StandardOutput::open().map_err(failed)?, QUEUE, on_full, recent, metrics).map_err(failed)
            }
            AuditSink::File(path) => {
                let failed =
                    |why: std::io::Error| AuditError { sink: path.display().to_string(), why: why.to_string() };
                Self::start(Appended::open(path).map_err(failed)?, QUEUE, on_full, recent, metrics).map_err(failed)
            }
        }
    }

    /// Lets every line from now on go to `spool`, too.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn spooled(self, spool: &Arc<Spool>) -> Result<Self, AuditError> {
        let failed = |why: std::io::Error| AuditError { sink: "spool".into(), why: why.to_string() };
        let sink = spool::Segments::open(spool.clone()).map_err(failed)?;
        let other = Self::start(sink, QUEUE, self.on_full, Arc::new(Recent::new(0)), self.metrics.clone());
        let queue = other.map_err(failed)?.queue;
        Ok(Self { spooled: queue.map(|queue| (queue, spool.clone())), ..self })
    }

    fn start(
        sink: impl Sink + 'static,
        queue: usize,
        on_full: OnFull,
        recent: Arc<Recent>,
        metrics: Metrics,
    ) -> Result<Self, std::io::Error> {
        let (sender, receiver) = mpsc::channel(queue);
        let writer = Writer::new(sink, recent.clone(), metrics.clone());
        // A thread of its own: writing to a file blocks, and the queue must be emptied whatever the runtimes do.
        std::thread::Builder::new().name("audit".into()).spawn(move || writer.run(receiver))?;
        Ok(Self { queue: Some(sender), spooled: None, on_full, metrics, recent })
    }

    /// The last lines that were written; none until it is told how many bytes it may hold.
    pub fn recent(&self) -> &Arc<Recent> {
        &self.recent
    }

    /// Bytes that wait for the FHIR endpoint, where there is one.
    pub fn spooled_bytes(&self) -> Option<u64> {
        self.spooled.as_ref().map(|(_, spool)| spool.waiting())
    }

    /// Lines that wait for the writer, and how many can.
    pub fn queued(&self) -> (usize, usize) {
        let room = |queue: &mpsc::Sender<Message>| {
            (queue.max_capacity().saturating_sub(queue.capacity()), queue.max_capacity())
        };
        self.queue.as_ref().map_or((0, 0), room)
    }

    /// Queues a line. With [`OnFull::Block`] this waits for a place in the queue.
    pub async fn record(&self, record: AuditRecord<'_>) {
        if self.queue.is_none() && self.spooled.is_none() {
            return;
        }
        let line = record.print();
        if let Some((spooled, _)) = &self.spooled {
            self.queue(spooled, line.clone()).await;
        }
        if let Some(queue) = &self.queue {
            self.queue(queue, line).await;
        }
    }

    async fn queue(&self, queue: &mpsc::Sender<Message>, line: Vec<u8>) {
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
        for queue in self.queue.iter().chain(self.spooled.iter().map(|(queue, _)| queue)) {
            let (done, written) = oneshot::channel();
            if queue.send(Message::Flush(done)).await.is_err() || written.await.is_err() {
                tracing::error!("the audit writer is gone; lines are lost");
            }
        }
    }
}

#[cfg(test)]
mod tests;
