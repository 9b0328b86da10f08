//! Resources that are a patient's through others: Provenance, Binary and the documents that point at Binaries.

use serde_json::{Value, json};

use crate::resources::{OF_ANOTHER, conventional};

/// What a Binary of patient A holds.
pub(crate) const CONTENT: &str = "a letter to A";

fn provenance(id: &str, targets: &[&str]) -> Value {
    let targets: Vec<Value> = targets.iter().map(|target| json!({ "reference": target })).collect();
    let own = ["pr", "p4", "p6", "p8", "pa"].contains(&id);
    let mut resource = json!({
        "resourceType": "Provenance",
        "id": id,
        "meta": { "versionId": "1" },
        "target": targets,
        "recorded": "2026-12-01T10:00:00Z",
    });
    if !own {
        resource["policy"] = json!([OF_ANOTHER]);
    }
    resource
}

/// `context` is a reference, or a text to display where it begins with a blank.
fn binary(id: &str, own: bool, content_type: &str, context: Option<&str>) -> Value {
    use base64::Engine as _;
    let content = if own { CONTENT } else { OF_ANOTHER };
    let mut resource = json!({
        "resourceType": "Binary",
        "id": id,
        "meta": { "versionId": "1" },
        "contentType": content_type,
        "data": base64::engine::general_purpose::STANDARD.encode(content),
    });
    // In the JSON form base64 hides the mark.
    if !own {
        resource["language"] = json!(OF_ANOTHER);
    }
    match context.and_then(|context| context.strip_prefix(' ')) {
        Some(text) => resource["securityContext"] = json!({ "display": text }),
        None => {
            if let Some(reference) = context {
                resource["securityContext"] = json!({ "reference": reference });
            }
        }
    }
    resource
}

fn document(id: &str, patient: &str, url: &str) -> Value {
    let mut resource = json!({
        "resourceType": "DocumentReference",
        "id": id,
        "meta": { "versionId": "1" },
        "status": "current",
        "subject": { "reference": format!("Patient/{patient}") },
        "content": [{ "attachment": { "url": url } }],
    });
    if patient != "A" {
        resource["description"] = json!(OF_ANOTHER);
    }
    resource
}

/// The conventional resources and these.
pub(crate) fn resources() -> Vec<Value> {
    let mut logical = provenance("p9", &["Observation/a1"]);
    logical["target"].as_array_mut().unwrap().push(json!({ "identifier": { "value": "b" } }));
    let mut nothing = provenance("pn", &[]);
    nothing.as_object_mut().unwrap().remove("target");
    let mut broken = binary("br", true, "text/plain", Some("Patient/A"));
    broken["data"] = json!("%%%");
    let mut all = conventional();
    all.extend(contained());
    all.extend([
        provenance("p2", &["Observation/a1", "Observation/b1"]),
        provenance("p3", &["Observation/b1"]),
        provenance("p4", &["Observation/m1/_history/2"]),
        provenance("p5", &["Observation/m1/_history/1"]),
        provenance("p6", &["Patient/A"]),
        provenance("p7", &["Practitioner/p"]),
        provenance("p8", &["Practitioner/p", "https://p/fhir/Observation/a1", "Observation/a2"]),
        logical,
        nothing,
        provenance("pp", &["Provenance/pr"]),
        provenance("pg", &["Observation/a1", "Group/g"]),
        provenance("pu", &["Observation/a1", "urn:uuid:0"]),
        provenance("pf", &["Observation/a1", "http://other.example/fhir/Observation/a1"]),
        provenance("pb", &["Observation/a1", "Patient/B"]),
        binary("bp", true, "application/pdf", Some("Patient/A")),
        binary("bd", true, "text/plain", Some("DocumentReference/da")),
        binary("be", false, "text/plain", Some("DocumentReference/db")),
        binary("bb", false, "text/plain", Some("Patient/B")),
        binary("bn", true, "text/html; charset=utf-8", None),
        binary("bm", true, "no type\u{e9}", None),
        binary("bo", false, "text/plain", None),
        binary("bv", false, "text/plain", None),
        binary("bx", false, "text/plain", Some("Patient/B")),
        binary("bg", false, "text/plain", Some(" somebody")),
        binary("bf", false, "text/plain", Some("http://other.example/fhir/Patient/A")),
        binary("bk", false, "text/plain", Some("Practitioner/p")),
        broken,
        document("da", "A", "Binary/bn"),
        document("dm", "A", "https://p/fhir/Binary/bm"),
        document("dv", "A", "Binary/bv/_history/1"),
        document("dx", "A", "Binary/bx"),
        document("db", "B", "Binary/bo"),
    ]);
    all
}

/// Resources that contain others.
fn contained() -> [Value; 3] {
    use crate::resources::observation;
    let mut container = observation("co", "A", "z");
    container["contained"] = json!([{ "resourceType": "Patient", "id": "B", "name": [{ "text": "a sister" }] }]);
    let mut own_contained = observation("cs", "B", "z");
    own_contained["subject"] = json!({ "reference": "#A" });
    own_contained["contained"] = json!([{ "resourceType": "Patient", "id": "A" }]);
    let mut inside = observation("ci", "B", "z");
    inside["contained"] =
        json!([{ "resourceType": "Observation", "id": "i", "subject": { "reference": "Patient/A" } }]);
    [container, own_contained, inside]
}

/// Resources that name several people, or that the whole definition of the compartment has.
pub(crate) fn of_several() -> Vec<Value> {
    let about = |of: &str, id: &str, own: bool, rest: Value| {
        let mut resource = json!({ "resourceType": of, "id": id, "meta": { "versionId": "1" } });
        resource.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        if !own {
            resource["language"] = json!(OF_ANOTHER);
        }
        resource
    };
    let to = |reference: &str| json!({ "reference": reference });
    let mut all = conventional();
    // In this mode what the patient performed is the patient's as well.
    for resource in all.iter_mut().filter(|resource| resource["id"] == "ab") {
        resource.as_object_mut().unwrap().remove("note");
    }
    all.extend([
        about("Group", "ga", true, json!({ "member": [{ "entity": to("Patient/B") }, { "entity": to("Patient/A") }] })),
        about("Group", "gb", false, json!({ "member": [{ "entity": to("Patient/B") }] })),
        about("AuditEvent", "ea", true, json!({ "agent": [{ "who": to("Patient/A") }] })),
        about("AuditEvent", "en", true, json!({ "entity": [{ "what": to("Patient/A") }] })),
        about("AuditEvent", "eb", false, json!({ "entity": [{ "what": to("Patient/B") }] })),
        about("Provenance", "pc", true, json!({ "target": [to("Observation/ab")] })),
        about("Provenance", "pm", false, json!({ "target": [to("Patient/A"), to("Observation/b1")] })),
    ]);
    all
}

/// A third patient beside A and B.
pub(crate) fn of_a_family() -> Vec<Value> {
    let mut all = conventional();
    all.push(json!({ "resourceType": "Patient", "id": "C", "meta": { "versionId": "1" } }));
    let mut of_c = crate::resources::observation("c1", "C", "x");
    of_c.as_object_mut().unwrap().remove("note");
    all.push(of_c);
    all
}
