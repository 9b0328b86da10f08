//! The FHIR server: its addresses, connections, TLS, credentials. Takes what only a decision can make, gives an answer.
//!
//! Built on pingora's own connections. Of several addresses that with the least to do is asked; one that fails again and again is
//! left out for a while. A request is sent once. It is sent again only where nothing of it can have been heard: at another address
//! when the connection was refused, and a read on a fresh connection when the pooled one turned out to be closed.
//!
//! pingora's own load balancing is not used: its backends are socket addresses, where an address here is a name with its own `Host`,
//! TLS name and path; what requests meet cannot be told to its health; and it has no selection by load.

mod answer;
mod circuit;
mod exchange;
mod pool;
mod server;
mod set;
mod tls;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use pingora::protocols::http::v1::client::HttpSession;
use pingora::time::timeout;
use pingora::{Error, ErrorType};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::ambient::Ambient;
use crate::config::{Check, Upstream, UpstreamAuth};
use crate::decide::{Bulk, UpstreamRequest, capabilities_lookup};
use crate::fhir::AddressKey;
use crate::telemetry::{Metrics, UpstreamRetry};
use crate::token::ServiceTokens;

pub use answer::UpstreamAnswer;
pub use circuit::Standing;
use exchange::{exchange, fixed_credentials, head};
use pool::Connection;
use server::Server;
use set::Set;
use turns::Turns;

/// Attempts at one request.
const MAX_ATTEMPTS: usize = 3;

/// For what has as long as it needs.
const NO_LIMIT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Why the FHIR server gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("the FHIR server took too long")]
    Timeout,
    #[error("as many requests as may be are with the FHIR server, and as many wait")]
    Busy,
    #[error("the FHIR server's answer is larger than the gate holds")]
    TooLarge,
    #[error("the FHIR server compressed its answer although it was asked not to")]
    Encoded,
    #[error("the gate cannot prove itself to the FHIR server: {0}")]
    Unproven(String),
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

/// What is known of one address, for the metrics.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressState {
    pub base: String,
    pub standing: Standing,
    /// Why it was last left out, in words for operators.
    pub fault: Option<Arc<String>>,
}

/// Connections to one FHIR server at a time.
#[derive(Default)]
pub struct UpstreamClient {
    current: ArcSwapOption<Set>,
    turns: Arc<Turns>,
    tokens: Arc<ServiceTokens>,
    metrics: Option<Metrics>,
}

/// What is sent.
struct Sent<'s> {
    credentials: Option<HeaderValue>,
    upstream: &'s Upstream,
    request: &'s UpstreamRequest,
    headers: &'s HeaderMap,
    body: Option<&'s Bytes>,
    /// When the answer must be there.
    until: Option<Instant>,
}

/// An attempt that brought no answer.
struct Failed {
    error: UpstreamError,
    again: Again,
}

/// Whether a request can be sent again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    Never,
    /// Nothing was sent.
    Elsewhere,
    /// A pooled connection was closed before anything was answered: so may a read.
    Fresh,
}

impl UpstreamClient {
    /// A client without connections.
    pub fn new() -> Self {
        Self::default()
    }

    /// A client that counts.
    pub fn counting(metrics: Metrics, ambient: Ambient) -> Self {
        Self { metrics: Some(metrics), tokens: Arc::new(ServiceTokens::new(ambient)), ..Self::default() }
    }

