//! The pingora application: one request in, one answer out. The only place that knows pingora's server sessions.
//!
//! ```text
//! head ─┬─ auth endpoint ─► auth ───────────────────────────────────► answer
//!       └─ FHIR ─► token ─► grant ─► interaction ─► decide ─► guard ─► answer
//! ```

mod body;
mod cors;
mod fhir;
mod first;
mod head;
mod listen;
mod record;
mod respond;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::ErrorType;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use tokio::time::timeout;

pub use first::FirstBytes;
pub use listen::{BindError, Listeners};
pub use record::ANSWER_CUT_OFF;
pub use tls::Certificates;

use crate::ambient::Ambient;
use crate::auth::AuthServer;
use crate::config::Snapshot;
use crate::decide::{Grant, Refusal, request as rules};
use crate::guard::{Answer, Guard};
use crate::telemetry::{AuditLog, Metrics};
use crate::token::{Revocations, TokenCache, Verifier};
use head::Head;
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
    pub ambient: Ambient,
}

/// The app-facing side of Smartgate.
pub struct Gate {
    parts: Parts,
    options: HttpServerOptions,
}

impl Gate {
    /// A gate of these parts; it speaks HTTP/1.1 and HTTP/2, with and without TLS.
    pub fn new(parts: Parts) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        options.h2_idle_timeout = Some(parts.config.load().server.idle_timeout);
        Self { parts, options }
    }

    async fn reply(&self, session: &mut ServerSession, snapshot: &Arc<Snapshot>, visit: &mut Visit) -> Reply {
        match Head::read(session.req_header(), snapshot) {
            Err(refusal) => self.refuse(visit, refusal),
            Ok(head) if AuthServer::owns(head.path(), snapshot) => {
                Box::pin(self.own_endpoint(session, snapshot, &head, visit)).await
            }
            Ok(head) => match head.below(&snapshot.fhir.base_path) {
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
        visit.auth_endpoint();
        let body = match body::read(session, crate::auth::MAX_FORM_BYTES, snapshot.server.request_timeout).await {
            Ok(body) => body,
            Err(refusal) => return self.refuse(visit, refusal),
        };
        let mut request = http::Request::new(body);
        *request.method_mut() = head.method.clone();
        *request.headers_mut() = head.headers.clone();
        match head.raw.parse() {
            Ok(uri) => *request.uri_mut() = uri,
            Err(_) => return self.refuse(visit, rules::TARGET_MALFORMED.refuse()),
        }
        let from = session.client_addr().and_then(|address| address.as_inet()).map(SocketAddr::ip);
        Reply::Own(self.parts.auth.handle(request, &visit.request_id, from, snapshot).await)
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
        shutdown: &ShutdownWatch,
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
        session.set_keepalive((!*shutdown.borrow()).then_some(idle.as_secs()));
        session.set_total_drain_timeout(Some(DRAIN_TIMEOUT));
        let _in_flight = self.parts.metrics.in_flight();
        let snapshot = self.parts.config.load_full();
        let address = session.client_addr().and_then(|address| address.as_inet()).map(SocketAddr::ip);
        let mut visit = Visit::new(&self.parts.ambient, session.req_header(), address);
        let reply = self.reply(&mut session, &snapshot, &mut visit).await;
        let sent = respond::send(&mut session, reply, &snapshot, &mut visit).await;
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
