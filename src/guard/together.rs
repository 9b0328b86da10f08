//! A Bundle whose permitted entries go up together as they are, because nothing is hidden from this token but whole types.

use bytes::Bytes;
use http::StatusCode;
use serde_json::value::RawValue;

use super::bundle::{print_entry, unreadable, without_outcome};
use super::entries::{Decided, Done, SentEntry, Upward, print_upward, status_of};
use super::{Exchange, Guard, own_words};
use crate::decide::{Action, Entry, Processing, Refusal, UpstreamRequest, bundle_request, type_of, visible};
use crate::fhir::ResourceType;
use crate::fhir::bundle::{NewEntry, RawBundle, RawEntry};
use crate::fhir::json::Json;
use crate::scope::Letter;

pub(super) async fn carry_out(
    guard: &Guard,
    exchange: &Exchange<'_>,
    processing: Processing,
    decided: &[Decided],
    sent: &[SentEntry<'_>],
) -> Result<Vec<Done>, Refusal> {
    let mut up = Vec::with_capacity(decided.len());
    let mut any_readable = false;
    for (entry, sent) in decided.iter().zip(sent) {
        if let Ok(entry) = entry {
            let (request, readable) = upward(entry)?;
            any_readable |= readable;
            up.push(Upward::of(entry, request, sent.resource));
        }
    }
    let body = if up.is_empty() { Bytes::new() } else { send(guard, exchange, processing, any_readable, &up).await? };
    let source = match body.as_ref() {
        [] => None,
        bytes => Some(RawBundle::parse(bytes).map_err(|error| unreadable(&error.to_string()))?),
    };
    let answered = source.as_ref().map(|bundle| bundle.entry.as_slice()).unwrap_or_default();
    if answered.len() != up.len() {
        return Err(unreadable("not every entry was answered, or more than these"));
    }
    let mut answered = answered.iter();
    let mut done = Vec::with_capacity(decided.len());
    for decided in decided {
        done.push(match decided {
            Err(refused) => Done::of(decided, Err(refused.refusal.clone()))?,
            Ok(entry) => {
                let answer = answered.next().ok_or_else(|| unreadable("an entry was not answered"))?;
                let (printed, kept) = answered_entry(exchange, upward(entry)?.1, answer)?;
                let status = answer.response.and_then(|response| status_of(response).ok());
                Done::printed(decided, printed, status.unwrap_or(StatusCode::OK), usize::from(!kept))
            }
        });
    }
    Ok(done)
}

/// What goes up for an entry, and whether its answer may have content.
fn upward(entry: &Entry) -> Result<(&UpstreamRequest, bool), Refusal> {
    match entry.permit.action() {
        Action::Stream { request, .. } => Ok((request, true)),
        Action::Write { request, readable, .. } => Ok((request, *readable)),
        _ => Err(unreadable("an entry was not to go up as it is")),
    }
}

async fn send(
    guard: &Guard,
    exchange: &Exchange<'_>,
    processing: Processing,
    readable: bool,
    entries: &[Upward<'_>],
) -> Result<Bytes, Refusal> {
    let body = print_upward(processing.code(), entries)?;
    let answer = guard.send(exchange, &bundle_request(readable), Some(body)).await?;
    let status = answer.status;
    if status != StatusCode::OK {
        return Err(own_words(status));
    }
    exchange.collect(answer).await
}

/// The answer to one entry, and whether its resource was kept.
fn answered_entry(
    exchange: &Exchange<'_>,
    readable: bool,
    entry: &RawEntry<'_>,
) -> Result<(Box<RawValue>, bool), Refusal> {
    let readable = match entry.resource {
        Some(raw) => readable && may_leave(exchange, raw)?,
        None => readable,
    };
    let bare = if readable { None } else { entry.response.map(without_outcome).transpose()? };
    let answer = NewEntry {
        resource: entry.resource.filter(|_| readable),
        response: bare.as_deref().or(entry.response),
        ..NewEntry::default()
    };
    Ok((print_entry(&answer)?, readable || entry.resource.is_none()))
}

/// Whether the answer of one entry holds nothing but what the token may read.
pub(super) fn may_leave(exchange: &Exchange<'_>, raw: &RawValue) -> Result<bool, Refusal> {
    let depth = exchange.snapshot.limits.json_depth;
    let resource = Json::parse(raw.get().as_bytes(), depth).map_err(|error| unreadable(&error.to_string()))?;
    Ok(type_of(exchange.snapshot, &resource) == Some(ResourceType::OPERATION_OUTCOME)
        || visible(exchange.snapshot, exchange.grant, Letter::Read, &resource))
}
