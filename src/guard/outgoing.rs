//! What the FHIR server is sent besides the target: an allow-list, and headers of the gate's own that are set or removed, never
//! passed (enforcement.md §7).

use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method};

use super::Exchange;
use crate::config::UpstreamAuth;
use crate::decide::{Bulk, Pin, UpstreamRequest};
use crate::fhir::outcome::FHIR_JSON;
use crate::telemetry::{Span, TraceParent, is_trace_state};

/// Headers of a client that travel on as they are.
const PASSED: [HeaderName; 2] = [header::ACCEPT, header::ACCEPT_LANGUAGE];

/// Headers that make a request conditional.
const CONDITIONAL: [HeaderName; 4] =
    [header::IF_MATCH, header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE];

pub(super) static IF_NONE_EXIST: HeaderName = HeaderName::from_static("if-none-exist");
static PREFER: HeaderName = HeaderName::from_static("prefer");
static TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The headers of one request to the FHIR server.
pub(super) fn headers(
    exchange: &Exchange<'_>,
    request: &UpstreamRequest,
    has_body: bool,
    span: Option<&Span>,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut pass = |name: &HeaderName| {
        if let Some(value) = exchange.headers.get(name) {
            headers.insert(name.clone(), value.clone());
        }
    };
    PASSED.iter().for_each(&mut pass);
    if request.conditional() {
        CONDITIONAL.iter().for_each(&mut pass);
    }
    if has_body {
        pass(&header::CONTENT_TYPE);
    }
    pin(request, &mut headers);
    // What was checked is a resource in JSON, also where the client sent a patch.
    if has_body && request.pin().is_some() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FHIR_JSON));
    }
    accept(request, &mut headers);
    if let Some(criteria) = request.if_none_exist().and_then(|criteria| HeaderValue::from_str(criteria).ok()) {
        headers.insert(IF_NONE_EXIST.clone(), criteria);
    }
    if let Some(prefer) = prefer(exchange.headers, request) {
        headers.insert(PREFER.clone(), prefer);
    }
    trace(exchange.headers, span, &mut headers);
    identify(exchange, &mut headers);
    headers
}

/// The trace context (W3C Trace Context §3): that of `span` where the request is recorded, else the client's, if it is one. Baggage,
/// which may hold anything, stays here.
fn trace(client: &HeaderMap, span: Option<&Span>, headers: &mut HeaderMap) {
    let theirs = TraceParent::of(client);
    let Some(parent) = span.map(Span::context).or(theirs) else { return };
    let state = client.get(&TRACE_STATE).filter(|_| theirs.is_some()).and_then(|state| state.to_str().ok());
    let state = state.filter(|state| is_trace_state(state)).map(str::to_owned);
    for (name, value) in [(&TRACE_PARENT, Some(parent.to_string())), (&TRACE_STATE, state)] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(name.clone(), value);
        }
    }
}

/// The condition that ties a write to what was checked.
pub(super) fn pin(request: &UpstreamRequest, headers: &mut HeaderMap) {
    match request.pin() {
        Some(Pin::Version(version)) => {
            let tag = HeaderValue::from_str(&format!("W/\"{version}\"")).ok();
            tag.map(|tag| headers.insert(header::IF_MATCH, tag));
        }
        Some(Pin::Absent) => {
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        Some(Pin::New) | None => {}
    }
}

/// The headers of a request to a host that is not told who asks.
pub(super) fn anonymous(request: &UpstreamRequest) -> HeaderMap {
    let mut headers = HeaderMap::new();
    accept(request, &mut headers);
    headers
}

fn accept(request: &UpstreamRequest, headers: &mut HeaderMap) {
    if request.bulk() == Some(Bulk::File) {
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/fhir+ndjson"));
    } else if request.json() {
        headers.insert(header::ACCEPT, HeaderValue::from_static(FHIR_JSON));
    }
}

/// Whether the client has this preference (RFC 7240 §2).
pub(super) fn prefers(client: &HeaderMap, preference: &str) -> bool {
    let values = client.get_all(&PREFER).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split([',', ';'])).any(|given| given.trim().eq_ignore_ascii_case(preference))
}

/// The preferences that the gate understands; asynchronous answers would leave by a door that nobody guards.
fn prefer(client: &HeaderMap, request: &UpstreamRequest) -> Option<HeaderValue> {
    if request.minimal() && request.method() != Method::DELETE {
        return Some(HeaderValue::from_static("return=minimal"));
    }
    if request.bulk() == Some(Bulk::KickOff) {
        let strict = ["handling=strict", "handling=lenient"].into_iter().find(|handling| prefers(client, handling));
        return HeaderValue::from_str(&["respond-async"].into_iter().chain(strict).collect::<Vec<_>>().join(", ")).ok();
    }
    let asked = client.get(&PREFER)?.to_str().ok()?;
    let known = asked.split([',', ';']).map(str::trim).filter(|preference| {
        // What a write returns is no matter of the look-ups before it.
        let returns = preference.starts_with("return=");
        !(returns && request.method() == Method::GET)
            && matches!(
                *preference,
                "return=minimal"
                    | "return=representation"
                    | "return=OperationOutcome"
                    | "handling=strict"
                    | "handling=lenient"
            )
    });
    let known: Vec<&str> = known.collect();
    (!known.is_empty()).then(|| HeaderValue::from_str(&known.join(", ")).ok()).flatten()
}

fn identify(exchange: &Exchange<'_>, headers: &mut HeaderMap) {
    let fhir = &exchange.snapshot.fhir;
    let claims = &exchange.grant.claims;
    let values = [
        (&fhir.identity_headers.user, claims.fhir_user.as_deref().or(Some(claims.subject.as_str()))),
        (&fhir.identity_headers.patient, claims.patient.as_deref()),
        (&fhir.identity_headers.client, claims.client.as_deref()),
    ];
    for (name, value) in values {
        let Some(name) = name else { continue };
        headers.remove(name);
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name.clone(), value);
        }
    }
    if let Ok(id) = HeaderValue::from_str(exchange.request_id) {
        headers.insert(REQUEST_ID.clone(), id);
    }
    if matches!(fhir.upstream.auth, UpstreamAuth::Passthrough)
        && let Some(token) = exchange.headers.get(header::AUTHORIZATION)
    {
        headers.insert(header::AUTHORIZATION, token.clone());
    }
}
