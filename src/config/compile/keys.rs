//! Where public keys of others come from: `jwks_file`, `jwks`, `jwks_url`.
//!
//! The check here is a light one, so that a wrong file is found at start; which key verifies what is for `token` to say.

use std::sync::Arc;

use serde_json::Value;

use crate::config::document::Place;
use crate::config::table::Table;
use crate::config::{KeySource, value};

/// What may say where keys are.
pub(super) const KEYS: [&str; 3] = ["jwks_file", "jwks", "jwks_url"];

/// One way of saying where keys are.
pub(super) struct Candidate<'a> {
    pub(super) key: &'static str,
    pub(super) place: Place<'a>,
    /// None where it is wrong.
    pub(super) source: Option<KeySource>,
}

/// The keys that `jwks_file`, `jwks`, `jwks_url` or what the caller found names; exactly one of them.
pub(super) fn key_source<'a>(
    table: &mut Table<'a>,
    allow_http: bool,
    other: Option<Candidate<'a>>,
) -> Option<KeySource> {
    let file = table.text("jwks_file").map(|file| {
        let place = file.place.clone();
        let document = place.document;
        let source = file.parse(|path| {
            let text = document.reading.text(&document.folder().join(path))?;
            check(&text).map(|()| KeySource::Inline(Arc::from(text)))
        });
        Candidate { key: "jwks_file", place, source }
    });
    let inline = table.text("jwks").map(|text| {
        let place = text.place.clone();
        let source = text.parse(|text| check(text).map(|()| KeySource::Inline(Arc::from(text))));
        Candidate { key: "jwks", place, source }
    });
    let url = table.text("jwks_url").map(|url| {
        let place = url.place.clone();
        let source = url.parse(|text| value::key_url(text, allow_http)).map(KeySource::Url);
        Candidate { key: "jwks_url", place, source }
    });
    let mut candidates = [other, file, inline, url].into_iter().flatten();
    let Some(first) = candidates.next() else {
        if !KEYS.iter().any(|key| table.has(key)) {
            table.missing("jwks_file", "\"keys.json\" (or jwks, jwks_url)");
        }
        return None;
    };
    for more in candidates {
        more.place.wrong(format!("there is also {}; leave one of them out", first.key));
    }
    first.source
}

/// A JWK set with at least one public key that could verify a signature, and no key that should not be known here.
///
/// # Errors
/// What is wrong with it.
pub fn check(text: &str) -> Result<(), String> {
    let no_set = || "is no JWK set; write a file with {\"keys\": [{\"kty\": …, \"kid\": …}]}".to_owned();
    let set: Value = serde_json::from_str(text).map_err(|_| no_set())?;
    let keys = set.get("keys").and_then(Value::as_array).ok_or_else(no_set)?;
    let field = |key: &Value, name: &str| key.get(name).and_then(Value::as_str).map(str::to_owned);
    if keys.iter().any(|key| key.get("d").is_some() || field(key, "kty").as_deref() == Some("oct")) {
        return Err("holds a private or secret key; write a file with the public keys only".to_owned());
    }
    let usable = |key: &Value| {
        let public = matches!(field(key, "kty").as_deref(), Some("RSA" | "EC" | "OKP"));
        public && field(key, "use").as_deref() != Some("enc") && field(key, "kid").is_some_and(|kid| !kid.is_empty())
    };
    if keys.iter().any(usable) {
        Ok(())
    } else {
        Err("has no usable key; a key needs \"kid\", \"kty\" RSA, EC or OKP, and no \"use\": \"enc\"".to_owned())
    }
}
