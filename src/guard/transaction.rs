//! A transaction of which something is hidden: every write is checked by the code of single requests, and only then do all go up as
//! one Bundle, each for the version that was checked (enforcement.md §3 "transaction", §5).
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
use super::checked::{self, Ready};
use super::entries::{Done, SentEntry, Single, Upward, print_upward, response_of};
use super::together::may_leave;
use super::write::locations;
use super::{Answer, Exchange, Guard, own_words};
use crate::decide::{
    Action, CheckedWrite, Entry, NOT_FOUND_OR_NOT_YOURS, REFERENCES_TOO_MANY, Refusal, RefusedEntry, UpstreamRequest,
    WRITE_CONFLICT, bundle_request,
};
use crate::fhir::bundle::{RawBundle, RawEntry};

type Decided = Result<Entry, Box<RefusedEntry>>;

pub(super) async fn carry_out(
    guard: &Guard,
    exchange: &Exchange<'_>,
    decided: &[Decided],
    sent: &[SentEntry<'_>],
) -> Result<Vec<Done>, Refusal> {
    let writes = check(guard, exchange, decided, sent).await?;
    look_up(guard, exchange, &writes).await?;
    let body = if writes.is_empty() { Bytes::new() } else { send(guard, exchange, &writes).await? };
    let mut written = verify(exchange, &writes, &body)?.into_iter();
    drop(writes);
    let room = Room::of(exchange);
    let mut each = Vec::with_capacity(decided.len());
    for (decided, sent) in decided.iter().zip(sent) {
        let answer = match decided {
            Ok(entry) if !entry.reads() => written.next(),
            _ => None,
        };
        let room = &room;
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

/// A write that may go up.
struct Write<'e> {
    index: usize,
    entry: &'e Entry,
    request: UpstreamRequest,
    kind: Kind<'e>,
}

enum Kind<'e> {
    /// Old and new were checked: this goes up.
    Checked { write: &'e CheckedWrite, single: Single, ready: Ready },
    /// Of a type that is not restricted.
    Free { resource: Option<&'e RawValue>, readable: bool },
}

/// Checks every write; the first that does not pass, in the client's order, refuses the whole.
async fn check<'e>(
    guard: &Guard,
    exchange: &Exchange<'_>,
    decided: &'e [Decided],
    sent: &[SentEntry<'e>],
) -> Result<Vec<Write<'e>>, Refusal> {
    let room = &Room::of(exchange);
    let mut each = Vec::with_capacity(decided.len());
    for (index, (decided, sent)) in decided.iter().zip(sent).enumerate() {
        let Ok(entry) = decided else { continue };
        if !entry.reads() {
            each.push(boxed(async move {
                let checked = check_one(guard, exchange, entry, sent, room).await;
                let (request, kind) = checked.map_err(|refusal| refusal.at_entry(index))?;
                Ok(Write { index, entry, request, kind })
            }));
        }
    }
    stream::iter(each).buffered(AT_ONCE).try_collect().await
}

async fn check_one<'e>(
    guard: &Guard,
    exchange: &Exchange<'_>,
    entry: &'e Entry,
    sent: &SentEntry<'e>,
    room: &Room,
) -> Result<(UpstreamRequest, Kind<'e>), Refusal> {
    match entry.permit.action() {
        Action::Checked(write) => {
            let single = Single::of(exchange, entry, sent)?;
            let ready = checked::check(guard, &single.exchange(exchange, entry), write).await?;
            let ready = ready.ok_or_else(|| NOT_FOUND_OR_NOT_YOURS.refuse())?;
            room.hold(ready.body.as_ref().map_or(0, Bytes::len))?;
            let request = write.send(ready.pin.clone());
            Ok((request, Kind::Checked { write, single, ready }))
        }
        Action::Write { request, readable, .. } => {
            Ok((request.clone(), Kind::Free { resource: sent.resource, readable: *readable }))
        }
        _ => Err(unreadable("an entry is neither a read nor a write")),
    }
}

/// Looks at everything that the bodies refer to: each once, and of all together no more than of one write.
async fn look_up(guard: &Guard, exchange: &Exchange<'_>, writes: &[Write<'_>]) -> Result<(), Refusal> {
    let mut all = Vec::new();
    for write in writes {
        let Kind::Checked { ready, .. } = &write.kind else { continue };
        for look_up in &ready.look_ups {
            if all.iter().any(|(_, known)| *known == look_up) {
                continue;
            }
            if all.len() >= exchange.snapshot.limits.write_references {
                return Err(REFERENCES_TOO_MANY.refuse().at_entry(write.index));
            }
            all.push((write.index, look_up));
        }
    }
    let each = all.into_iter().map(|(index, look_up)| {
        boxed(async move {
            let found = checked::look_up(guard, exchange, std::slice::from_ref(look_up)).await;
            found.map_err(|refusal| refusal.at_entry(index))
        })
    });
    stream::iter(each.collect::<Vec<_>>()).buffered(AT_ONCE).try_collect().await
}

