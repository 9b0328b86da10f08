//! The pingora application: one request in, one answer out. The only place that knows pingora's server sessions.
//!
//! ```text
//! head ─┬─ auth endpoint ─► auth ───────────────────────────────────► answer
//!       └─ FHIR ─► token ─► grant ─► interaction ─► decide ─► guard ─► answer
//! ```

mod body;
mod connection;
mod cors;
mod crowd;
mod entrance;
mod fhir;
mod first;
mod forwarded;
mod gone;
mod head;
mod listen;
mod proxied;
mod rates;
mod record;
mod respond;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use pingora::ErrorType;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use pingora::time::timeout;

pub use entrance::Entrance;
pub use first::FirstBytes;
pub use listen::{BindError, Ending, Inherited, LAST_CALL, Listeners};
pub use record::ANSWER_CUT_OFF;

use crate::address::ClientAddress;
use crate::ambient::Ambient;
use crate::auth::AuthServer;
use crate::config::Snapshot;
use crate::decide::{Grant, Refusal, request as rules};
use crate::guard::{Answer, Guard, retry_after};
use crate::telemetry::{AuditLog, Metrics, Span, Tracer};
use crate::token::{Revocations, TokenCache, Verifier};
use head::Head;
use rates::Rates;
use record::Visit;
use respond::Reply;

/// Longest wait for the rest of a body that nobody wants, before the connection is closed instead.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// What the gate is made of.
pub struct Parts {
    pub config: Arc<ArcSwap<Snapshot>>,
    pub auth: AuthServer,
    pub guard: Guard,
    pub verifier: Arc<Verifier>,
    pub revocations: Arc<Revocations>,
    pub tokens: TokenCache<Arc<Grant>>,
    pub metrics: Metrics,
    pub audit: AuditLog,
    pub tracer: Tracer,
    pub ambient: Ambient,
}

/// The app-facing side of Smartgate.
pub struct Gate {
    parts: Parts,
    options: HttpServerOptions,
    ending: Ending,
    rates: Rates,
}

impl Gate {
    /// A gate of these parts; it speaks HTTP/1.1 and HTTP/2, with and without TLS. As it is `ending`, answers ask for
    /// another connection, and those that wait for a request are closed.
    pub fn new(parts: Parts, ending: Ending) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        options.h2_idle_timeout = Some(parts.config.load().server.idle_timeout);
        Self { parts, options, ending, rates: Rates::new() }
    }

    async fn reply(&self, session: &mut ServerSession, snapshot: &Arc<Snapshot>, visit: &mut Visit) -> Reply {
        let held_back = self.rates.of_address(visit.address, snapshot, visit.started);
        match (Head::read(session.req_header(), snapshot), held_back) {
            (Ok(head), held_back) if let Some(endpoint) = AuthServer::endpoint(head.path(), snapshot) => {
                visit.auth_endpoint(endpoint);
                match held_back {
                    Ok(()) => Box::pin(self.own_endpoint(session, snapshot, &head, visit)).await,
                    Err(refusal) => {
                        visit.refused(&refusal);
                        let wait = retry_after(refusal.wait.unwrap_or_default());
                        match auth_request(&head, Bytes::new()) {
                            Some(request) => Reply::Own(self.parts.auth.hold_back(&request, wait, snapshot)),
                            None => self.refuse(visit, refusal),
                        }
                    }
                }
            }
            (_, Err(refusal)) | (Err(refusal), _) => self.refuse(visit, refusal),
            (Ok(head), Ok(())) => match head.below(&snapshot.fhir.base_path) {
                Some(_) => self.fhir(session, snapshot, &head, visit).await,
                None => self.refuse(visit, rules::NOT_FHIR.refuse()),
            },
        }
    }

    async fn own_endpoint(
        &self,
        session: &mut ServerSession,
        snapshot: &Arc<Snapshot>,
        head: &Head,
        visit: &mut Visit,
    ) -> Reply {
        let body = match body::read(session, crate::auth::MAX_FORM_BYTES, snapshot.server.request_timeout).await {
            Ok(body) => body,
            Err(refusal) => return self.refuse(visit, refusal),
        };
        let Some(request) = auth_request(head, body) else {
            return self.refuse(visit, rules::TARGET_MALFORMED.refuse());
        };
        Reply::Own(self.parts.auth.handle(request, &visit.request_id, visit.address, snapshot).await)
    }

    /// Begins the request's span, where it is recorded.
    fn span(&self, request: &RequestHeader, snapshot: &Snapshot) -> Option<Span> {
        let traces = snapshot.traces.as_ref()?;
        self.parts.tracer.begin(&request.method, &request.headers, traces.sampling)
    }

    fn refuse(&self, visit: &mut Visit, refusal: Refusal) -> Reply {
        let answer = Answer::refusal(&refusal);
        visit.refused(&refusal);
        Reply::Whole(answer)
    }
}

#[async_trait]
impl HttpServerApp for Gate {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        _: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let times = self.parts.config.load_full();
        session.set_read_timeout(Some(times.server.client_timeout));
        session.set_write_timeout(Some(times.server.client_timeout));
        let idle = times.server.idle_timeout;
        session.set_keepalive(Some(idle.as_secs()));
        let within = times.server.request_timeout;
        drop(times);
        match timeout(within, next_request(&mut session)).await {
            Ok(true) => {}
            Ok(false) => return None,
            Err(_) => {
                session.shutdown().await;
                return None;
            }
        }
        session.set_keepalive((!*self.ending.draining.borrow()).then_some(idle.as_secs()));
        session.set_total_drain_timeout(Some(DRAIN_TIMEOUT));
        let _in_flight = self.parts.metrics.in_flight();
        let snapshot = self.parts.config.load_full();
        let address = client_address(&session, &snapshot);
        let mut visit = Visit::new(&self.parts.ambient, session.req_header(), address);
        visit.span = self.span(session.req_header(), &snapshot);
        let reply = self.reply(&mut session, &snapshot, &mut visit).await;
        let sent = respond::send(&mut session, reply, &snapshot, &mut visit).await;
        visit.end_span();
        visit.record(&self.parts.metrics, &self.parts.audit).await;
        if !sent {
            session.shutdown().await;
            return None;
        }
        match session.finish().await {
            Ok(stream) => stream.map(|stream| ReusedHttpStream::new(stream.into_parts().0, None)),
            Err(error) => {
                tracing::debug!(%error, "a client connection ended early");
                None
            }
        }
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}

/// Who asks; nobody where the connection has no address.
fn client_address(session: &ServerSession, snapshot: &Snapshot) -> Option<ClientAddress> {
    let peer = ClientAddress::new(session.client_addr()?.as_inet()?.ip());
    Some(forwarded::client(peer, &session.req_header().headers, snapshot.server.forwarded.as_ref()))
}

/// Reads a request that has begun; false when it is none and the connection is to be closed.
async fn next_request(session: &mut ServerSession) -> bool {
    match session.read_request().await {
        Ok(more) => more,
        Err(error) => {
            if matches!(error.etype(), ErrorType::InvalidHTTPHeader) {
                tracing::info!("a request that is no HTTP was answered 400");
                if session.respond_error(400).await.is_err() {
                    tracing::debug!("and its sender did not wait for it");
                }
            }
            session.shutdown().await;
            false
        }
    }
}

/// A request as the authorization server reads it; none where its target is no URI.
fn auth_request(head: &Head, body: Bytes) -> Option<http::Request<Bytes>> {
    let mut request = http::Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.headers_mut() = head.headers.clone();
    *request.uri_mut() = head.raw.parse().ok()?;
    Some(request)
}
