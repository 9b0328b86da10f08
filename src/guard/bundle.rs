//! Searchsets and histories: each entry is verified on its own body, what fails is dropped whole, what stays is copied byte for
//! byte.

use bytes::Bytes;
use http::StatusCode;

use super::links::move_urls;
use super::{Answer, Exchange, Guard, own_words};
use crate::decide::{BundleKind, Refusal, request as rules, type_of, visible};
use crate::fhir::ResourceType;
use crate::fhir::bundle::{EntrySearch, NewBundle, NewEntry, NewLink, RawBundle, RawEntry};
use crate::fhir::json::Json;
use crate::scope::Letter;
use crate::upstream::UpstreamAnswer;

/// What one page came to.
struct Checked<'a> {
    entries: Vec<NewEntry<'a>>,
    removed: usize,
}

/// The answer to a search that names only patients that are not the token's.
pub(super) fn empty_searchset(exchange: &Exchange<'_>) -> Answer {
    let mut bundle = NewBundle::new(BundleKind::Searchset.code());
    bundle.total = Some(0);
    bundle.link.push(self_link(exchange));
    Answer::fhir(StatusCode::OK, print(&bundle).unwrap_or_default().into())
}

pub(super) async fn verified(
    guard: &Guard,
    exchange: &Exchange<'_>,
    answer: UpstreamAnswer,
    letter: Letter,
    kind: BundleKind,
    restricted: bool,
) -> Result<Answer, Refusal> {
    let status = answer.status;
    if kind != BundleKind::Searchset && matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
        return Ok(Answer::uniform_denial());
    }
    if status != StatusCode::OK {
        return Err(own_words(status));
    }
    let body = exchange.collect(answer).await?;
    let source = RawBundle::parse(&body).map_err(|error| unreadable(&error.to_string()))?;
    let checked = check(exchange, &source, letter)?;
    let removed = checked.removed;
    if kind == BundleKind::History && checked.entries.is_empty() {
        return Ok(Answer { removed, ..Answer::uniform_denial() });
    }
    let mut bundle = NewBundle::new(kind.code());
    bundle.entry = checked.entries;
    bundle.link = links(guard, exchange, &source);
    // Whole and untouched means counted by the gate itself: one page, nothing before it, nothing behind it.
    let whole = bundle.link.len() == 1 && exchange.request.page.is_none();
    let matches = bundle.entry.iter().filter(|entry| is_match(entry)).count() as u64;
    bundle.total = match (whole, restricted, removed) {
        (true, ..) => Some(matches),
        (false, false, 0) => source.total,
        _ => None,
    };
    let fhir = &exchange.snapshot.fhir;
    let printed = print(&bundle)?;
    let printed = move_urls(printed, fhir).map_err(|error| unreadable(&error.to_string()))?;
    let mut answer = Answer::fhir(StatusCode::OK, Bytes::from(printed));
    answer.removed = removed;
    answer.upstream_status = Some(status);
    Ok(answer)
}

fn check<'a>(exchange: &Exchange<'_>, source: &RawBundle<'a>, letter: Letter) -> Result<Checked<'a>, Refusal> {
    let mut checked = Checked { entries: Vec::with_capacity(source.entry.len()), removed: 0 };
    for entry in &source.entry {
        match verify_entry(exchange, entry, letter)? {
            Verified::Kept => checked.entries.push(kept(entry)),
            Verified::Dropped => checked.removed += 1,
            Verified::NotData => {}
        }
    }
    Ok(checked)
}

enum Verified {
    Kept,
    Dropped,
    /// An OperationOutcome about the search, or a history entry of a deletion: nothing to verify, so nothing to pass on.
    NotData,
}

fn verify_entry(exchange: &Exchange<'_>, entry: &RawEntry<'_>, letter: Letter) -> Result<Verified, Refusal> {
    let Some(raw) = entry.resource else {
        return Ok(Verified::NotData);
    };
    let depth = exchange.snapshot.limits.json_depth;
    let resource = Json::parse(raw.get().as_bytes(), depth).map_err(|error| unreadable(&error.to_string()))?;
    if type_of(exchange.snapshot, &resource) == Some(ResourceType::OPERATION_OUTCOME) {
        return Ok(Verified::NotData);
    }
    let included = entry.search.as_ref().and_then(|search| search.mode.as_deref()) == Some("include");
    let letter = if included { Letter::Read } else { letter };
    Ok(if visible(exchange.snapshot, exchange.grant, letter, &resource) { Verified::Kept } else { Verified::Dropped })
}

fn kept<'a>(entry: &RawEntry<'a>) -> NewEntry<'a> {
    let mode = |search: &EntrySearch| EntrySearch {
        mode: Some(if search.mode.as_deref() == Some("include") { "include" } else { "match" }.to_owned()),
    };
    NewEntry {
        full_url: entry.full_url,
        resource: entry.resource,
        search: entry.search.as_ref().map(mode),
        request: entry.request,
        response: entry.response,
    }
}

fn is_match(entry: &NewEntry<'_>) -> bool {
    entry.search.as_ref().is_none_or(|search| search.mode.as_deref() != Some("include"))
}

fn self_link(exchange: &Exchange<'_>) -> NewLink {
    NewLink {
        relation: "self".to_owned(),
        url: format!("{}{}", exchange.snapshot.fhir.public_base, exchange.original),
    }
}

/// The page links that FHIR defines, sealed; `self` is the client's own request.
fn links(guard: &Guard, exchange: &Exchange<'_>, source: &RawBundle<'_>) -> Vec<NewLink> {
    let pages = guard.pages(exchange.snapshot, exchange.grant);
    let mut links = vec![self_link(exchange)];
    for link in &source.link {
        if matches!(&*link.relation, "next" | "previous" | "prev")
            && let Some(url) = pages.seal(exchange.original, &link.url)
        {
            links.push(NewLink { relation: link.relation.to_string(), url });
        }
    }
    links
}

fn print(bundle: &NewBundle<'_>) -> Result<Vec<u8>, Refusal> {
    serde_json::to_vec(bundle).map_err(|error| unreadable(&error.to_string()))
}

fn unreadable(why: &str) -> Refusal {
    rules::UPSTREAM_UNREADABLE.refuse().because(why)
}