async fn send(guard: &Guard, exchange: &Exchange<'_>, writes: &[Write<'_>]) -> Result<Bytes, Refusal> {
    let mut readable = false;
    let mut up = Vec::with_capacity(writes.len());
    for write in writes {
        let (may_read, resource) = match &write.kind {
            Kind::Checked { write, ready, .. } => {
                let resource: Option<&RawValue> = match &ready.body {
                    Some(body) => Some(serde_json::from_slice(body).map_err(|why| unreadable(&why.to_string()))?),
                    None => None,
                };
                (write.readable(), resource)
            }
            Kind::Free { resource, readable } => (*readable, *resource),
        };
        readable |= may_read;
        up.push(Upward::of(write.entry, &write.request, resource));
    }
    let body = print_upward("transaction", &up)?;
    let answer = guard.send(exchange, &bundle_request(readable), Some(body)).await?;
    match answer.status {
        StatusCode::OK => exchange.collect(answer).await,
        // Between the check and the write something was changed, or made.
        StatusCode::PRECONDITION_FAILED => Err(WRITE_CONFLICT.refuse()),
        status => Err(own_words(status)),
    }
}

/// What the client hears of each write, held against what was asked for.
fn verify(exchange: &Exchange<'_>, writes: &[Write<'_>], body: &[u8]) -> Result<Vec<Result<Answer, Refusal>>, Refusal> {
    if writes.is_empty() {
        return Ok(Vec::new());
    }
    let source = RawBundle::parse(body).map_err(|error| unreadable(&error.to_string()))?;
    // Which answer is whose, is said by nothing but their order.
    if source.entry.len() != writes.len() {
        return Err(unreadable("not every entry was answered, or more than these"));
    }
    Ok(writes.iter().zip(&source.entry).map(|(write, answer)| answered(exchange, write, answer)).collect())
}

fn answered(exchange: &Exchange<'_>, write: &Write<'_>, answer: &RawEntry<'_>) -> Result<Answer, Refusal> {
    let response = answer.response.ok_or_else(|| unreadable("an entry was not answered"))?;
    let (status, headers) = response_of(response)?;
    match &write.kind {
        Kind::Checked { write: checked, single, .. } => {
            let body = answer.resource.map_or(&[][..], |resource| resource.get().as_bytes());
            checked::written(&single.exchange(exchange, write.entry), checked, status, &headers, body)
        }
        Kind::Free { readable, .. } => free(exchange, *readable, status, &headers, answer.resource),
    }
}

/// The answer to a write of a type that is not restricted.
fn free(
    exchange: &Exchange<'_>,
    readable: bool,
    status: StatusCode,
    headers: &HeaderMap,
    resource: Option<&RawValue>,
) -> Result<Answer, Refusal> {
    if !status.is_success() {
        return Err(own_words(status));
    }
    let mut answer = Answer { headers: headers.clone(), ..Answer::fhir(status, Bytes::new()) };
    locations(exchange, headers, &mut answer);
    match resource {
        Some(resource) if readable && may_leave(exchange, resource)? => {
            answer.body = Bytes::copy_from_slice(resource.get().as_bytes());
        }
        Some(_) => answer.removed = 1,
        None => {}
    }
    answer.upstream_status = Some(status);
    Ok(answer)
}
