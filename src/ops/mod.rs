//! The admin listener. Metrics, health and readiness are open to whoever can connect, so they name no client, user or patient;
//! the admin page and the search for decisions need `[admin] token`, and are not there without one.

mod access;
mod export;
#[cfg(feature = "otel")]
mod otlp;
mod page;
mod readiness;
mod state;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::header::{self, HeaderName, HeaderValue};
use http::uri::Authority;
use http::{Method, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;

pub use export::Exporter;
#[cfg(feature = "otel")]
pub use otlp::SpanExporter;
pub use readiness::Readiness;

use crate::ambient::{Ambient, UnixSeconds};
use crate::config::Snapshot;
use crate::guard::Capabilities;
use crate::store::SharedStore;
use crate::telemetry::{AuditLog, LoginOutcome, Metrics};
use crate::token::{Fetcher, GateKeys};
use crate::upstream::UpstreamClient;
use access::{Access, Admission};

/// The content type of Prometheus' text format.
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// How a browser is asked for the token. It would not understand a line with a second scheme.
const CHALLENGE: HeaderValue =
    HeaderValue::from_static("Basic realm=\"Smartgate: the admin token as password\", charset=\"UTF-8\"");

/// Longest request id that is looked for.
const MAX_ID: usize = 128;

/// The parts of the gate that the admin listener tells of.
pub struct Watched {
    pub config: Arc<ArcSwap<Snapshot>>,
    pub metrics: Metrics,
    pub audit: AuditLog,
    pub readiness: Arc<Readiness>,
    pub store: SharedStore,
    pub keys: Arc<GateKeys>,
    pub fetcher: Arc<Fetcher>,
    pub capabilities: Arc<Capabilities>,
    pub upstream: Arc<UpstreamClient>,
    pub ambient: Ambient,
    /// When the process began to serve.
    pub started: UnixSeconds,
}

/// The application behind the admin listener: `/metrics`, `/healthz`, `/readyz`, and with the admin token `/` and `/decisions`.
pub struct AdminApp {
    watched: Watched,
    access: Access,
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    Metrics,
    Health,
    Readiness,
    /// The admin page.
    Page,
    /// Decisions by request id.
    Decisions,
    Refused(StatusCode),
}

impl Asked {
    fn read(method: &Method, path: &str, host: Option<&str>, hosts: &[String]) -> Self {
        if !host.is_some_and(|host| is_trusted(host, hosts)) {
            return Self::Refused(StatusCode::FORBIDDEN);
        }
        let asked = match path {
            "/metrics" => Self::Metrics,
            "/healthz" => Self::Health,
            "/readyz" => Self::Readiness,
            "/" => Self::Page,
            "/decisions" => Self::Decisions,
            _ => return Self::Refused(StatusCode::NOT_FOUND),
        };
        let reads = method == Method::GET || method == Method::HEAD;
        if reads { asked } else { Self::Refused(StatusCode::METHOD_NOT_ALLOWED) }
    }
}

/// Whether `host` can be this listener's own name. A page from elsewhere whose name was made to point here (DNS rebinding)
/// sends that name; it cannot send an address, a loopback name or one that the operator chose.
fn is_trusted(host: &str, hosts: &[String]) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let name = authority.host();
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    address.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
}

impl AdminApp {
    pub fn new(watched: Watched) -> Self {
        Self { watched, access: Access::default() }
    }

