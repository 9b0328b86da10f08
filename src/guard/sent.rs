//! What the client of a checked write sent: one reading only, and judged by `decide` before it goes anywhere.

use http::header;

use super::Exchange;
use super::bundle::unreadable;
use super::write::is_json;
use crate::decide::{
    BODY_AMBIGUOUS, BODY_NOT_FHIR_JSON, BODY_OTHER_RESOURCE, CheckedWrite, ConditionalWrite, LookUp, PATCH_FORMAT,
    Refusal, patch_refusal,
};
use crate::fhir::ResourceType;
use crate::fhir::json::Document;
use crate::fhir::patch::{Bounds, Patch};
use crate::fhir::tree::Tree;

/// The client's body as text: JSON, in UTF-8, not compressed.
pub(super) fn sent_text<'e>(exchange: &'e Exchange<'_>) -> Result<&'e str, Refusal> {
    if !is_json(exchange.headers, false) {
        return Err(BODY_NOT_FHIR_JSON.refuse());
    }
    text(&exchange.body)
}

fn text(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes).map_err(|_| BODY_AMBIGUOUS.refuse().because("no UTF-8"))
}

pub(super) fn parsed<'b>(exchange: &Exchange<'_>, body: &'b str) -> Result<Document<'b>, Refusal> {
    Document::parse(body.as_bytes(), exchange.snapshot.limits.json_depth)
        .map_err(|error| BODY_AMBIGUOUS.refuse().because(error.to_string()))
}

/// The id in the body of a write by criteria. The rest is checked as far as it can be before it is known what it is written to.
pub(super) fn id_of_new(exchange: &Exchange<'_>, conditional: &ConditionalWrite) -> Result<Option<String>, Refusal> {
    let document = parsed(exchange, sent_text(exchange)?)?;
    let body = document.root();
    let write = conditional.body_alone();
    // Whom a Patient is about is said by its id.
    if write.of() != ResourceType::PATIENT {
        write.check_new(exchange.snapshot, exchange.grant, body)?;
    }
    let id = body.get("id").map(|id| id.as_str().map(str::to_owned).ok_or_else(|| BODY_OTHER_RESOURCE.refuse()));
    id.transpose()
}

/// The document of the client's JSON Patch.
pub(super) fn sent_patch<'e>(exchange: &'e Exchange<'_>) -> Result<Document<'e>, Refusal> {
    let declared = exchange.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = declared.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json-patch+json") || !is_json(exchange.headers, true) {
        return Err(PATCH_FORMAT.refuse());
    }
    parsed(exchange, text(&exchange.body)?)
}

/// The patch that a document is, if it may ask what it asks.
pub(super) fn patch<'d>(
    exchange: &Exchange<'_>,
    write: &CheckedWrite,
    document: &'d Document<'_>,
) -> Result<Patch<'d>, Refusal> {
    let patch = Patch::read(Tree::of(document.root())).map_err(patch_refusal)?;
    if patch.tests() {
        write.check_tests(exchange.grant, write.readable())?;
    }
    Ok(patch)
}

pub(super) fn apply(exchange: &Exchange<'_>, patch: Patch<'_>, stored: &str) -> Result<String, Refusal> {
    let limits = &exchange.snapshot.limits;
    let bounds = Bounds { bytes: limits.request_body, depth: limits.json_depth };
    let document = Document::parse(stored.as_bytes(), limits.json_depth);
    let document = document.map_err(|error| unreadable(&error.to_string()))?;
    Ok(patch.apply(Tree::of(document.root()), bounds).map_err(patch_refusal)?.print())
}

pub(super) fn check_new(exchange: &Exchange<'_>, write: &CheckedWrite, body: &str) -> Result<Vec<LookUp>, Refusal> {
    write.check_new(exchange.snapshot, exchange.grant, parsed(exchange, body)?.root())
}
