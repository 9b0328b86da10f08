//! How far a grant reaches into a type, and whether a resource is within that reach (enforcement.md §1 "Visible", §5).

use smallvec::SmallVec;

use super::constraint::{Part, holds};
use super::grant::{Grant, PatientIds};
use super::linked::{self, Seen, is_linked};
use super::rule::{Refusal, Rule};
use crate::config::{PatientData, Snapshot};
use crate::fhir::json::{Json, Offset};
use crate::fhir::reference::Literal;
use crate::fhir::{ResourceType, SubjectRule};
use crate::scope::Letter;

pub(super) const SCOPE_MISSING: Rule =
    Rule::forbidden("scope-missing", "no scope of this token covers this interaction on this resource type");

pub(super) const TYPE_NOT_PATIENT_DATA: Rule = Rule::forbidden(
    "type-not-patient-data",
    "this resource type is no patient's data and not shared, so scopes in a patient context do not reach it",
);

/// The one answer for "does not exist", "deleted" and "exists but is not yours" (enforcement.md §1).
pub const NOT_FOUND_OR_NOT_YOURS: Rule = Rule::other(
    "not-found-or-not-yours",
    404,
    "not-found",
    "there is no such resource, or it is not within what this token may see",
);

pub(super) const RULES: &[&Rule] = &[&SCOPE_MISSING, &TYPE_NOT_PATIENT_DATA, &NOT_FOUND_OR_NOT_YOURS];

/// How far a grant reaches into a type.
#[derive(Debug)]
pub(super) enum Reach<'s> {
    /// Every resource of the type.
    Everything,
    /// Data of these patients, by these elements.
    Patients { patients: PatientIds<'s>, rule: &'s SubjectRule },
    /// A type that holds no patient's data.
    Shared,
    /// By several permits or one, at least one of them with a constraint; `rule` says whose a resource is.
    Constrained { parts: Vec<Part<'s>>, rule: Option<&'s SubjectRule> },
    /// A type whose resources are a patient's through others.
    Linked { patients: PatientIds<'s> },
}

impl Reach<'_> {
    /// The name of the rule that lets a request with this reach pass.
    pub(super) fn rule(&self) -> &'static str {
        match self {
            Self::Everything => "unrestricted",
            Self::Patients { .. } => "own-patient",
            Self::Shared => "shared-type",
            Self::Constrained { .. } => "constrained",
            Self::Linked { .. } => "linked",
        }
    }
}

/// The elements that make a resource of this type a patient's, as configured.
pub(super) fn membership(snapshot: &Snapshot, of: ResourceType) -> Option<&SubjectRule> {
    let tables = snapshot.fhir.tables;
    match snapshot.fhir.patient_data {
        _ if is_linked(of) => None,
        PatientData::Subject => tables.subject(of),
        // The definition leaves types out that carry a patient all the same.
        PatientData::Compartment => tables.compartment(of).or_else(|| tables.subject(of)),
    }
}

/// How far `grant` reaches with `letter` into `of`.
///
/// # Errors
/// No permit covers the type, or those that do have a patient context and the type is no patient's.
pub(super) fn reach<'s>(
    snapshot: &'s Snapshot,
    grant: &'s Grant,
    of: ResourceType,
    letter: Letter,
) -> Result<Reach<'s>, Refusal> {
    if grant.unrestricted(of, letter) {
        return Ok(Reach::Everything);
    }
    let patients = grant.patients(of, letter);
    let reads = matches!(letter, Letter::Read | Letter::Search);
    if is_linked(of) && reads && !patients.is_empty() {
        return Ok(Reach::Linked { patients });
    }
    if grant.constrained(of, letter).next().is_some() {
        return constrained(snapshot, grant, of, letter, patients);
    }
    if patients.is_empty() {
        return Err(SCOPE_MISSING.refuse().needing(grant.needed(Some(of), letter)));
    }
    if snapshot.fhir.shared_types.contains(of) {
        return if reads { Ok(Reach::Shared) } else { Err(TYPE_NOT_PATIENT_DATA.refuse()) };
    }
    match membership(snapshot, of) {
        Some(rule) => Ok(Reach::Patients { patients, rule }),
        None => Err(TYPE_NOT_PATIENT_DATA.refuse()),
    }
}

