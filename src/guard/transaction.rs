//! A transaction of which something is hidden: every write is checked ([`entry_writes`]), and only then do all go up as one Bundle,
//! each for the version that was checked (enforcement.md §3 "transaction", §5).
//!
//! Its reads come last in FHIR's order (FHIR R4 http.html#trules), so they are carried out as single requests once the writes are
//! done: they see what was written, and are narrowed, paged and verified like any other. Inside the Bundle one of them that finds
//! nothing would undo the writes, and so tell what there is.

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;

use super::alone::{AT_ONCE, Room, boxed, one};
use super::bundle::unreadable;
use super::checked;
use super::entries::{Decided, Done, SentEntry, Upward, print_upward, response_of};
use super::entry_writes::{self, Kind, Write};
use super::together::may_leave;
use super::write::locations;
use super::{Answer, Exchange, Guard, own_words};
use crate::decide::{Refusal, WRITE_CONFLICT, bundle_request};
use crate::fhir::bundle::{RawBundle, RawEntry};

pub(super) async fn carry_out(
    guard: &Guard,
    exchange: &Exchange<'_>,
    decided: &[Decided],
    sent: &[SentEntry<'_>],
) -> Result<Vec<Done>, Refusal> {
    let writes = entry_writes::check(guard, exchange, decided, sent).await?;
    let body = if writes.iter().any(Write::goes_up) { send(guard, exchange, &writes).await? } else { Bytes::new() };
    let mut written = verify(exchange, writes, &body)?.into_iter();
    let room = &Room::of(exchange);
    let mut each = Vec::with_capacity(decided.len());
    for (decided, sent) in decided.iter().zip(sent) {
        let answer = match decided {
            Ok(entry) if !entry.reads() => written.next(),
            _ => None,
        };
        each.push(boxed(async move {
            let answer = match (decided, answer) {
                (Err(refused), _) => Err(refused.refusal.clone()),
                (Ok(_), Some(answer)) => answer.and_then(|answer| room.take(answer, false)),
                (Ok(entry), None) => one(guard, exchange, entry, sent, room).await,
            };
            Done::of(decided, answer)
        }));
    }
    stream::iter(each).buffered(AT_ONCE).try_collect().await
}

async fn send(guard: &Guard, exchange: &Exchange<'_>, writes: &[Write<'_>]) -> Result<Bytes, Refusal> {
    let mut any_readable = false;
    let mut up = Vec::with_capacity(writes.len());
    for write in writes.iter().filter(|write| write.goes_up()) {
        let checked = write.ready().and_then(|ready| ready.body.as_ref());
        let checked = checked.map(|body| serde_json::from_slice::<&RawValue>(body)).transpose();
        let checked = checked.map_err(|why| unreadable(&why.to_string()))?;
        let (readable, resource) = match &write.kind {
            Kind::Checked { write, .. } => (write.readable(), checked),
            Kind::There { .. } => (false, checked),
            Kind::Free { resource, readable } => (*readable, *resource),
        };
        any_readable |= readable;
        up.push(Upward::of(write.entry, &write.request, resource));
    }
    let body = print_upward("transaction", &up)?;
    let mut answer = guard.send(exchange, &bundle_request(any_readable), Some(body)).await?;
    match answer.status {
        StatusCode::OK => exchange.collect(&mut answer).await,
        // Between the check and the write something was changed, or made.
        StatusCode::PRECONDITION_FAILED => Err(WRITE_CONFLICT.refuse()),
        status => Err(own_words(status)),
    }
}

/// What the client hears of each write, held against what was asked for.
fn verify(
    exchange: &Exchange<'_>,
    writes: Vec<Write<'_>>,
    body: &[u8],
) -> Result<Vec<Result<Answer, Refusal>>, Refusal> {
    let document = (!body.is_empty()).then(|| RawBundle::document(body, exchange.snapshot.limits.json_depth));
    let document = document.transpose().map_err(|error| unreadable(&error.to_string()))?;
    let source = document.as_ref().map(RawBundle::of).transpose().map_err(|error| unreadable(&error.to_string()))?;
    let answers = source.map(|bundle| bundle.entry).unwrap_or_default();
    // Which answer is whose, is said by nothing but their order.
    if answers.len() != writes.iter().filter(|write| write.goes_up()).count() {
        return Err(unreadable("not every entry was answered, or more than these"));
    }
    let mut answers = answers.into_iter();
    let mut verified = Vec::with_capacity(writes.len());
    for write in writes {
        let answer = if write.goes_up() { answers.next() } else { None };
        verified.push(answered(exchange, write, answer));
    }
    Ok(verified)
}

fn answered(exchange: &Exchange<'_>, write: Write<'_>, answer: Option<RawEntry<'_>>) -> Result<Answer, Refusal> {
    match write.kind {
        Kind::There { answer, .. } => Ok(answer),
        Kind::Checked { write: checked, single, .. } => {
            let (status, headers, answer) = told(answer)?;
            let body = answer.written().as_bytes();
            checked::written(&single.exchange(exchange, write.entry), &checked, status, &headers, body)
        }
        Kind::Free { readable, .. } => {
            let (status, headers, answer) = told(answer)?;
            free(exchange, readable, status, &headers, &answer)
        }
    }
}

/// What the FHIR server says of one entry.
fn told<'a>(answer: Option<RawEntry<'a>>) -> Result<(StatusCode, HeaderMap, RawEntry<'a>), Refusal> {
    let answer = answer.ok_or_else(|| unreadable("an entry was not answered"))?;
    let response = answer.response().ok_or_else(|| unreadable("an entry was not answered"))?;
    let (status, headers) = response_of(response)?;
    Ok((status, headers, answer))
}

/// The answer to a write of a type that is not restricted.
fn free(
    exchange: &Exchange<'_>,
    readable: bool,
    status: StatusCode,
    headers: &HeaderMap,
    entry: &RawEntry<'_>,
) -> Result<Answer, Refusal> {
    if !status.is_success() {
        return Err(own_words(status));
    }
    let mut answer = Answer { headers: headers.clone(), ..Answer::fhir(status, Bytes::new()) };
    locations(exchange, headers, &mut answer);
    if entry.has_resource() {
        if readable && may_leave(exchange, entry)? {
            answer.body = Bytes::copy_from_slice(entry.written().as_bytes());
        } else {
            answer.removed = 1;
        }
    }
    answer.upstream_status = Some(status);
    Ok(answer)
}
