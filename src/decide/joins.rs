//! Chains and `_has`: they read other resources, and none may be read whose content the token could not find out by itself
//! (enforcement.md §4 "Joins").
//!
//! Each step is judged by what is known of the resource that it leads to. Under a patient context it leads to the patient's own
//! data by the one reference that says whom a resource is about, or to a type that is open to the token as a whole. So no answer
//! can depend on what is another patient's.

use super::naming::PATIENT_PARAMETER;
use super::parameters::{
    JOIN_RESTRICTED, PARAMETER_NOT_ALLOWED, PARAMETER_VALUE, Search, of_every_resource, plain_modifier,
};
use super::reach::{Reach, SCOPE_MISSING, TYPE_NOT_PATIENT_DATA, membership, reach};
use super::rule::Refusal;
use crate::config::Snapshot;
use crate::fhir::search::{Key, Parameter};
use crate::fhir::{FhirVersion, ResourceType, SearchParameter, SearchParameterKind, SubjectRule, TypeSet};
use crate::scope::Letter;

/// What is known of the resources that a join begins at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin<'s> {
    /// The whole type is open to the token.
    Any,
    /// They are these patients', and the upstream is asked for no others: by an element that names one patient at most, or by the
    /// id of the Patient.
    Pinned(&'s [String]),
    /// Verification lets them pass, and that is all.
    Seen,
}

/// Checks a chain or `_has`.
pub(super) fn check(search: &Search<'_>, parameter: &Parameter) -> Result<(), Refusal> {
    match search.of {
        Some(of) => hop(search, of, search.origin, &parameter.key, &parameter.value)
            .map_err(|refusal| of_patient(search, of, parameter, refusal)),
        None => Err(PARAMETER_VALUE.refuse().because("a join without a searched type")),
    }
}

/// A chain on a parameter that names the patient is refused as one.
fn of_patient(search: &Search<'_>, of: ResourceType, parameter: &Parameter, refusal: Refusal) -> Refusal {
    let rule = membership(search.snapshot, of).filter(|_| search.restricted);
    let names = rule.is_some_and(|rule| rule.names_patient.contains(&parameter.code()));
    if !names || ![&SCOPE_MISSING, &JOIN_RESTRICTED].contains(&refusal.rule) {
        return refusal;
    }
    Refusal { rule: &PATIENT_PARAMETER, ..refusal }
}

fn hop(search: &Search<'_>, at: ResourceType, origin: Origin<'_>, key: &Key, value: &str) -> Result<(), Refusal> {
    match key {
        Key::Plain { code, .. } if code.starts_with('_') && !of_every_resource(code) => {
            Err(PARAMETER_NOT_ALLOWED.refuse().because(code.as_str()))
        }
        Key::Plain { code, modifier } => {
            plain_modifier(modifier.as_deref(), value)?;
            if modifier.is_some() && parameter(search, at, code).is_none() {
                return Err(PARAMETER_NOT_ALLOWED
                    .refuse()
                    .because("a modifier on a parameter that FHIR does not define"));
            }
            along_references(search, at, code, modifier.as_deref())
        }
        Key::Has { of, by, rest } => {
            let of = named(search, of)?;
            let reached = back(search, at, origin, of, by)?;
            hop(search, of, reached, rest, value)
        }
        Key::Chain { code, of, rest } => {
            let targets = match of {
                Some(of) => TypeSet::of(named(search, of)?),
                None => targets(search, at, code)?,
            };
            if let Origin::Pinned(patients) = origin
                && targets.contains(ResourceType::PATIENT)
                && pin(search.snapshot, at).is_some_and(|rule| is_by(search, at, code, rule))
            {
                // Of the types that it could lead to it leads to a Patient: each of these resources is about one.
                let reached = own(search, ResourceType::PATIENT, patients)?;
                return hop(search, ResourceType::PATIENT, reached, rest, value);
            }
            for target in targets.iter() {
                open(search, target)?;
                hop(search, target, Origin::Any, rest, value)?;
            }
            Ok(())
        }
    }
}

/// The step of `_has`: to what refers to resources that are known.
fn back<'o>(
    search: &Search<'_>,
    at: ResourceType,
    origin: Origin<'o>,
    of: ResourceType,
    by: &str,
) -> Result<Origin<'o>, Refusal> {
    let opened = open(search, of);
    let Err(refused) = opened else { return Ok(Origin::Any) };
    let Origin::Pinned(patients) = origin else { return Err(refused) };
    let reached = own(search, of, patients)?;
    // What refers to the patient by an element that says whose it is, is the patient's.
    match membership(search.snapshot, of) {
        Some(rule) if at == ResourceType::PATIENT && is_by(search, of, by, rule) => Ok(reached),
        _ => Err(JOIN_RESTRICTED.refuse().because(format!("{of} by `{by}`"))),
    }
}

