//! What the criteria of a conditional write mean: nothing, one resource or several, of those that the token may search for
//! (enforcement.md §3). What is others' counts for nothing.

use bytes::Bytes;
use http::StatusCode;

use super::bundle::unreadable;
use super::fill::link;
use super::{Exchange, Guard, own_words};
use crate::decide::{ConditionalWrite, Refusal, request as rules};
use crate::fhir::bundle::{RawBundle, RawEntry};
use crate::fhir::json::Json;

/// What meets the criteria.
pub(super) enum Matched {
    Nothing,
    One(Found),
    Several,
}

/// The one resource that meets them, as the search brought it.
pub(super) struct Found {
    pub(super) id: String,
    pub(super) resource: Bytes,
}

pub(super) async fn matched(
    guard: &Guard,
    exchange: &Exchange<'_>,
    write: &ConditionalWrite,
) -> Result<Matched, Refusal> {
    let Some(search) = write.search() else { return Ok(Matched::Nothing) };
    let mut page = search.clone();
    let mut one: Option<Found> = None;
    for _ in 0..exchange.snapshot.limits.scan_pages.max(1) {
        let mut answer = guard.send(exchange, &page, None).await?;
        if answer.status != StatusCode::OK {
            return Err(own_words(answer.status));
        }
        let body = exchange.collect(&mut answer).await?;
        let document = RawBundle::document(&body, exchange.snapshot.limits.json_depth);
        let document = document.map_err(|error| unreadable(&error.to_string()))?;
        let source = RawBundle::of(&document).map_err(|error| unreadable(&error.to_string()))?;
        for entry in &source.entry {
            let Some(found) = found(exchange, write, entry)? else { continue };
            if one.as_ref().is_some_and(|one| one.id != found.id) {
                return Ok(Matched::Several);
            }
            one = Some(found);
        }
        match link(guard, exchange, &source, &["next"])? {
            Some(next) => page = search.at_page(next.target),
            None => return Ok(one.map_or(Matched::Nothing, Matched::One)),
        }
    }
    Err(rules::TOO_COSTLY.refuse().because("limits.scan_pages"))
}

fn found(exchange: &Exchange<'_>, write: &ConditionalWrite, entry: &RawEntry<'_>) -> Result<Option<Found>, Refusal> {
    // What cannot be read may be another patient's.
    let (Some(resource), true) = (entry.resource(), entry.may_match()) else { return Ok(None) };
    if !write.is_match(exchange.snapshot, exchange.grant, resource) {
        return Ok(None);
    }
    let id = resource.get("id").and_then(Json::as_str).ok_or_else(|| unreadable("a match without an id"))?;
    Ok(Some(Found { id: id.to_owned(), resource: resource.raw().to_owned().into() }))
}
