//! URLs in a document that was read: those below the upstream's base are moved to the public one where it is copied. What nobody
//! has read whole, [`crate::fhir::rewrite`] moves.

use std::cell::Cell;
use std::ops::Range;

use crate::config::Addresses;
use crate::fhir::json::quote;
use crate::fhir::json::{Document, Json};

/// Members whose texts are URLs, whatever they are members of.
const URLS: [&str; 4] = ["reference", "url", "fullUrl", "location"];

/// Where URLs are moved from and to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bases<'b> {
    pub(crate) upstream: &'b Addresses,
    pub(crate) public: &'b str,
}

impl Bases<'_> {
    /// Moves `url` from one of the upstream's bases to the public one; none where it does not lie there.
    pub(crate) fn to_public(self, url: &str) -> Option<String> {
        self.upstream.below(url).map(|rest| format!("{}{rest}", self.public))
    }
}

/// The URLs of a document that are moved where it is copied: where the upstream is not named, that is nothing but copying.
pub(crate) struct Moving<'m> {
    text: &'m str,
    public: &'m str,
    places: Vec<Moves>,
    /// The place behind what was copied last.
    next: Cell<usize>,
}

/// Bytes of the document, and what stands for them: none for the public base.
struct Moves {
    start: usize,
    end: usize,
    with: Option<String>,
}

impl<'m> Moving<'m> {
    /// None: the document is copied as it is.
    pub(crate) fn nothing(document: &'m Document<'m>) -> Self {
        Self { text: document.text(), public: "", places: Vec::new(), next: Cell::new(0) }
    }

    /// Those below one of the upstream's bases.
    pub(crate) fn of(document: &'m Document<'m>, bases: Bases<'m>) -> Self {
        let mut moving = Self { public: bases.public, ..Self::nothing(document) };
        let shortest = bases.upstream.iter().map(|address| address.base.len()).min().unwrap_or_default();
        document.texts_called(&URLS, |url| {
            let Some(text) = url.as_str().filter(|text| text.len() >= shortest) else { return };
            let Some(rest) = bases.upstream.below(text) else { return };
            let (span, base) = (url.span(), text.len() - rest.len());
            if url.is_escaped() {
                let mut with = String::new();
                quote(&format!("{}{rest}", bases.public), &mut with);
                moving.places.push(Moves { start: span.start, end: span.end, with: Some(with) });
            } else if text.get(..base) != Some(bases.public) {
                moving.places.push(Moves { start: span.start + 1, end: span.start + 1 + base, with: None });
            }
        });
        moving
    }

    /// Whether the document is copied as it is.
    pub(crate) fn is_nothing(&self) -> bool {
        self.places.is_empty()
    }

    /// Appends a value of the document to `out`.
    pub(crate) fn copy(&self, value: Json<'_>, out: &mut String) {
        self.copy_span(value.span(), out);
    }

    /// Appends two values of the document to `out`, and `between` them: at once where they stand so in the document.
    pub(crate) fn copy_both(&self, one: Json<'_>, between: &str, other: Json<'_>, out: &mut String) {
        let (one, other) = (one.span(), other.span());
        if self.text.get(one.end..other.start) == Some(between) {
            return self.copy_span(one.start..other.end, out);
        }
        self.copy_span(one, out);
        out.push_str(between);
        self.copy_span(other, out);
    }

    fn copy_span(&self, span: Range<usize>, out: &mut String) {
        let mut at = span.start;
        let mut next = self.first(at);
        while let Some(place) = self.places.get(next).filter(|place| place.start < span.end) {
            out.push_str(self.text.get(at..place.start).unwrap_or_default());
            out.push_str(place.with.as_deref().unwrap_or(self.public));
            at = place.end;
            next += 1;
        }
        out.push_str(self.text.get(at..span.end).unwrap_or_default());
        self.next.set(next);
    }

    /// The first place from `at` on: values are mostly copied one after the other.
    fn first(&self, at: usize) -> usize {
        let next = self.next.get();
        let is_behind = |place: &Moves| place.start >= at;
        let before = next.checked_sub(1).and_then(|last| self.places.get(last));
        if !before.is_some_and(is_behind) && self.places.get(next).is_none_or(is_behind) {
            return next;
        }
        self.places.partition_point(|place| !is_behind(place))
    }
}

#[cfg(test)]
#[path = "moving_tests.rs"]
mod tests;
