//! Cookies: one for each authorization or launch in progress, by its id.

use cookie::{Cookie, SameSite};
use http::header::{self, HeaderValue};
use serde::{Deserialize, Serialize};

use super::call::Call;
use crate::ambient::UnixSeconds;
use crate::config::Snapshot;

/// Where the pages are that a cookie is for.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Site {
    /// By themselves.
    Own,
    /// Perhaps in a frame of an EHR's page; the cookie is then for that page only (CHIPS, `Partitioned`).
    Framed,
}

/// `__Host-` keeps other hosts and plain HTTP from planting the cookie (RFC 6265bis §4.1.3); browsers take it with TLS only.
pub(super) fn name(snapshot: &Snapshot, id: &str) -> String {
    let prefix = if is_https(snapshot) { "__Host-" } else { "" };
    format!("{prefix}smartgate-{id}")
}

/// The header that sets the cookie of `id`, or with no seconds takes it away.
pub(super) fn set(snapshot: &Snapshot, id: &str, value: &str, seconds: UnixSeconds, site: Site) -> HeaderValue {
    // Without TLS no browser takes a cookie for frames.
    let framed = site == Site::Framed && is_https(snapshot);
    let cookie = Cookie::build((name(snapshot, id), value))
        .path("/")
        .http_only(true)
        .secure(is_https(snapshot))
        .same_site(if framed { SameSite::None } else { SameSite::Lax })
        .partitioned(framed)
        .max_age(cookie::time::Duration::seconds(seconds));
    // Name and value are base64url: they fit a header.
    HeaderValue::from_str(&cookie.to_string()).unwrap_or(HeaderValue::from_static(""))
}

/// The value of the one cookie of this name.
pub(super) fn value(call: &Call<'_>, name: &str) -> Option<String> {
    let headers = call.headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut cookies = headers.flat_map(Cookie::split_parse).flatten().filter(|cookie| cookie.name() == name);
    let value = cookies.next()?.value().to_owned();
    // Two of one name: one of them was planted.
    cookies.next().is_none().then_some(value)
}

/// Whether `id` could be one of [`crate::ambient::Ambient::id`]'s: it goes into the name of a cookie.
pub(super) fn is_id(id: &str) -> bool {
    id.len() == 22 && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn is_https(snapshot: &Snapshot) -> bool {
    snapshot.server.public_url.starts_with("https://")
}
