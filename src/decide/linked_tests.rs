use super::*;
use crate::decide::testing::{claims, snapshot, snapshot_with};
use crate::decide::visible_with;
use crate::fhir::json::Document;

const PROVENANCE: &str = r#"{"resourceType":"Provenance","id":"p","target":[{"reference":"Observation/a1"}]}"#;

fn parsed(text: &str) -> Document<'_> {
    Document::parse(text.as_bytes(), 32).unwrap()
}

fn observation(patient: &str) -> String {
    format!(
        r#"{{"resourceType":"Observation","id":"a1","meta":{{"versionId":"2"}},"subject":{{"reference":"Patient/{patient}"}}}}"#
    )
}

fn grant(snapshot: &Snapshot) -> Grant {
    Grant::of(claims("patient/*.rs", Some("A"), None), snapshot).unwrap()
}

fn asked(snapshot: &Snapshot, text: &str, occasion: Occasion, seen: &Seen) -> Vec<String> {
    let look_ups = look_ups(snapshot, &grant(snapshot), Letter::Read, parsed(text).root(), occasion, seen);
    look_ups.iter().map(|look_up| look_up.request().target().to_owned()).collect()
}

fn shown(snapshot: &Snapshot, text: &str, seen: &Seen) -> bool {
    visible_with(snapshot, &grant(snapshot), Letter::Read, parsed(text).root(), seen)
}

#[test]
fn what_stands_in_the_same_answer_needs_no_look_up() {
    let snapshot = snapshot("");
    let mut seen = Seen::default();
    assert!(!shown(&snapshot, PROVENANCE, &seen));
    assert_eq!(asked(&snapshot, PROVENANCE, Occasion::Read, &seen), ["/Observation/a1"]);
    seen.note(&snapshot, &grant(&snapshot), parsed(&observation("A")).root(), true);
    assert!(shown(&snapshot, PROVENANCE, &seen));
    assert!(asked(&snapshot, PROVENANCE, Occasion::Among, &seen).is_empty());
}

#[test]
fn what_may_not_be_read_is_not_noted() {
    let snapshot = snapshot("");
    let mut seen = Seen::default();
    seen.note(&snapshot, &grant(&snapshot), parsed(&observation("B")).root(), true);
    assert_eq!(seen, Seen::default());
}

#[test]
fn a_version_is_noted_as_that_version() {
    let snapshot = snapshot("");
    let mut seen = Seen::default();
    seen.note(&snapshot, &grant(&snapshot), parsed(&observation("A")).root(), false);
    assert!(!shown(&snapshot, PROVENANCE, &seen));
    assert!(shown(&snapshot, &PROVENANCE.replace("a1", "a1/_history/2"), &seen));
    assert!(!shown(&snapshot, &PROVENANCE.replace("a1", "a1/_history/1"), &seen));
}

#[test]
fn nothing_is_looked_up_for_what_was_added_unasked() {
    let snapshot = snapshot("");
    assert!(asked(&snapshot, PROVENANCE, Occasion::Among, &Seen::default()).is_empty());
    let mut seen = Seen::default();
    seen.note(&snapshot, &grant(&snapshot), parsed(&observation("A")).root(), true);
    let two = PROVENANCE.replace("}]", r#"},{"reference":"Condition/c/_history/4"}]"#);
    assert_eq!(asked(&snapshot, &two, Occasion::Among, &seen), ["/Condition/c/_history/4"]);
    assert!(!shown(&snapshot, &two, &seen));
}

#[test]
fn one_that_needs_too_many_look_ups_is_not_shown() {
    let snapshot = snapshot_with("", "[limits]\nlook_ups = 1\n");
    let two = PROVENANCE.replace("}]", r#"},{"reference":"Observation/a2"}]"#);
    assert!(asked(&snapshot, &two, Occasion::Read, &Seen::default()).is_empty());
}

#[test]
fn a_look_up_counts_by_what_it_was_for() {
    let snapshot = snapshot("");
    let grant = grant(&snapshot);
    let versioned = PROVENANCE.replace("a1", "a1/_history/1");
    for (provenance, found, counts) in [
        (PROVENANCE, Some(observation("A")), true),
        (PROVENANCE, Some(observation("B")), false),
        (PROVENANCE, Some(observation("A").replace("a1", "a2")), false),
        (PROVENANCE, Some(observation("A").replace("Observation", "Condition")), false),
        (PROVENANCE, None, false),
        // The FHIR server answers with another version than was asked for.
        (&versioned, Some(observation("A")), false),
        (&versioned, Some(observation("A").replace("\"2\"", "\"1\"")), true),
    ] {
        let mut seen = Seen::default();
        let look_ups =
            look_ups(&snapshot, &grant, Letter::Read, parsed(provenance).root(), Occasion::Read, &Seen::default());
        let [look_up] = look_ups.as_slice() else { panic!("{look_ups:?}") };
        assert!(look_up.take(&snapshot, &grant, found.as_deref().map(parsed).as_ref().map(Document::root), &mut seen));
        assert_eq!(shown(&snapshot, provenance, &seen), counts, "{provenance} {found:?}");
        assert!(asked(&snapshot, provenance, Occasion::Read, &seen).is_empty(), "looked up once only");
    }
}

#[test]
fn r5_says_besides_whom_a_provenance_is_about() {
    let snapshot = snapshot_with("version = \"R5\"", "");
    let mut seen = Seen::default();
    seen.note(&snapshot, &grant(&snapshot), parsed(&observation("A")).root(), true);
    for (patient, is_shown) in [("Patient/A", true), ("Patient/B", false), ("#p", false)] {
        let text = PROVENANCE.replace("\"target\"", &format!("\"patient\":{{\"reference\":\"{patient}\"}},\"target\""));
        assert_eq!(shown(&snapshot, &text, &seen), is_shown, "{patient}");
    }
}

#[test]
fn documents_are_looked_for_as_narrowly_as_searches_are() {
    let binary = r#"{"resourceType":"Binary","id":"x"}"#;
    let location = "location=Binary/x,http://u:8080/fhir/Binary/x,https://p/fhir/Binary/x";
    for (fhir, expected) in [
        ("", format!("/DocumentReference?{location}&patient=Patient/A")),
        ("narrowing = \"none\"", format!("/DocumentReference?{location}&patient=Patient/A")),
        ("narrowing = \"compartment\"", format!("/Patient/A/DocumentReference?{location}")),
        (
            "patient_data = \"compartment\"\nnarrowing = \"compartment\"",
            format!("/Patient/A/DocumentReference?{location}"),
        ),
        ("patient_data = \"compartment\"\nnarrowing = \"none\"", format!("/DocumentReference?{location}")),
    ] {
        let snapshot = snapshot_with(fhir, "");
        assert_eq!(asked(&snapshot, binary, Occasion::Read, &Seen::default()), [expected], "{fhir}");
        assert!(asked(&snapshot, binary, Occasion::Version, &Seen::default()).is_empty());
    }
}

#[test]
fn a_clinicians_documents_are_looked_for_within_the_patients_alone() {
    let snapshot = snapshot("");
    let scope = "patient/Binary.r user/DocumentReference.rs";
    let grant = Grant::of(claims(scope, Some("A"), Some("Practitioner/p")), &snapshot).unwrap();
    let binary = parsed(r#"{"resourceType":"Binary","id":"x"}"#);
    let look_ups = look_ups(&snapshot, &grant, Letter::Read, binary.root(), Occasion::Read, &Seen::default());
    assert!(look_ups[0].searches());
    assert!(look_ups[0].request().target().starts_with("/DocumentReference?patient=Patient/A&location="));
}
