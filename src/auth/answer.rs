//! Answers of the authorization server.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;

/// How long clients and caches may keep a discovery document or the key set: shorter than any key overlap.
const DISCOVERY_CACHE: HeaderValue = HeaderValue::from_static("public, max-age=60");

/// How long they may keep what they can ask after by its entity tag.
const TAGGED_CACHE: HeaderValue = HeaderValue::from_static("public, max-age=600");

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// An error of an endpoint as RFC 6749 §5.2 writes it.
#[derive(Serialize)]
pub(super) struct ErrorBody {
    pub(super) error: &'static str,
    pub(super) error_description: &'static str,
}

/// An answer without a body that no cache keeps.
pub(super) fn empty(status: StatusCode) -> Response<Bytes> {
    with_body(status, Bytes::new(), None)
}

/// A JSON answer that no cache keeps (RFC 6749 §5.1).
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response<Bytes> {
    let (status, body) = match serde_json::to_vec(body) {
        Ok(body) => (status, Bytes::from(body)),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            (StatusCode::INTERNAL_SERVER_ERROR, Bytes::from_static(b"{}"))
        }
    };
    with_body(status, body, Some(HeaderValue::from_static("application/json")))
}

/// A public JSON document, always `application/json` whatever was asked for (SMART App Launch 2.2 conformance).
pub(super) fn document(body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = with_body(StatusCode::OK, body.into(), Some(HeaderValue::from_static("application/json")));
    response.headers_mut().remove(header::PRAGMA);
    response.headers_mut().insert(header::CACHE_CONTROL, DISCOVERY_CACHE);
    response
}

/// A public file under its entity tag, or that the asker has it (RFC 9110 §13.1.2).
pub(super) fn tagged(media_type: &'static str, body: Bytes, tag: &str, known: bool) -> Response<Bytes> {
    let (status, body, content_type) = match known {
        true => (StatusCode::NOT_MODIFIED, Bytes::new(), None),
        false => (StatusCode::OK, body, Some(HeaderValue::from_static(media_type))),
    };
    let mut response = with_body(status, body, content_type);
    let headers = response.headers_mut();
    headers.remove(header::PRAGMA);
    headers.insert(header::CACHE_CONTROL, TAGGED_CACHE);
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// Sends the browser on with GET (RFC 9700 §4.12).
pub(super) fn see_other(location: &str) -> Response<Bytes> {
    let Ok(location) = HeaderValue::from_str(location) else {
        tracing::error!("a redirect to a URI that does not fit a header was not sent");
        return empty(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let mut response = empty(StatusCode::SEE_OTHER);
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// No such endpoint.
pub(super) fn not_found() -> Response<Bytes> {
    json(StatusCode::NOT_FOUND, &ErrorBody { error: "not_found", error_description: "there is no such endpoint" })
}

/// Too many requests came from where this one comes from.
pub(super) fn too_many(retry_after: HeaderValue) -> Response<Bytes> {
    let body = ErrorBody {
        error: "temporarily_unavailable",
        error_description: "too many requests come from this address; wait as long as Retry-After says",
    };
    let mut response = json(StatusCode::TOO_MANY_REQUESTS, &body);
    response.headers_mut().insert(header::RETRY_AFTER, retry_after);
    response
}

/// The endpoint does not have this method.
pub(super) fn method_not_allowed(allow: &'static str) -> Response<Bytes> {
    let body = ErrorBody { error: "invalid_request", error_description: "the endpoint does not have this method" };
    let mut response = json(StatusCode::METHOD_NOT_ALLOWED, &body);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// The answer to OPTIONS.
pub(super) fn options(allow: &'static str) -> Response<Bytes> {
    let mut response = empty(StatusCode::NO_CONTENT);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// A page, closed to scripts and foreign forms, and to frames but those that the policy names.
pub(super) fn page(
    status: StatusCode,
    html: String,
    content_security_policy: HeaderValue,
    language: &'static str,
    framed: bool,
) -> Response<Bytes> {
    let mut response = with_body(status, Bytes::from(html), Some(HeaderValue::from_static("text/html; charset=utf-8")));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, content_security_policy);
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Language"));
    if !framed {
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    response
}

fn with_body(status: StatusCode, body: Bytes, content_type: Option<HeaderValue>) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(content_type) = content_type {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    response
}
