//! One request on one connection.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::uri::PathAndQuery;
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
    credentials: Option<&HeaderValue>,
    request: &UpstreamRequest,
    headers: &HeaderMap,
    body: Option<&Bytes>,
) -> Result<Box<RequestHeader>, UpstreamError> {
    let target = match (address.base_path.as_str(), request.target()) {
        ("", "") => "/".to_owned(),
        (base, target) => [base, target].concat(),
    };
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = request.method().clone();
    parts.uri = PathAndQuery::from_maybe_shared(Bytes::from(target)).map_err(|_| unsendable("target"))?.into();
    let mut headers = headers.clone();
    headers.insert(header::HOST, HeaderValue::from_str(&address.authority).map_err(|_| unsendable("authority"))?);
    // The gate reads what comes back.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let writes = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    if let Some(length) = body.map(Bytes::len).or(writes.then_some(0)) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    if let Some(credentials) = credentials {
        headers.insert(header::AUTHORIZATION, credentials.clone());
    }
    parts.headers = headers;
    Ok(Box::new(RequestHeader::from(parts)))
}

fn unsendable(what: &str) -> UpstreamError {
    UpstreamError::Unreachable(format!("the {what} of the request cannot be sent"))
}

/// The gate's own credentials where they are always the same; with `passthrough` the client's travel among the headers.
pub(super) fn fixed_credentials(auth: &UpstreamAuth) -> Option<HeaderValue> {
    use base64::Engine as _;
    let text = match auth {
        UpstreamAuth::None | UpstreamAuth::Passthrough | UpstreamAuth::ClientCredentials(_) => return None,
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
