//! An answer of the FHIR server: its head, and its body as it comes.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderName};
use http::{HeaderMap, StatusCode};
use pingora::protocols::http::v1::client::HttpSession;

use super::UpstreamError;
use super::pool::Pool;

/// Headers of an answer that may travel on; every other one stays behind the gate (enforcement.md §7).
const PASSED: [HeaderName; 9] = [
    header::CONTENT_DISPOSITION,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_TYPE,
    header::ETAG,
    header::LAST_MODIFIED,
    header::LOCATION,
    header::RETRY_AFTER,
];

/// An answer whose body is still to be read. Read to its end, its connection goes back to the pool; dropped earlier, the
/// connection is closed.
pub struct UpstreamAnswer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    connection: Option<Box<Connection>>,
}

struct Connection {
    pool: Arc<Pool>,
    session: HttpSession,
    idle_timeout: Duration,
}

impl UpstreamAnswer {
    pub(super) fn new(pool: Arc<Pool>, session: HttpSession, idle_timeout: Duration) -> Result<Self, UpstreamError> {
        let head = session.resp_header().ok_or_else(|| UpstreamError::Unreachable("no answer".to_owned()))?;
        let encoded = head
            .headers
            .get(header::CONTENT_ENCODING)
            .is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
        if encoded {
            return Err(UpstreamError::Encoded);
        }
        let (status, headers) = (head.status, head.headers.clone());
        Ok(Self { status, headers, connection: Some(Box::new(Connection { pool, session, idle_timeout })) })
    }

    /// The next bytes of the body; `None` at its end.
    ///
    /// # Errors
    /// The answer broke off.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        let Some(connection) = &mut self.connection else {
            return Ok(None);
        };
        match connection.session.read_body_bytes().await {
            Ok(Some(chunk)) => Ok(Some(chunk)),
            Ok(None) => {
                if let Some(connection) = self.connection.take() {
                    connection.release();
                }
                Ok(None)
            }
            Err(error) => {
                self.connection = None;
                Err(error.into())
            }
        }
    }

    /// The whole body, at most `limit` bytes.
    ///
    /// # Errors
    /// It is larger, or broke off.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, UpstreamError> {
        let declared = self
            .headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse::<usize>().ok());
        if declared.is_some_and(|length| length > limit) {
            return Err(UpstreamError::TooLarge);
        }
        let Some(first) = self.chunk().await? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.chunk().await? else {
            return if first.len() > limit { Err(UpstreamError::TooLarge) } else { Ok(first) };
        };
        let mut body = BytesMut::with_capacity(declared.unwrap_or(first.len() + second.len()));
        body.extend_from_slice(&first);
        body.extend_from_slice(&second);
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > limit {
                return Err(UpstreamError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        if body.len() > limit { Err(UpstreamError::TooLarge) } else { Ok(body.freeze()) }
    }
}

impl Connection {
    /// Keeps the connection where its server does; `session` knows of bytes that nobody asked for.
    fn release(self: Box<Self>) {
        let Self { pool, mut session, idle_timeout } = *self;
        session.respect_keepalive();
        if session.is_body_done() && session.will_keepalive() {
            pool.put(session.into_inner(), idle_timeout);
        }
    }
}

/// The headers of an answer that may travel on.
pub fn response_headers(headers: &HeaderMap) -> HeaderMap {
    let mut passed = HeaderMap::with_capacity(PASSED.len());
    for name in &PASSED {
        if let Some(value) = headers.get(name) {
            passed.insert(name.clone(), value.clone());
        }
    }
    passed
}
