//! Permits carried out: what goes up, what is verified when it comes back, and what the client gets (enforcement.md §3 to §7).
//!
//! Nothing here decides who may do what; it asks `decide` for every resource that is to leave.

mod alone;
mod answer;
mod batch;
#[cfg(any(test, feature = "bench"))]
pub mod benching;
mod binary;
mod bundle;
mod capabilities;
mod checked;
mod conditional;
mod criteria;
mod document;
mod entries;
mod entry_writes;
mod export;
mod fill;
mod links;
pub(crate) mod moving;
mod operation;
mod outgoing;
mod page;
mod patients;
mod pins;
mod precondition;
mod probe;
mod report;
mod resource;
mod sent;
mod sight;
mod stream;
mod together;
mod transaction;
mod write;

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use tokio::time::Instant;

pub use answer::{Answer, EntryAnswer, retry_after};
pub use capabilities::Capabilities;
pub use page::{PAGE_PARAMETER, Page, Pages};
pub use patients::UpstreamPatients;
pub use pins::Pins;
pub(crate) use probe::Probe;
pub use report::Would;
pub use stream::Stream;
pub use write::is_json;

use crate::ambient::Ambient;
use crate::config::Snapshot;
use crate::decide::{
    Action, BodyRule, CheckedKind, ConditionalKind, Grant, Input, OwnAnswer, Permit, Refusal, Seen, UpstreamRequest,
    Verify, request as rules,
};
use crate::fhir::AddressKey;
use crate::fhir::interaction::{Interaction, Request};
use crate::telemetry::Span;
use crate::token::GateKeys;
use crate::upstream::{UpstreamAnswer, UpstreamClient, UpstreamError};

/// What the guard works with.
pub struct Guard {
    pub upstream: Arc<UpstreamClient>,
    /// For the listed hosts of exported files.
    pub elsewhere: UpstreamClient,
    pub keys: Arc<GateKeys>,
    pub capabilities: Arc<Capabilities>,
    pub pins: Arc<Pins>,
    pub ambient: Ambient,
}

/// One request on its way through the guard.
pub struct Exchange<'a> {
    pub snapshot: &'a Snapshot,
    pub grant: &'a Grant,
    pub request: &'a Request,
    /// The request's own target below the FHIR base, as the gate prints it.
    pub original: &'a str,
    /// The client's headers.
    pub headers: &'a HeaderMap,
    pub request_id: &'a str,
    pub body: Bytes,
    /// Time spent waiting for the FHIR server.
    pub waited: &'a Waited,
    /// The request's span, if it is recorded.
    pub span: Option<&'a Span>,
}

impl Exchange<'_> {
    /// The same exchange with another body.
    fn with_body(&self, body: Bytes) -> Exchange<'_> {
        Exchange { body, ..*self }
    }

    /// Makes page links of this exchange: they go on at the address that answered.
    fn pages(&self, guard: &Guard) -> Pages {
        guard.pages(self.snapshot, self.grant).at(self.waited.address())
    }

    /// The whole body of an answer, within the limit.
    async fn collect(&self, answer: &mut UpstreamAnswer) -> Result<Bytes, Refusal> {
        let limit = self.snapshot.limits.response_body;
        let _watch = self.waited.start();
        answer.collect(limit).await.map_err(|error| upstream_refusal(&error))
    }
}

/// What a request has had of the FHIR server: the time it waited for it, in microseconds, and the address that answered last.
#[derive(Default, Debug)]
pub struct Waited {
    micros: AtomicU64,
    /// The number of its key.
    address: AtomicU32,
}

impl Waited {
    /// Lets the watch run until what is returned is dropped.
    pub fn start(&self) -> Watch<'_> {
        Watch { waited: self, started: Instant::now() }
    }

    /// The time so far; none if the FHIR server was not asked.
    pub fn so_far(&self) -> Option<Duration> {
        let micros = self.micros.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }
}

impl Waited {
    /// The address that what follows belongs to.
    fn address(&self) -> Option<AddressKey> {
        AddressKey::numbered(self.address.load(Ordering::Relaxed))
    }

    fn is_at(&self, address: Option<AddressKey>) {
        self.address.store(AddressKey::number(address), Ordering::Relaxed);
    }
}

/// The stopwatch while it runs.
pub struct Watch<'w> {
    waited: &'w Waited,
    started: Instant,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.waited.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

/// What became of a permit.
pub enum Outcome {
    /// A whole answer.
    Whole(Answer),
    /// An answer that flows through.
    Flowing(Box<Stream>),
}

impl Guard {
    /// Carries out a permit. Failures of the FHIR server and refusals on the way come back as refusals.
    ///
    /// # Errors
    /// The refusal that the client gets instead.
    pub async fn carry_out(&self, permit: &Permit, exchange: &Exchange<'_>) -> Result<Outcome, Refusal> {
        match permit.action() {
            Action::Answer(OwnAnswer::Capabilities) => self.capabilities(exchange.snapshot).await.map(Outcome::Whole),
            Action::Answer(OwnAnswer::EmptySearchset) => Ok(Outcome::Whole(bundle::empty_searchset(exchange))),
            Action::Answer(OwnAnswer::UniformDenial) => Ok(Outcome::Whole(Answer::uniform_denial())),
            Action::Stream { request, entries } => {
                let answer = self.send(exchange, request, None).await?;
                let single =
                    matches!(exchange.request.interaction, Interaction::Read { .. } | Interaction::Vread { .. });
                stream::start(self, exchange, answer, (!single).then_some(*entries)).map(Outcome::Flowing)
            }
            Action::Guard { request, verify: Verify::Resource { of, id } } => {
                let answer = self.send(exchange, request, None).await?;
                resource::verified(self, exchange, answer, *of, id).await.map(Outcome::Whole)
            }
            _ => self.larger(permit, exchange).await,
        }
    }

