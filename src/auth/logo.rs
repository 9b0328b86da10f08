//! The logo of the pages.

use bytes::Bytes;
use http::Response;
use http::header::{self, HeaderValue};

use super::answer;
use super::call::Call;

/// Opened by itself an SVG is a page of this origin: it may hold styles, and neither run nor fetch anything.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");

/// `GET /auth/logo`.
pub(super) fn logo(call: &Call<'_>) -> Response<Bytes> {
    let Some(logo) = &call.snapshot.pages.logo else {
        return answer::not_found();
    };
    let mut response = answer::tagged(logo.media_type, logo.bytes.clone(), &logo.tag, call.has(&logo.tag));
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY);
    response
}
