//! Writes under a restricted grant: what is stored and what is to be stored must both be about the permit's patients, and the
//! write meets the checked version or nothing (enforcement.md §2.7, §5).
//!
//! Whose a written resource is, is always said by its subject elements, and every patient in them counts: one who is only the
//! performer, or who shares the resource with another, must not write into the other's chart.

use std::collections::HashSet;
use std::sync::Arc;

use http::Method;

use super::entry::check_resource;
use super::grant::Grant;
use super::parameters::{self, FORMAT_NOT_JSON};
use super::permit::{Action, Permit, Pin, UpstreamRequest};
use super::reach::{SCOPE_MISSING, TYPE_NOT_PATIENT_DATA, type_of};
use super::references::{self, LookUp};
use super::rule::{Refusal, Rule};
use super::write::WRITE_RESTRICTED;
use crate::config::Snapshot;
use crate::fhir::interaction::Request;
use crate::fhir::json::Json;
use crate::fhir::patch::PatchError;
use crate::fhir::reference::Literal;
use crate::fhir::tree::Tree;
use crate::fhir::{ResourceType, SubjectRule};
use crate::scope::Letter;

pub(super) const SUBJECT_SHAPE: Rule = Rule::bad_request(
    "subject-shape",
    "an element that says whom the resource is about is no Reference of one meaning: an object whose `reference` is a text, whose `type` agrees with it, and without an `identifier` beside it",
);

pub(super) const SUBJECT_NOT_OWN: Rule = Rule::forbidden(
    "subject-not-own",
    "what is written must be about the token's patient and no other: each element that says whom it is about refers to it as `Patient/id`",
);

pub(super) const PATIENT_CREATE: Rule =
    Rule::forbidden("patient-create", "a token in a patient context does not create a Patient");

pub(super) const PATIENT_IDENTITY: Rule = Rule::forbidden(
    "patient-identity",
    "a token in a patient context does not change `Patient.identifier` or `Patient.link`, which say who the patient is",
);

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

pub(super) const RULES: &[&Rule] = &[
    &SUBJECT_SHAPE,
    &SUBJECT_NOT_OWN,
    &PATIENT_CREATE,
    &PATIENT_IDENTITY,
    &PATCH_FORMAT,
    &PATCH_MALFORMED,
    &PATCH_TOO_MUCH,
    &PATCH_NOT_APPLICABLE,
    &VERSION_UNKNOWN,
    &PRECONDITION_FAILED,
    &PRECONDITION_UNSUPPORTED,
    &WRITE_CONFLICT,
];

/// What is written, and to which id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CheckedKind {
    Create,
    Update(String),
    Patch(String),
    Delete(String),
}

/// A write that is carried out in steps, each of which asks here: fetch, check what is stored, check what is to be stored, send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckedWrite {
    of: ResourceType,
    kind: CheckedKind,
    /// The patients of each permit that covers the write; what is written is within one of these sets.
    permits: Vec<Vec<String>>,
    readable: bool,
    /// What other entries of the same transaction leave.
    pub(super) beside: Arc<HashSet<(ResourceType, String)>>,
}

/// Decides a write whose every permit has a patient context.
pub(super) fn checked(
    snapshot: &Snapshot,
    grant: &Grant,
    request: &Request,
    of: ResourceType,
    kind: CheckedKind,
) -> Result<Permit, Refusal> {
    if snapshot.fhir.tables.subject(of).is_none() {
        return Err(TYPE_NOT_PATIENT_DATA.refuse());
    }
    if of == ResourceType::PATIENT && kind == CheckedKind::Create {
        return Err(PATIENT_CREATE.refuse());
    }
    parameters::of_read(request, true)?;
    if !request.accepts_json {
        return Err(FORMAT_NOT_JSON.refuse());
    }
    let letter = match kind {
        CheckedKind::Create => Letter::Create,
        CheckedKind::Update(_) | CheckedKind::Patch(_) => Letter::Update,
        CheckedKind::Delete(_) => Letter::Delete,
    };
    let permits = grant.patient_sets(of, letter);
    if permits.is_empty() {
        // Only permits with a constraint cover it, and none of these lets write.
        return Err(WRITE_RESTRICTED.refuse().because("a scope with a constraint"));
    }
    let readable = grant.covers(of, Letter::Read);
    Ok(Permit {
        action: Action::Checked(CheckedWrite { of, kind, permits, readable, beside: Arc::default() }),
        rule: "own-patient",
    })
}

