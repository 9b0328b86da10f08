//! The admin listener: metrics, health, readiness. Open to whoever can connect, so nothing here names a client, a user or a
//! patient.

mod readiness;

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::header::{self, HeaderValue};
use http::uri::Authority;
use http::{Method, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;

pub use readiness::Readiness;

use crate::config::Snapshot;
use crate::store::SharedStore;
use crate::telemetry::Metrics;

/// The content type of Prometheus' text format.
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The application behind the admin listener: `/metrics`, `/healthz`, `/readyz`.
pub struct AdminApp {
    pub config: Arc<ArcSwap<Snapshot>>,
    pub metrics: Metrics,
    pub readiness: Arc<Readiness>,
    pub store: SharedStore,
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    Metrics,
    Health,
    Readiness,
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

#[async_trait]
impl ServeHttp for AdminApp {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        let host = match request.uri.authority() {
            Some(authority) => Some(authority.as_str()),
            None => request.headers.get(header::HOST).and_then(|host| host.to_str().ok()),
        };
        let asked = Asked::read(&request.method, request.uri.path(), host, &self.config.load().admin.hosts);
        let head = request.method == Method::HEAD;
        let (status, content_type, body) = match asked {
            Asked::Metrics => (StatusCode::OK, METRICS, self.metrics.render()),
            Asked::Health => (StatusCode::OK, JSON, r#"{"healthy":true}"#.to_owned()),
            Asked::Readiness => match self.readiness.missing(&*self.store).await {
                None => (StatusCode::OK, JSON, r#"{"ready":true}"#.to_owned()),
                Some(missing) => {
                    let body = format!(r#"{{"ready":false,"because":"{missing}"}}"#);
                    (StatusCode::SERVICE_UNAVAILABLE, JSON, body)
                }
            },
            Asked::Refused(status) => (status, JSON, format!(r#"{{"status":{}}}"#, status.as_u16())),
        };
        answer(status, content_type, body, head)
    }
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
