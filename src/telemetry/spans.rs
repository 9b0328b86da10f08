//! The spans of requests (<https://opentelemetry.io/docs/specs/otel/trace/api/>): made here, sent by `ops`.
//!
//! A span that has ended waits in a bounded queue, and one that finds it full is lost and counted: no request waits for a collector.
//! A request that is not recorded has no span at all.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::{Metrics, SpanLoss, TraceParent};
use crate::ambient::Ambient;

/// Spans that wait for the exporter.
const QUEUE: usize = 4096;

/// Spans that are sent together, and how long the first of them waits for the others.
const TOGETHER: usize = 512;
const GATHER: Duration = Duration::from_secs(1);

/// Which requests are recorded that belong to no trace yet, by the trace's own id: whoever samples as many records the same ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sampling(u64);

impl Sampling {
    /// One of so many; of 0 none.
    pub fn one_in(requests: usize) -> Self {
        Self((1u64 << 63).checked_div(requests as u64).unwrap_or_default())
    }

    /// The comparison of OpenTelemetry's `TraceIdRatioBased`.
    fn takes(self, trace: [u8; 16]) -> bool {
        let [_, _, _, _, _, _, _, _, low @ ..] = trace;
        u64::from_be_bytes(low) >> 1 < self.0
    }
}

/// On which side of a call a span is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SpanKind {
    #[default]
    Server,
    Client,
}

/// A value that a span carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Attribute {
    Text(Cow<'static, str>),
    Number(i64),
}

impl From<&'static str> for Attribute {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<u16> for Attribute {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

/// A span that has ended.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SpanRecord {
    pub trace: [u8; 16],
    pub id: [u8; 8],
    pub parent: Option<[u8; 8]>,
    pub kind: SpanKind,
    pub name: Cow<'static, str>,
    /// Since 1970.
    pub start: Duration,
    pub took: Duration,
    pub attributes: Vec<(&'static str, Attribute)>,
    pub failed: bool,
}

/// A span that has begun; it ends when it is dropped.
pub struct Span(Box<Begun>);

struct Begun {
    record: SpanRecord,
    at: Instant,
    tracer: Tracer,
}

/// Begins spans; clones share the queue.
#[derive(Clone)]
pub struct Tracer(Arc<Shared>);

struct Shared {
    queue: mpsc::Sender<Message>,
    ambient: Ambient,
    metrics: Metrics,
}

enum Message {
    Ended(SpanRecord),
    /// Whoever holds the other end waits until all before this was sent.
    Flush(oneshot::Sender<()>),
}

impl Tracer {
    /// A tracer, and where its spans come out.
    pub fn new(ambient: Ambient, metrics: Metrics) -> (Self, Spans) {
        let (queue, spans) = mpsc::channel(QUEUE);
        (Self(Arc::new(Shared { queue, ambient, metrics })), Spans(spans))
    }

    /// Begins the span of a request, if that is recorded: where the caller says so by its `traceparent`, and by `sampling` where it
    /// says nothing.
    pub fn begin(&self, method: &Method, headers: &HeaderMap, sampling: Sampling) -> Option<Span> {
        let caller = TraceParent::of(headers);
        let trace = caller.map_or_else(|| self.random(), |caller| caller.trace);
        let recorded = caller.map_or_else(|| sampling.takes(trace), |caller| caller.is_recorded());
        recorded.then(|| self.span(SpanKind::Server, method, trace, caller.map(|caller| caller.span)))
    }

    /// Waits until everything that has ended so far is sent or lost.
    pub async fn flush(&self) {
        let (done, sent) = oneshot::channel();
        if self.0.queue.send(Message::Flush(done)).await.is_ok() {
            // Both ends of the wait are the same: it is over.
            let _ = sent.await;
        }
    }

    fn span(&self, kind: SpanKind, method: &Method, trace: [u8; 16], parent: Option<[u8; 8]>) -> Span {
        let Shared { ambient, .. } = &*self.0;
        let method = method_name(method);
        let record = SpanRecord {
            trace,
            id: self.random(),
            parent,
            kind,
            name: method.into(),
            start: ambient.clock.since_epoch(),
            attributes: vec![("http.request.method", method.into())],
            ..SpanRecord::default()
        };
        Span(Box::new(Begun { record, at: Instant::now(), tracer: self.clone() }))
    }

    /// An id that is not all zeros but by an accident that no one lives to see.
    fn random<const N: usize>(&self) -> [u8; N] {
        let mut id = [0; N];
        self.0.ambient.entropy.fill(&mut id);
        id
    }
}

impl Span {
    /// Begins the span of a request that is sent on the way.
    pub fn child(&self, method: &Method) -> Self {
        let SpanRecord { trace, id, .. } = self.0.record;
        self.0.tracer.span(SpanKind::Client, method, trace, Some(id))
    }

    /// What a request that belongs to this span says of it.
    pub fn context(&self) -> TraceParent {
        TraceParent::recorded(self.0.record.trace, self.0.record.id)
    }

    /// Calls the span what it turned out to be; out of few names.
    pub fn name(&mut self, name: impl Into<Cow<'static, str>>) {
        self.0.record.name = name.into();
    }

    pub fn set(&mut self, key: &'static str, value: impl Into<Attribute>) {
        self.0.record.attributes.push((key, value.into()));
    }

    /// An answer was sent, or came. What the caller did wrong is no failure of a server (OpenTelemetry's conventions for HTTP).
    pub fn answered(&mut self, status: StatusCode) {
        self.set("http.response.status_code", status.as_u16());
        if status.is_server_error() || status.is_client_error() && self.0.record.kind == SpanKind::Client {
            self.fail(status.as_str().to_owned());
        }
    }

    /// Nothing came of it, for a reason out of few.
    pub fn fail(&mut self, why: impl Into<Attribute>) {
        self.set("error.type", why);
        self.0.record.failed = true;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let record = SpanRecord { took: self.at.elapsed(), ..std::mem::take(&mut self.record) };
        let Shared { queue, metrics, .. } = &*self.tracer.0;
        if queue.try_send(Message::Ended(record)).is_err() {
            metrics.spans_lost(SpanLoss::QueueFull, 1);
        }
    }
}

/// Spans that have ended, in their order.
pub struct Spans(mpsc::Receiver<Message>);

/// Spans to be sent together; who waits for them waits until this is dropped.
#[derive(Default)]
pub struct Batch {
    pub spans: Vec<SpanRecord>,
    waiting: Vec<oneshot::Sender<()>>,
}

impl Spans {
    /// The next ones; none when there will be no more.
    pub async fn next(&mut self) -> Option<Batch> {
        let mut batch = Batch::default();
        batch.add(self.0.recv().await?);
        let until = Instant::now() + GATHER;
        while batch.spans.len() < TOGETHER && batch.waiting.is_empty() {
            let Ok(Some(message)) = timeout_at(until, self.0.recv()).await else { break };
            batch.add(message);
        }
        Some(batch)
    }
}

impl Batch {
    fn add(&mut self, message: Message) {
        match message {
            Message::Ended(span) => self.spans.push(span),
            Message::Flush(done) => self.waiting.push(done),
        }
    }
}

/// A method as spans tell it; clients may call theirs anything.
pub fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}

#[cfg(test)]
#[path = "spans_tests.rs"]
mod tests;