/// What is known of resources of the type that belong to `patients`.
///
/// # Errors
/// The token may not search for them by a permit without constraint.
fn own<'o>(search: &Search<'_>, of: ResourceType, patients: &'o [String]) -> Result<Origin<'o>, Refusal> {
    match searched(search, of)? {
        Reach::Everything | Reach::Shared => Ok(Origin::Any),
        Reach::Patients { patients: reached, .. } if patients.iter().all(|one| reached.contains(&one.as_str())) => {
            let pinned = of == ResourceType::PATIENT || pin(search.snapshot, of).is_some();
            Ok(if pinned { Origin::Pinned(patients) } else { Origin::Seen })
        }
        _ => Err(JOIN_RESTRICTED.refuse().because(of.name())),
    }
}

/// Whether every resource of the type is open to the token.
///
/// # Errors
/// It is not: no permit covers it, or none without a patient context or a constraint.
pub(super) fn open(search: &Search<'_>, of: ResourceType) -> Result<(), Refusal> {
    match searched(search, of)? {
        Reach::Everything | Reach::Shared => Ok(()),
        _ => Err(JOIN_RESTRICTED.refuse().because(of.name())),
    }
}

fn searched<'s>(search: &Search<'s>, of: ResourceType) -> Result<Reach<'s>, Refusal> {
    let reached = reach(search.snapshot, search.grant, of, Letter::Search);
    reached.map_err(|refusal| match refusal.rule == &TYPE_NOT_PATIENT_DATA {
        true => JOIN_RESTRICTED.refuse().because(of.name()),
        false => refusal,
    })
}

/// The rule of a type whose resources are about one patient at most, and one that is named by a single element.
pub(super) fn pin(snapshot: &Snapshot, of: ResourceType) -> Option<&SubjectRule> {
    let rule = membership(snapshot, of)?;
    let [element] = rule.elements.as_slice() else { return None };
    // What repeats can name others besides. The one step that these have repeats by FHIR's definition of the type.
    let repeats = match of.name() {
        "Account" | "AuditEvent" | "Contract" | "Provenance" | "Schedule" => true,
        "Composition" | "List" => snapshot.fhir.version == FhirVersion::R5,
        _ => element.steps.len() > 1,
    };
    (!repeats).then_some(rule)
}

/// Whether the parameter looks at nothing but elements that say whose a resource is.
fn is_by(search: &Search<'_>, of: ResourceType, code: &str, rule: &SubjectRule) -> bool {
    parameter(search, of, code).is_some_and(|parameter| {
        parameter.kind == SearchParameterKind::Reference
            && !parameter.elements.is_empty()
            && parameter.elements.iter().all(|element| rule.elements.contains(element))
    })
}

/// Modifiers that go along references: `:above` and `:below` through resources of the types that the parameter leads to, `:in`
/// through what the value names.
pub(super) fn along_references(
    search: &Search<'_>,
    of: ResourceType,
    code: &str,
    modifier: Option<&str>,
) -> Result<(), Refusal> {
    let Some(found) = parameter(search, of, code).filter(|found| found.kind == SearchParameterKind::Reference) else {
        return Ok(());
    };
    match modifier {
        Some("in" | "not-in") => Err(PARAMETER_NOT_ALLOWED.refuse().because("`:in` of a reference")),
        Some("above" | "below") => found.targets.iter().try_for_each(|target| open(search, target)),
        _ => Ok(()),
    }
}

fn parameter<'s>(search: &Search<'s>, of: ResourceType, code: &str) -> Option<&'s SearchParameter> {
    search.snapshot.fhir.tables.parameter(of, code)
}

/// The types that the reference `code` may lead to.
pub(super) fn targets(search: &Search<'_>, from: ResourceType, code: &str) -> Result<TypeSet, Refusal> {
    parameter(search, from, code)
        .map(|parameter| parameter.targets)
        .filter(|targets| !targets.is_empty())
        .ok_or_else(|| PARAMETER_VALUE.refuse().because(format!("`{code}` is no reference of {from}")))
}

pub(super) fn named(search: &Search<'_>, name: &str) -> Result<ResourceType, Refusal> {
    ResourceType::parse(search.snapshot.fhir.version, name)
        .ok_or_else(|| PARAMETER_VALUE.refuse().because("a join names no resource type"))
}
