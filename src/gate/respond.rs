//! Answers on the wire: what every answer has, framing, and the cut when an answer must not go on.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;

use super::cors;
use super::gone::gone;
use super::record::Visit;
use crate::config::Snapshot;
use crate::guard::{Answer, Stream, has_body};

/// What is sent back.
pub(super) enum Reply {
    /// An answer of the FHIR side.
    Whole(Answer),
    /// An answer that flows through.
    Flowing(Box<Stream>),
    /// An answer of the authorization server, which sets its own headers.
    Own(http::Response<Bytes>),
    /// None: who asked has left.
    Nobody,
}

/// What the audit log says of a request whose client did not wait for an answer, as nginx does.
const CLIENT_CLOSED_REQUEST: u16 = 499;

const CLIENT_LEFT: &str = "the client went away";

/// Sends a reply; false if the connection cannot be used any more.
pub(super) async fn send(session: &mut ServerSession, reply: Reply, snapshot: &Snapshot, visit: &mut Visit) -> bool {
    match reply {
        Reply::Own(response) => {
            let (parts, body) = response.into_parts();
            visit.answered(parts.status, None, 0);
            let headers = finish_headers(parts.headers, visit, None);
            write(session, visit, parts.status, headers, body).await
        }
        Reply::Whole(answer) => {
            visit.answered(answer.status, answer.upstream_status, answer.removed);
            if let Some(rule) = answer.rule {
                visit.denied(rule);
            }
            visit.entries(answer.entries);
            if answer.status == StatusCode::CREATED {
                visit.created(&answer.headers);
            }
            let headers = finish_headers(answer.headers, visit, Some(snapshot));
            write(session, visit, answer.status, headers, answer.body).await
        }
        Reply::Flowing(stream) => flow(session, *stream, snapshot, visit).await,
        Reply::Nobody => {
            let status = StatusCode::from_u16(CLIENT_CLOSED_REQUEST).unwrap_or(StatusCode::REQUEST_TIMEOUT);
            visit.answered(status, None, 0);
            visit.cut_off(CLIENT_LEFT);
            false
        }
    }
}

async fn flow(session: &mut ServerSession, mut stream: Stream, snapshot: &Snapshot, visit: &mut Visit) -> bool {
    visit.answered(stream.status, Some(stream.status), 0);
    let headers = finish_headers(std::mem::take(&mut stream.headers), visit, Some(snapshot));
    // HTTP/1.0 knows no chunks: there the end of the connection is the end of the answer.
    let chunked = !headers.contains_key(header::CONTENT_LENGTH)
        && has_body(&visit.method, stream.status)
        && session.req_header().version >= http::Version::HTTP_11;
    if !write_header(session, visit, stream.status, headers, chunked).await {
        return false;
    }
    let waited = visit.waited.clone();
    loop {
        let watch = waited.start();
        let chunk = tokio::select! {
            biased;
            chunk = stream.chunk() => chunk,
            () = gone(session) => {
                visit.cut_off(CLIENT_LEFT);
                return false;
            }
        };
        drop(watch);
        match chunk {
            Ok(Some(chunk)) if has_body(&visit.method, stream.status) => {
                if session.write_response_body(chunk, false).await.is_err() {
                    visit.cut_off(CLIENT_LEFT);
                    return false;
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => return session.write_response_body(Bytes::new(), true).await.is_ok(),
            Err(error) => {
                // What was sent cannot be taken back; that it is incomplete must be seen.
                visit.cut_off(&error.to_string());
                session.set_keepalive(None);
                if session.is_http2() {
                    session.shutdown_with_reason(h2_internal_error());
                }
                return false;
            }
        }
    }
}

fn h2_internal_error() -> h2::Reason {
    h2::Reason::INTERNAL_ERROR
}

async fn write(
    session: &mut ServerSession,
    visit: &Visit,
    status: StatusCode,
    mut headers: HeaderMap,
    body: Bytes,
) -> bool {
    if status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    if !write_header(session, visit, status, headers, false).await {
        return false;
    }
    let body = if has_body(&visit.method, status) { body } else { Bytes::new() };
    session.write_response_body(body, true).await.is_ok()
}

async fn write_header(
    session: &mut ServerSession,
    visit: &Visit,
    status: StatusCode,
    mut headers: HeaderMap,
    chunked: bool,
) -> bool {
    if chunked {
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let (mut parts, ()) = http::Response::new(()).into_parts();
    (parts.status, parts.headers) = (status, headers);
    let written = session.write_response_header(Box::new(ResponseHeader::from(parts))).await;
    if let Err(error) = &written {
        tracing::debug!(request_id = visit.request_id, %error, "the head of an answer was not sent");
    }
    written.is_ok()
}

/// What every answer carries besides the `Date` that pingora writes; answers of the FHIR side also their CORS.
fn finish_headers(mut headers: HeaderMap, visit: &Visit, fhir: Option<&Snapshot>) -> HeaderMap {
    if let Ok(id) = HeaderValue::from_str(&visit.request_id) {
        headers.insert("x-request-id", id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let Some(snapshot) = fhir else {
        return headers;
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // What a Binary holds must not become a page of this origin, where people type their passwords.
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept, Authorization, Origin"));
    if let Some(origin) = &visit.origin {
        cors::allow(&mut headers, origin, &visit.origins(snapshot), snapshot);
        cors::preflight(&mut headers, &visit.method);
    }
    if visit.method == Method::OPTIONS {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    }
    headers
}
