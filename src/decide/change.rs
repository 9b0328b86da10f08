//! What a new version may not change of the stored one: who the patient is, and how confidential the resource is.

use super::rule::{Refusal, Rule};
use crate::fhir::json::Json;
use crate::fhir::tree::Tree;

pub(super) const PATIENT_IDENTITY: Rule = Rule::forbidden(
    "patient-identity",
    "a token in a patient context does not change `Patient.identifier` or `Patient.link`, which say who the patient is",
);

pub(super) const SECURITY_LABEL: Rule = Rule::forbidden(
    "security-label",
    "the new version must keep the stored `meta.security`: this token may add labels, not take them away or change the confidentiality",
);

pub(super) const RULES: &[&Rule] = &[&PATIENT_IDENTITY, &SECURITY_LABEL];

/// Labels that say how confidential a resource is; it has one of them (FHIR R4 security-labels.html, "Core Security Labels").
const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";

/// System and code of a label.
type Label<'j> = (Option<&'j str>, Option<&'j str>);

/// `Patient.identifier` and `Patient.link` stay as they are.
pub(super) fn keeps_identity(stored: Json<'_>, new: Json<'_>) -> Result<(), Refusal> {
    let kept = |name| match (stored.get(name), new.get(name)) {
        (None, None) => true,
        (Some(stored), Some(new)) => Tree::of(stored).same(&Tree::of(new)),
        _ => false,
    };
    if kept("identifier") && kept("link") { Ok(()) } else { Err(PATIENT_IDENTITY.refuse()) }
}

/// Every label that is stored is in the new version too, and one that says how confidential it is gets none beside it.
pub(super) fn keeps_labels(stored: Json<'_>, new: Json<'_>) -> Result<(), Refusal> {
    let (stored, new) = (labels(stored), labels(new));
    let confidentiality = |labels: &[Label<'_>]| labels.iter().any(|(system, _)| *system == Some(CONFIDENTIALITY));
    let kept = stored.iter().all(|label| new.contains(label));
    let added = |label: &&Label<'_>| !stored.contains(label);
    let adds_confidentiality =
        confidentiality(&stored) && new.iter().filter(added).any(|(system, _)| *system == Some(CONFIDENTIALITY));
    if kept && !adds_confidentiality { Ok(()) } else { Err(SECURITY_LABEL.refuse()) }
}

fn labels<'j>(resource: Json<'j>) -> Vec<Label<'j>> {
    let Some(meta) = resource.get("meta") else { return Vec::new() };
    let text = |coding: Json<'j>, name| coding.get(name).and_then(Json::as_str);
    meta.list("security").map(|coding| (text(coding, "system"), text(coding, "code"))).collect()
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
