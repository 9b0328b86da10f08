//! The logo of the pages, at one path.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};

use super::answer;
use super::call::Call;

/// Opened by itself an SVG is a page of this origin: it may hold styles, and neither run nor fetch anything.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");

/// A new logo is seen after so long.
const CACHE: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// `GET /auth/logo`.
pub(super) fn logo(call: &Call<'_>) -> Response<Bytes> {
    let Some(logo) = &call.snapshot.pages.logo else {
        return answer::not_found();
    };
    let known = call.headers.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    // RFC 9110 §13.1.2: compared weakly.
    let is_known = |tag: &str| matches!(tag.trim(), "*") || tag.trim().trim_start_matches("W/") == logo.etag;
    let mut response = if known.flat_map(|value| value.split(',')).any(is_known) {
        answer::empty(StatusCode::NOT_MODIFIED)
    } else {
        answer::with_body(StatusCode::OK, logo.bytes.clone(), Some(HeaderValue::from_static(logo.media_type)))
    };
    let headers = response.headers_mut();
    headers.remove(header::PRAGMA);
    headers.insert(header::CACHE_CONTROL, CACHE);
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    if let Ok(etag) = HeaderValue::from_str(&logo.etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}
