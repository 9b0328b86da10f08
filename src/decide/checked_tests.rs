use http::Method;

use super::*;
use crate::decide::decide;
use crate::decide::testing::{claims, resource, snapshot, snapshot_with};
use crate::fhir::interaction::classify;

fn asked(method: &Method, path: &[&str]) -> Request {
    let interaction = classify(crate::fhir::FhirVersion::R4, method, path, false).unwrap();
    Request::new(method, interaction, &[], None, None).unwrap()
}

/// What is said of a body that is sent: by the rule, or how many references are to be looked up.
fn sent(snapshot: &Snapshot, scope: &str, fhir_user: Option<&str>, of: &str, body: &str) -> String {
    let grant = Grant::of(claims(scope, Some("A"), fhir_user), snapshot).unwrap();
    match decide(snapshot, &grant, &asked(&Method::POST, &[of])) {
        Err(refusal) => refusal.rule.name.to_owned(),
        Ok(permit) => match permit.action() {
            Action::Checked(write) => {
                let body = Document::parse(body.as_bytes(), 16).unwrap();
                match write.check_new(snapshot, &grant, body.root()) {
                    Err(refusal) => refusal.rule.name.to_owned(),
                    Ok(look_ups) => format!("{}", look_ups.len()),
                }
            }
            other => format!("{other:?}"),
        },
    }
}

#[test]
fn patients_of_two_permits_are_not_mixed() {
    let snapshot = snapshot("[[links]]\nperson = \"RelatedPerson/mum\"\npatients = [\"kid\", \"A\"]\n");
    let scope = "patient/Appointment.c user/Appointment.c";
    let body = |one: &str, other: &str| {
        format!(
            r#"{{"resourceType":"Appointment","participant":[{{"actor":{{"reference":"Patient/{one}"}}}},{{"actor":{{"reference":"Patient/{other}"}}}}]}}"#
        )
    };
    let mum = Some("RelatedPerson/mum");
    assert_eq!(sent(&snapshot, scope, mum, "Appointment", &body("kid", "A")), "0");
    assert_eq!(sent(&snapshot, scope, mum, "Appointment", &body("kid", "B")), "subject-not-own");
    assert_eq!(sent(&snapshot, "patient/Appointment.c", mum, "Appointment", &body("kid", "A")), "subject-not-own");
    // Each of the patients by another permit: no permit covers both.
    let other = Some("Patient/kid");
    assert_eq!(sent(&snapshot, scope, other, "Appointment", &body("kid", "A")), "subject-not-own");
}

#[test]
fn only_types_that_are_about_a_patient_are_written() {
    for fhir in ["", "patient_data = \"compartment\"\nnarrowing = \"compartment\""] {
        let snapshot = snapshot_with(fhir, "");
        for of in ["Practitioner", "Group", "Provenance", "Binary", "Schedule", "AuditEvent", "Bundle"] {
            assert_eq!(sent(&snapshot, "patient/*.cruds", None, of, "{}"), "type-not-patient-data", "{of} {fhir}");
        }
        assert_eq!(sent(&snapshot, "patient/*.cruds", None, "Patient", "{}"), "patient-create");
    }
}

#[test]
fn what_goes_up_is_pinned_and_minimal_without_r() {
    let snapshot = snapshot("");
    let grant = Grant::of(claims("patient/Observation.ud", Some("A"), None), &snapshot).unwrap();
    for (method, sent) in [(Method::PUT, Method::PUT), (Method::PATCH, Method::PUT), (Method::DELETE, Method::DELETE)] {
        let permit = decide(&snapshot, &grant, &asked(&method, &["Observation", "a1"])).unwrap();
        let Action::Checked(write) = permit.action() else { panic!("{method}") };
        let pin = Pin::Version("3".to_owned());
        let up = write.send(pin.clone());
        assert_eq!((up.method(), up.target(), up.pin()), (&sent, "/Observation/a1", Some(&pin)));
        assert!(up.minimal() && !up.conditional());
        assert_eq!(write.look_up().unwrap().target(), "/Observation/a1");
    }
    assert_eq!(resource("Observation"), ResourceType::OBSERVATION);
}

#[test]
fn a_granular_scope_writes_within_its_constraint() {
    let snapshot = snapshot("");
    let body = |patient: &str, code: &str| {
        format!(
            r#"{{"resourceType":"Observation","category":[{{"coding":[{{"code":"{code}"}}]}}],"subject":{{"reference":"Patient/{patient}"}}}}"#
        )
    };
    let scope = "patient/Observation.c?category=laboratory user/Observation.c?category=vital-signs";
    let kid = Some("Patient/kid");
    assert_eq!(sent(&snapshot, scope, kid, "Observation", &body("A", "laboratory")), "0");
    assert_eq!(sent(&snapshot, scope, kid, "Observation", &body("kid", "vital-signs")), "0");
    // Each permit with its own patients and its own constraint.
    assert_eq!(sent(&snapshot, scope, kid, "Observation", &body("kid", "laboratory")), "constraint-not-met");
    assert_eq!(sent(&snapshot, scope, kid, "Observation", &body("A", "vital-signs")), "constraint-not-met");
    assert_eq!(sent(&snapshot, scope, kid, "Observation", &body("B", "laboratory")), "subject-not-own");
}

#[test]
fn a_clinician_writes_shared_types_within_a_constraint() {
    let snapshot = snapshot("");
    let scope = "user/Practitioner.c?gender=female patient/Practitioner.c?gender=male";
    let body = |gender: &str| format!(r#"{{"resourceType":"Practitioner","gender":"{gender}"}}"#);
    let clinician = Some("Practitioner/p");
    assert_eq!(sent(&snapshot, scope, clinician, "Practitioner", &body("female")), "0");
    assert_eq!(sent(&snapshot, scope, clinician, "Practitioner", &body("male")), "constraint-not-met");
    assert_eq!(sent(&snapshot, scope, None, "Practitioner", &body("female")), "type-not-patient-data");
}
