//! Pages of a verified result, cut by the gate: only visible entries count, so that neither the length of a page nor whether
//! there is another one tells what was removed (enforcement.md §4 "Pages and counts").

use std::collections::{BTreeMap, HashSet};

use http::StatusCode;

use super::bundle::{Checked, Verified, Wanted, unreadable, verify};
use super::links::bases;
use super::sight::Sight;
use super::{Exchange, Guard, own_words};
use crate::decide::{BundleKind, Judge, PageRule, Refusal, Trail, request as rules};
use crate::fhir::bundle::{Entries, RawBundle};
use crate::fhir::interaction::{PagePosition, Request};
use crate::fhir::json::Document;
use crate::guard::moving::Moving;
use crate::upstream::UpstreamAnswer;

/// One page of the gate's.
#[derive(Default)]
pub(super) struct Filled {
    pub(super) entries: Entries,
    pub(super) links: Vec<PageLink>,
    /// Only where the gate saw and verified the whole result, or where nothing of it is hidden.
    pub(super) total: Option<u64>,
    pub(super) removed: usize,
}

/// A link to another page.
pub(super) struct PageLink {
    pub(super) relation: &'static str,
    pub(super) position: PagePosition,
}

/// Gets the page that `wanted` asks for; none if the FHIR server knows no such resource.
pub(super) async fn fill(
    guard: &Guard,
    exchange: &Exchange<'_>,
    wanted: &Wanted<'_>,
) -> Result<Option<Filled>, Refusal> {
    let mut page = Filling::of(exchange, wanted);
    for _ in 0..exchange.snapshot.limits.scan_pages.max(1) {
        let request = wanted.request.at_page(page.at.target.clone());
        let answer = guard.send(exchange, &request, None).await?;
        if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE) {
            match wanted.kind {
                // The upstream keeps its pages for a while only.
                _ if exchange.request.page.is_some() => return Err(rules::SEAL_REFUSED.refuse()),
                BundleKind::Searchset => {}
                BundleKind::History | BundleKind::Result => return Ok(None),
            }
        }
        if let Some(filled) = page.take(guard, exchange, wanted, answer).await? {
            return Ok(Some(filled));
        }
    }
    let rule = if wanted.pages == PageRule::Counted { &rules::COUNT_ONLY } else { &rules::TOO_COSTLY };
    Err(rule.refuse().because("limits.scan_pages"))
}

/// The page that one body of the upstream's makes.
#[cfg(any(test, feature = "bench"))]
pub(super) async fn of_body(
    guard: &Guard,
    exchange: &Exchange<'_>,
    wanted: &Wanted<'_>,
    body: &[u8],
) -> Result<Option<Filled>, Refusal> {
    Filling::of(exchange, wanted).body(guard, exchange, wanted, body).await
}

/// A page in the making.
#[derive(Default)]
struct Filling {
    filled: Filled,
    /// Type and id of the matches.
    names: HashSet<String>,
    /// What was included, each once, by type and id.
    included: BTreeMap<String, String>,
    matches: usize,
    /// Bytes kept so far.
    bytes: usize,
    /// Matches wanted; none while the first page of the upstream has not settled it.
    size: Option<usize>,
    /// Whether a further upstream page may hold nothing that is visible.
    doubtful: bool,
    at: PagePosition,
    sight: Sight,
}

impl Filling {
    /// A page with nothing on it yet.
    fn of(exchange: &Exchange<'_>, wanted: &Wanted<'_>) -> Self {
        let first = || PagePosition { target: wanted.request.target().to_owned(), ..PagePosition::default() };
        let begin = exchange.request.page.clone().unwrap_or_else(first);
        // A page link without a size was given out for an answer that nothing was hidden in, to the same user with more rights.
        let foreign = exchange.request.page.is_some() && begin.size.is_none();
        let exact = !matches!(wanted.pages, PageRule::Filled { exact: false }) && !foreign;
        Self {
            size: begin.size,
            doubtful: begin.doubtful || !exact,
            at: begin,
            sight: Sight::of(exchange, wanted.seen.clone()),
            ..Self::default()
        }
    }

    /// Takes one page of the upstream in; the finished page, or none if the next one is needed.
    async fn take(
        &mut self,
        guard: &Guard,
        exchange: &Exchange<'_>,
        wanted: &Wanted<'_>,
        mut answer: UpstreamAnswer,
    ) -> Result<Option<Filled>, Refusal> {
        if answer.status != StatusCode::OK {
            return Err(own_words(answer.status));
        }
        self.body(guard, exchange, wanted, &exchange.collect(&mut answer).await?).await
    }

