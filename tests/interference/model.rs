//! What each request must return, said naively: take all there is, keep what the grant makes visible, apply the query.
//!
//! Written from enforcement.md §5 without the gate's code: whose a resource is stands here a second time, by hand.

use serde_json::Value;

use crate::grants::{Grant, Permit};
use crate::linked;
use crate::server::data::{Data, text};
use crate::server::parameters::{collect, parameter};
use crate::server::search::Query;
use crate::server::{Manners, Request};

/// Types that hold no patient's data.
pub(crate) const SHARED: &[&str] = &["Practitioner", "PractitionerRole", "Organization", "Location", "Medication"];

/// The elements that say whom a resource of the type is about.
fn subject_elements(of: &str) -> Option<&'static [&'static str]> {
    Some(match of {
        "Observation" | "Condition" | "Encounter" | "MedicationRequest" | "DiagnosticReport" | "Procedure" | "List"
        | "DocumentReference" => &["subject"],
        "AllergyIntolerance" | "Immunization" | "RelatedPerson" | "Device" => &["patient"],
        "Coverage" => &["beneficiary"],
        "Task" => &["for"],
        "Appointment" => &["participant", "actor"],
        _ => return None,
    })
}

/// Ids of the patients that a resource is about.
pub(crate) fn subjects(resource: &Value) -> Vec<String> {
    let of = text(resource, "resourceType");
    if of == "Patient" {
        return vec![text(resource, "id")];
    }
    let mut found = Vec::new();
    collect(resource, subject_elements(&of).unwrap_or_default(), &mut found);
    let references = found.into_iter().filter_map(|element| element["reference"].as_str());
    references.filter_map(|reference| reference.strip_prefix("Patient/")).map(str::to_owned).collect()
}

/// Whether some patient's grant can reach the type, however it asks.
fn reachable(of: &str) -> bool {
    of == "Patient" || SHARED.contains(&of) || subject_elements(of).is_some()
}

impl Permit {
    fn covers(&self, of: &str, letter: char) -> bool {
        self.of.is_none_or(|own| own == of) && self.letters.contains(letter)
    }

    fn shows(&self, letter: char, resource: &Value, grant: &Grant, all: &[&Value]) -> bool {
        let of = text(resource, "resourceType");
        let one = |patient: &String| self.patients.contains(&patient.as_str());
        self.covers(&of, letter)
            && (SHARED.contains(&of.as_str())
                || subjects(resource).iter().any(one)
                || linked::belongs(grant, all, resource, &self.patients))
            && self.constraint.iter().all(|(code, value)| {
                let pair = [((*code).to_owned(), (*value).to_owned())];
                parameter(&of, code).is_none() || !Query::read(&pair).matches(&[resource], &of).is_empty()
            })
    }
}

impl Grant {
    /// Whether the resource is visible where there is `all`.
    pub(crate) fn shows(&self, letter: char, resource: &Value, all: &[&Value]) -> bool {
        self.permits.iter().any(|permit| permit.shows(letter, resource, self, all))
    }

    /// Whether some permit covers the type with the letter, so that only data decides the rest.
    pub(crate) fn covers(&self, of: &str, letter: char) -> bool {
        reachable(of) && self.permits.iter().any(|permit| permit.covers(of, letter))
    }

    fn visible<'d>(&self, letter: char, all: &[&'d Value]) -> Vec<&'d Value> {
        all.iter().filter(|resource| self.shows(letter, resource, all)).copied().collect()
    }
}

/// What a request must return, where it is one whose answer the model knows.
#[derive(Debug)]
pub(crate) enum Expected {
    /// One resource, or the answer that there is none.
    One(Option<Value>),
    /// Versions, newest first; none of them is the answer that there is none.
    Versions(Vec<Value>),
    Found {
        matches: Vec<Value>,
        included: Vec<Value>,
    },
}

pub(crate) fn expected(grant: &Grant, data: &Data, manners: Manners, request: &Request) -> Option<Expected> {
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    let all = data.current();
    let readable = |version: Option<&Value>| version.filter(|body| grant.shows('r', body, &all)).cloned();
    match (request.method.as_str(), path.as_slice()) {
        ("GET", [of, id]) if !of.starts_with('$') && !id.starts_with('$') && *id != "_search" && *id != "_history" => {
            Some(Expected::One(data.find(of, id).and_then(|record| readable(record.current()))))
        }
        ("GET", [of, id, "_history", version]) => {
            let found = data.find(of, id).and_then(|record| record.versions.iter().find(|v| v.id == *version));
            Some(Expected::One(found.and_then(|version| readable(version.body.as_ref()))))
        }
        ("GET", [of, id, "_history"]) => {
            let versions = data.find(of, id).map(|record| record.versions.as_slice()).unwrap_or_default();
            Some(Expected::Versions(versions.iter().rev().filter_map(|v| readable(v.body.as_ref())).collect()))
        }
        ("GET", [of] | [of, "_search"]) | ("POST", [of, "_search"]) if reachable(of) || *of == "Provenance" => {
            Some(found(grant, data, manners, request, of, None))
        }
        ("GET", ["Patient", id, of]) if reachable(of) => Some(found(grant, data, manners, request, of, Some(id))),
        _ => None,
    }
}

fn found(grant: &Grant, data: &Data, manners: Manners, request: &Request, of: &str, within: Option<&str>) -> Expected {
    let all = data.current();
    let Some(pairs) = of_own(grant, of, &request.query, &all) else {
        return Expected::Found { matches: Vec::new(), included: Vec::new() };
    };
    let mut query = Query::read(&pairs);
    query.ignores_case = manners == Manners::IgnoresCase;
    let mut matches = query.matches(&grant.visible('s', &all), of);
    if let Some(patient) = within {
        matches.retain(|resource| subjects(resource).contains(&patient.to_owned()));
    }
    let included = query.included(&grant.visible('r', &all), &matches);
    let owned = |found: Vec<&Value>| found.into_iter().cloned().collect();
    Expected::Found { matches: owned(matches), included: owned(included) }
}

/// The parameters without other patients where they name whom a resource is about; none if nobody is left. Another patient
/// finds nothing, also where the own resource is about both (enforcement.md §4).
fn of_own(grant: &Grant, of: &str, pairs: &[(String, String)], all: &[&Value]) -> Option<Vec<(String, String)>> {
    let own = |value: &&str| {
        let id = value.rsplit('/').next().unwrap_or_default();
        value.contains('/') && !value.contains("Patient/") || grant.patients.contains(&id)
    };
    let target = |value: &&str| linked::own(grant, all, value, &grant.patients);
    let mut kept = Vec::new();
    for (name, value) in pairs {
        if of == "Provenance" && name == "target" {
            let value: Vec<&str> = value.split(',').filter(target).collect();
            kept.push((name.clone(), value.join(",")));
            continue;
        }
        let names_patient = !name.contains('.')
            && name.split(':').next().and_then(|code| parameter(of, code)).is_some_and(|parameter| {
                parameter.leads_to("Patient")
                    && parameter.paths.iter().any(|path| Some(&path[..]) == subject_elements(of))
            });
        let value: String =
            if names_patient { value.split(',').filter(own).collect::<Vec<_>>().join(",") } else { value.clone() };
        if names_patient && value.is_empty() {
            return None;
        }
        kept.push((name.clone(), value));
    }
    Some(kept)
}
