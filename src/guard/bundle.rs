//! Searchsets, histories and operation results: each entry is verified on its own body, what fails is dropped whole, what stays
//! is copied byte for byte.

use http::StatusCode;
use serde_json::value::{RawValue, to_raw_value};

use super::fill::{self, Filled, PageLink};
use super::links::{move_urls, public};
use super::{Answer, Exchange, Guard};
use crate::config::Fhir;
use crate::decide::{
    BundleKind, Includes, PageRule, Refusal, Seen, UpstreamRequest, request as rules, type_of, visible_with,
};
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
    pub(super) includes: &'p Includes,
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
    print(guard, exchange, wanted, filled)
}

pub(super) fn print(
    guard: &Guard,
    exchange: &Exchange<'_>,
    wanted: &Wanted<'_>,
    filled: Filled,
) -> Result<Answer, Refusal> {
    let removed = filled.removed;
    let mut bundle = NewBundle::new(wanted.kind.code());
    bundle.total = filled.total;
    bundle.link = links(guard, exchange, &filled)?;
    bundle.entry = filled.entries;
    let printed = serde_json::to_vec(&bundle).map_err(|error| unreadable(&error.to_string()))?;
    let printed = move_urls(printed.into(), &exchange.snapshot.fhir).map_err(|error| unreadable(&error.to_string()))?;
    let mut answer = Answer::fhir(StatusCode::OK, printed);
    answer.removed = removed;
    answer.upstream_status = Some(StatusCode::OK);
    Ok(answer)
}

/// What verification says of one entry.
pub(super) enum Verified<'a> {
    Match(Checked<'a>),
    Include(Checked<'a>),
    /// A match that is not visible, or an entry that cannot be read and may have been one.
    Removed,
    /// Not visible, and no match.
    NotIncluded,
    /// An OperationOutcome about the search, or a history entry of a deletion: nothing to verify, so nothing to pass on.
    NotData,
}

/// An entry whose resource may leave.
pub(super) struct Checked<'a> {
    entry: &'a RawEntry<'a>,
    pub(super) resource: Json<'a>,
    mode: &'static str,
}

/// Judges one entry. What cannot be read is dropped like what is not visible: it may be another patient's.
pub(super) fn verify<'a>(
    exchange: &Exchange<'_>,
    entry: &'a RawEntry<'a>,
    letter: Letter,
    includes: &Includes,
    seen: &Seen,
) -> Verified<'a> {
    let mode = entry.search.as_ref().and_then(|search| search.mode.as_deref());
    let (Some(raw), false) = (entry.resource, mode == Some("outcome")) else {
        return Verified::NotData;
    };
    let may_match = matches!(mode, None | Some("match"));
    let of_this_version = Json::parse(raw.get().as_bytes(), exchange.snapshot.limits.json_depth)
        .ok()
        .and_then(|resource| Some((type_of(exchange.snapshot, &resource)?, resource)));
    let Some((of, resource)) = of_this_version else {
        return if may_match { Verified::Removed } else { Verified::NotIncluded };
    };
    if of == ResourceType::OPERATION_OUTCOME {
        return Verified::NotData;
    }
    let matched = may_match && includes.may_match(of);
    let letter = if matched { letter } else { Letter::Read };
    match (visible_with(exchange.snapshot, exchange.grant, letter, &resource, seen), matched) {
        (true, true) => Verified::Match(Checked { entry, resource, mode: "match" }),
        (true, false) => Verified::Include(Checked { entry, resource, mode: "include" }),
        (false, true) => Verified::Removed,
        (false, false) => Verified::NotIncluded,
    }
}

impl Checked<'_> {
    /// Type and id.
    pub(super) fn name(&self) -> String {
        let text = |name| self.resource.get(name).and_then(Json::as_str).unwrap_or_default();
        format!("{}/{}", text("resourceType"), text("id"))
    }

    /// The entry without anything that was not verified: no score, no outcome, no extension.
    pub(super) fn print(&self, fhir: &Fhir) -> Result<Box<RawValue>, Refusal> {
        let response = self.entry.response.map(without_outcome).transpose()?;
        print_entry(&NewEntry {
            // Most servers name themselves here and nowhere else, so that the rest can be left as it is.
            full_url: self.entry.full_url.as_deref().map(|url| public(url, fhir)),
            resource: self.entry.resource,
            search: self.entry.search.is_some().then(|| EntrySearch { mode: Some(self.mode.to_owned()) }),
            request: self.entry.request.clone(),
            response: response.as_deref(),
        })
    }
}

pub(super) fn is_included(entry: &RawEntry<'_>) -> bool {
    entry.search.as_ref().and_then(|search| search.mode.as_deref()) == Some("include")
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
    let pages = exchange.pages(guard);
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