    async fn body(
        &mut self,
        guard: &Guard,
        exchange: &Exchange<'_>,
        wanted: &Wanted<'_>,
        body: &[u8],
    ) -> Result<Option<Filled>, Refusal> {
        let document = RawBundle::document(body, exchange.snapshot.limits.json_depth);
        let document = document.map_err(|error| unreadable(&error.to_string()))?;
        let source = RawBundle::of(&document).map_err(|error| unreadable(&error.to_string()))?;
        let next = link(guard, exchange, &source, &["next"])?;
        let current = wanted.kind != BundleKind::History;
        self.sight.page(guard, exchange, (wanted.letter, wanted.includes, current), &source).await?;
        if wanted.pages == PageRule::Kept {
            let previous = link(guard, exchange, &source, &["previous", "prev"])?;
            return self.as_it_came(exchange, wanted, &document, &source, next, previous).map(Some);
        }
        if wanted.pages != PageRule::Counted {
            self.settle_size(exchange, &source, next.is_some());
        }
        let end = self.entries(exchange, wanted, &document, &source)?;
        let further = end.map(|index| PagePosition { skip: index, ..self.at.clone() });
        Ok(match next {
            _ if further.is_some() => Some(self.finish(exchange, further)),
            None => Some(self.finish(exchange, None)),
            Some(position) if self.is_full() && !self.doubtful => Some(self.finish(exchange, Some(position))),
            Some(position) => {
                self.at = position;
                None
            }
        })
    }

    /// Takes in what may leave of one page of the upstream; the entry at which the gate's page ended, if it did.
    ///
    /// The upstream puts includes anywhere on its page, for any of its matches: each part that is cut from it gets its own.
    fn entries(
        &mut self,
        exchange: &Exchange<'_>,
        wanted: &Wanted<'_>,
        document: &Document<'_>,
        source: &RawBundle<'_>,
    ) -> Result<Option<usize>, Refusal> {
        let moving = Moving::of(document, bases(&exchange.snapshot.fhir));
        let mut judge = Judge::of(exchange.snapshot, exchange.grant);
        let (mut end, mut trail, mut taken, mut included) = (None, Trail::default(), 0, Vec::new());
        if wanted.pages != PageRule::Counted {
            // Most of a page stays, and its URLs may grow.
            let long = document.text().len();
            self.filled.entries.reserve(long + long / 16);
        }
        for (index, entry) in source.entry.iter().enumerate() {
            let elsewhere = index < self.at.skip || end.is_some();
            if elsewhere && wanted.includes.are_none() {
                continue;
            }
            let verified = verify(exchange, &mut judge, entry, wanted.letter, wanted.includes, self.sight.seen());
            let (checked, matched) = match verified {
                Verified::Match(_) | Verified::Removed if elsewhere => continue,
                Verified::Match(_) if self.is_full() => {
                    end = Some(index);
                    continue;
                }
                Verified::Match(checked) => (checked, true),
                Verified::Include(checked) => (checked, false),
                Verified::Removed => {
                    self.filled.removed += 1;
                    self.doubtful = true;
                    continue;
                }
                Verified::NotIncluded => {
                    self.filled.removed += 1;
                    continue;
                }
                Verified::NotData => continue,
            };
            self.matches += usize::from(matched);
            if wanted.pages != PageRule::Counted {
                trail.take(exchange.snapshot, wanted.includes, checked.resource, matched);
                if matched {
                    self.keep(exchange, wanted, &moving, &checked)?;
                } else {
                    included.push((taken, checked));
                }
                taken += 1;
            }
        }
        let led = trail.led(wanted.includes);
        for (number, checked) in &included {
            match led.get(*number) {
                Some(true) => self.include(exchange, &moving, checked)?,
                _ => self.filled.removed += 1,
            }
        }
        Ok(end)
    }

    fn keep(
        &mut self,
        exchange: &Exchange<'_>,
        wanted: &Wanted<'_>,
        moving: &Moving<'_>,
        checked: &Checked<'_>,
    ) -> Result<(), Refusal> {
        let entries = self.filled.entries.begin();
        let before = entries.len();
        checked.print(moving, entries);
        let printed = entries.len() - before;
        if !wanted.includes.are_none() {
            self.names.insert(checked.name());
        }
        self.hold(exchange, printed)
    }