    async fn open(&self, asked: Asked, head: bool) -> Response<Vec<u8>> {
        let (status, content_type, body) = match asked {
            Asked::Metrics => (StatusCode::OK, METRICS, self.watched.metrics.render()),
            Asked::Health => (StatusCode::OK, JSON, r#"{"healthy":true}"#.to_owned()),
            Asked::Readiness => match self.watched.readiness.missing(&*self.watched.store).await {
                None => (StatusCode::OK, JSON, r#"{"ready":true}"#.to_owned()),
                Some(missing) => {
                    let body = format!(r#"{{"ready":false,"because":"{missing}"}}"#);
                    (StatusCode::SERVICE_UNAVAILABLE, JSON, body)
                }
            },
            Asked::Page | Asked::Decisions => return refusal(StatusCode::NOT_FOUND, head),
            Asked::Refused(status) => return refusal(status, head),
        };
        answer(status, content_type, body, head)
    }

    /// What needs the token; without one configured there is no such path.
    async fn guarded(&self, session: &ServerSession, asked: Asked, head: bool) -> Response<Vec<u8>> {
        let snapshot = self.watched.config.load_full();
        let Some(token) = &snapshot.admin.token else {
            return refusal(StatusCode::NOT_FOUND, head);
        };
        let request = session.req_header();
        let address = session.client_addr().and_then(|address| address.as_inet()).map(SocketAddr::ip);
        let authorization = request.headers.get(header::AUTHORIZATION);
        let admission = self.access.admit(authorization, token, address, self.watched.ambient.steady());
        let address = address.map(tracing::field::display);
        match admission {
            Admission::Granted => self.watched.metrics.admin_access(LoginOutcome::Success),
            Admission::Asked => return unauthorized(head),
            Admission::Wrong => {
                self.watched.metrics.admin_access(LoginOutcome::Failure);
                tracing::warn!(address, "somebody showed a wrong admin token");
                return unauthorized(head);
            }
            Admission::Paused(wait) => {
                self.watched.metrics.admin_access(LoginOutcome::Refused);
                let mut response = refusal(StatusCode::TOO_MANY_REQUESTS, head);
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
                return response;
            }
        }
        let query = request.uri.query().unwrap_or_default().as_bytes();
        let id = form_urlencoded::parse(query).find(|(name, _)| name == "request_id").map(|(_, id)| id);
        let id = id.as_deref().map(str::trim).filter(|id| !id.is_empty() && id.len() <= MAX_ID);
        if let Some(request_id) = id {
            tracing::info!(address, request_id, "a decision was looked up");
        }
        match (asked, id) {
            (Asked::Decisions, None) => refusal(StatusCode::BAD_REQUEST, head),
            (Asked::Decisions, Some(id)) => match serde_json::to_string(&page::Found::of(&self.watched, id)) {
                Ok(found) => answer(StatusCode::OK, JSON, found, head),
                Err(error) => failed(&error, head),
            },
            _ => match page::page(&self.watched, &snapshot, id).await {
                Ok((html, policy)) => html_answer(html, &policy, head),
                Err(error) => failed(&error, head),
            },
        }
    }
}

#[async_trait]
impl ServeHttp for AdminApp {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        let host = match request.uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => request.headers.get(header::HOST).and_then(|host| host.to_str().ok()),
        };
        let asked = Asked::read(&request.method, request.uri.path(), host, &self.watched.config.load().admin.hosts);
        let head = request.method == Method::HEAD;
        match asked {
            Asked::Page | Asked::Decisions => self.guarded(session, asked, head).await,
            _ => self.open(asked, head).await,
        }
    }
}

fn unauthorized(head: bool) -> Response<Vec<u8>> {
    let mut response = refusal(StatusCode::UNAUTHORIZED, head);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
    response
}

fn failed(error: &dyn std::error::Error, head: bool) -> Response<Vec<u8>> {
    tracing::error!(%error, "an answer of the admin listener could not be written");
    refusal(StatusCode::INTERNAL_SERVER_ERROR, head)
}

fn refusal(status: StatusCode, head: bool) -> Response<Vec<u8>> {
    // Nothing else is forbidden on this listener.
    let because = if status == StatusCode::FORBIDDEN { r#","because":"Host is none of [admin] hosts""# } else { "" };
    answer(status, JSON, format!(r#"{{"status":{}{because}}}"#, status.as_u16()), head)
}

fn html_answer(html: String, policy: &str, head: bool) -> Response<Vec<u8>> {
    let mut response = answer(StatusCode::OK, HTML, html, head);
    let headers = response.headers_mut();
    let closed = HeaderValue::from_static("default-src 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_str(policy).unwrap_or(closed));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    response
}

fn answer(status: StatusCode, content_type: HeaderValue, body: String, head: bool) -> Response<Vec<u8>> {
    let length = body.len();
    let mut response = Response::new(if head { Vec::new() } else { body.into_bytes() });
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests;
