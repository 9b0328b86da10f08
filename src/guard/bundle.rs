//! Searchsets, histories and operation results: each entry is verified on its own body, what fails is dropped whole, what stays
//! is copied byte for byte.

use bytes::Bytes;
use http::StatusCode;
use serde_json::value::{RawValue, to_raw_value};

use super::fill::{self, Filled, PageLink};
use super::links::move_urls;
use super::{Answer, Exchange, Guard};
use crate::decide::{BundleKind, PageRule, Refusal, Seen, UpstreamRequest, request as rules, type_of, visible_with};
use crate::fhir::ResourceType;
use crate::fhir::bundle::{EntryResponse, EntrySearch, NewBundle, NewEntry, NewLink, RawEntry};
use crate::fhir::json::Json;
use crate::scope::Letter;

/// What a verified Bundle is made from.
pub(super) struct Wanted<'p> {
    pub(super) request: &'p UpstreamRequest,
    /// What a match needs; includes need `r`.
    pub(super) letter: Letter,
    pub(super) kind: BundleKind,
    pub(super) pages: PageRule,
    /// What was looked up already.
    pub(super) seen: Seen,
}

/// The answer to a search that names only patients that are not the token's.
pub(super) fn empty_searchset(exchange: &Exchange<'_>) -> Answer {
    let mut bundle = NewBundle::<NewEntry<'_>>::new(BundleKind::Searchset.code());
    bundle.total = Some(0);
    bundle.link.push(self_link(exchange));
    let printed = serde_json::to_vec(&bundle).unwrap_or_default();
    Answer::fhir(StatusCode::OK, printed.into())
}

pub(super) async fn verified(guard: &Guard, exchange: &Exchange<'_>, wanted: &Wanted<'_>) -> Result<Answer, Refusal> {
    let Some(filled) = fill::fill(guard, exchange, wanted).await? else {
        return Ok(Answer::uniform_denial());
    };
    // None of its versions is visible; a later page may well be empty.
    if wanted.kind == BundleKind::History && filled.entries.is_empty() && exchange.request.page.is_none() {
        return Ok(Answer { removed: filled.removed, ..Answer::uniform_denial() });
    }
    let removed = filled.removed;
    let mut bundle = NewBundle::new(wanted.kind.code());
    bundle.total = filled.total;
    bundle.link = links(guard, exchange, &filled)?;
    bundle.entry = filled.entries;
    let printed = serde_json::to_vec(&bundle).map_err(|error| unreadable(&error.to_string()))?;
    let printed = move_urls(printed, &exchange.snapshot.fhir).map_err(|error| unreadable(&error.to_string()))?;
    let mut answer = Answer::fhir(StatusCode::OK, Bytes::from(printed));
    answer.removed = removed;
    answer.upstream_status = Some(StatusCode::OK);
    Ok(answer)
}

/// What verification says of one entry.
pub(super) enum Verified {
    Match(Box<RawValue>),
    Include(Box<RawValue>),
    Dropped,
    /// An OperationOutcome about the search, or a history entry of a deletion: nothing to verify, so nothing to pass on.
    NotData,
}

pub(super) fn verify(
    exchange: &Exchange<'_>,
    entry: &RawEntry<'_>,
    letter: Letter,
    seen: &Seen,
) -> Result<Verified, Refusal> {
    let Some(raw) = entry.resource else {
        return Ok(Verified::NotData);
    };
    let depth = exchange.snapshot.limits.json_depth;
    let resource = Json::parse(raw.get().as_bytes(), depth).map_err(|error| unreadable(&error.to_string()))?;
    if type_of(exchange.snapshot, &resource) == Some(ResourceType::OPERATION_OUTCOME) {
        return Ok(Verified::NotData);
    }
    let included = is_included(entry);
    let letter = if included { Letter::Read } else { letter };
    if !visible_with(exchange.snapshot, exchange.grant, letter, &resource, seen) {
        return Ok(Verified::Dropped);
    }
    let printed = kept(entry, included)?;
    Ok(if included { Verified::Include(printed) } else { Verified::Match(printed) })
}

pub(super) fn is_included(entry: &RawEntry<'_>) -> bool {
    entry.search.as_ref().and_then(|search| search.mode.as_deref()) == Some("include")
}

/// An entry without anything that was not verified: no score, no outcome, no extension.
fn kept(entry: &RawEntry<'_>, included: bool) -> Result<Box<RawValue>, Refusal> {
    let mode = if included { "include" } else { "match" };
    let response = entry.response.map(without_outcome).transpose()?;
    print_entry(&NewEntry {
        full_url: entry.full_url.clone(),
        resource: entry.resource,
        search: entry.search.is_some().then(|| EntrySearch { mode: Some(mode.to_owned()) }),
        request: entry.request.clone(),
        response: response.as_deref(),
    })
}

/// `Bundle.entry.response` without its outcome, which is a resource that nobody has verified.
pub(super) fn without_outcome(response: &RawValue) -> Result<Box<RawValue>, Refusal> {
    let response: EntryResponse<'_> =
        serde_json::from_str(response.get()).map_err(|error| unreadable(&error.to_string()))?;
    to_raw_value(&response).map_err(|error| unreadable(&error.to_string()))
}

pub(super) fn print_entry(entry: &NewEntry<'_>) -> Result<Box<RawValue>, Refusal> {
    to_raw_value(entry).map_err(|error| unreadable(&error.to_string()))
}

fn self_link(exchange: &Exchange<'_>) -> NewLink {
    NewLink { relation: "self".to_owned(), url: format!("{}{}", exchange.snapshot.fhir.public_base, exchange.original) }
}

/// The page links, sealed; `self` is the client's own request.
fn links(guard: &Guard, exchange: &Exchange<'_>, filled: &Filled) -> Result<Vec<NewLink>, Refusal> {
    let pages = guard.pages(exchange.snapshot, exchange.grant);
    let mut links = vec![self_link(exchange)];
    for PageLink { relation, position } in &filled.links {
        let url = pages
            .seal_position(exchange.original, position.clone())
            .ok_or_else(|| unreadable("a page link cannot be sealed"))?;
        links.push(NewLink { relation: (*relation).to_owned(), url });
    }
    Ok(links)
}

pub(super) fn unreadable(why: &str) -> Refusal {
    rules::UPSTREAM_UNREADABLE.refuse().because(why)
}
