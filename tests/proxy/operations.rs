//! What the FHIR server of the tests does when an operation is called, and what it holds for them.

use serde_json::{Value, json};
use smartgate::fhir::target::Target;

use crate::double::{Answer, Manners, Seen, Server, is, is_of, names, outcome, selected};
use crate::resources::{OF_ANOTHER, conventional};
use crate::wire::Reply;
use crate::world::World;

/// The operations that the operator of the tests added.
pub(crate) const ROWS: &str = r#"
[[operations]]
name = "stats"
levels = ["type"]
types = ["Observation"]
methods = ["GET", "POST"]
scope = "s"
patient = "subject"
answer = "bundle"

[[operations]]
name = "current"
levels = ["instance"]
types = ["Encounter", "Patient"]
patient = "instance"
answer = "resource"

[[operations]]
name = "find"
levels = ["type"]
types = ["Observation"]
methods = ["POST"]
patient = "patient"
answer = "resource"

[[operations]]
name = "$evaluate-measure"
levels = ["type", "instance"]
types = ["Measure"]
answer = "none"

[[operations]]
name = "batch-report"
levels = ["system"]
types = ["Observation", "Patient"]
methods = ["GET", "POST"]
answer = "none"
"#;

/// The conventional resources, documents of A and of B among them.
pub(crate) fn resources() -> Vec<Value> {
    let mut resources = conventional();
    for (id, patient) in [("dra", "A"), ("drb", "B"), ("dra2", "A")] {
        let mut document = json!({
            "resourceType": "DocumentReference",
            "id": id,
            "meta": { "versionId": "1" },
            "status": "current",
            "subject": { "reference": format!("Patient/{patient}") },
        });
        if patient != "A" {
            document["description"] = json!(OF_ANOTHER);
        }
        resources.push(document);
    }
    resources.push(json!({
        "resourceType": "Composition",
        "id": "cpa",
        "meta": { "versionId": "1" },
        "subject": { "reference": "Patient/A" },
    }));
    resources.push(json!({ "resourceType": "Measure", "id": "me", "meta": { "versionId": "1" } }));
    resources
}

impl Server {
    pub(crate) fn operation(&self, seen: &Seen, target: &Target, manners: Manners) -> Answer {
        let path: Vec<&str> = target.path.iter().map(String::as_str).collect();
        let resources = self.held_now();
        let asked = |name: &str| target.query.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
        match path.as_slice() {
            [_, "Patient", id, "$everything"] => {
                let types = asked("_type").filter(|_| manners != Manners::IgnoresParameters);
                let found = resources.iter().filter(|r| everything(r, id) || manners == Manners::EveryType);
                let found = found.filter(|r| types.is_none_or(|types| types.split(',').any(|of| is_of(r, of))));
                self.bundle("searchset", found.cloned().collect(), target, manners)
            }
            [_, "Patient", id, "$summary"] => self.summary(&resources, id, manners),
            [_, "Observation", "$lastn" | "$stats"] => {
                let found = resources.iter().filter(|r| is_of(r, "Observation") || manners == Manners::EveryType);
                let found =
                    found.filter(|r| manners == Manners::IgnoresParameters || selected(&resources, r, &target.query));
                self.bundle("searchset", found.cloned().collect(), target, manners)
            }
            [_, "DocumentReference", "$docref"] => {
                let patient = format!("Patient/{}", asked("patient").unwrap_or_default());
                let found = resources.iter().filter(|r| is_of(r, "DocumentReference"));
                let found = found.filter(|r| manners == Manners::IgnoresParameters || names(r, &patient));
                self.bundle("searchset", found.cloned().collect(), target, manners)
            }
            [_, .., "$current" | "$find"] => {
                let (of, id) =
                    if manners == Manners::OtherResource { ("Observation", "b1") } else { ("Observation", "a1") };
                Answer::json(200, resources.iter().find(|r| is(r, of, id)).unwrap_or(&Value::Null))
            }
            [_, "$export"] | [_, "Patient", "$export"] | [_, "Group", _, "$export"] => {
                let body = Vec::new();
                Answer {
                    status: 202,
                    headers: vec![("Content-Location", format!("{}/bulk-status/1", self.base))],
                    body,
                }
            }
            [_, .., "$expand"] => {
                Answer::json(200, &json!({ "resourceType": "ValueSet", "expansion": { "total": 1 } }))
            }
            [_, .., "$validate"] => Answer::json(200, &outcome("all is well")),
            _ if manners == Manners::Talkative => {
                let secret = json!({ "resourceType": "Observation", "id": "b9", "subject": { "reference": "Patient/B" }, "note": OF_ANOTHER });
                let part = json!({ "name": "match", "part": [{ "name": "resource", "resource": secret }] });
                Answer::json(200, &json!({ "resourceType": "Parameters", "parameter": [part] }))
            }
            _ => Answer::json(
                200,
                &json!({ "resourceType": "Parameters", "parameter": [{ "name": "asked", "valueString": seen.method }] }),
            ),
        }
    }

