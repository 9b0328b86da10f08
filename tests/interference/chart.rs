//! What the FHIR server knows about one person: a resource or more of each type, with values that other people's have, too.

use serde_json::{Value, json};

const LOINC: &str = "http://loinc.org";

/// A CodeableConcept.
fn concept(system: &str, code: &str) -> Value {
    json!({ "coding": [{ "system": system, "code": code }], "text": code })
}

fn reference(to: &str) -> Value {
    json!({ "reference": to })
}

/// Everything about `p`, who is called `name`.
pub(crate) fn chart(p: &str, name: &str) -> Vec<Value> {
    let mut chart = vec![patient(p, name)];
    chart.extend((1..=9).map(|number| observation(p, number)));
    chart.extend(encounters(p));
    chart.extend(problems(p));
    chart.extend(orders(p));
    chart.extend(surroundings(p));
    chart
}

fn patient(p: &str, name: &str) -> Value {
    json!({
        "resourceType": "Patient", "id": p, "gender": "female", "birthDate": "1970-03-04",
        "identifier": [{ "system": "urn:mrn", "value": format!("mrn-{p}") }],
        "name": [{ "family": name, "given": ["Ada"] }],
        "generalPractitioner": [reference("Practitioner/p1")],
        "managingOrganization": reference("Organization/o1"),
    })
}

