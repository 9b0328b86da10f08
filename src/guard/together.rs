//! A Bundle whose permitted entries go up together as they are, because nothing is hidden from this token but whole types.

use bytes::Bytes;
use http::StatusCode;

use super::bundle::{RESPONSE, copy_texts, unreadable};
use super::entries::{Decided, Done, SentEntry, Upward, print_upward, status_of};
use super::{Exchange, Guard, own_words};
use crate::decide::{Action, Entry, Processing, Refusal, UpstreamRequest, bundle_request, type_of, visible};
use crate::fhir::ResourceType;
use crate::fhir::bundle::{RawBundle, RawEntry};
use crate::fhir::json::ObjectWriter;
use crate::guard::moving::Moving;
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
    let document = (!body.is_empty()).then(|| RawBundle::document(&body, exchange.snapshot.limits.json_depth));
    let document = document.transpose().map_err(|error| unreadable(&error.to_string()))?;
    let source = document.as_ref().map(RawBundle::of).transpose().map_err(|error| unreadable(&error.to_string()))?;
    let answered = source.map(|bundle| bundle.entry).unwrap_or_default();
    if answered.len() != up.len() {
        return Err(unreadable("not every entry was answered, or more than these"));
    }
    let mut answered = answered.into_iter();
    let mut done = Vec::with_capacity(decided.len());
    for decided in decided {
        done.push(match decided {
            Err(refused) => Done::of(decided, Err(refused.refusal.clone()))?,
            Ok(entry) => {
                let answer = answered.next().ok_or_else(|| unreadable("an entry was not answered"))?;
                let (printed, kept) = answered_entry(exchange, upward(entry)?.1, &answer)?;
                let status = answer.response().and_then(|response| status_of(response).ok());
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
    let mut answer = guard.send(exchange, &bundle_request(readable), Some(body)).await?;
    let status = answer.status;
    if status != StatusCode::OK {
        return Err(own_words(status));
    }
    exchange.collect(&mut answer).await
}

/// The answer to one entry, and whether its resource was kept.
fn answered_entry(exchange: &Exchange<'_>, readable: bool, entry: &RawEntry<'_>) -> Result<(String, bool), Refusal> {
    let readable = readable && (!entry.has_resource() || may_leave(exchange, entry)?);
    let mut out = String::new();
    let mut printed = ObjectWriter::new(&mut out);
    if readable && entry.has_resource() {
        printed.member("resource").push_str(entry.written());
    }
    match entry.response() {
        Some(response) if readable => printed.member("response").push_str(response.raw()),
        Some(response) => {
            copy_texts(&Moving::nothing(response.document()), response, &RESPONSE, printed.member("response"))
        }
        None => {}
    }
    printed.end();
    Ok((out, readable || !entry.has_resource()))
}

/// Whether the answer of one entry holds nothing but what the token may read.
pub(super) fn may_leave(exchange: &Exchange<'_>, entry: &RawEntry<'_>) -> Result<bool, Refusal> {
    let resource = entry.resource().ok_or_else(|| unreadable("an entry's resource has several readings"))?;
    Ok(type_of(exchange.snapshot, resource) == Some(ResourceType::OPERATION_OUTCOME)
        || visible(exchange.snapshot, exchange.grant, Letter::Read, resource))
}
