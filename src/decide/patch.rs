//! Why a patch is refused: under a restricted grant the gate applies it itself (enforcement.md §5).

use super::rule::{Refusal, Rule};
use crate::fhir::patch::PatchError;

pub const PATCH_FORMAT: Rule = Rule::other(
    "patch-format",
    415,
    "not-supported",
    "under a patient context a patch is a JSON Patch, sent as `application/json-patch+json`",
);

pub(super) const PATCH_MALFORMED: Rule =
    Rule::bad_request("patch-malformed", "the body is no list of JSON Patch operations (RFC 6902)");

pub(super) const PATCH_TOO_MUCH: Rule = Rule::other(
    "patch-too-much",
    413,
    "too-long",
    "the patch has too many operations, or makes the resource too large or nest too deep",
);

pub(super) const PATCH_NOT_APPLICABLE: Rule = Rule::other(
    "patch-not-applicable",
    422,
    "processing",
    "the patch does not fit the resource: a path is not there, or a `test` failed",
);

pub(super) const RULES: &[&Rule] = &[&PATCH_FORMAT, &PATCH_MALFORMED, &PATCH_TOO_MUCH, &PATCH_NOT_APPLICABLE];

/// The refusal of a patch that was not applied.
pub(crate) fn patch_refusal(error: PatchError) -> Refusal {
    let rule = match error {
        PatchError::Malformed => &PATCH_MALFORMED,
        PatchError::TooMuch => &PATCH_TOO_MUCH,
        PatchError::NotThere | PatchError::TestFailed => &PATCH_NOT_APPLICABLE,
    };
    rule.refuse().because(error.to_string())
}
