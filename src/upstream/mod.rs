//! The FHIR server: peers, pool, TLS, credentials. Takes what only a decision can make, gives an answer.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::config::Upstream;
use crate::decide::UpstreamRequest;

/// Why the FHIR server gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("the FHIR server took too long")]
    Timeout,
    #[error("the FHIR server's answer is larger than the gate holds")]
    TooLarge,
    #[error("the FHIR server cannot be reached: {0}")]
    Unreachable(String),
}

/// Connections to FHIR servers.
pub struct UpstreamClient {}

impl UpstreamClient {
    pub fn new() -> Self {
        todo!()
    }

    /// Sends one request.
    ///
    /// # Errors
    /// No answer came.
    pub async fn send(
        &self,
        _upstream: &Upstream,
        _request: &UpstreamRequest,
        _headers: HeaderMap,
        _body: Option<Bytes>,
    ) -> Result<UpstreamAnswer, UpstreamError> {
        todo!()
    }
}

/// An answer whose body is still to be read.
pub struct UpstreamAnswer {
    pub status: StatusCode,
    pub headers: HeaderMap,
}

impl UpstreamAnswer {
    /// The next bytes of the body.
    ///
    /// # Errors
    /// The answer broke off.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        todo!()
    }

    /// The whole body, at most `limit` bytes.
    ///
    /// # Errors
    /// It is larger, or broke off.
    pub async fn collect(self, _limit: usize) -> Result<Bytes, UpstreamError> {
        todo!()
    }
}

/// The headers of an answer that may travel on.
pub fn response_headers(_headers: &HeaderMap) -> HeaderMap {
    todo!()
}