impl CheckedWrite {
    pub fn of(&self) -> ResourceType {
        self.of
    }

    pub fn kind(&self) -> &CheckedKind {
        &self.kind
    }

    /// The id that is written to; none where the FHIR server gives it.
    pub fn id(&self) -> Option<&str> {
        match &self.kind {
            CheckedKind::Create => None,
            CheckedKind::Update(id) | CheckedKind::Patch(id) | CheckedKind::Delete(id) => Some(id),
        }
    }

    /// Whether the token may read the type at all, so that the answer may have content.
    pub fn readable(&self) -> bool {
        self.readable
    }

    /// Whether a PUT to an id that does not exist creates; never a Patient.
    pub fn may_create(&self, snapshot: &Snapshot) -> bool {
        snapshot.fhir.upsert && matches!(self.kind, CheckedKind::Update(_)) && self.of != ResourceType::PATIENT
    }

    /// The gate's own request for the version that is stored.
    pub fn look_up(&self) -> Option<UpstreamRequest> {
        Some(UpstreamRequest::new(Method::GET, format!("/{}/{}", self.of, self.id()?)).inspected())
    }

    /// Whether what is stored is what was asked for and about the permit's patients only.
    pub fn stored_is_own(&self, snapshot: &Snapshot, stored: &Json<'_>) -> bool {
        let as_asked =
            type_of(snapshot, stored) == Some(self.of) && stored.get("id").and_then(Json::as_str) == self.id();
        as_asked && self.is_own(&patients_in(snapshot, self.of, stored))
    }

    /// Checks what is to be stored, and tells which of its references are still to be looked up.
    ///
    /// # Errors
    /// The rule that the body breaks.
    pub fn check_new(&self, snapshot: &Snapshot, grant: &Grant, body: &Json<'_>) -> Result<Vec<LookUp>, Refusal> {
        check_resource(snapshot, body, self.of, self.id())?;
        if let Some(rule) = snapshot.fhir.tables.subject(self.of) {
            check_subjects(snapshot, rule, body)?;
        }
        let patients = patients_in(snapshot, self.of, body);
        if !self.is_own(&patients) {
            return Err(SUBJECT_NOT_OWN.refuse());
        }
        references::look_ups(snapshot, grant, &self.patients_beside(&patients), &self.beside, body)
    }

    /// Checks what a new version may not change of the stored one.
    ///
    /// # Errors
    /// [`PATIENT_IDENTITY`].
    pub fn check_change(&self, stored: &str, new: &str) -> Result<(), Refusal> {
        if self.of != ResourceType::PATIENT {
            return Ok(());
        }
        let (stored, new) = (Tree::read(stored), Tree::read(new));
        let kept = |name| match (stored.as_ref().and_then(|s| s.get(name)), new.as_ref().and_then(|n| n.get(name))) {
            (None, None) => true,
            (Some(stored), Some(new)) => stored.same(new),
            _ => false,
        };
        if kept("identifier") && kept("link") { Ok(()) } else { Err(PATIENT_IDENTITY.refuse()) }
    }

    /// A `test` operation tells what the resource holds: `readable` says whether the token may know that.
    ///
    /// # Errors
    /// It may not.
    pub fn check_tests(&self, grant: &Grant, readable: bool) -> Result<(), Refusal> {
        if readable {
            return Ok(());
        }
        Err(SCOPE_MISSING.refuse().needing(grant.needed(Some(self.of), Letter::Read)).because("a `test` operation"))
    }

    /// What goes up once everything was checked. A patch goes up as a PUT of its checked result.
    pub fn send(&self, pin: Pin) -> UpstreamRequest {
        let (method, target) = match &self.kind {
            CheckedKind::Create => (Method::POST, format!("/{}", self.of)),
            CheckedKind::Update(id) | CheckedKind::Patch(id) => (Method::PUT, format!("/{}/{id}", self.of)),
            CheckedKind::Delete(id) => (Method::DELETE, format!("/{}/{id}", self.of)),
        };
        let mut request = UpstreamRequest::new(method, target).inspected();
        request.minimal = !self.readable;
        request.pin = Some(pin);
        request
    }

