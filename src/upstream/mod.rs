//! The FHIR server: peers, pool, TLS, credentials. Takes what only a decision can make, gives an answer.
//!
//! Built on pingora's own connector. A request is sent once; only a read whose pooled connection turned out to be dead is sent
//! again, because nothing else can be repeated without doubt.

mod answer;
mod peer;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method};
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use secrecy::ExposeSecret as _;

use crate::config::{Upstream, UpstreamAuth};
use crate::decide::UpstreamRequest;

pub use answer::{UpstreamAnswer, response_headers};
use peer::Peers;

/// Idle connections kept for all FHIR servers together.
const POOL_SIZE: usize = 512;

/// Interim answers (1xx) that are waited out before the final one.
const MAX_INTERIM: usize = 8;

/// Why the FHIR server gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("the FHIR server took too long")]
    Timeout,
    #[error("the FHIR server's answer is larger than the gate holds")]
    TooLarge,
    #[error("the FHIR server compressed its answer although it was asked not to")]
    Encoded,
    #[error("the FHIR server cannot be reached: {0}")]
    Unreachable(String),
}

impl From<Box<Error>> for UpstreamError {
    fn from(error: Box<Error>) -> Self {
        match error.etype() {
            ErrorType::ConnectTimedout
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout => Self::Timeout,
            _ => Self::Unreachable(error.to_string()),
        }
    }
}

/// Connections to FHIR servers.
pub struct UpstreamClient {
    connector: Arc<Connector>,
    peers: Peers,
}

impl Default for UpstreamClient {
    fn default() -> Self {
        Self::new()
    }
}

impl UpstreamClient {
    /// A client with an empty pool.
    pub fn new() -> Self {
        let options = ConnectorOptions::new(POOL_SIZE);
        Self { connector: Arc::new(Connector::new(Some(options))), peers: Peers::default() }
    }

    /// Sends one request; the answer's head is there when this returns.
    ///
    /// # Errors
    /// No answer came.
    pub async fn send(
        &self,
        upstream: &Upstream,
        request: &UpstreamRequest,
        headers: HeaderMap,
        body: Option<Bytes>,
    ) -> Result<UpstreamAnswer, UpstreamError> {
        let peer = self.peers.of(upstream).await?;
        let head = head(upstream, request, &headers, body.as_ref())?;
        let repeatable = matches!(*request.method(), Method::GET | Method::HEAD);
        loop {
            let (mut session, reused) = match self.connector.get_http_session(&*peer).await {
                Ok(connected) => connected,
                Err(error) => {
                    self.peers.forget();
                    return Err(error.into());
                }
            };
            session.set_read_timeout(Some(upstream.read_timeout));
            session.set_write_timeout(Some(upstream.read_timeout));
            match exchange(&mut session, head.clone(), body.as_ref()).await {
                Ok(()) => return UpstreamAnswer::new(self.connector.clone(), peer, session, upstream.idle_timeout),
                Err(error) => {
                    session.shutdown().await;
                    // A pooled connection that the server had closed: as often as there are such, since each is used up by it.
                    let dead = reused && !matches!(error.etype(), ErrorType::ReadTimedout | ErrorType::WriteTimedout);
                    if !(dead && repeatable) {
                        return Err(error.into());
                    }
                }
            }
        }
    }
}

async fn exchange(session: &mut HttpSession, head: Box<RequestHeader>, body: Option<&Bytes>) -> Result<(), Box<Error>> {
    session.write_request_header(head).await?;
    if let Some(body) = body {
        session.write_request_body(body.clone(), true).await?;
    }
    session.finish_request_body().await?;
    for _ in 0..MAX_INTERIM {
        session.read_response_header().await?;
        if session.response_header().is_some_and(|head| !head.status.is_informational()) {
            return Ok(());
        }
    }
    Err(Error::explain(ErrorType::InvalidHTTPHeader, "the FHIR server sends interim answers only"))
}

fn head(
    upstream: &Upstream,
    request: &UpstreamRequest,
    headers: &HeaderMap,
    body: Option<&Bytes>,
) -> Result<Box<RequestHeader>, UpstreamError> {
    let target = match (upstream.base_path.as_str(), request.target()) {
        ("", "") => "/".to_owned(),
        (base, target) => format!("{base}{target}"),
    };
    let mut head = RequestHeader::build(request.method().clone(), target.as_bytes(), Some(headers.len() + 4))?;
    for (name, value) in headers {
        head.append_header(name, value)?;
    }
    head.insert_header(header::HOST, &upstream.authority)?;
    // The gate reads what comes back.
    head.insert_header(header::ACCEPT_ENCODING, "identity")?;
    match body {
        Some(body) => head.insert_header(header::CONTENT_LENGTH, body.len())?,
        None if matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH) => {
            head.insert_header(header::CONTENT_LENGTH, 0)?;
        }
        None => {}
    }
    if let Some(credentials) = credentials(&upstream.auth) {
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

type SharedPeer = Arc<HttpPeer>;

#[cfg(test)]
mod tests;
