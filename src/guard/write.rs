//! Writes: the body admits one reading, is what the URL names, and travels as its own bytes; the answer obeys `r`.

use http::header::HeaderName;
use http::{HeaderMap, StatusCode, header};

use super::links::{bases, move_urls};
use super::{Answer, Exchange, Guard, own_words};
use crate::config::Fhir;
use crate::decide::{
    BODY_AMBIGUOUS, BODY_NOT_FHIR_JSON, BodyRule, Refusal, UpstreamRequest, check_patch, check_references,
    check_resource, request as rules,
};
use crate::fhir::ResourceType;
use crate::fhir::json::Document;
use crate::fhir::outcome::FHIR_JSON;
use crate::upstream::UpstreamAnswer;

pub(super) async fn carry_out(
    guard: &Guard,
    exchange: &Exchange<'_>,
    request: &UpstreamRequest,
    rule: &BodyRule,
    readable: bool,
) -> Result<Answer, Refusal> {
    check_body(exchange, rule, readable)?;
    let body = (*rule != BodyRule::None && !exchange.body.is_empty()).then(|| exchange.body.clone());
    let answer = guard.send(exchange, request, body).await?;
    written(exchange, answer, readable).await
}

fn check_body(exchange: &Exchange<'_>, rule: &BodyRule, readable: bool) -> Result<(), Refusal> {
    match rule {
        BodyRule::None => return Ok(()),
        BodyRule::Resource { of, .. } if *of == ResourceType::BINARY && is_file(exchange.headers) => return Ok(()),
        _ => {}
    }
    if !is_json(exchange.headers, *rule == BodyRule::Patch) {
        return Err(BODY_NOT_FHIR_JSON.refuse());
    }
    let body = Document::parse(&exchange.body, exchange.snapshot.limits.json_depth)
        .map_err(|error| BODY_AMBIGUOUS.refuse().because(error.to_string()))?;
    let (body, Exchange { snapshot, grant, .. }) = (body.root(), exchange);
    match (rule, exchange.request.interaction.resource_type()) {
        (BodyRule::Resource { of, id }, _) => {
            check_resource(snapshot, body, *of, id.as_deref())?;
            check_references(snapshot, grant, body)
        }
        (BodyRule::Patch, Some(of)) => {
            if !body.is_array() {
                check_resource(snapshot, body, ResourceType::PARAMETERS, None)?;
            }
            check_patch(snapshot, grant, of, readable, body)
        }
        (BodyRule::Patch | BodyRule::None, _) => Ok(()),
    }
}

/// Whether the body is declared as JSON in UTF-8 that is not compressed.
pub fn is_json(headers: &HeaderMap, patch: bool) -> bool {
    if is_encoded(headers) {
        return false;
    }
    let declared = text(headers, &header::CONTENT_TYPE);
    let mut parts = declared.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let known: &[&str] = if patch {
        &["application/json-patch+json", FHIR_JSON, "application/json"]
    } else {
        &[FHIR_JSON, "application/json"]
    };
    known.iter().any(|known| essence.eq_ignore_ascii_case(known))
        && parts.all(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            !name.trim().eq_ignore_ascii_case("charset") || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
}

/// Whether the body is a file for a Binary to hold, and no resource in a format that nobody here reads (FHIR R4 binary.html#rest).
fn is_file(headers: &HeaderMap) -> bool {
    let of_fhir = text(headers, &header::CONTENT_TYPE).to_ascii_lowercase().contains("fhir");
    !is_encoded(headers) && !of_fhir && !is_json(headers, false)
}

/// What says so does not go along, so that the FHIR server would store the body as it is.
fn is_encoded(headers: &HeaderMap) -> bool {
    let encoding = text(headers, &header::CONTENT_ENCODING);
    !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity")
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

async fn written(exchange: &Exchange<'_>, mut answer: UpstreamAnswer, readable: bool) -> Result<Answer, Refusal> {
    let status = answer.status;
    if status.is_redirection() || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED)
    {
        return Err(rules::UPSTREAM_ERROR.refuse().because(format!("the FHIR server answered {status}")));
    }
    if !readable && status.is_client_error() || status.is_server_error() {
        return Err(own_words(status));
    }
    let body = exchange.collect(&mut answer).await?;
    let headers = &answer.headers;
    let fhir = &exchange.snapshot.fhir;
    let mut written = Answer { upstream_status: Some(status), ..Answer::fhir(status, bytes::Bytes::new()) };
    if readable && !body.is_empty() {
        let moved =
            move_urls(body, fhir).map_err(|error| rules::UPSTREAM_UNREADABLE.refuse().because(error.to_string()))?;
        written.body = moved;
        written.copy(headers, &header::CONTENT_TYPE);
    } else {
        written.headers.remove(header::CONTENT_TYPE);
    }
    written.copy(headers, &header::ETAG);
    written.copy(headers, &header::LAST_MODIFIED);
    locations(exchange, headers, &mut written);
    Ok(written)
}

/// Takes over where a written resource is, moved to the public base.
pub(super) fn locations(exchange: &Exchange<'_>, headers: &HeaderMap, written: &mut Answer) {
    let fhir = &exchange.snapshot.fhir;
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        let url = headers.get(&name).and_then(|value| value.to_str().ok());
        let public = url.and_then(|url| {
            bases(fhir)
                .to_public(url)
                .or_else(|| url.starts_with(fhir.public_base.as_str()).then(|| url.to_owned()))
                .or_else(|| below_base(url, fhir))
        });
        if let Some(value) = public.and_then(|url| http::HeaderValue::from_str(&url).ok()) {
            written.headers.insert(name, value);
        }
    }
}

/// A `Location` without a host: a path below the base path of one of the addresses, or relative to the base.
fn below_base(url: &str, fhir: &Fhir) -> Option<String> {
    if url.contains("://") || url.starts_with("//") {
        return None;
    }
    let relative = match url.strip_prefix('/') {
        Some(_) => {
            let mut paths = fhir.upstream.addresses.iter().map(|address| address.base_path.as_str());
            paths.find_map(|path| url.strip_prefix(path)?.strip_prefix('/'))?
        }
        None => url,
    };
    Some(format!("{}/{relative}", fhir.public_base))
}
