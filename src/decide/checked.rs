//! Writes under a restricted grant: what is stored and what is to be stored must both be within a permit, and the
//! write meets the checked version or nothing (enforcement.md §2.7, §5).
//!
//! Whose a written resource is, is always said by its subject elements, and every patient in them counts: one who is only the
//! performer, or who shares the resource with another, must not write into the other's chart.

use std::sync::Arc;

use http::Method;

use super::change;
use super::constraint::holds;
use super::entry::check_resource;
use super::grant::Grant;
use super::parameters::{self, FORMAT_NOT_JSON};
use super::permit::{Action, Permit, Pin, UpstreamRequest};
use super::reach::{SCOPE_MISSING, TYPE_NOT_PATIENT_DATA, type_of};
use super::references::{self, Beside, LookUp};
use super::rule::{Refusal, Rule};
use super::subjects::{SUBJECT_NOT_OWN, check_subjects, patients_in};
use crate::config::Snapshot;
use crate::fhir::ResourceType;
use crate::fhir::interaction::Request;
use crate::fhir::json::{Document, Json};
use crate::scope::{Filter, Letter};

pub(super) const PATIENT_CREATE: Rule =
    Rule::forbidden("patient-create", "a token in a patient context does not create a Patient");

pub(super) const CONSTRAINT_NOT_MET: Rule = Rule::forbidden(
    "constraint-not-met",
    "what is written must meet the constraint of the scope that lets write it (`?category=…`)",
);

pub(super) const RULES: &[&Rule] = &[&PATIENT_CREATE, &CONSTRAINT_NOT_MET];

/// What is written, and to which id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CheckedKind {
    Create,
    Update(String),
    Patch(String),
    Delete(String),
}

impl CheckedKind {
    fn letter(&self) -> Letter {
        match self {
            Self::Create => Letter::Create,
            Self::Update(_) | Self::Patch(_) => Letter::Update,
            Self::Delete(_) => Letter::Delete,
        }
    }
}

/// A write that is carried out in steps, each of which asks here: fetch, check what is stored, check what is to be stored, send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckedWrite {
    of: ResourceType,
    kind: CheckedKind,
    /// One of these must cover the stored version, and one the new.
    permits: Vec<WritePermit>,
    readable: bool,
    /// What other entries of the same transaction leave; none for a write of its own.
    pub(super) beside: Option<Arc<Beside>>,
    /// Criteria of which the FHIR server is told that nothing must meet them, for a creation.
    pub(super) unless: Option<String>,
    /// Whether a PUT creates and replaces nothing.
    pub(super) only_new: bool,
}

/// What one permit lets write of a type.
#[derive(Clone, PartialEq, Eq, Debug)]
struct WritePermit {
    /// Whose data; none for whosever it is.
    patients: Option<Vec<String>>,
    filter: Option<Filter>,
}

impl WritePermit {
    fn is_about(&self, patients: &[String]) -> bool {
        let all_own = |own: &Vec<String>| !patients.is_empty() && patients.iter().all(|one| own.contains(one));
        self.patients.as_ref().is_none_or(all_own)
    }

    fn is_met(&self, snapshot: &Snapshot, resource: Json<'_>) -> bool {
        self.filter.as_ref().is_none_or(|filter| holds(snapshot, filter, resource))
    }
}

/// Decides a write that no permit covers without a patient context or a constraint.
pub(super) fn checked(
    snapshot: &Snapshot,
    grant: &Grant,
    request: &Request,
    of: ResourceType,
    kind: CheckedKind,
) -> Result<Permit, Refusal> {
    let write = CheckedWrite::new(snapshot, grant, of, kind)?;
    parameters::of_read(request, true)?;
    if !request.accepts_json {
        return Err(FORMAT_NOT_JSON.refuse());
    }
    let rule = write.rule();
    Ok(Permit { action: Action::Checked(write), rule })
}

fn permits(snapshot: &Snapshot, grant: &Grant, of: ResourceType, letter: Letter) -> Result<Vec<WritePermit>, Refusal> {
    let about_patients = snapshot.fhir.tables.subject(of).is_some() && !snapshot.fhir.shared_types.contains(of);
    let whole = grant.patient_sets(of, letter).into_iter();
    let whole = whole.map(|patients| WritePermit { patients: Some(patients), filter: None });
    let constrained = grant.constrained(of, letter).map(|(permit, filter)| {
        let patients = permit.patients().map(|patients| patients.into_iter().map(str::to_owned).collect());
        WritePermit { patients, filter: Some(filter.clone()) }
    });
    let covering: Vec<WritePermit> = whole.chain(constrained).collect();
    if covering.is_empty() {
        return Err(SCOPE_MISSING.refuse().needing(grant.needed(Some(of), letter)));
    }
    let reaching: Vec<WritePermit> =
        covering.into_iter().filter(|permit| about_patients || permit.patients.is_none()).collect();
    if reaching.is_empty() { Err(TYPE_NOT_PATIENT_DATA.refuse()) } else { Ok(reaching) }
}