    fn summary(&self, resources: &[Value], id: &str, manners: Manners) -> Answer {
        let patient = format!("Patient/{id}");
        let own = |of: &'static str| resources.iter().filter(move |r| is_of(r, of));
        let mut found: Vec<&Value> = own("Composition").filter(|r| names(r, &patient)).collect();
        found.extend(own("Patient").filter(|r| r["id"] == id));
        found.extend(own("Condition").filter(|r| names(r, &patient)));
        found.extend(own("Organization"));
        if manners == Manners::Talkative {
            found.extend(own("Observation").filter(|r| r["id"] == "b1"));
        }
        let entry = |resource: &&Value| {
            let name = format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
            json!({ "fullUrl": format!("{}/{name}", self.base), "resource": resource, "search": { "mode": OF_ANOTHER } })
        };
        let bundle = json!({
            "resourceType": "Bundle",
            "id": "upstream-bundle",
            "type": if manners == Manners::EveryType { "searchset" } else { "document" },
            "identifier": { "value": "summary-1" },
            "timestamp": "2026-12-01T10:00:00Z",
            "signature": { "data": OF_ANOTHER },
            "entry": found.iter().map(entry).collect::<Vec<_>>(),
        });
        Answer::json(200, &bundle)
    }
}

/// What a server takes for everything of a patient: also what the patient only took part in, and what it all refers to.
fn everything(resource: &Value, id: &str) -> bool {
    let performs = resource["performer"][0]["reference"] == format!("Patient/{id}");
    let shared = ["Practitioner", "Organization", "Location", "Medication"].iter().any(|of| is_of(resource, of));
    is(resource, "Patient", id) || names(resource, &format!("Patient/{id}")) || performs || shared
}

/// Without what is random, the time of day, and with the seals' length only.
fn masked(reply: &Reply) -> (u16, String) {
    let text = reply.text();
    let mut parts = text.split("_page=");
    let mut masked = parts.next().unwrap().to_owned();
    for part in parts {
        let end = part.find('"').unwrap();
        masked.push_str(&format!("_page={}{}", "x".repeat(end), &part[end..]));
    }
    (reply.status, masked)
}

/// enforcement.md §2.5: the same bytes whatever there is of others, also where the server mixes it in.
#[tokio::test]
async fn operations_tell_nothing_of_others() {
    let world = World::start("", ROWS).await;
    let token = world.patient_token("patient/*.rs", "A");
    let own: Vec<Value> = resources().into_iter().filter(|r| !r.to_string().contains(OF_ANOTHER)).collect();
    for target in [
        "/fhir/Patient/A/$everything",
        "/fhir/Patient/A/$everything?_count=2",
        "/fhir/Patient/B/$everything",
        "/fhir/Patient/nope/$everything",
        "/fhir/Observation/$lastn?max=1",
        "/fhir/Observation/$lastn?patient=B",
        "/fhir/DocumentReference/$docref?patient=A",
        "/fhir/DocumentReference/$docref?patient=B",
        "/fhir/Patient/A/$summary",
        "/fhir/Patient/B/$summary",
        "/fhir/Observation/$stats?subject=Patient/A",
        "/fhir/Observation/$stats?subject=B",
        "/fhir/Encounter/eb/$current",
        "/fhir/Encounter/ea/$current",
        "/fhir/Encounter/nope/$current",
    ] {
        world.upstream.hold(own.clone());
        let alone = masked(&world.get(&token, target).await);
        world.upstream.hold(resources());
        let among = masked(&world.get(&token, target).await);
        assert_eq!(alone, among, "{target}");
    }
}

/// Where several elements make data the patient's, the server is still told whose last observations are wanted.
#[tokio::test]
async fn the_last_observations_are_asked_for_by_patient_whatever_narrows() {
    for fhir in [
        "narrowing = \"none\"",
        "narrowing = \"compartment\"",
        "patient_data = \"compartment\"\nnarrowing = \"none\"",
        "patient_data = \"compartment\"\nnarrowing = \"compartment\"",
    ] {
        let world = World::start(fhir, "").await;
        let token = world.patient_token("patient/Observation.rs", "A");
        let found = world.get(&token, "/fhir/Observation/$lastn?max=1").await;
        assert_eq!(found.resources(), ["Observation/a1", "Observation/m1", "Observation/a2"], "{fhir}");
        assert_eq!(world.upstream.take()[0].line(), "GET /fhir/Observation/$lastn?max=1&patient=Patient/A", "{fhir}");
    }
}

#[tokio::test]
async fn everything_is_paged_as_a_search_is() {
    let world = World::start("", "").await;
    world.upstream.hold(resources());
    let token = world.patient_token("patient/Patient.r patient/Observation.r patient/Encounter.r", "A");
    let mut found = Vec::new();
    let mut target = "/fhir/Patient/A/$everything?_count=2".to_owned();
    loop {
        let page = world.get(&token, &target).await;
        assert_eq!(page.status, 200, "{}", page.text());
        assert!(page.resources().len() <= 2);
        found.extend(page.resources());
        let Some(next) = page.link("next") else { break };
        // The page is another's to nobody.
        let other = world.patient_token("patient/Patient.r patient/Observation.r patient/Encounter.r", "B");
        target = next.strip_prefix("https://p").unwrap().to_owned();
        assert_eq!(world.get(&other, &target).await.status, 404);
    }
    assert_eq!(found, ["Patient/A", "Observation/a1", "Observation/m1", "Observation/a2", "Encounter/ea"]);
}
