//! Where public keys of others come from: `jwks_file`, `jwks_url`.
//!
//! The check here is a light one, so that a wrong file is found at start; which key verifies what is for `token` to say.

use std::sync::Arc;

use serde_json::Value;

use super::super::table::{Found, Table};
use super::super::{KeySource, value};

/// The keys named by `jwks_file` or `jwks_url`, and by what else the caller knows of; exactly one of them.
pub(super) fn key_source<'a>(
    table: &mut Table<'a>,
    allow_http: bool,
    mut others: Vec<(Found<'a, &'static str>, Option<KeySource>)>,
) -> Option<KeySource> {
    if let Some(file) = table.text("jwks_file") {
        let place = Found { it: "jwks_file", place: file.place.clone() };
        let document = file.place.document;
        let read = |path: &str| {
            let text = document.reading.text(&document.folder().join(path))?;
            check(&text).map(|()| KeySource::Inline(Arc::from(text)))
        };
        others.push((place, file.parse(read)));
    }
    if let Some(url) = table.text("jwks_url") {
        let place = Found { it: "jwks_url", place: url.place.clone() };
        others.push((place, url.parse(|text| value::key_url(text, allow_http)).map(KeySource::Url)));
    }
    if let [(first, _), rest @ ..] = others.as_slice() {
        for (other, _) in rest {
            other.place.wrong(format!("there is also {}; leave one of them out", first.it));
        }
    } else if !table.has("jwks_file") && !table.has("jwks_url") {
        table.missing("jwks_file", "\"keys.json\" (or jwks_url)");
    }
    others.into_iter().next().and_then(|(_, source)| source)
}

/// A JWK set with at least one public key that could verify a signature, and no key that should not be known here.
fn check(text: &str) -> Result<(), String> {
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