pub(crate) fn observation(p: &str, number: usize) -> Value {
    let pick = |from: [&'static str; 3]| from[number % 3];
    let category = if number.is_multiple_of(2) { "laboratory" } else { "vital-signs" };
    json!({
        "resourceType": "Observation", "id": format!("{p}-obs-{number}"),
        "status": pick(["final", "preliminary", "amended"]),
        "category": [concept("http://terminology.hl7.org/CodeSystem/observation-category", category)],
        "code": concept(LOINC, pick(["718-7", "2345-7", "8867-4"])),
        "identifier": [{ "system": "urn:lab", "value": format!("lab-{number}") }],
        "subject": reference(&format!("Patient/{p}")),
        "encounter": reference(&format!("Encounter/{p}-enc-1")),
        "effectiveDateTime": format!("2026-0{number}-1{number}"),
        "performer": [reference(pick(["Practitioner/p1", "Organization/o1", "Practitioner/p2"]))],
        "valueQuantity": { "value": number, "unit": "g/dL", "system": "http://unitsofmeasure.org", "code": "g/dL" },
    })
}

fn encounters(p: &str) -> Vec<Value> {
    let encounter = |number: usize| {
        let class = if number == 1 { "AMB" } else { "IMP" };
        json!({
            "resourceType": "Encounter", "id": format!("{p}-enc-{number}"), "status": "finished",
            "class": { "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": class },
            "subject": reference(&format!("Patient/{p}")),
            "period": { "start": format!("2026-0{number}-01"), "end": format!("2026-0{number}-09") },
            "participant": [{ "individual": reference(&format!("Practitioner/p{number}")) }],
            "location": [{ "location": reference("Location/l1") }],
            "serviceProvider": reference("Organization/o1"),
        })
    };
    vec![encounter(1), encounter(2)]
}

fn problems(p: &str) -> Vec<Value> {
    let subject = reference(&format!("Patient/{p}"));
    let clinical = |code: &str| concept("http://terminology.hl7.org/CodeSystem/condition-clinical", code);
    let condition = |number: usize, status: &str, code: &str| {
        json!({
            "resourceType": "Condition", "id": format!("{p}-con-{number}"), "clinicalStatus": clinical(status),
            "code": concept("http://snomed.info/sct", code), "subject": subject,
            "category": [concept("http://terminology.hl7.org/CodeSystem/condition-category", "problem-list-item")],
            "encounter": reference(&format!("Encounter/{p}-enc-1")), "onsetDateTime": format!("202{number}-05-05"),
            "asserter": reference("Practitioner/p1"),
        })
    };
    vec![
        condition(1, "active", "73211009"),
        condition(2, "resolved", "38341003"),
        condition(3, "active", "38341003"),
        json!({
            "resourceType": "AllergyIntolerance", "id": format!("{p}-all-1"), "clinicalStatus": clinical("active"),
            "code": concept("http://snomed.info/sct", "387207008"), "patient": subject,
            "recorder": reference("Practitioner/p2"),
        }),
        json!({
            "resourceType": "Immunization", "id": format!("{p}-imm-1"), "status": "completed", "patient": subject,
            "vaccineCode": concept("http://hl7.org/fhir/sid/cvx", "207"), "occurrenceDateTime": "2021-04-04",
            "location": reference("Location/l1"), "performer": [{ "actor": reference("Practitioner/p1") }],
        }),
    ]
}

fn orders(p: &str) -> Vec<Value> {
    let subject = reference(&format!("Patient/{p}"));
    let request = |number: usize, status: &str| {
        json!({
            "resourceType": "MedicationRequest", "id": format!("{p}-med-{number}"), "status": status,
            "intent": "order", "medicationReference": reference(&format!("Medication/m{number}")),
            "subject": subject, "requester": reference("Practitioner/p1"), "authoredOn": "2026-02-02",
            "encounter": reference(&format!("Encounter/{p}-enc-2")),
        })
    };
    vec![
        request(1, "active"),
        request(2, "stopped"),
        json!({
            "resourceType": "DiagnosticReport", "id": format!("{p}-rep-1"), "status": "final",
            "code": concept(LOINC, "58410-2"), "subject": subject, "effectiveDateTime": "2026-03-03",
            "result": [reference(&format!("Observation/{p}-obs-1")), reference(&format!("Observation/{p}-obs-2"))],
            "performer": [reference("Organization/o1")],
        }),
        json!({
            "resourceType": "Procedure", "id": format!("{p}-pro-1"), "status": "completed", "subject": subject,
            "code": concept("http://snomed.info/sct", "80146002"), "performedDateTime": "2025-01-01",
            "performer": [{ "actor": reference("Practitioner/p2") }],
        }),
        json!({
            "resourceType": "Task", "id": format!("{p}-tas-1"), "status": "requested", "intent": "order",
            "code": concept("urn:task", "fulfil"), "for": subject,
            "focus": reference(&format!("MedicationRequest/{p}-med-1")), "owner": reference("Organization/o1"),
        }),
    ]
}

fn surroundings(p: &str) -> Vec<Value> {
    let subject = reference(&format!("Patient/{p}"));
    vec![
        json!({
            "resourceType": "Appointment", "id": format!("{p}-app-1"), "status": "booked", "start": "2027-02-02T10:00:00Z",
            "participant": [
                { "actor": subject, "status": "accepted" },
                { "actor": reference("Practitioner/p1"), "status": "accepted" },
                { "actor": reference("Location/l1"), "status": "accepted" },
            ],
        }),
        json!({
            "resourceType": "Coverage", "id": format!("{p}-cov-1"), "status": "active", "beneficiary": subject,
            "payor": [reference("Organization/o2")],
        }),
        json!({
            "resourceType": "RelatedPerson", "id": format!("{p}-rel-1"), "patient": subject,
            "relationship": [concept("http://terminology.hl7.org/CodeSystem/v3-RoleCode", "MTH")],
            "name": [{ "family": "Mother", "given": ["Eve"] }],
        }),
        json!({
            "resourceType": "Device", "id": format!("{p}-dev-1"), "type": concept("http://snomed.info/sct", "14106009"),
            "patient": subject, "owner": reference("Organization/o1"),
        }),
        json!({
            "resourceType": "List", "id": format!("{p}-lis-1"), "status": "current", "mode": "working",
            "code": concept("urn:list", "problems"), "subject": subject, "source": reference("Practitioner/p1"),
            "entry": [{ "item": reference(&format!("Condition/{p}-con-1")) }],
        }),
        json!({
            "resourceType": "DocumentReference", "id": format!("{p}-doc-1"), "status": "current",
            "type": concept(LOINC, "34133-9"), "subject": subject, "date": "2026-06-06T06:06:06Z",
            "author": [reference("Practitioner/p2")],
            "content": [{ "attachment": { "contentType": "text/plain", "url": format!("Binary/{p}-bin-2") } }],
        }),
        json!({
            "resourceType": "Binary", "id": format!("{p}-bin-1"), "contentType": "text/plain", "data": "aGVsbG8=",
            "securityContext": subject,
        }),
        json!({ "resourceType": "Binary", "id": format!("{p}-bin-2"), "contentType": "text/plain", "data": "aGVsbG8=" }),
        provenance(p, 1, &[&format!("Observation/{p}-obs-1")]),
        provenance(p, 2, &[&format!("Condition/{p}-con-1"), "Practitioner/p1"]),
        provenance(p, 3, &[&format!("Patient/{p}"), &format!("Observation/{p}-obs-2")]),
    ]
}

pub(crate) fn provenance(p: &str, number: usize, targets: &[&str]) -> Value {
    let targets: Vec<Value> = targets.iter().map(|target| reference(target)).collect();
    json!({
        "resourceType": "Provenance", "id": format!("{p}-prv-{number}"), "recorded": "2026-06-06T06:06:06Z",
        "target": targets, "agent": [{ "who": reference("Practitioner/p1") }],
    })
}

/// What is nobody's: types that hold no patient's data.
pub(crate) fn shared() -> Vec<Value> {
    let practitioner = |number: usize, name: &str| {
        json!({
            "resourceType": "Practitioner", "id": format!("p{number}"), "name": [{ "family": name, "given": ["Pat"] }],
            "identifier": [{ "system": "urn:npi", "value": format!("npi-{number}") }],
        })
    };
    vec![
        practitioner(1, "House"),
        practitioner(2, "Grey"),
        practitioner(3, "Only-Others"),
        json!({
            "resourceType": "PractitionerRole", "id": "r1", "practitioner": reference("Practitioner/p1"),
            "organization": reference("Organization/o1"), "specialty": [concept("http://snomed.info/sct", "394814009")],
        }),
        json!({ "resourceType": "Organization", "id": "o1", "name": "Ward", "partOf": reference("Organization/o2") }),
        json!({ "resourceType": "Organization", "id": "o2", "name": "Hospital" }),
        json!({
            "resourceType": "Location", "id": "l1", "name": "Room", "managingOrganization": reference("Organization/o1"),
        }),
        json!({ "resourceType": "Medication", "id": "m1", "code": concept("http://rxnorm", "6809") }),
        json!({ "resourceType": "Medication", "id": "m2", "code": concept("http://rxnorm", "860975") }),
    ]
}
