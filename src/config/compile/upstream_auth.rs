//! `[fhir] upstream_auth`: how the gate proves itself at the FHIR server.

use crate::config::secret::{header_secret, secret};
use crate::config::table::{LATER, Table};
use crate::config::{UpstreamAuth, value};

pub(super) fn upstream_auth(mut table: Table<'_>) -> Option<UpstreamAuth> {
    let kind = table.required("kind", "\"bearer\"").and_then(|found| found.parse(auth_kind));
    let token = table.text("token");
    let username = table.text("username");
    let password = table.text("password");
    table.later(&["client_id", "client_secret", "token_url", "scope"]);
    let keys: &[(&str, &str)] = match kind {
        Some("bearer") => &[("token", "\"file:upstream-token\"")],
        Some("basic") => &[("username", "\"smartgate\""), ("password", "\"file:upstream-password\"")],
        _ => &[],
    };
    for (key, example) in keys.iter().filter(|(key, _)| !table.has(key)) {
        table.missing(key, example);
    }
    for key in ["token", "username", "password"].into_iter().filter(|key| kind.is_some() && table.has(key)) {
        if !keys.iter().any(|(needed, _)| *needed == key) {
            let kind = kind.unwrap_or_default();
            table.place(key).wrong(format!("means nothing with kind = \"{kind}\"; leave it out"));
        }
    }
    table.finish();
    match kind? {
        "passthrough" => Some(UpstreamAuth::Passthrough),
        "bearer" => token.and_then(header_secret).map(UpstreamAuth::Bearer),
        "basic" => {
            let username = username.and_then(|found| found.parse(basic_user));
            let password = password.and_then(secret);
            Some(UpstreamAuth::Basic { username: username?, password: password? })
        }
        _ => Some(UpstreamAuth::None),
    }
}

fn auth_kind(text: &str) -> Result<&'static str, String> {
    if text == "client_credentials" {
        return Err(format!("{text:?} {LATER}"));
    }
    value::choice(text, &["none", "passthrough", "bearer", "basic"].map(|kind| (kind, kind)))
}

/// RFC 7617 §2: no colon and no control characters.
fn basic_user(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(':') || text.chars().any(char::is_control) {
        return Err(format!("{text:?} is no user name for Basic; it must not be empty or have \":\" in it"));
    }
    Ok(text.to_owned())
}