    /// Sends one request, to the address `at` where that is given and in, else to the one with the least to do; the answer's head is
    /// there when this returns.
    ///
    /// # Errors
    /// No answer came.
    pub async fn send(
        &self,
        upstream: &Arc<Upstream>,
        request: &UpstreamRequest,
        headers: HeaderMap,
        body: Option<Bytes>,
        at: Option<AddressKey>,
    ) -> Result<UpstreamAnswer, UpstreamError> {
        let mut now = Instant::now();
        let until = (request.bulk() != Some(Bulk::File)).then(|| now + upstream.exchange_timeout);
        let turn = self.turns.take(upstream).await?;
        let set = self.set(upstream)?;
        let repeatable = matches!(*request.method(), Method::GET | Method::HEAD);
        let credentials = self.credentials(upstream).await?;
        let sent = Sent { credentials, upstream, request, headers: &headers, body: body.as_ref(), until };
        let mut tried: SmallVec<[AddressKey; 4]> = SmallVec::new();
        let mut fresh = false;
        let mut attempts = 1;
        loop {
            let server = set.pick(at, &tried);
            let failed = match self.attempt(server, &sent, fresh, now).await {
                Ok((session, place)) => return UpstreamAnswer::new(server, (session, place), turn, until, upstream),
                Err(failed) => failed,
            };
            let retry = match failed.again {
                Again::Elsewhere if tried.len() + 1 < set.len() => UpstreamRetry::Elsewhere,
                Again::Fresh if repeatable && !fresh => UpstreamRetry::Fresh,
                _ => return Err(failed.error),
            };
            now = Instant::now();
            if attempts == MAX_ATTEMPTS || until.is_some_and(|until| now >= until) {
                return Err(failed.error);
            }
            attempts += 1;
            match retry {
                UpstreamRetry::Elsewhere => tried.push(server.address.key),
                UpstreamRetry::Fresh => fresh = true,
            }
            if let Some(metrics) = &self.metrics {
                metrics.upstream_retry(retry);
            }
        }
    }

    /// One request to one address, that begins `now`; what comes of it counts for its health.
    async fn attempt(
        &self,
        server: &Arc<Server>,
        sent: &Sent<'_>,
        fresh: bool,
        now: Instant,
    ) -> Result<(HttpSession, std::net::SocketAddr), Failed> {
        let outcome = self.exchanged(server, sent, fresh, now).await;
        if outcome.as_ref().is_err_and(|failed| failed.again == Again::Fresh) {
            return outcome;
        }
        let failed = why_failed(&outcome);
        let upstream = &server.address.base;
        if let Some(why) = &failed
            && server.circuit.failed(&sent.upstream.health)
        {
            tracing::warn!(upstream, why, "the FHIR server fails at this address, which is left out for a while");
            server.fault.store(Some(Arc::new(why.clone())));
            if let Some(metrics) = &self.metrics {
                metrics.upstream_opened(upstream);
            }
        }
        if let Ok((session, _)) = &outcome
            && matches!(sent.upstream.auth, UpstreamAuth::ClientCredentials(_))
            && session.resp_header().is_some_and(|head| head.status == StatusCode::UNAUTHORIZED)
        {
            self.tokens.refused();
        }
        if failed.is_none() && server.circuit.answered() {
            tracing::info!(upstream, "the FHIR server answers at this address again");
        }
        outcome
    }

    /// What the gate proves itself with.
    async fn credentials(&self, upstream: &Upstream) -> Result<Option<HeaderValue>, UpstreamError> {
        match &upstream.auth {
            UpstreamAuth::ClientCredentials(client) => {
                Box::pin(self.tokens.authorization(client)).await.map(Some).map_err(UpstreamError::Unproven)
            }
            auth => Ok(fixed_credentials(auth)),
        }
    }

    async fn exchanged(
        &self,
        server: &Arc<Server>,
        sent: &Sent<'_>,
        fresh: bool,
        mut now: Instant,
    ) -> Result<(HttpSession, std::net::SocketAddr), Failed> {
        let Sent { credentials, upstream, request, headers, body, until } = sent;
        let never = |error| Failed { error, again: Again::Never };
        let (Connection { stream, place }, reused) = match (!fresh).then(|| server.pool.take(now)).flatten() {
            Some(connection) => (connection, true),
            None => {
                let within = upstream.connect_timeout.min(left(*until, now));
                let connected = Box::pin(server.connect(within)).await;
                now = Instant::now();
                (connected.map_err(|error| Failed { error, again: Again::Elsewhere })?, false)
            }
        };
        let mut session = HttpSession::new(stream);
        session.read_timeout = Some(upstream.read_timeout);
        session.write_timeout = Some(upstream.read_timeout);
        let head = head(&server.address, credentials.as_ref(), request, headers, *body).map_err(never)?;
        match timeout(left(*until, now), exchange(&mut session, head, *body)).await {
            Ok(Ok(())) => Ok((session, place)),
            Ok(Err(error)) => {
                session.shutdown().await;
                let dead = reused && !matches!(error.etype(), ErrorType::ReadTimedout | ErrorType::WriteTimedout);
                Err(Failed { error: error.into(), again: if dead { Again::Fresh } else { Again::Never } })
            }
            Err(_) => {
                session.shutdown().await;
                Err(never(UpstreamError::Timeout))
            }
        }
    }

