use super::*;
use crate::auth::{testing, texts};
use crate::config::Language;

const READER: Owner = Owner { patient_is_reader: true, confined: true };
const CLINICIAN: Owner = Owner { patient_is_reader: false, confined: false };

fn english() -> &'static Texts {
    texts::of(Language::English)
}

#[test]
fn bp_4_sc_17_each_scope_is_one_plain_sentence() {
    let fhir = &testing::snapshot().fhir;
    for (scope, owner, expected) in [
        ("patient/Observation.rs", READER, "See your observations (lab results, vital signs and other measurements)"),
        ("patient/Condition.read", CLINICIAN, "See the patient’s conditions and diagnoses"),
        (
            "patient/*.*",
            READER,
            "See, add, change and delete all data in your record, also kinds of data added in future",
        ),
        ("patient/*.rs", CLINICIAN, "See all data in the patient’s record, also kinds of data added in future"),
        (
            "user/*.write",
            CLINICIAN,
            "Add, change and delete all data of all patients that you have access to, also kinds of data added in future",
        ),
        ("user/Encounter.s", CLINICIAN, "Search for the visits of all patients that you have access to"),
        ("user/Encounter.r", READER, "See your visits"),
        ("patient/ChargeItem.c", READER, "Add your charge item records"),
        ("patient/PractitionerRole.rs", READER, "See practitioner role records (which are not about a single patient)"),
        (
            "patient/Condition.rs?category=http://t/c|problem-list-item,encounter-diagnosis",
            READER,
            "See your conditions and diagnoses, but only those whose category is “problem-list-item” or “encounter-diagnosis”",
        ),
        (
            "patient/Encounter.r?status=finished&_security=urn:s|",
            CLINICIAN,
            "See the patient’s visits, but only those whose status is “finished” and whose security is “urn:s”",
        ),
        ("openid", READER, "Know your user name"),
        ("fhirUser", READER, "Know which record here is your own"),
        ("launch/patient", READER, "Know which patient was chosen"),
    ] {
        assert_eq!(sentence(scope, fhir, owner, english()), expected);
    }
}

#[test]
fn the_reader_is_the_patient_only_by_their_own_record() {
    let user = |fhir_user: Option<&str>| User {
        name: String::new(),
        username: "amy".to_owned(),
        password_hash: String::new(),
        fhir_user: fhir_user.map(str::to_owned),
        patients: crate::config::PatientChoice::Any,
        enabled: true,
    };
    assert_eq!(Owner::of(&user(Some("Patient/A")), Some("A")), READER);
    assert_eq!(Owner::of(&user(Some("Patient/A")), Some("B")), Owner { patient_is_reader: false, confined: true });
    assert_eq!(Owner::of(&user(Some("Patient/A")), None), Owner { patient_is_reader: false, confined: true });
    assert_eq!(Owner::of(&user(Some("Practitioner/A")), Some("A")), CLINICIAN);
    assert_eq!(Owner::of(&user(None), None), CLINICIAN);
}

#[test]
fn a_person_reads_when_access_goes_on_while_they_are_away() {
    let tokens = &testing::snapshot().tokens;
    assert_eq!(end(Reach::Once, tokens, english()), "The access ends by itself after 10 minutes.");
    assert!(end(Reach::Online, tokens, english()).contains("ends by itself 8 hours after you logged in"));
    let offline = end(Reach::Offline, tokens, english());
    assert!(offline.contains("while you are away") && offline.contains("has not used it for 30 days"), "{offline}");
    let fhir = &testing::snapshot().fhir;
    for (scope, expected) in [("offline_access", "while you are away"), ("online_access", "after you log in")] {
        assert!(sentence(scope, fhir, READER, english()).contains(expected), "{scope}");
    }
}

#[test]
fn each_scope_is_one_german_sentence() {
    let fhir = &testing::snapshot().fhir;
    let german = texts::of(Language::German);
    for (scope, owner, expected) in [
        (
            "patient/Observation.rs",
            READER,
            "Ihre Messwerte und Beobachtungen (Laborwerte, Vitalwerte und andere) ansehen",
        ),
        ("patient/Condition.read", CLINICIAN, "Erkrankungen und Diagnosen der Patientin oder des Patienten ansehen"),
        (
            "patient/*.*",
            READER,
            "Alle Daten Ihrer Akte, auch künftig hinzukommende Arten von Daten, ansehen, hinzufügen, ändern und löschen",
        ),
        (
            "user/Encounter.s",
            CLINICIAN,
            "Besuche aller Patientinnen und Patienten, auf deren Daten Sie Zugriff haben, durchsuchen",
        ),
        ("patient/ChargeItem.c", READER, "Ihre Einträge der Art „ChargeItem“ hinzufügen"),
        (
            "patient/Condition.rs?category=http://t/c|problem-list-item,encounter-diagnosis&clinical-status=active",
            READER,
            "Ihre Erkrankungen und Diagnosen ansehen, aber nur solche mit Kategorie „problem-list-item“ oder \
             „encounter-diagnosis“ und mit klinischem Status „active“",
        ),
        ("openid", READER, "Ihren Benutzernamen erfahren"),
        ("launch/patient", READER, "Erfahren, wessen Akte ausgewählt wurde"),
        ("strange", READER, "„strange“ nutzen"),
    ] {
        assert_eq!(sentence(scope, fhir, owner, german), expected);
    }
    let tokens = &testing::snapshot().tokens;
    assert_eq!(end(Reach::Once, tokens, german), "Der Zugriff gilt 10 Minuten lang und endet dann von selbst.");
    assert!(end(Reach::Offline, tokens, german).ends_with("sobald die App ihn 30 Tage lang nicht genutzt hat."));
}