    /// Whether `patients` are somebody, and all within one permit.
    fn is_own(&self, patients: &[String]) -> bool {
        !patients.is_empty() && self.permits.iter().any(|permit| patients.iter().all(|one| permit.contains(one)))
    }

    /// The patients of a permit that `patients` are within.
    fn patients_beside(&self, patients: &[String]) -> Vec<&str> {
        let within = |permit: &&Vec<String>| patients.iter().all(|one| permit.contains(one));
        self.permits.iter().filter(within).flatten().map(String::as_str).collect()
    }
}

/// The refusal of a patch that was not applied.
pub(crate) fn patch_refusal(error: PatchError) -> Refusal {
    let rule = match error {
        PatchError::Malformed => &PATCH_MALFORMED,
        PatchError::TooMuch => &PATCH_TOO_MUCH,
        PatchError::NotThere | PatchError::TestFailed => &PATCH_NOT_APPLICABLE,
    };
    rule.refuse().because(error.to_string())
}

/// Every patient that a subject element of the resource names, or the Patient itself.
fn patients_in(snapshot: &Snapshot, of: ResourceType, resource: &Json<'_>) -> Vec<String> {
    if of == ResourceType::PATIENT {
        return resource.get("id").and_then(Json::as_str).map(str::to_owned).into_iter().collect();
    }
    let bases = snapshot.fhir.bases();
    let mut patients = Vec::new();
    for element in snapshot.fhir.tables.subject(of).map(|rule| rule.elements.as_slice()).unwrap_or_default() {
        resource.visit(&element.steps, &mut |value| {
            let text = value.get("reference").and_then(Json::as_str);
            if let Some(literal) = text.and_then(|text| Literal::parse(text, &bases))
                && literal.resource_type == "Patient"
            {
                patients.push(literal.id.to_owned());
            }
        });
    }
    patients
}

/// Subject elements are References with one meaning: literal, or nothing but a text to display.
fn check_subjects(snapshot: &Snapshot, rule: &SubjectRule, body: &Json<'_>) -> Result<(), Refusal> {
    let bases = snapshot.fhir.bases();
    let mut subjects = Vec::new();
    for element in &rule.elements {
        reached(body, &element.steps, &mut subjects)?;
    }
    for subject in subjects {
        let identified = subject.get("identifier").is_some();
        match subject.get("reference") {
            // A logical reference may be anyone's.
            None if identified => return Err(SUBJECT_NOT_OWN.refuse()),
            None => {}
            Some(Json::String(_)) if identified => return Err(SUBJECT_SHAPE.refuse()),
            Some(Json::String(text)) => {
                let literal = Literal::parse(text, &bases).ok_or_else(|| SUBJECT_NOT_OWN.refuse())?;
                if subject.get("type").is_some_and(|of| of.as_str() != Some(literal.resource_type)) {
                    return Err(SUBJECT_SHAPE.refuse());
                }
            }
            Some(_) => return Err(SUBJECT_SHAPE.refuse()),
        }
    }
    Ok(())
}

/// The objects at the end of a path; anything else on the way or there is no shape that FHIR has.
fn reached<'j>(value: &'j Json<'j>, path: &[&str], found: &mut Vec<&'j Json<'j>>) -> Result<(), Refusal> {
    match (value, path.split_first()) {
        (Json::Array(elements), _) => elements.iter().try_for_each(|element| match element {
            Json::Object(_) => reached(element, path, found),
            _ => Err(SUBJECT_SHAPE.refuse()),
        }),
        (Json::Object(_), None) => {
            found.push(value);
            Ok(())
        }
        (Json::Object(_), Some((step, rest))) => match value.get(step) {
            Some(next) => reached(next, rest, found),
            None => Ok(()),
        },
        _ => Err(SUBJECT_SHAPE.refuse()),
    }
}

#[cfg(test)]
#[path = "checked_tests.rs"]
mod tests;
