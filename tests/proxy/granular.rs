//! Resources that differ in what granular constraints look at.

use serde_json::{Value, json};

use crate::resources::observation;

/// The system of attacks.md's `T-lab`.
const CATEGORY: &str = "http://terminology.hl7.org/CodeSystem/observation-category";

fn with_category(id: &str, patient: &str, codings: &Value) -> Value {
    let mut resource = observation(id, patient, "x");
    resource["category"] = json!([{ "coding": codings, "text": "laboratory" }]);
    resource
}

/// One version of a report, as its category was then.
fn report(version: &str, category: &str) -> Value {
    let id = if category.starts_with("was-") { "was" } else { "is" };
    json!({
        "resourceType": "DiagnosticReport",
        "id": id,
        "meta": { "versionId": version },
        "category": [{ "coding": [{ "code": category.trim_start_matches("was-") }] }],
        "subject": { "reference": "Patient/A" },
    })
}

/// Observations, reports and shared resources; B's are between A's.
pub(crate) fn resources() -> Vec<Value> {
    let coding = |system: &str, code: &str| json!({ "system": system, "code": code });
    let labelled = |mut resource: Value| {
        resource["meta"]["security"] = json!([{ "code": "R" }]);
        resource
    };
    let plain = |of: &str, id: &str| json!({ "resourceType": of, "id": id, "meta": { "versionId": "1" } });
    let two = json!([coding(CATEGORY, "vital-signs"), coding(CATEGORY, "laboratory")]);
    let split = json!([coding(CATEGORY, "vital-signs"), coding("http://other", "laboratory")]);
    vec![
        plain("Patient", "A"),
        labelled(plain("Practitioner", "labelled")),
        plain("Practitioner", "p"),
        with_category("lab-b", "B", &json!([coding(CATEGORY, "laboratory")])),
        with_category("lab", "A", &json!([coding(CATEGORY, "laboratory")])),
        with_category("vital", "A", &json!([coding(CATEGORY, "vital-signs")])),
        with_category("other-system", "A", &json!([coding("http://other", "laboratory")])),
        with_category("no-system", "A", &json!([{ "code": "laboratory" }])),
        with_category("two", "A", &two),
        with_category("split", "A", &split),
        labelled(observation("labelled", "A", "x")),
        report("1", "laboratory"),
        report("2", "radiology"),
        report("1", "was-radiology"),
        report("2", "was-laboratory"),
    ]
}