impl CheckedWrite {
    pub(super) fn new(
        snapshot: &Snapshot,
        grant: &Grant,
        of: ResourceType,
        kind: CheckedKind,
    ) -> Result<Self, Refusal> {
        let permits = permits(snapshot, grant, of, kind.letter())?;
        let readable = grant.covers(of, Letter::Read);
        let write = Self { of, kind, permits, readable, unless: None, only_new: false, beside: None };
        match write.kind {
            CheckedKind::Create => write.may_be_new().map(|()| write),
            _ => Ok(write),
        }
    }

    /// The name of the rule that lets it pass.
    pub(super) fn rule(&self) -> &'static str {
        if self.permits.iter().any(|permit| permit.filter.is_none()) { "own-patient" } else { "constrained" }
    }

    /// The same permits for another write of the type.
    pub(super) fn of_kind(&self, kind: CheckedKind) -> Self {
        Self { kind, ..self.clone() }
    }

    pub(super) fn may_be_new(&self) -> Result<(), Refusal> {
        let somebody_new = self.permits.iter().any(|permit| permit.patients.is_none());
        if self.of != ResourceType::PATIENT || somebody_new { Ok(()) } else { Err(PATIENT_CREATE.refuse()) }
    }

    /// Whether it goes up with others, as one.
    pub(super) fn in_transaction(&self) -> bool {
        self.beside.is_some()
    }

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

    /// Whether a PUT creates and replaces nothing.
    pub fn only_new(&self) -> bool {
        self.only_new
    }

    /// Whether the FHIR server is to create only what it does not have by the criteria.
    pub fn is_unless(&self) -> bool {
        self.unless.is_some() && self.kind == CheckedKind::Create
    }

    /// The same creation whatever the FHIR server has.
    #[must_use]
    pub fn anyway(self) -> Self {
        Self { unless: None, ..self }
    }

    /// The gate's own request for the version that is stored.
    pub fn look_up(&self) -> Option<UpstreamRequest> {
        Some(UpstreamRequest::new(Method::GET, format!("/{}/{}", self.of, self.id()?)).inspected())
    }

    /// Whether what is stored is what was asked for and within one of the permits.
    pub fn stored_is_own(&self, snapshot: &Snapshot, stored: Json<'_>) -> bool {
        let as_asked =
            type_of(snapshot, stored) == Some(self.of) && stored.get("id").and_then(Json::as_str) == self.id();
        as_asked && self.is_within(snapshot, stored)
    }

    /// Whether what an answer holds is of the written type, but not within one of the permits: the answer is about something else.
    pub fn is_anothers(&self, snapshot: &Snapshot, answered: Json<'_>) -> bool {
        type_of(snapshot, answered) == Some(self.of) && !self.is_within(snapshot, answered)
    }

    fn is_within(&self, snapshot: &Snapshot, resource: Json<'_>) -> bool {
        let patients = patients_in(snapshot, self.of, resource);
        self.permits.iter().any(|permit| permit.is_about(&patients) && permit.is_met(snapshot, resource))
    }

    /// Checks what is to be stored, and tells which of its references are still to be looked up.
    ///
    /// # Errors
    /// The rule that the body breaks.
    pub fn check_new(&self, snapshot: &Snapshot, grant: &Grant, body: Json<'_>) -> Result<Vec<LookUp>, Refusal> {
        check_resource(snapshot, body, self.of, self.id())?;
        if self.permits.iter().any(|permit| permit.patients.is_some()) {
            check_subjects(snapshot, self.of, body)?;
        }
        let patients = patients_in(snapshot, self.of, body);
        let about: Vec<&WritePermit> = self.permits.iter().filter(|permit| permit.is_about(&patients)).collect();
        if about.is_empty() {
            return Err(SUBJECT_NOT_OWN.refuse());
        }
        let taking: Vec<&WritePermit> = about.into_iter().filter(|permit| permit.is_met(snapshot, body)).collect();
        if taking.is_empty() {
            return Err(CONSTRAINT_NOT_MET.refuse());
        }
        // Patients that may be referred to because the write is theirs.
        let beside: Vec<&str> = taking
            .iter()
            .flat_map(|permit| permit.patients.as_ref().unwrap_or(&patients))
            .map(String::as_str)
            .collect();
        references::look_ups(snapshot, grant, &beside, self.beside.as_deref(), body)
    }

    /// Checks what a new version may not change of the stored one. Both are within the permits.
    ///
    /// # Errors
    /// It changes who a patient is, or takes a security label away.
    pub fn check_change(&self, snapshot: &Snapshot, stored: &str, new: &str) -> Result<(), Refusal> {
        let depth = snapshot.limits.json_depth;
        let versions = (Document::parse(stored.as_bytes(), depth), Document::parse(new.as_bytes(), depth));
        let (Ok(stored), Ok(new)) = versions else { return Err(SUBJECT_NOT_OWN.refuse()) };
        let (stored, new) = (stored.root(), new.root());
        change::keeps_labels(stored, new)?;
        let is_met = |permit: &&WritePermit| permit.is_met(snapshot, stored) && permit.is_met(snapshot, new);
        let anyones = self.permits.iter().filter(is_met).any(|permit| permit.patients.is_none());
        if self.of != ResourceType::PATIENT || anyones { Ok(()) } else { change::keeps_identity(stored, new) }
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
        request.if_none_exist = self.unless.clone().filter(|_| self.is_unless());
        request.pin = Some(pin);
        request
    }
}

#[cfg(test)]
#[path = "checked_tests.rs"]
mod tests;