/// The reach of permits with a constraint, beside those without one for `patients`.
fn constrained<'s>(
    snapshot: &'s Snapshot,
    grant: &'s Grant,
    of: ResourceType,
    letter: Letter,
    patients: PatientIds<'s>,
) -> Result<Reach<'s>, Refusal> {
    let shared = snapshot.fhir.shared_types.contains(of);
    let reads = matches!(letter, Letter::Read | Letter::Search);
    if shared && reads && !patients.is_empty() {
        return Ok(Reach::Shared);
    }
    let rule = if shared { None } else { membership(snapshot, of) };
    let mut parts = Vec::new();
    if rule.is_some() && !patients.is_empty() {
        parts.push(Part { patients: Some(patients.into_vec()), filter: None });
    }
    for (permit, filter) in grant.constrained(of, letter) {
        match permit.patients() {
            Some(_) if shared && reads => parts.push(Part { patients: None, filter: Some(filter) }),
            Some(patients) if rule.is_some() => {
                parts.push(Part { patients: Some(patients), filter: Some(filter) });
            }
            Some(_) => {}
            None => parts.push(Part { patients: None, filter: Some(filter) }),
        }
    }
    if parts.is_empty() { Err(TYPE_NOT_PATIENT_DATA.refuse()) } else { Ok(Reach::Constrained { parts, rule }) }
}

/// Whether `resource` may leave under `grant`: some permit covers its type with `letter`, and it is within that permit's reach.
///
/// Everything is read off the resource's own body: its type, its id, its subject elements.
pub fn visible(snapshot: &Snapshot, grant: &Grant, letter: Letter, resource: Json<'_>) -> bool {
    visible_with(snapshot, grant, letter, resource, &Seen::default())
}

/// As [`visible`], for a resource that others lead to, too: `seen` is what was looked up for it.
pub fn visible_with(snapshot: &Snapshot, grant: &Grant, letter: Letter, resource: Json<'_>, seen: &Seen) -> bool {
    type_of(snapshot, resource).is_some_and(|of| Judge::of(snapshot, grant).visible(letter, of, (resource, None), seen))
}

/// Judges resources by one grant. How far that reaches into a type is found once for those of it that follow each other.
pub struct Judge<'s, 'd> {
    snapshot: &'s Snapshot,
    grant: &'s Grant,
    bases: SmallVec<[&'s str; 4]>,
    known: Option<((ResourceType, Letter), Option<Reach<'s>>)>,
    /// What the last one of those said.
    said: Said<'d>,
}

/// Where a resource says whose it is, and what a reference there named.
#[derive(Default)]
struct Said<'d> {
    resource: Option<Json<'d>>,
    references: SmallVec<[Offset; 4]>,
    /// The text of the last reference that was read, and the patient whom it names.
    named: Option<(&'d str, Option<&'d str>)>,
}

impl<'d> Said<'d> {
    /// Whether `resource` names one of `patients` in an element of `rule`; `like` has the same nodes as it, and so its references
    /// at the same places.
    fn names(
        &mut self,
        patients: &[&str],
        bases: &[&str],
        rule: &SubjectRule,
        (resource, like): (Json<'d>, Option<Json<'d>>),
    ) -> bool {
        let is_like = self.resource.zip(like).is_some_and(|(last, like)| last.is(like));
        if !is_like {
            self.references.clear();
            visit_references(rule, resource, &mut |reference| self.references.push(reference.offset_in(resource)));
        }
        self.resource = Some(resource);
        self.references.iter().any(|offset| {
            let Some(text) = resource.inside(*offset).as_str() else { return false };
            // Those of a page mostly say the same.
            let named = self.named.filter(|(last, _)| *last == text).unwrap_or_else(|| (text, patient(text, bases)));
            self.named = Some(named);
            named.1.is_some_and(|id| patients.contains(&id))
        })
    }
}

impl<'s, 'd> Judge<'s, 'd> {
    /// One that has judged nothing yet.
    pub fn of(snapshot: &'s Snapshot, grant: &'s Grant) -> Self {
        Self { snapshot, grant, bases: snapshot.fhir.bases(), known: None, said: Said::default() }
    }

