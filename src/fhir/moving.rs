//! URLs in a document that was read: those below the upstream's base are moved to the public one where it is copied. What nobody
//! has read whole, [`super::rewrite`] moves.

use memchr::memmem;

use super::bundle::quote;
use super::json::{Document, Json};

/// Members whose texts are URLs, whatever they are members of.
const URLS: [&str; 4] = ["reference", "url", "fullUrl", "location"];

/// Where URLs are moved from and to.
#[derive(Clone, Copy, Debug)]
pub struct Bases<'b> {
    pub upstream: &'b str,
    pub public: &'b str,
}

impl Bases<'_> {
    /// What of `url` is behind the upstream's base; none where it does not lie there.
    fn below<'u>(&self, url: &'u str) -> Option<&'u str> {
        url.strip_prefix(self.upstream).filter(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
    }

    /// Moves `url` from the upstream's base to the public one; none where it does not lie there.
    pub fn to_public(&self, url: &str) -> Option<String> {
        self.below(url).map(|rest| format!("{}{rest}", self.public))
    }
}

/// The URLs of a document that are moved where it is copied: where the upstream is not named, that is nothing but copying.
pub struct Moving<'m> {
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
    pub fn nothing(document: &'m Document<'m>) -> Self {
        Self { text: document.text(), public: "", places: Vec::new() }
    }

    /// Those below the upstream's base.
    pub fn of(document: &'m Document<'m>, bases: Bases<'m>) -> Self {
        let mut moving = Self { public: bases.public, ..Self::nothing(document) };
        if bases.upstream == bases.public {
            return moving;
        }
        let named = |url: &Json<'_>| url.key().is_some_and(|key| URLS.contains(&key));
        for start in memmem::find_iter(moving.text.as_bytes(), bases.upstream) {
            let text = start.checked_sub(1).and_then(|quote| document.text_at(quote));
            let url = text.filter(|url| !url.is_escaped() && named(url)).and_then(Json::as_str);
            if url.is_some_and(|url| bases.below(url).is_some()) {
                moving.places.push(Moves { start, end: start + bases.upstream.len(), with: None });
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
        moving
    }

    /// Whether the document is copied as it is.
    pub fn is_nothing(&self) -> bool {
        self.places.is_empty()
    }

    /// Appends a value of the document to `out`.
    pub fn copy(&self, value: Json<'_>, out: &mut String) {
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
