//! What the fuzzers run: plain functions of bytes that assert what must hold for any bytes, so that `cargo fuzz` (in `fuzz/`)
//! and the property tests run the same.

use http::Method;

use crate::fhir::FhirVersion;
use crate::fhir::interaction::classify;
use crate::fhir::json::Json;
use crate::fhir::reference::{Literal, is_id};
use crate::fhir::rewrite::{LinkSink, Place, RewriteError, Rewriter};
use crate::fhir::search::{Key, or_list};
use crate::fhir::target::{Target, print_query};
use crate::scope::Scope;

const DEPTH: usize = 64;
const PARAMETERS: usize = 50;

/// A scope means the same when it is read again, and as a ceiling allows itself.
pub fn scope(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(scope) = Scope::parse(FhirVersion::R4, &text) else {
        return;
    };
    assert_eq!(Scope::parse(FhirVersion::R4, &scope.to_string()).as_ref(), Ok(&scope));
    assert!(!scope.letters.is_empty());
    assert!(scope.covers(&scope));
}

/// A target that was printed reads back as the same target.
pub fn target(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(target) = Target::parse(&text, PARAMETERS) else {
        return;
    };
    let slash = if target.trailing_slash && !target.path.is_empty() { "/" } else { "" };
    let query = print_query(target.query.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let printed = format!("/{}{slash}?{query}", target.path.join("/"));
    assert_eq!(Target::parse(&printed, PARAMETERS).as_ref(), Ok(&target));
    let path: Vec<&str> = target.path.iter().map(String::as_str).collect();
    for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        // Any answer is right, as long as there is one.
        let _ = classify(FhirVersion::R4, &method, &path, !target.query.is_empty());
    }
}

/// A search key that was printed reads back as the same key, and an OR list loses nothing.
pub fn search_key(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    assert_eq!(or_list(&text).join(","), text);
    if let Ok(key) = Key::parse(&text) {
        assert_eq!(Key::parse(&key.to_string()).as_ref(), Ok(&key));
    }
}

/// What the strict parser takes, any parser takes.
pub fn json(bytes: &[u8]) {
    if Json::parse(bytes, DEPTH).is_ok() {
        assert!(serde_json::from_slice::<serde_json::Value>(bytes).is_ok());
    }
}

/// A literal reference has an id, and its printed form is the same reference.
pub fn reference(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Some(literal) = Literal::parse(&text, &["http://u/fhir", "https://p/fhir"]) else {
        return;
    };
    assert!(is_id(literal.id));
    let printed = format!("{}/{}", literal.resource_type, literal.id);
    assert_eq!(Literal::parse(&printed, &[]), Some(literal));
}

/// Chunks make no difference to the rewriter, what it passes is JSON, and a sink that keeps everything changes nothing. The
/// first byte says how large the chunks are.
pub fn rewriter(bytes: &[u8]) {
    let Some((size, document)) = bytes.split_first() else {
        return;
    };
    let whole = rewritten([document]);
    let parts = rewritten(document.chunks(usize::from(*size) + 1));
    assert_eq!(whole, parts);
    if let Some(whole) = whole {
        assert_eq!(whole, document);
        match serde_json::from_slice::<serde_json::Value>(document) {
            Ok(value) => assert!(value.is_object()),
            // The rewriter passes numbers on that have no room in 64 bits, and nests as deep as the parser and once more.
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("number out of range") || error.contains("recursion limit"), "{error}");
            }
        }
    }
}

fn rewritten<'d>(chunks: impl IntoIterator<Item = &'d [u8]>) -> Option<Vec<u8>> {
    let mut rewriter = Rewriter::new(Kept);
    let mut out = Vec::new();
    for chunk in chunks {
        rewriter.push(chunk, &mut out).ok()?;
    }
    rewriter.finish(&mut out).ok()?;
    Some(out)
}

struct Kept;

impl LinkSink for Kept {
    fn link(&mut self, _: Place<'_>, _: &str) -> Result<Option<String>, RewriteError> {
        Ok(None)
    }

    fn entry_type(&mut self, _: &str) -> Result<(), RewriteError> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "fuzzing_tests.rs"]
mod tests;
