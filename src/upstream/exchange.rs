//! One request on one connection.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method};
use pingora::http::RequestHeader;
use pingora::protocols::http::v1::client::HttpSession;
use pingora::{Error, ErrorType};
use secrecy::ExposeSecret as _;

use super::UpstreamError;
use crate::config::{Address, UpstreamAuth};
use crate::decide::UpstreamRequest;

/// Interim answers (1xx) that are waited out before the final one.
const MAX_INTERIM: usize = 8;

/// Sends a request and reads the head of its answer.
pub(super) async fn exchange(
    session: &mut HttpSession,
    head: Box<RequestHeader>,
    body: Option<&Bytes>,
) -> Result<(), Box<Error>> {
    session.write_request_header(head).await?;
    if let Some(body) = body {
        session.write_body(body).await?;
    }
    session.finish_body().await?;
    for _ in 0..MAX_INTERIM {
        session.read_response().await?;
        if session.resp_header().is_some_and(|head| !head.status.is_informational()) {
            return Ok(());
        }
    }
    Err(Error::explain(ErrorType::InvalidHTTPHeader, "the FHIR server sends interim answers only"))
}

/// The head of a request to `address`.
pub(super) fn head(
    address: &Address,
    auth: &UpstreamAuth,
    request: &UpstreamRequest,
    headers: &HeaderMap,
    body: Option<&Bytes>,
) -> Result<Box<RequestHeader>, UpstreamError> {
    let target = match (address.base_path.as_str(), request.target()) {
        ("", "") => "/".to_owned(),
        (base, target) => format!("{base}{target}"),
    };
    let mut head = RequestHeader::build_no_case(request.method().clone(), target.as_bytes(), Some(headers.len() + 4))?;
    for (name, value) in headers {
        head.append_header(name, value)?;
    }
    head.insert_header(header::HOST, &address.authority)?;
    // The gate reads what comes back.
    head.insert_header(header::ACCEPT_ENCODING, "identity")?;
    match body {
        Some(body) => head.insert_header(header::CONTENT_LENGTH, body.len())?,
        None if matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH) => {
            head.insert_header(header::CONTENT_LENGTH, 0)?;
        }
        None => {}
    }
    if let Some(credentials) = credentials(auth) {
        head.insert_header(header::AUTHORIZATION, credentials)?;
    }
    Ok(Box::new(head))
}

/// The gate's own credentials; with `passthrough` the client's travel among the headers.
fn credentials(auth: &UpstreamAuth) -> Option<HeaderValue> {
    use base64::Engine as _;
    let text = match auth {
        UpstreamAuth::None | UpstreamAuth::Passthrough => return None,
        UpstreamAuth::Bearer(token) => format!("Bearer {}", token.expose_secret()),
        UpstreamAuth::Basic { username, password } => {
            let pair = format!("{username}:{}", password.expose_secret());
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
        }
    };
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
