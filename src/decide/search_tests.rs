use crate::decide::MAX_PATIENTS;
use crate::decide::testing::{claims, snapshot, snapshot_with};
use crate::decide::tests::{get, of_patient};

#[test]
fn a_type_that_the_compartment_lacks_is_narrowed_by_its_parameter() {
    let by_compartment = snapshot_with("narrowing = \"compartment\"", "");
    let star = || of_patient("patient/*.rs");
    assert_eq!(get(&by_compartment, star(), "Device"), "guard /Device?patient=Patient/A");
    assert_eq!(get(&by_compartment, star(), "Task?status=x"), "guard /Task?status=x&patient=Patient/A");
    assert_eq!(get(&by_compartment, star(), "Patient/A/Device"), "guard /Device?patient=Patient/A");
    assert_eq!(get(&by_compartment, star(), "Encounter"), "guard /Patient/A/Encounter");
}

#[test]
fn of_more_patients_than_a_search_can_ask_for_it_names_some() {
    let all: Vec<String> = (0..=MAX_PATIENTS).map(|n| format!("k{n}")).collect();
    let links = format!("[[links]]\nperson = \"Person/p\"\npatients = {all:?}\n");
    let warden = || claims("user/*.rs", None, Some("Person/p"));
    for fhir in ["", "narrowing = \"none\""] {
        let plain = snapshot_with(fhir, &links);
        for url in [
            "Observation",
            "Observation?code=x",
            "Patient",
            "Patient?name=x",
            &format!("Observation?patient={}", all.join(",")),
        ] {
            assert_eq!(get(&plain, warden(), url), "patient-not-named", "{fhir} {url}");
        }
        assert_eq!(get(&plain, warden(), "Observation?patient=k3"), "guard /Observation?patient=Patient/k3");
        assert_eq!(
            get(&plain, warden(), "Observation?patient=k3,k4,B"),
            "guard /Observation?patient=Patient/k3,Patient/k4"
        );
        assert_eq!(get(&plain, warden(), "Observation?patient=B"), "EmptySearchset");
        assert_eq!(get(&plain, warden(), "Patient?_id=k3"), "guard /Patient?_id=k3");
        assert_eq!(get(&plain, warden(), "Patient/k3/Observation"), "guard /Observation?patient=Patient/k3");
        assert_eq!(get(&plain, warden(), "Patient/k3"), "guard /Patient/k3");
        assert_eq!(get(&plain, warden(), "Observation/x"), "guard /Observation/x");
        assert_eq!(get(&plain, warden(), "Practitioner"), "guard /Practitioner");
    }
    let full = snapshot_with("patient_data = \"compartment\"\nnarrowing = \"none\"", &links);
    assert_eq!(get(&full, warden(), "Observation?subject=k3"), "guard /Observation?subject=Patient/k3");
    assert_eq!(get(&full, warden(), "Observation"), "patient-not-named");
}

/// A link is followed only where the upstream is asked for nothing that it could lead elsewhere from.
#[test]
fn a_chain_through_the_patient_needs_a_search_for_that_patient() {
    let chain = "Observation?subject:Patient.name=x";
    let star = || of_patient("patient/*.rs");
    assert_eq!(get(&snapshot(""), star(), chain), "guard /Observation?subject:Patient.name=x&patient=Patient/A");
    for fhir in [
        "narrowing = \"none\"",
        "narrowing = \"compartment\"",
        "patient_data = \"compartment\"\nnarrowing = \"compartment\"",
        "patient_data = \"compartment\"\nnarrowing = \"none\"",
    ] {
        assert_eq!(get(&snapshot_with(fhir, ""), star(), chain), "patient-parameter", "{fhir}");
        // The patient is found by its id, and what refers to it is its own.
        let has = "Patient?_has:Observation:patient:code=x";
        assert_eq!(get(&snapshot_with(fhir, ""), star(), has), "guard /Patient?_has:Observation:patient:code=x&_id=A");
    }
    // Each of several patients must be open to the token, too.
    let links = "[[links]]\nperson = \"Person/p\"\npatients = [\"k1\"]\n";
    let both = |scope: &str| claims(scope, Some("A"), Some("Person/p"));
    let plain = snapshot(links);
    assert_eq!(get(&plain, both("patient/*.rs user/Observation.rs"), chain), "patient-parameter");
    assert_eq!(
        get(&plain, both("patient/*.rs user/Observation.rs"), &format!("{chain}&patient=A")),
        "guard /Observation?subject:Patient.name=x&patient=Patient/A"
    );
    assert_eq!(
        get(&plain, both("patient/*.rs user/*.rs"), chain),
        "guard /Observation?subject:Patient.name=x&patient=Patient/A,Patient/k1"
    );
}

#[test]
fn a_search_in_a_compartment_is_for_that_patient_alone() {
    let links = "[[links]]\nperson = \"Person/p\"\npatients = [\"k1\", \"k2\"]\n";
    let parent = || claims("user/*.rs", None, Some("Person/p"));
    let url = "Patient/k2/Observation?code=x";
    for (fhir, expected) in [
        ("", "guard /Observation?code=x&patient=Patient/k2"),
        ("narrowing = \"none\"", "guard /Observation?code=x&patient=Patient/k2"),
        ("narrowing = \"compartment\"", "guard /Patient/k2/Observation?code=x"),
        ("patient_data = \"compartment\"\nnarrowing = \"none\"", "guard /Patient/k2/Observation?code=x"),
        ("patient_data = \"compartment\"\nnarrowing = \"compartment\"", "guard /Patient/k2/Observation?code=x"),
    ] {
        assert_eq!(get(&snapshot_with(fhir, links), parent(), url), expected, "{fhir}");
    }
}
