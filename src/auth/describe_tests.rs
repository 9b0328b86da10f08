use super::*;
use crate::auth::testing;

const READER: Owner = Owner { patient_is_reader: true, confined: true };
const CLINICIAN: Owner = Owner { patient_is_reader: false, confined: false };

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
        assert_eq!(sentence(scope, fhir, owner), expected);
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
fn lifetimes_are_said_in_days_hours_and_minutes() {
    for (seconds, expected) in [
        (30, "1 minute"),
        (600, "10 minutes"),
        (3600, "1 hour"),
        (5400, "1 hour and 30 minutes"),
        (7260, "2 hours and 1 minute"),
        (86_400, "1 day"),
        (30 * 86_400, "30 days"),
        (36 * 3600, "1 day and 12 hours"),
    ] {
        assert_eq!(duration(Duration::from_secs(seconds)), expected);
    }
}

#[test]
fn a_person_reads_when_access_goes_on_while_they_are_away() {
    let tokens = &testing::snapshot().tokens;
    assert_eq!(end(Reach::Once, tokens), "The access ends by itself after 10 minutes.");
    assert!(end(Reach::Online, tokens).contains("ends by itself 8 hours after you logged in"));
    let offline = end(Reach::Offline, tokens);
    assert!(offline.contains("while you are away") && offline.contains("has not used it for 30 days"), "{offline}");
    let fhir = &testing::snapshot().fhir;
    for (scope, expected) in [("offline_access", "while you are away"), ("online_access", "after you log in")] {
        assert!(sentence(scope, fhir, READER).contains(expected), "{scope}");
    }
}
