//! An answer of the FHIR server: its head, and its body as it comes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderName};
use http::{HeaderMap, StatusCode};
use pingora::protocols::http::v1::client::HttpSession;

use tokio::time::Instant;

use super::UpstreamError;
use super::pool;
use super::server::Server;
use super::turns::Turn;
use crate::config::Upstream;
use crate::fhir::AddressKey;
use crate::telemetry::Span;

/// Headers of an answer that are taken off it: those that may travel on, and one that only the gate's own answers are made of. No
/// other one comes into the gate (enforcement.md §7).
const TAKEN: [HeaderName; 10] = [
    header::EXPIRES,
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
    /// Those that anything is made of.
    pub headers: HeaderMap,
    /// The address that answered.
    pub at: AddressKey,
    connection: Option<Box<Connection>>,
    /// Ends with the answer.
    span: Option<Span>,
}

struct Connection {
    server: Arc<Server>,
    session: HttpSession,
    place: SocketAddr,
    _turn: Turn,
    /// When the last byte must be there.
    until: Option<Instant>,
    read_timeout: Duration,
    idle_timeout: Duration,
}

impl UpstreamAnswer {
    pub(super) fn new(
        server: &Arc<Server>,
        (session, place): (HttpSession, SocketAddr),
        turn: Turn,
        until: Option<Instant>,
        upstream: &Upstream,
    ) -> Result<Self, UpstreamError> {
        let head = session.resp_header().ok_or_else(|| UpstreamError::Unreachable("no answer".to_owned()))?;
        let encoded = head
            .headers
            .get(header::CONTENT_ENCODING)
            .is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
        if encoded {
            return Err(UpstreamError::Encoded);
        }
        let (status, headers, at) = (head.status, taken(&head.headers), server.address.key);
        let Upstream { read_timeout, idle_timeout, .. } = *upstream;
        let server = server.clone();
        let connection = Connection { server, session, place, _turn: turn, until, read_timeout, idle_timeout };
        Ok(Self { status, headers, at, connection: Some(Box::new(connection)), span: None })
    }

    /// The answer to a request that has this span.
    pub fn under(mut self, mut span: Span) -> Self {
        span.answered(self.status);
        self.span = Some(span);
        self
    }

    /// Its headers, for an answer that is this one.
    pub fn take_headers(&mut self) -> HeaderMap {
        let mut headers = std::mem::take(&mut self.headers);
        headers.remove(header::EXPIRES);
        headers
    }

    /// The next bytes of the body; `None` at its end.
    ///
    /// # Errors
    /// The answer broke off.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        self.part(Bytes::copy_from_slice).await
    }

    /// The whole body, at most `limit` bytes.
    ///
    /// # Errors
    /// It is larger, or broke off.
    pub async fn collect(&mut self, limit: usize) -> Result<Bytes, UpstreamError> {
        let declared = self
            .headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse::<usize>().ok());
        if declared.is_some_and(|length| length > limit) {
            return Err(UpstreamError::TooLarge);
        }
        let mut body = BytesMut::with_capacity(declared.unwrap_or_default());
        let mut take = |part: &[u8]| {
            let fits = body.len() + part.len() <= limit;
            if fits {
                body.extend_from_slice(part);
            }
            fits
        };
        while let Some(fits) = self.part(&mut take).await? {
            if !fits {
                self.connection = None;
                return Err(UpstreamError::TooLarge);
            }
        }
        Ok(body.freeze())
    }

    /// What `take` makes of the next bytes of the body; `None` at its end.
    async fn part<T>(&mut self, take: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, UpstreamError> {
        let Some(connection) = &mut self.connection else {
            return Ok(None);
        };
        if let Err(error) = connection.limit_read() {
            self.connection = None;
            return Err(error);
        }
        match connection.session.read_body_ref().await {
            Ok(part) => {
                let taken = part.map(take);
                // Free for the next request before anything is done with what came.
                if (taken.is_none() || connection.session.is_body_done())
                    && let Some(connection) = self.connection.take()
                {
                    connection.release();
                }
                Ok(taken)
            }
            Err(error) => {
                self.connection = None;
                Err(error.into())
            }
        }
    }
}

impl Connection {
    /// Lets the next read take no longer than the exchange may.
    fn limit_read(&mut self) -> Result<(), UpstreamError> {
        if let Some(until) = self.until {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(UpstreamError::Timeout);
            }
            self.session.read_timeout = Some(self.read_timeout.min(left));
        }
        Ok(())
    }

    /// Keeps the connection where its server does; `session` knows of bytes that nobody asked for.
    fn release(self: Box<Self>) {
        let Self { server, mut session, place, idle_timeout, .. } = *self;
        session.respect_keepalive();
        if session.is_body_done() && session.will_keepalive() {
            server.pool.put(pool::Connection { stream: session.into_inner(), place }, idle_timeout);
        }
    }
}

/// The first of each that is taken.
fn taken(headers: &HeaderMap) -> HeaderMap {
    let mut taken = HeaderMap::with_capacity(TAKEN.len());
    for (name, value) in headers.iter().filter(|(name, _)| TAKEN.contains(name)) {
        taken.entry(name).or_insert_with(|| value.clone());
    }
    taken
}
