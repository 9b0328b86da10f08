//! Secrets: never written in the configuration, only where they are.

use http::HeaderValue;
use secrecy::SecretString;

use super::document::{Found, Place};

const EXAMPLE: &str = "write where it is: \"file:PATH\" or \"env:NAME\"";

/// Resolves a reference to a secret. Nothing of the secret is ever quoted, nor is what might be one by mistake.
pub(super) fn secret(found: Found<'_, &str>) -> Option<SecretString> {
    let place = found.place.clone();
    found.parse(|reference| resolve(&place, reference))
}

/// A secret that is sent in a header.
pub(super) fn header_secret(found: Found<'_, &str>) -> Option<SecretString> {
    let place = found.place.clone();
    found.parse(|reference| {
        let secret = resolve(&place, reference)?;
        let sendable = HeaderValue::from_str(secrecy::ExposeSecret::expose_secret(&secret)).is_ok();
        if sendable { Ok(secret) } else { Err("the secret has bytes in it that no header may have".to_owned()) }
    })
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn resolve(place: &Place<'_>, reference: &str) -> Result<SecretString, String> {
    let document = place.document;
    let text = match reference.split_once(':') {
        Some(("file", path)) if !path.is_empty() => {
            let path = document.folder().join(path);
            document.reading.secret(&path, place);
            document.reading.text(&path)?
        }
        Some(("env", name)) if !name.is_empty() => {
            std::env::var(name).map_err(|_| format!("the environment has no variable `{name}`"))?
        }
        _ => return Err(format!("a secret is not written here; {EXAMPLE}")),
    };
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() { Err(format!("the secret is empty; {EXAMPLE}")) } else { Ok(secret.to_owned().into()) }
}
