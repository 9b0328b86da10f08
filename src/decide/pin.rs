//! Which version a write meets at the FHIR server, and whether that server can be trusted to apply it to no other
//! (enforcement.md §2.7).

use super::rule::Rule;

pub const VERSION_UNKNOWN: Rule = Rule::other(
    "version-unknown",
    502,
    "processing",
    "the FHIR server gives this resource no version, or two of them, so that a write could overwrite what was not checked",
);

pub const PRECONDITION_FAILED: Rule = Rule::other(
    "precondition-failed",
    412,
    "conflict",
    "the current version is not one that `If-Match` and `If-None-Match` allow",
);

pub const PRECONDITION_UNSUPPORTED: Rule = Rule::bad_request(
    "precondition-unsupported",
    "a write under a patient context is made conditional by `If-Match` or `If-None-Match`, not by a date",
);

pub const WRITE_CONFLICT: Rule = Rule::other(
    "write-conflict",
    409,
    "conflict",
    "the resource changed while it was being written: read it again and repeat the change",
);

pub(super) const RULES: &[&Rule] =
    &[&VERSION_UNKNOWN, &PRECONDITION_FAILED, &PRECONDITION_UNSUPPORTED, &WRITE_CONFLICT];
