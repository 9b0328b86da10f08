//! What a Binary holds, in its own format: taken from the resource that was verified, never fetched again (FHIR R4 binary.html).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, HeaderValue};
use http::{HeaderMap, StatusCode};

use super::{Answer, Exchange};
use crate::decide::{FORMAT_NOT_JSON, Refusal, request as rules};
use crate::fhir::interaction::is_json;
use crate::fhir::json::Json;

/// What content is called whose own type cannot be told.
const UNTYPED: &str = "application/octet-stream";

/// Whether the client asks for the resource in JSON rather than for what it holds: only a name of JSON says so.
pub(super) fn asked_as_json(exchange: &Exchange<'_>) -> bool {
    let format = exchange.request.parameters.iter().any(|parameter| parameter.code() == "_format");
    format || ranges(exchange.headers).any(is_json)
}

/// The content of a verified Binary.
///
/// # Errors
/// The client does not take it, or it is no base64.
pub(super) fn content(exchange: &Exchange<'_>, binary: Json<'_>, headers: &HeaderMap) -> Result<Answer, Refusal> {
    let declared = binary.get("contentType").and_then(Json::as_str).filter(|text| is_media_type(text));
    let content_type = declared.unwrap_or(UNTYPED);
    let taken = ranges(exchange.headers).any(|range| takes(range, content_type));
    if exchange.headers.contains_key(header::ACCEPT) && !taken {
        return Err(FORMAT_NOT_JSON.refuse().because("the content is of another type"));
    }
    let mut data = binary.get("data").and_then(Json::as_str).unwrap_or_default().as_bytes().to_vec();
    data.retain(|byte| !byte.is_ascii_whitespace());
    let content = STANDARD
        .decode(&data)
        .map_err(|_| rules::UPSTREAM_UNREADABLE.refuse().because("what a Binary holds is no base64"))?;
    let mut answer = Answer::fhir(StatusCode::OK, content.into());
    let value = HeaderValue::from_str(content_type).unwrap_or(HeaderValue::from_static(UNTYPED));
    answer.headers.insert(header::CONTENT_TYPE, value);
    // It is somebody's file, not a page of this origin.
    answer.headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    for name in [header::ETAG, header::LAST_MODIFIED] {
        answer.copy(headers, &name);
    }
    Ok(answer)
}

/// The media ranges of `Accept` that are not refused by their weight.
fn ranges(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default();
        let refused = parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
        (!refused).then_some(essence)
    })
}

/// Whether a media range takes this type.
fn takes(range: &str, content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let (main, sub) = essence.split_once('/').unwrap_or((essence, ""));
    match range.split_once('/') {
        Some(("*", "*")) => true,
        Some((asked, "*")) => asked.eq_ignore_ascii_case(main),
        Some((asked, of)) => asked.eq_ignore_ascii_case(main) && of.eq_ignore_ascii_case(sub),
        None => range.is_empty(),
    }
}

/// Whether it is a media type that a header can carry as it is (RFC 9110 §8.3.1), parameters included.
fn is_media_type(text: &str) -> bool {
    let token = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let mut parts = text.split(';').map(str::trim);
    let typed = parts.next().and_then(|essence| essence.split_once('/'));
    typed.is_some_and(|(main, sub)| token(main) && token(sub))
        && parts
            .all(|part| part.split_once('=').is_some_and(|(name, value)| token(name) && token(value.trim_matches('"'))))
}

#[cfg(test)]
#[path = "binary_tests.rs"]
mod tests;
