//! Grants that are restricted: in a patient context, as a patient, for those whom a related person acts for, with constraints.

use serde_json::{Map, Value, json};

use crate::dice::Dice;
use crate::server::parameters::TYPES;

/// Whom the RelatedPerson of the configuration acts for.
pub(crate) const LINKED: [&str; 2] = ["A", "C"];

pub(crate) const RELATED: &str = "RelatedPerson/A-rel-1";

/// One scope as the model reads it.
#[derive(Clone, Debug)]
pub(crate) struct Permit {
    pub patients: Vec<&'static str>,
    /// None for every type.
    pub of: Option<&'static str>,
    pub letters: &'static str,
    /// Search parameters that the resource must meet.
    pub constraint: Vec<(&'static str, &'static str)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub permits: Vec<Permit>,
    pub claims: Map<String, Value>,
    /// Whose data is this grant's, by whatever permit.
    pub patients: Vec<&'static str>,
}

const LETTERS: &[(usize, &str)] =
    &[(16, "cruds"), (6, "rs"), (2, "r"), (2, "s"), (2, "cu"), (2, "cud"), (1, "crud"), (1, "d"), (1, "us"), (1, "cs")];

/// Constraints that can be evaluated on a body.
const CONSTRAINTS: &[(&str, &[(&str, &str)])] = &[
    ("Observation", &[("category", "laboratory")]),
    ("Observation", &[("category", "http://terminology.hl7.org/CodeSystem/observation-category|vital-signs")]),
    ("Observation", &[("status", "final")]),
    ("Observation", &[("category", "laboratory"), ("status", "final,amended")]),
    ("Observation", &[("code", "http://loinc.org|718-7,8867-4")]),
    ("Condition", &[("category", "problem-list-item"), ("clinical-status", "active")]),
    ("Condition", &[("code", "38341003")]),
    ("MedicationRequest", &[("status", "active")]),
    ("Encounter", &[("class", "AMB")]),
    ("DocumentReference", &[("type", "http://loinc.org|34133-9")]),
];

impl Grant {
    pub(crate) fn roll(dice: &mut Dice) -> Self {
        let mut grant = Self { permits: Vec::new(), claims: Map::new(), patients: Vec::new() };
        let mut scopes: Vec<String> = Vec::new();
        let patient = dice.pick(&["A", "A", "A", "C"]);
        match dice.below(10) {
            0..=5 => grant.in_context(dice, &mut scopes, "patient", &[patient]),
            6 => {
                grant.claims.insert("fhirUser".to_owned(), json!(format!("Patient/{patient}")));
                grant.in_context(dice, &mut scopes, "user", &[patient]);
            }
            7 => {
                grant.claims.insert("fhirUser".to_owned(), json!(RELATED));
                grant.in_context(dice, &mut scopes, "user", &LINKED);
            }
            _ => {
                grant.claims.insert("fhirUser".to_owned(), json!(RELATED));
                grant.in_context(dice, &mut scopes, "patient", &[patient]);
                grant.in_context(dice, &mut scopes, "user", &LINKED);
            }
        }
        grant.claims.insert("scope".to_owned(), json!(scopes.join(" ")));
        grant
    }

    /// The grant of another patient, who has nothing to do with the one under test.
    pub(crate) fn of_stranger() -> Self {
        let claims = json!({ "scope": "patient/*.cruds", "patient": "B", "sub": "stranger" });
        Self { permits: Vec::new(), claims: claims.as_object().cloned().unwrap_or_default(), patients: vec!["B"] }
    }

    fn in_context(&mut self, dice: &mut Dice, scopes: &mut Vec<String>, context: &str, patients: &[&'static str]) {
        if context == "patient" {
            self.claims.insert("patient".to_owned(), json!(patients[0]));
        }
        for patient in patients {
            if !self.patients.contains(patient) {
                self.patients.push(patient);
            }
        }
        let mut add = |of: Option<&'static str>, letters: &'static str, constraint: &[(&'static str, &'static str)]| {
            let query: Vec<String> = constraint.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
            scopes.push(format!("{context}/{}.{letters}{query}", of.unwrap_or("*")));
            self.permits.push(Permit { patients: patients.to_vec(), of, letters, constraint: constraint.to_vec() });
        };
        match dice.below(10) {
            0..=5 => add(None, dice.weighted(LETTERS), &[]),
            6 => {
                for _ in 0..2 + dice.below(6) {
                    add(Some(dice.pick(&TYPES)), dice.weighted(LETTERS), &[]);
                }
                add(Some("Observation"), "cruds", &[]);
            }
            7 => {
                for _ in 0..1 + dice.below(3) {
                    let (of, constraint) = dice.pick(CONSTRAINTS);
                    add(Some(of), dice.pick(&["rs", "r", "s"]), constraint);
                }
                for of in ["Patient", "Encounter", "Practitioner"] {
                    add(Some(of), "rs", &[]);
                }
            }
            8 => {
                let (of, constraint) = dice.pick(CONSTRAINTS);
                add(Some(of), "rs", constraint);
                add(None, "cud", &[]);
            }
            _ => {
                for of in ["Observation", "Condition", "Encounter", "Patient", "Practitioner", "Organization"] {
                    add(Some(of), "cruds", &[]);
                }
            }
        }
    }
}
