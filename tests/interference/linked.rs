//! The model's Provenance and Binary, which are a patient's through others (docs/security.md).

use serde_json::Value;

use crate::grants::Grant;
use crate::model::{SHARED, subjects};
use crate::server::data::text;
use crate::server::parameters::collect;
use crate::server::search::is;

/// Whether the resource is of one of `patients` by what it leads to, or by what leads to it.
pub(crate) fn belongs(grant: &Grant, all: &[&Value], resource: &Value, patients: &[&str]) -> bool {
    match resource["resourceType"].as_str() {
        Some("Provenance") => provenance(grant, all, resource, patients),
        Some("Binary") => binary(grant, all, resource, patients),
        _ => false,
    }
}

/// Whether a reference leads to something of one of `patients` that may be read.
pub(crate) fn own(grant: &Grant, all: &[&Value], reference: &str, patients: &[&str]) -> bool {
    let Some((of, id)) = reference.split_once('/') else { return false };
    let about_one = |target: &Value| subjects(target).iter().any(|patient| patients.contains(&patient.as_str()));
    all.iter().any(|target| is(target, of, id) && about_one(target) && grant.shows('r', target, all))
}

/// Each target is shared, or the patient's and readable; one at least is the patient's.
fn provenance(grant: &Grant, all: &[&Value], resource: &Value, patients: &[&str]) -> bool {
    let mut targets = Vec::new();
    collect(resource, &["target", "reference"], &mut targets);
    let targets: Vec<&str> = targets.into_iter().filter_map(Value::as_str).collect();
    let shared = |target: &str| target.split_once('/').is_some_and(|(of, _)| SHARED.contains(&of));
    let others: Vec<&str> = targets.into_iter().filter(|target| !shared(target)).collect();
    !others.is_empty() && others.iter().all(|target| own(grant, all, target, patients))
}

/// By its security context, or else by a document that has it attached.
fn binary(grant: &Grant, all: &[&Value], resource: &Value, patients: &[&str]) -> bool {
    if let Some(context) = resource["securityContext"]["reference"].as_str() {
        let patient = context.strip_prefix("Patient/");
        return patient.is_some_and(|patient| patients.contains(&patient)) || own(grant, all, context, patients);
    }
    let url = format!("Binary/{}", text(resource, "id"));
    all.iter().filter(|document| document["resourceType"] == "DocumentReference").any(|document| {
        let mut urls = Vec::new();
        collect(document, &["content", "attachment", "url"], &mut urls);
        urls.iter().any(|found| **found == *url)
            && subjects(document).iter().any(|patient| patients.contains(&patient.as_str()))
            && grant.shows('s', document, all)
            && grant.shows('r', document, all)
    })
}
