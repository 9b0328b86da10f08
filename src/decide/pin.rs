//! Which version a write meets at the FHIR server, and whether that server can be trusted to apply it to no other
//! (enforcement.md §2.7).

use serde::{Deserialize, Serialize};

use super::checked::{CheckedKind, CheckedWrite};
use super::rule::{Refusal, Rule};
use crate::config::Snapshot;

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

pub(super) const WRITE_UNPINNED: Rule = Rule::forbidden(
    "write-unpinned",
    "the FHIR server ignores `If-Match` here and would apply this write to a version that was not checked, so it is closed to a token in a patient context or with a constraint",
);

pub const WRITE_UNPROBED: Rule = Rule::other(
    "write-unprobed",
    503,
    "transient",
    "it is not known yet whether the FHIR server applies a write to the checked version only; try again in a minute",
);

pub(super) const RULES: &[&Rule] = &[
    &VERSION_UNKNOWN,
    &PRECONDITION_FAILED,
    &PRECONDITION_UNSUPPORTED,
    &WRITE_CONFLICT,
    &WRITE_UNPINNED,
    &WRITE_UNPROBED,
];

/// What a FHIR server was seen to do with the conditions of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Obeyed {
    /// PUT with a stale `If-Match` changes nothing.
    pub put: bool,
    /// DELETE with a stale `If-Match` deletes nothing.
    pub delete: bool,
    /// PUT with `If-None-Match: *` overwrites nothing.
    pub absent: bool,
    /// The same of a transaction's entries.
    pub transaction: ObeyedInTransaction,
}

/// What a FHIR server was seen to do with the conditions of a transaction's entries (`ifMatch`, `ifNoneMatch`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ObeyedInTransaction {
    pub put: bool,
    pub delete: bool,
    pub absent: bool,
}

impl Obeyed {
    /// What both obey.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let (mine, others) = (self.transaction, other.transaction);
        Self {
            put: self.put && other.put,
            delete: self.delete && other.delete,
            absent: self.absent && other.absent,
            transaction: ObeyedInTransaction {
                put: mine.put && others.put,
                delete: mine.delete && others.delete,
                absent: mine.absent && others.absent,
            },
        }
    }
}

impl CheckedWrite {
    /// Whether it must be known what the FHIR server obeys: not for a creation, nor for a method that the operator has opened.
    pub fn needs_pin(&self, snapshot: &Snapshot) -> bool {
        let open = snapshot.fhir.unpinned_writes;
        match self.kind() {
            CheckedKind::Create => false,
            CheckedKind::Update(_) | CheckedKind::Patch(_) => !open.put,
            CheckedKind::Delete(_) => !open.delete,
        }
    }

    /// Whether the FHIR server applies this write to the version that is checked and no other.
    ///
    /// # Errors
    /// It does not.
    pub fn check_pin(&self, obeyed: Obeyed) -> Result<(), Refusal> {
        let (alone, together, method) = match self.kind() {
            CheckedKind::Create => return Ok(()),
            CheckedKind::Update(_) | CheckedKind::Patch(_) => (obeyed.put, obeyed.transaction.put, "PUT"),
            CheckedKind::Delete(_) => (obeyed.delete, obeyed.transaction.delete, "DELETE"),
        };
        let pinned = if self.in_transaction() { together } else { alone };
        if pinned { Ok(()) } else { Err(unpinned(method)) }
    }

    /// Whether the FHIR server creates by PUT only what is not there.
    ///
    /// # Errors
    /// It does not.
    pub fn check_absent(&self, obeyed: Obeyed) -> Result<(), Refusal> {
        let pinned = if self.in_transaction() { obeyed.transaction.absent } else { obeyed.absent };
        if pinned { Ok(()) } else { Err(unpinned("PUT with If-None-Match: *")) }
    }
}

fn unpinned(method: &str) -> Refusal {
    WRITE_UNPINNED
        .refuse()
        .because(format!("the FHIR server does not obey the condition of {method}; [fhir] unpinned_writes opens it"))
}