    /// The servers of `upstream`; those go on that it has in common with what was there before.
    fn set(&self, upstream: &Arc<Upstream>) -> Result<Arc<Set>, UpstreamError> {
        let known = self.current.load_full();
        match known {
            Some(set) if set.is_of(upstream) => Ok(set),
            known => {
                let set = Arc::new(Set::new(upstream, known.as_deref())?);
                self.current.store(Some(set.clone()));
                Ok(set)
            }
        }
    }

    /// Checks every address as `[fhir] health` says, and what is known of them then.
    pub async fn check(&self, upstream: &Arc<Upstream>) -> Vec<AddressState> {
        let set = match self.set(upstream) {
            Ok(set) => set,
            Err(error) => {
                tracing::error!(%error, "the FHIR server cannot be checked");
                return Vec::new();
            }
        };
        futures_util::future::join_all(set.servers().map(|server| self.check_one(server, upstream))).await
    }

    async fn check_one(&self, server: &Arc<Server>, upstream: &Arc<Upstream>) -> AddressState {
        let health = &upstream.health;
        let passed = match health.check {
            Check::None => None,
            Check::Connect => Some(server.connect(health.timeout).await.map(drop).map_err(|error| error.to_string())),
            Check::Metadata => {
                let (request, headers) = (capabilities_lookup(), HeaderMap::new());
                let now = Instant::now();
                let until = Some(now + health.timeout);
                let credentials = self.credentials(upstream).await.ok().flatten();
                let sent = Sent { credentials, upstream, request: &request, headers: &headers, body: None, until };
                Some(why_failed(&self.exchanged(server, &sent, true, now).await).map_or(Ok(()), Err))
            }
        };
        if let Some(passed) = passed
            && server.circuit.checked(passed.is_ok(), health)
        {
            let upstream = &server.address.base;
            match passed {
                Ok(()) => tracing::info!(upstream, "this address of the FHIR server passes its checks again"),
                Err(why) => {
                    tracing::warn!(upstream, why, "this address of the FHIR server fails its checks");
                    server.fault.store(Some(Arc::new(why)));
                }
            }
        }
        state_of(server)
    }

    /// What is known of every address.
    pub fn addresses(&self, upstream: &Arc<Upstream>) -> Vec<AddressState> {
        self.set(upstream).map(|set| set.servers().map(state_of).collect()).unwrap_or_default()
    }

    /// The addresses that are asked at the moment: those that are in, or all if none is.
    pub fn in_use(&self, upstream: &Arc<Upstream>) -> Vec<AddressKey> {
        let Ok(set) = self.set(upstream) else { return Vec::new() };
        let keys = |all: bool| {
            let servers = set.servers().filter(move |server| all || server.circuit.standing() == Standing::In);
            servers.map(|server| server.address.key).collect::<Vec<_>>()
        };
        let asked = keys(false);
        if asked.is_empty() { keys(true) } else { asked }
    }

    /// Requests with the FHIR server, and such that wait for their turn.
    pub fn load(&self) -> (usize, usize) {
        (self.turns.busy(), self.turns.waiting())
    }
}

fn state_of(server: &Arc<Server>) -> AddressState {
    AddressState {
        base: server.address.base.clone(),
        standing: server.circuit.standing(),
        fault: server.fault.load_full(),
    }
}

/// Why what came of a request counts against its address, if it does.
fn why_failed(outcome: &Result<(HttpSession, std::net::SocketAddr), Failed>) -> Option<String> {
    match outcome.as_ref().map(|(session, _)| session.resp_header()) {
        Ok(Some(head)) => is_failure(head.status).then(|| head.status.to_string()),
        Ok(None) => Some("no answer".to_owned()),
        Err(failed) => Some(failed.error.to_string()),
    }
}

/// Whether this answer says that the server itself is in trouble. 501 says that it does not know how.
fn is_failure(status: StatusCode) -> bool {
    status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
}

/// The time from `now` until then.
fn left(until: Option<Instant>, now: Instant) -> Duration {
    until.map_or(NO_LIMIT, |until| until.saturating_duration_since(now))
}

#[cfg(test)]
mod balance_tests;
#[cfg(test)]
mod tests;
