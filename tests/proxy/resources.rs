//! The resources of attacks.md's conventions: of patient A, of others, and shared.

use serde_json::{Value, json};

/// In every resource that is not patient A's, and nowhere else.
pub(crate) const OF_ANOTHER: &str = "belongs-to-B";

/// An Observation about this patient.
pub(crate) fn observation(id: &str, patient: &str, code: &str) -> Value {
    let mut resource = json!({
        "resourceType": "Observation",
        "id": id,
        "meta": { "versionId": "1" },
        "status": "final",
        "code": { "text": code },
        "subject": { "reference": format!("Patient/{patient}") },
        "valueQuantity": { "value": 1.5 },
    });
    if patient != "A" {
        resource["note"] = json!([{ "text": OF_ANOTHER }]);
    }
    resource
}

/// The resources of attacks.md's conventions, B's between A's.
pub(crate) fn conventional() -> Vec<Value> {
    let patient =
        |id: &str| json!({ "resourceType": "Patient", "id": id, "meta": { "versionId": "1" }, "active": true });
    let shared = |of: &str, id: &str| json!({ "resourceType": of, "id": id, "meta": { "versionId": "1" } });
    let of = |resource_type: &str, id: &str, element: &str, patient: &str| {
        let mut resource = shared(resource_type, id);
        resource[element] = json!({ "reference": format!("Patient/{patient}") });
        if patient != "A" {
            resource["note"] = json!([{ "text": OF_ANOTHER }]);
        }
        resource
    };
    let appointment = |id: &str, patient: &str| {
        let mut resource = shared("Appointment", id);
        resource["participant"] = json!([
            { "actor": { "reference": "Practitioner/p" } },
            { "actor": { "reference": format!("Patient/{patient}") } },
        ]);
        if patient != "A" {
            resource["comment"] = json!(OF_ANOTHER);
        }
        resource
    };
    let mut other = patient("B");
    other["name"] = json!([{ "text": OF_ANOTHER }]);
    let mut about_b = observation("ab", "B", "x");
    about_b["performer"] = json!([{ "reference": "Patient/A" }]);
    let mut focused = observation("bf", "B", "x");
    focused["focus"] = json!([{ "reference": "Patient/A" }]);
    let mut look_alike = observation("bg", "B", "x");
    look_alike["subject"] = json!({ "reference": "Group/A" });
    let mut foreign = observation("bh", "B", "x");
    foreign["subject"] = json!({ "reference": "http://other.example/fhir/Patient/A" });
    let mut bare = observation("bi", "B", "x");
    bare["subject"] = json!({ "reference": "A" });
    let mut moved = observation("m1", "A", "x");
    moved["meta"] = json!({ "versionId": "2" });
    let mut binary = shared("Binary", "x");
    binary["contentType"] = json!("text/plain");
    let mut provenance = shared("Provenance", "pr");
    provenance["target"] = json!([{ "reference": "Observation/a1" }]);
    vec![
        patient("A"),
        other,
        observation("b1", "B", "x"),
        observation("a1", "A", "x"),
        observation("b2", "B", "y"),
        observation("m1", "B", "x"),
        moved,
        observation("a2", "A", "y"),
        about_b,
        focused,
        look_alike,
        foreign,
        bare,
        of("Encounter", "ea", "subject", "A"),
        of("Encounter", "eb", "subject", "B"),
        of("Condition", "ca", "subject", "A"),
        of("Device", "da", "patient", "A"),
        of("Device", "db", "patient", "B"),
        of("Task", "ta", "for", "A"),
        of("Task", "tb", "for", "B"),
        of("Coverage", "va", "beneficiary", "A"),
        of("Coverage", "vb", "beneficiary", "B"),
        appointment("aa", "A"),
        appointment("apb", "B"),
        binary,
        provenance,
        shared("Medication", "m"),
        shared("Practitioner", "p"),
        shared("Location", "l"),
        shared("Organization", "o"),
    ]
}
