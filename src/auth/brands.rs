//! The User-Access Brands bundle, for anybody who asks (SMART App Launch 2.2 brands).

use bytes::Bytes;
use http::{HeaderMap, Response, header};

use super::answer;
use super::call::Call;

/// `GET /.well-known/user-access-brands.json`.
pub(super) fn bundle(call: &Call<'_>) -> Response<Bytes> {
    match &call.snapshot.brands {
        Some(brands) => answer::tagged(brands.bundle.clone(), &brands.tag, has(call.headers, &brands.tag)),
        None => answer::not_found(),
    }
}

/// Whether `If-None-Match` lists `tag`; entity tags are compared weakly here (RFC 9110 §13.1.2).
fn has(headers: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let lists = |value: &str| value.trim() == "*" || value.split(',').any(|it| opaque(it.trim()) == opaque(tag));
    headers.get_all(header::IF_NONE_MATCH).iter().any(|value| value.to_str().is_ok_and(lists))
}

#[cfg(test)]
#[path = "brands_tests.rs"]
mod tests;
