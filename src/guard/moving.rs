//! URLs in a document that was read: those below the upstream's base are moved to the public one where it is copied. What nobody
//! has read whole, [`crate::fhir::rewrite`] moves.

use memchr::memmem;

use crate::config::Addresses;
use crate::fhir::bundle::quote;
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
        Self { text: document.text(), public: "", places: Vec::new() }
    }

    /// Those below one of the upstream's bases.
    pub(crate) fn of(document: &'m Document<'m>, bases: Bases<'m>) -> Self {
        let mut moving = Self { public: bases.public, ..Self::nothing(document) };
        let named = |url: &Json<'_>| url.key().is_some_and(|key| URLS.contains(&key));
        for address in bases.upstream.iter().filter(|address| address.base != bases.public) {
            for start in memmem::find_iter(moving.text.as_bytes(), &address.base) {
                let text = start.checked_sub(1).and_then(|quote| document.text_at(quote));
                let url = text.filter(|url| !url.is_escaped() && named(url)).and_then(Json::as_str);
                if let Some((url, rest)) = url.and_then(|url| Some((url, bases.upstream.below(url)?))) {
                    moving.places.push(Moves { start, end: start + url.len() - rest.len(), with: None });
                }
            }
        }
        for url in document.escaped().filter(named) {
            if let Some(moved) = url.as_str().and_then(|text| bases.to_public(text)) {
                let (span, mut with) = (url.span(), String::new());
                quote(&moved, &mut with);
                moving.places.push(Moves { start: span.start, end: span.end, with: Some(with) });
            }
        }
        moving.places.sort_unstable_by_key(|place| place.start);
        // One base may lie within another.
        moving.places.dedup_by_key(|place| place.start);
        moving
    }

    /// Whether the document is copied as it is.
    pub(crate) fn is_nothing(&self) -> bool {
        self.places.is_empty()
    }

    /// Appends a value of the document to `out`.
    pub(crate) fn copy(&self, value: Json<'_>, out: &mut String) {
        let span = value.span();
        let mut at = span.start;
        let first = self.places.partition_point(|place| place.start < at);
        let places = self.places.get(first..).unwrap_or_default();
        for place in places.iter().take_while(|place| place.start < span.end) {
            out.push_str(self.text.get(at..place.start).unwrap_or_default());
            out.push_str(place.with.as_deref().unwrap_or(self.public));
            at = place.end;
        }
        out.push_str(self.text.get(at..span.end).unwrap_or_default());
    }
}

#[cfg(test)]
#[path = "moving_tests.rs"]
mod tests;