    /// The larger ways, on the heap: a future is moved as a whole before it runs, and every request would pay for the largest.
    fn larger<'f>(
        &'f self,
        permit: &'f Permit,
        exchange: &'f Exchange<'_>,
    ) -> Pin<Box<dyn Future<Output = Result<Outcome, Refusal>> + Send + 'f>> {
        match permit.action() {
            Action::Guard { request, verify: Verify::Bundle { letter, kind, pages, includes } } => Box::pin(async {
                let (letter, kind, pages, seen) = (*letter, *kind, *pages, Seen::default());
                let wanted = bundle::Wanted { request, letter, kind, pages, includes, seen };
                bundle::verified(self, exchange, &wanted).await.map(Outcome::Whole)
            }),
            Action::Write { request, body, readable } => {
                Box::pin(async { write::carry_out(self, exchange, request, body, *readable).await.map(Outcome::Whole) })
            }
            Action::Checked(write) => {
                Box::pin(async { checked::carry_out(self, exchange, write).await.map(Outcome::Whole) })
            }
            Action::Targets(search) => {
                Box::pin(async { sight::searched(self, exchange, search).await.map(Outcome::Whole) })
            }
            Action::Bundle => Box::pin(async { batch::carry_out(self, exchange).await.map(Outcome::Whole) }),
            Action::Export(export) => Box::pin(export::carry_out(self, exchange, export)),
            Action::Operation(call) => Box::pin(operation::carry_out(self, exchange, call)),
            Action::Conditional(write) => {
                Box::pin(async { conditional::carry_out(self, exchange, write).await.map(Outcome::Whole) })
            }
            Action::Guard { request, verify: Verify::Document } => {
                Box::pin(document::carry_out(self, exchange, request))
            }
            Action::Answer(_) | Action::Stream { .. } | Action::Guard { .. } => {
                Box::pin(ready(Ok(Outcome::Whole(Answer::uniform_denial()))))
            }
        }
    }

    async fn send(
        &self,
        exchange: &Exchange<'_>,
        request: &UpstreamRequest,
        body: Option<Bytes>,
    ) -> Result<UpstreamAnswer, Refusal> {
        let mut span = exchange.span.map(|span| span.child(request.method()));
        let headers = outgoing::headers(exchange, request, body.is_some(), span.as_ref());
        let upstream = &exchange.snapshot.fhir.upstream;
        // What belongs together is asked at one address: a page where the one before it was made, a write where its target was read.
        let at = exchange.waited.address().or_else(|| exchange.request.page.as_ref()?.at);
        let _watch = exchange.waited.start();
        let answer = self.upstream.send(upstream, request, headers, body, at).await;
        let answer = answer.map_err(|error| {
            let refusal = upstream_refusal(&error);
            if let Some(span) = &mut span {
                span.fail(refusal.rule.name);
            }
            refusal
        })?;
        exchange.waited.is_at(Some(answer.at));
        Ok(match span {
            Some(span) => answer.under(span),
            None => answer,
        })
    }

    /// The gate's CapabilityStatement.
    ///
    /// # Errors
    /// There is no copy yet, and the FHIR server does not give one.
    pub async fn capabilities(&self, snapshot: &Snapshot) -> Result<Answer, Refusal> {
        self.capabilities.answer(&self.upstream, snapshot).await
    }

    /// Makes and opens the page links of one grant.
    pub fn pages(&self, snapshot: &Snapshot, grant: &Grant) -> Pages {
        Pages::new(self.keys.clone(), snapshot, grant, self.ambient.now())
    }
}

/// Whether a request's body is to be read whole before it is decided or sent.
pub fn needs_body(permit: &Permit) -> bool {
    match permit.action() {
        Action::Bundle => true,
        Action::Write { body, .. } => *body != BodyRule::None,
        Action::Operation(call) => !matches!(call.input(), Input::Query | Input::Pairs),
        Action::Checked(write) => !matches!(write.kind(), CheckedKind::Delete(_)),
        Action::Conditional(write) => write.kind() != ConditionalKind::Delete,
        Action::Answer(_) | Action::Stream { .. } | Action::Guard { .. } | Action::Export(_) | Action::Targets(_) => {
            false
        }
    }
}

/// The client's answer to a failure of the FHIR server.
fn upstream_refusal(error: &UpstreamError) -> Refusal {
    let rule = match error {
        UpstreamError::Timeout => &rules::UPSTREAM_TIMEOUT,
        UpstreamError::Busy => &rules::UPSTREAM_BUSY,
        UpstreamError::TooLarge | UpstreamError::Encoded => &rules::UPSTREAM_UNREADABLE,
        _ => &rules::UPSTREAM_UNREACHABLE,
    };
    rule.refuse().because(error.to_string())
}

/// The gate's own words for an upstream's error under a grant that must not read its diagnostics (enforcement.md §7).
fn own_words(status: StatusCode) -> Refusal {
    let rule = match status.as_u16() {
        409 => &rules::UPSTREAM_CONFLICT,
        412 => &rules::UPSTREAM_PRECONDITION,
        400 | 404 | 405 | 410 | 413 | 415 | 422 | 428 => &rules::UPSTREAM_REJECTED,
        408 | 504 => &rules::UPSTREAM_TIMEOUT,
        _ => &rules::UPSTREAM_ERROR,
    };
    rule.refuse().because(format!("the FHIR server answered {status}"))
}

/// Whether an answer to `method` has a body.
pub fn has_body(method: &Method, status: StatusCode) -> bool {
    method != Method::HEAD && status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED
}
