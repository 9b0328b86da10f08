//! Versions: which one was checked, and whether the client's own conditions allow a write to it (RFC 9110 §13.1; FHIR R4
//! http.html#concurrency).
//!
//! The gate judges them after its own check, so that 412 tells nothing about a resource that is not the client's.

use http::{HeaderMap, header};

use crate::decide::{PRECONDITION_FAILED, PRECONDITION_UNSUPPORTED, Refusal, VERSION_UNKNOWN};
use crate::fhir::json::Json;
use crate::fhir::reference::is_id;

/// The version of a fetched resource: `meta.versionId`, or else the `ETag`; where both are there they agree.
pub(super) fn version(resource: Json<'_>, headers: &HeaderMap) -> Result<String, Refusal> {
    let unknown = || VERSION_UNKNOWN.refuse();
    let body = resource.get("meta").and_then(|meta| meta.get("versionId")).and_then(Json::as_str);
    let tag = headers.get(header::ETAG).map(|value| value.to_str().ok().and_then(opaque).ok_or_else(unknown));
    let found = match (body, tag.transpose()?) {
        (Some(body), Some(tag)) if body != tag => None,
        (body, tag) => body.or(tag),
    };
    found.filter(|version| is_id(version)).map(str::to_owned).ok_or_else(unknown)
}

/// Whether the client's conditions hold for the version that is there, or for nothing being there.
pub(super) fn check(headers: &HeaderMap, current: Option<&str>) -> Result<(), Refusal> {
    if headers.contains_key(header::IF_UNMODIFIED_SINCE) {
        return Err(PRECONDITION_UNSUPPORTED.refuse());
    }
    let names = |name| headers.get(name).map(|value| value.to_str().is_ok_and(|tags| lists(tags, current)));
    if names(header::IF_MATCH) == Some(false) || names(header::IF_NONE_MATCH) == Some(true) {
        return Err(PRECONDITION_FAILED.refuse());
    }
    Ok(())
}

fn lists(tags: &str, current: Option<&str>) -> bool {
    let Some(current) = current else { return false };
    tags.trim() == "*" || tags.split(',').any(|tag| opaque(tag.trim()) == Some(current))
}

/// The version that an entity tag names.
pub(super) fn tag(tag: &str) -> Option<&str> {
    opaque(tag).filter(|version| is_id(version))
}

/// What stands between the quotation marks of an entity tag; FHIR compares weakly.
fn opaque(tag: &str) -> Option<&str> {
    tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
#[path = "precondition_tests.rs"]
mod tests;
