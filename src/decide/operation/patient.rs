//! `$everything` and `$docref`: the patient is judged as a parameter that names one, each entry of the answer is verified.

use http::Method;

use super::{Asked, OPERATION_PARAMETER, OPERATION_PATIENT};
use crate::decide::includes::Includes;
use crate::decide::parameters::count;
use crate::decide::permit::{Action, BundleKind, OwnAnswer, PageRule, Permit, Verify};
use crate::decide::reach::{Reach, reach};
use crate::decide::rule::Refusal;
use crate::fhir::reference::{Literal, is_id};
use crate::fhir::search::Parameter;
use crate::fhir::{ResourceType, TypeSet};
use crate::scope::Letter;

/// `Patient/A/$everything`: what the token may read of it. Needs `r` on the Patient.
pub(super) fn everything(asked: &Asked<'_>, id: &str) -> Result<Permit, Refusal> {
    let reach = reach(asked.snapshot, asked.grant, ResourceType::PATIENT, Letter::Read)?;
    let restricted = !asked.grant.is_unrestricted();
    let mut parameters = Vec::new();
    for parameter in asked.parameters(|code| matches!(code, "_type" | "_since" | "start" | "end" | "_count"))? {
        match parameter.code() {
            "_type" => {}
            "_count" => parameters.push(count(asked.snapshot, &parameter, restricted)?),
            _ => parameters.push(parameter),
        }
    }
    parameters.extend(types(asked)?);
    if !may_be(&reach, id) {
        return Ok(Permit { action: Action::Answer(OwnAnswer::UniformDenial), rule: reach.rule() });
    }
    let pages = if restricted { PageRule::Filled { exact: false } } else { PageRule::Kept };
    let verify = Verify::Bundle { letter: Letter::Read, kind: BundleKind::Result, pages, includes: Includes::VISIBLE };
    let request = asked.upstream(Method::GET, &parameters);
    Ok(Permit { action: Action::Guard { request, verify }, rule: reach.rule() })
}

/// Whether data of the patient `id` is within reach.
pub(super) fn may_be(reach: &Reach<'_>, id: &str) -> bool {
    match reach {
        Reach::Everything | Reach::Shared => true,
        Reach::Patients { patients, .. } | Reach::Linked { patients } => patients.contains(&id),
        Reach::Constrained { parts, .. } => parts.iter().any(|part| part.may_be(id)),
    }
}

/// `_type` of `$everything`: the client's own list if the token may read some of each, else what it may read.
fn types(asked: &Asked<'_>) -> Result<Option<Parameter>, Refusal> {
    let all = asked.snapshot.fhir.tables.types();
    let mut named = TypeSet::EMPTY;
    for list in asked.request.parameters.iter().filter(|parameter| parameter.code() == "_type") {
        for name in list.value.split(',') {
            let of = ResourceType::parse(asked.snapshot.fhir.version, name)
                .ok_or_else(|| OPERATION_PARAMETER.refuse().because("_type"))?;
            reach(asked.snapshot, asked.grant, of, Letter::Read)?;
            named.insert(of);
        }
    }
    if named.is_empty() {
        // A server may refuse a list with types that it does not have, so where all are granted there is none.
        if all.iter().all(|of| asked.grant.covers(of, Letter::Read)) {
            return Ok(None);
        }
        let readable = |of: &ResourceType| reach(asked.snapshot, asked.grant, *of, Letter::Read).is_ok();
        named = all.iter().filter(readable).collect();
    }
    let names: Vec<&str> = named.iter().map(ResourceType::name).collect();
    Ok(Some(Parameter::plain("_type", names.join(","))))
}

/// `DocumentReference/$docref` (US Core 8 OperationDefinition-docref): a search for the patient's documents, so it needs `s`.
pub(super) fn docref(asked: &Asked<'_>) -> Result<Permit, Refusal> {
    let of = ResourceType::DOCUMENT_REFERENCE;
    let reach = reach(asked.snapshot, asked.grant, of, Letter::Search)?;
    let restricted = !matches!(reach, Reach::Everything);
    let takes = |code: &str| matches!(code, "patient" | "start" | "end" | "type" | "on-demand" | "profile" | "_count");
    let mut parameters = Vec::new();
    for parameter in asked.parameters(takes)? {
        match parameter.code() {
            "patient" => {}
            "_count" => parameters.push(count(asked.snapshot, &parameter, restricted)?),
            _ => parameters.push(parameter),
        }
    }
    super::hosts::check(asked, &parameters)?;
    let named = named(asked, "patient")?;
    let patient = match (&reach, named) {
        (Reach::Everything, named) => named,
        (reach, Some(named)) if may_be(reach, &named) => Some(named),
        // As the specification has it for a patient that does not exist.
        (reach, Some(_)) => {
            return Ok(Permit { action: Action::Answer(OwnAnswer::EmptySearchset), rule: reach.rule() });
        }
        (reach, None) => Some(only(reach).ok_or_else(|| OPERATION_PATIENT.refuse())?),
    };
    // Its type is `id`.
    parameters.extend(patient.map(|patient| Parameter::plain("patient", patient)));
    let exact = matches!(reach, Reach::Patients { .. });
    let pages = if restricted { PageRule::Filled { exact } } else { PageRule::Kept };
    let verify =
        Verify::Bundle { letter: Letter::Search, kind: BundleKind::Searchset, pages, includes: Includes::VISIBLE };
    let request = asked.upstream(Method::GET, &parameters);
    Ok(Permit { action: Action::Guard { request, verify }, rule: reach.rule() })
}

/// The id of the patient that the parameter `name` says, if it is there.
pub(super) fn named(asked: &Asked<'_>, name: &str) -> Result<Option<String>, Refusal> {
    let mut values = asked.request.parameters.iter().filter(|parameter| parameter.code() == name).map(|p| &p.value);
    let (Some(value), rest) = (values.next(), values.next()) else { return Ok(None) };
    let bases = [asked.snapshot.fhir.public_base.as_str()];
    let literal = Literal::parse(value, &bases).filter(|literal| literal.resource_type == "Patient");
    match literal.map(|literal| literal.id).or(Some(value.as_str()).filter(|value| is_id(value))) {
        Some(id) if rest.is_none() => Ok(Some(id.to_owned())),
        _ => Err(OPERATION_PATIENT.refuse()),
    }
}

/// The patient in reach, where there is one only.
fn only(reach: &Reach<'_>) -> Option<String> {
    let mut patients: Vec<&str> = match reach {
        Reach::Patients { patients, .. } | Reach::Linked { patients } => patients.to_vec(),
        Reach::Constrained { parts, .. } => {
            parts.iter().filter_map(|part| part.patients.as_deref()).flatten().copied().collect()
        }
        Reach::Everything | Reach::Shared => Vec::new(),
    };
    patients.sort_unstable();
    patients.dedup();
    match patients.as_slice() {
        [patient] => Some((*patient).to_owned()),
        _ => None,
    }
}
