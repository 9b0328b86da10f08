//! Searchsets, histories and operation results: each entry is verified on its own body, what fails is dropped whole, what stays
//! is copied byte for byte.

use http::StatusCode;

use super::fill::{self, Filled, PageLink};
use super::{Answer, Exchange, Guard};
use crate::decide::{BundleKind, Includes, Judge, PageRule, Refusal, Seen, UpstreamRequest, request as rules};
use crate::fhir::ResourceType;
use crate::fhir::bundle::{NewLink, RawEntry, print_bundle};
use crate::fhir::json::Json;
use crate::fhir::json::ObjectWriter;
use crate::guard::moving::Moving;
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
    let printed = print_bundle(BundleKind::Searchset.code(), Some(0), &[self_link(exchange)], "");
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
    let links = links(guard, exchange, &filled)?;
    let printed = filled.entries.print(wanted.kind.code(), filled.total, &links);
    let mut answer = Answer::fhir(StatusCode::OK, printed);
    answer.removed = filled.removed;
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
pub(super) struct Checked<'d> {
    entry: &'d RawEntry<'d>,
    pub(super) resource: Json<'d>,
    search: &'static str,
}

/// What is told of how an entry was found.
const MATCH: &str = r#"{"mode":"match"}"#;
const INCLUDE: &str = r#"{"mode":"include"}"#;

/// Judges one entry. What cannot be read is dropped like what is not visible: it may be another patient's.
pub(super) fn verify<'d>(
    exchange: &Exchange<'_>,
    judge: &mut Judge<'_, 'd>,
    entry: &'d RawEntry<'d>,
    letter: Letter,
    includes: &Includes,
    seen: &Seen,
) -> Verified<'d> {
    if !entry.has_resource() || entry.mode() == Some("outcome") {
        return Verified::NotData;
    }
    let may_match = entry.may_match();
    let (of, resource) = (entry.resource_type(exchange.snapshot.fhir.version), entry.resource());
    let (Some(of), Some(resource)) = (of, resource) else {
        return if may_match { Verified::Removed } else { Verified::NotIncluded };
    };
    if of == ResourceType::OPERATION_OUTCOME {
        return Verified::NotData;
    }
    let (matched, letter) = needed(entry, of, letter, includes);
    match (judge.visible(letter, of, (resource, entry.like()), seen), matched) {
        (true, true) => Verified::Match(Checked { entry, resource, search: MATCH }),
        (true, false) => Verified::Include(Checked { entry, resource, search: INCLUDE }),
        (false, true) => Verified::Removed,
        (false, false) => Verified::NotIncluded,
    }
}

/// Whether an entry of the type `of` is a match, and what it needs then: a match `letter`, what was included `r`.
pub(super) fn needed(entry: &RawEntry<'_>, of: ResourceType, letter: Letter, includes: &Includes) -> (bool, Letter) {
    let matched = entry.may_match() && includes.may_match(of);
    (matched, if matched { letter } else { Letter::Read })
}

impl Checked<'_> {
    /// Type and id.
    pub(super) fn name(&self) -> String {
        let text = |name| self.resource.get(name).and_then(Json::as_str).unwrap_or_default();
        format!("{}/{}", text("resourceType"), text("id"))
    }

    /// Prints the entry without anything that was not verified: no score, no outcome, no extension.
    pub(super) fn print(&self, moving: &Moving<'_>, out: &mut String) {
        let mut printed = ObjectWriter::new(out);
        match self.entry.full_url() {
            Some(url) => moving.copy_both(url, r#","resource":"#, self.resource, printed.keyed(r#""fullUrl":"#)),
            None => moving.copy(self.resource, printed.keyed(r#""resource":"#)),
        }
        if self.entry.search().is_some() {
            printed.keyed(r#""search":"#).push_str(self.search);
        }
        if let Some(request) = self.entry.request() {
            copy_texts(moving, request, &REQUEST, printed.member("request"));
        }
        if let Some(response) = self.entry.response() {
            copy_texts(moving, response, &RESPONSE, printed.member("response"));
        }
        printed.end();
    }
}

/// What of `Bundle.entry.request` is told.
pub(super) const REQUEST: [&str; 2] = ["method", "url"];

/// What of `Bundle.entry.response` is told: not its outcome, which is a resource that nobody has verified.
pub(super) const RESPONSE: [&str; 4] = ["status", "location", "etag", "lastModified"];

/// Appends those members of an object that are texts with one of these names, and nothing else of it.
pub(super) fn copy_texts(moving: &Moving<'_>, object: Json<'_>, names: &[&str], out: &mut String) {
    let mut copied = ObjectWriter::new(out);
    for name in names {
        if let Some(value) = object.get(name).filter(|value| value.as_str().is_some()) {
            moving.copy(value, copied.member(name));
        }
    }
    copied.end();
}

fn self_link(exchange: &Exchange<'_>) -> NewLink {
    NewLink { relation: "self", url: format!("{}{}", exchange.snapshot.fhir.public_base, exchange.original) }
}

/// The page links, sealed; `self` is the client's own request.
fn links(guard: &Guard, exchange: &Exchange<'_>, filled: &Filled) -> Result<Vec<NewLink>, Refusal> {
    let mut links = vec![self_link(exchange)];
    for PageLink { relation, position } in &filled.links {
        let pages = exchange.pages(guard);
        let url = pages
            .seal_position(exchange.original, position.clone())
            .ok_or_else(|| unreadable("a page link cannot be sealed"))?;
        links.push(NewLink { relation, url });
    }
    Ok(links)
}

pub(super) fn unreadable(why: &str) -> Refusal {
    rules::UPSTREAM_UNREADABLE.refuse().because(why)
}