    /// Whether a resource of the type `of` may leave; see [`visible_with`]. `like` is one that has the same nodes.
    pub fn visible(
        &mut self,
        letter: Letter,
        of: ResourceType,
        (resource, like): (Json<'d>, Option<Json<'d>>),
        seen: &Seen,
    ) -> bool {
        let id = || resource.get("id").and_then(Json::as_str).unwrap_or_default();
        if letter == Letter::Read && self.grant.is_identity(of, id()) {
            return true;
        }
        if self.known.as_ref().is_none_or(|(known, _)| *known != (of, letter)) {
            self.known = Some(((of, letter), reach(self.snapshot, self.grant, of, letter).ok()));
            self.said = Said::default();
        }
        // Whether some element that says whose the resource is names one of `patients`.
        let mut belongs = |patients: &[&str], rule: &SubjectRule| {
            if of == ResourceType::PATIENT {
                return patients.contains(&id());
            }
            self.said.names(patients, &self.bases, rule, (resource, like))
        };
        match self.known.as_ref().and_then(|(_, reach)| reach.as_ref()) {
            Some(Reach::Everything | Reach::Shared) => true,
            Some(Reach::Patients { patients, rule }) => belongs(patients, rule),
            Some(Reach::Constrained { parts, rule }) => parts.iter().any(|part| {
                part.filter.is_none_or(|filter| holds(self.snapshot, filter, resource))
                    && match (&part.patients, rule) {
                        (None, _) => true,
                        (Some(patients), Some(rule)) => belongs(patients, rule),
                        (Some(_), None) => false,
                    }
            }),
            Some(Reach::Linked { patients }) => linked::belongs(self.snapshot, self.grant, resource, patients, seen),
            None => false,
        }
    }
}

/// The resource's own type, if this FHIR version has it.
pub fn type_of(snapshot: &Snapshot, resource: Json<'_>) -> Option<ResourceType> {
    ResourceType::parse(snapshot.fhir.version, ResourceType::member(resource)?.as_str()?)
}

/// The patients whose the resource is, by its own elements.
pub(super) fn patients_of(snapshot: &Snapshot, of: ResourceType, resource: Json<'_>) -> Vec<String> {
    if of == ResourceType::PATIENT {
        return resource.get("id").and_then(Json::as_str).map(str::to_owned).into_iter().collect();
    }
    let mut patients = Vec::new();
    if let Some(rule) = membership(snapshot, of) {
        let bases = snapshot.fhir.bases();
        visit_references(rule, resource, &mut |reference| {
            patients.extend(reference.as_str().and_then(|text| patient(text, &bases)).map(str::to_owned));
        });
    }
    patients
}

/// Calls `visit` with every reference that says whose the resource is.
fn visit_references<'d>(rule: &SubjectRule, resource: Json<'d>, visit: &mut dyn FnMut(Json<'d>)) {
    for element in &rule.elements {
        resource.visit(&element.steps, &mut |value| {
            if let Some(reference) = value.get("reference") {
                visit(reference);
            }
        });
    }
}

/// The patient whom a reference names.
fn patient<'d>(reference: &'d str, bases: &[&str]) -> Option<&'d str> {
    let literal = Literal::parse(reference, bases)?;
    (literal.resource_type == "Patient").then_some(literal.id)
}