    /// Another page of the upstream may have brought it, too.
    fn include(&mut self, exchange: &Exchange<'_>, moving: &Moving<'_>, checked: &Checked<'_>) -> Result<(), Refusal> {
        let name = checked.name();
        if self.included.contains_key(&name) {
            return Ok(());
        }
        let mut printed = String::new();
        checked.print(moving, &mut printed);
        self.hold(exchange, printed.len())?;
        self.included.insert(name, printed);
        Ok(())
    }

    fn hold(&mut self, exchange: &Exchange<'_>, bytes: usize) -> Result<(), Refusal> {
        self.bytes += bytes;
        if self.bytes > exchange.snapshot.limits.response_body {
            return Err(rules::TOO_COSTLY.refuse().because("limits.response_body"));
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.size.is_some_and(|size| self.matches >= size)
    }

    /// A page has as many matches as were asked for, but no more than the upstream itself puts on one: asked for a thousand, it
    /// would otherwise be read through for every page.
    fn settle_size(&mut self, exchange: &Exchange<'_>, source: &RawBundle<'_>, more: bool) {
        if self.size.is_none() {
            let asked = asked(exchange.request).map(|asked| asked.min(exchange.snapshot.limits.count));
            let given = source.entry.iter().filter(|entry| entry.may_match()).count();
            self.size = match (asked, given) {
                (asked, _) if !more => asked,
                // A page with nothing on it settles nothing.
                (_, 0) => None,
                (Some(asked), given) => Some(asked.min(given)),
                (None, given) => Some(given),
            };
        }
    }

    fn finish(&mut self, exchange: &Exchange<'_>, next: Option<PagePosition>) -> Filled {
        let mut filled = self.filled();
        match next {
            Some(position) => {
                let position = PagePosition { size: self.size, doubtful: self.doubtful, ..position };
                filled.links.push(PageLink { relation: "next", position });
            }
            None if exchange.request.page.is_none() => filled.total = u64::try_from(self.matches).ok(),
            None => {}
        }
        filled
    }

    /// What was taken in, the matches first.
    fn filled(&mut self) -> Filled {
        let mut filled = std::mem::take(&mut self.filled);
        for (_, printed) in
            std::mem::take(&mut self.included).into_iter().filter(|(name, _)| !self.names.contains(name))
        {
            filled.entries.begin().push_str(&printed);
        }
        filled
    }

    /// A page that nothing is hidden on but includes of types that are not granted: it stays as the upstream cut it.
    fn as_it_came(
        &mut self,
        exchange: &Exchange<'_>,
        wanted: &Wanted<'_>,
        document: &Document<'_>,
        source: &RawBundle<'_>,
        next: Option<PagePosition>,
        previous: Option<PagePosition>,
    ) -> Result<Filled, Refusal> {
        self.entries(exchange, wanted, document, source)?;
        let mut filled = self.filled();
        let whole = next.is_none() && previous.is_none() && exchange.request.page.is_none();
        filled.total = match (whole, wanted.kind) {
            (true, _) => u64::try_from(self.matches).ok(),
            // Of the matches, none of which is hidden. Whether it is told must not depend on what was included.
            (false, BundleKind::Searchset) => source.total,
            (false, _) => None,
        };
        for (relation, position) in [("next", next), ("previous", previous)] {
            filled.links.extend(position.map(|position| PageLink { relation, position }));
        }
        Ok(filled)
    }
}

/// `_count` as the client gave it; of several the smallest.
fn asked(request: &Request) -> Option<usize> {
    request.parameters.iter().filter(|p| p.code() == "_count").filter_map(|p| p.value.parse().ok()).min()
}

/// Where the link of one of these relations leads; a link away from the FHIR server would end the result too early.
pub(super) fn link(
    guard: &Guard,
    exchange: &Exchange<'_>,
    source: &RawBundle<'_>,
    relations: &[&str],
) -> Result<Option<PagePosition>, Refusal> {
    let Some(link) = source.link.iter().find(|link| relations.contains(&link.relation)) else {
        return Ok(None);
    };
    let pages = exchange.pages(guard);
    let target = pages.below_base(link.url).ok_or_else(|| unreadable("a page link leads away from the FHIR server"))?;
    Ok(Some(PagePosition { target, ..PagePosition::default() }))
}

/// Where a search of the gate's own goes on.
pub(super) fn next_page(
    guard: &Guard,
    exchange: &Exchange<'_>,
    source: &RawBundle<'_>,
) -> Result<Option<String>, Refusal> {
    Ok(link(guard, exchange, source, &["next"])?.map(|position| position.target))
}
