//! The FHIR server: peers, pool, TLS, credentials. Takes what only a decision can make, gives an answer.
//!
//! Built on pingora's own connections. A request is sent once; only a read whose pooled connection turned out to be dead is sent
//! again, because nothing else can be repeated without doubt.

mod answer;
mod peer;
mod pool;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method};
use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::http::RequestHeader;
use pingora::protocols::Stream;
use pingora::protocols::http::v1::client::HttpSession;
use pingora::{Error, ErrorType};
use secrecy::ExposeSecret as _;

use crate::config::{Upstream, UpstreamAuth};
use crate::decide::UpstreamRequest;

pub use answer::{UpstreamAnswer, response_headers};
use peer::{Peers, Server};

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
    connector: TransportConnector,
    peers: Peers,
}

impl Default for UpstreamClient {
    fn default() -> Self {
        Self::new()
    }
}

impl UpstreamClient {
    /// A client without connections.
    pub fn new() -> Self {
        // Idle connections are kept in `pool`, not in the connector.
        Self { connector: TransportConnector::new(Some(ConnectorOptions::new(1))), peers: Peers::default() }
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
        let server = self.peers.of(upstream).await?;
        let repeatable = matches!(*request.method(), Method::GET | Method::HEAD);
        loop {
            let (stream, reused) = match server.pool.take() {
                Some(stream) => (stream, true),
                None => (Box::pin(self.connect(&server)).await?, false),
            };
            let mut session = HttpSession::new_with_options(stream, &server.peer);
            session.read_timeout = Some(upstream.read_timeout);
            session.write_timeout = Some(upstream.read_timeout);
            let head = head(upstream, request, &headers, body.as_ref())?;
            match exchange(&mut session, head, body.as_ref()).await {
                Ok(()) => return UpstreamAnswer::new(server.pool.clone(), session, upstream.idle_timeout),
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

    async fn connect(&self, server: &Server) -> Result<Stream, UpstreamError> {
        self.connector.new_stream(&server.peer).await.map_err(|error| {
            self.peers.forget();
            error.into()
        })
    }
}

async fn exchange(session: &mut HttpSession, head: Box<RequestHeader>, body: Option<&Bytes>) -> Result<(), Box<Error>> {
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
    let mut head = RequestHeader::build_no_case(request.method().clone(), target.as_bytes(), Some(headers.len() + 4))?;
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

#[cfg(test)]
mod tests;
