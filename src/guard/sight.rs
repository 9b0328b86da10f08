//! Look-ups for resources that are a patient's through others (enforcement.md §5): `decide` says what is to be looked up and what
//! it comes to; here it is fetched, within a budget for one answer.

use bytes::Bytes;
use http::StatusCode;

use super::bundle::{self, Wanted, unreadable};
use super::fill::next_page;
use super::{Answer, Exchange, Guard, own_words};
use crate::decide::{
    Action, Includes, LinkLookUp, Occasion, Refusal, Seen, TargetSearch, UpstreamRequest, Verify, is_linked, look_ups,
    request as rules, visible_with,
};
use crate::fhir::bundle::{RawBundle, RawEntry};
use crate::fhir::json::{Document, Json};
use crate::scope::Letter;

/// What was seen so far on the way to one answer, and how much may still be looked up.
#[derive(Default)]
pub(super) struct Sight {
    seen: Seen,
    left: usize,
}

impl Sight {
    pub(super) fn of(exchange: &Exchange<'_>, seen: Seen) -> Self {
        Self { seen, left: exchange.snapshot.limits.look_ups }
    }

    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Whether a resource may leave, after a look at what it leads to.
    pub(super) async fn visible(
        &mut self,
        guard: &Guard,
        exchange: &Exchange<'_>,
        letter: Letter,
        resource: Json<'_>,
    ) -> Result<bool, Refusal> {
        let (snapshot, grant) = (exchange.snapshot, exchange.grant);
        let occasion = Occasion::of(exchange.request);
        let look_ups = look_ups(snapshot, grant, letter, resource, occasion, &self.seen);
        if !look_ups.is_empty() {
            Box::pin(self.look(guard, exchange, &look_ups)).await?;
        }
        Ok(visible_with(snapshot, grant, letter, resource, &self.seen))
    }

    /// Looks at what the entries of one page lead to; what else stands on the page needs no look-up. `letter` is what a match
    /// needs, and `current` says that the page has no older versions.
    pub(super) async fn page(
        &mut self,
        guard: &Guard,
        exchange: &Exchange<'_>,
        (letter, includes, current): (Letter, &Includes, bool),
        source: &RawBundle<'_>,
    ) -> Result<(), Refusal> {
        let snapshot = exchange.snapshot;
        if !source.entry.iter().any(|entry| entry.resource_type(snapshot.fhir.version).is_some_and(is_linked)) {
            return Ok(());
        }
        for resource in source.entry.iter().filter_map(RawEntry::resource) {
            self.seen.note(snapshot, exchange.grant, resource, current);
        }
        for entry in &source.entry {
            let (of, resource) = (entry.resource_type(snapshot.fhir.version), entry.resource());
            let (Some(of), Some(resource)) = (of, resource) else { continue };
            let (_, letter) = bundle::needed(entry, of, letter, includes);
            self.visible(guard, exchange, letter, resource).await?;
        }
        Ok(())
    }

    async fn look(&mut self, guard: &Guard, exchange: &Exchange<'_>, look_ups: &[LinkLookUp]) -> Result<(), Refusal> {
        let (snapshot, grant) = (exchange.snapshot, exchange.grant);
        self.left = self
            .left
            .checked_sub(look_ups.len())
            .ok_or_else(|| rules::TOO_COSTLY.refuse().because("limits.look_ups"))?;
        for look_up in look_ups {
            if look_up.searches() {
                self.search(guard, exchange, look_up).await?;
                continue;
            }
            let body = fetch(guard, exchange, look_up.request()).await?;
            let found = body.as_ref().and_then(|body| Document::parse(body, snapshot.limits.json_depth).ok());
            look_up.take(snapshot, grant, found.as_ref().map(Document::root), &mut self.seen);
        }
        Ok(())
    }

    /// Goes through the pages of a search until something on them settles it.
    async fn search(&mut self, guard: &Guard, exchange: &Exchange<'_>, look_up: &LinkLookUp) -> Result<(), Refusal> {
        let (snapshot, grant) = (exchange.snapshot, exchange.grant);
        let mut request = look_up.request().clone();
        for _ in 0..snapshot.limits.scan_pages.max(1) {
            let Some(body) = fetch(guard, exchange, &request).await? else {
                look_up.take(snapshot, grant, None, &mut self.seen);
                return Ok(());
            };
            let document = RawBundle::document(&body, snapshot.limits.json_depth);
            let document = document.map_err(|error| unreadable(&error.to_string()))?;
            let source = RawBundle::of(&document).map_err(|error| unreadable(&error.to_string()))?;
            for entry in source.entry.iter().filter(|entry| entry.has_resource()) {
                if look_up.take(snapshot, grant, entry.resource(), &mut self.seen) {
                    return Ok(());
                }
            }
            match next_page(guard, exchange, &source)? {
                Some(target) => request = request.at_page(target),
                None => return Ok(()),
            }
        }
        Err(rules::TOO_COSTLY.refuse().because("limits.scan_pages"))
    }
}

/// The body of a look-up; none if the FHIR server has nothing or does not take the question.
async fn fetch(guard: &Guard, exchange: &Exchange<'_>, request: &UpstreamRequest) -> Result<Option<Bytes>, Refusal> {
    let mut answer = guard.send(exchange, request, None).await?;
    match answer.status {
        StatusCode::OK => Ok(Some(exchange.collect(&mut answer).await?)),
        status if status.is_client_error() => Ok(None),
        status => Err(own_words(status)),
    }
}

/// A search for what is told about some resources: they are looked up, and only what the grant sees is searched for.
pub(super) async fn searched(guard: &Guard, exchange: &Exchange<'_>, search: &TargetSearch) -> Result<Answer, Refusal> {
    let (snapshot, grant) = (exchange.snapshot, exchange.grant);
    let mut sight = Sight::of(exchange, Seen::default());
    sight.look(guard, exchange, &search.look_ups(snapshot, grant)).await?;
    let permit = search.narrowed(snapshot, grant, &sight.seen);
    match permit.action() {
        Action::Guard { request, verify: Verify::Bundle { letter, kind, pages, includes } } => {
            let (letter, kind, pages, seen) = (*letter, *kind, *pages, sight.seen);
            let wanted = Wanted { request, letter, kind, pages, includes, seen };
            bundle::verified(guard, exchange, &wanted).await
        }
        _ => Ok(bundle::empty_searchset(exchange)),
    }
}
