//! What is not the token's own looks the same whatever there is behind the gate (enforcement.md §1, attacks.md 193).

use serde_json::json;

use crate::double::Manners;
use crate::resources::observation;
use crate::wire::Reply;
use crate::world::World;

/// An answer without the request id and the time of day.
pub(crate) fn constant(reply: Reply) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let random = ["x-request-id", "date"];
    let headers = reply.headers.into_iter().filter(|(name, _)| !random.contains(&name.as_str())).collect();
    (reply.status, headers, reply.body)
}

#[tokio::test]
async fn a_denial_is_the_same_bytes_whatever_there_is() {
    let world = World::start("", "").await;
    let token = world.patient_token("patient/*.rs", "A");
    let denial = constant(world.get(&token, "/fhir/Observation/nope").await);
    assert_eq!(denial.0, 404);
    for target in [
        "/fhir/Observation/b1",
        "/fhir/Observation/ab",
        "/fhir/Observation/b1/_history/1",
        "/fhir/Observation/a1/_history/99",
        "/fhir/Observation/m1/_history/1",
        "/fhir/Observation/b1/_history",
        "/fhir/Observation/nope/_history",
        "/fhir/Patient/B",
        "/fhir/Patient/nope",
        "/fhir/Patient/B/_history/1",
        "/fhir/Patient/B/_history",
        "/fhir/Encounter/eb",
        "/fhir/Practitioner/nope",
    ] {
        assert_eq!(constant(world.get(&token, target).await), denial, "{target}");
    }
    // Deleted, as the upstream says it in its own ways.
    for manners in [Manners::Error404, Manners::Gone, Manners::OtherResource] {
        world.upstream.behave(manners);
        assert_eq!(constant(world.get(&token, "/fhir/Observation/a1").await), denial, "{manners:?}");
    }
    world.upstream.behave(Manners::Good);
    let head = constant(world.ask(&token, "HEAD", "/fhir/Observation/nope").await);
    assert_eq!(constant(world.ask(&token, "HEAD", "/fhir/Observation/b1").await), head);
    assert_eq!((head.0, head.1, head.2.len()), (denial.0, denial.1.clone(), 0));
}

#[tokio::test]
async fn an_empty_search_is_the_same_bytes_whatever_there_is() {
    let world = World::start("", "").await;
    let token = world.patient_token("patient/*.rs", "A");
    for target in [
        "/fhir/Observation?_id=x1",
        "/fhir/Observation?patient=x1",
        "/fhir/Patient?_id=x1",
        "/fhir/Patient/x1/Observation",
    ] {
        let mut answers = Vec::new();
        for resources in [
            vec![],
            vec![observation("x1", "B", "x")],
            vec![json!({ "resourceType": "Patient", "id": "x1" }), observation("o", "x1", "x")],
        ] {
            world.upstream.hold(resources);
            answers.push(constant(world.get(&token, target).await));
        }
        assert_eq!(answers[0].0, 200);
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{target}: {answers:?}");
    }
}

#[tokio::test]
async fn what_narrowing_is_configured_changes_nothing_of_what_is_found() {
    for fhir in ["", "narrowing = \"compartment\"", "narrowing = \"none\""] {
        let world = World::start(fhir, "").await;
        let token = world.patient_token("patient/*.rs", "A");
        let found = world.get(&token, "/fhir/Observation").await;
        assert_eq!(found.resources(), ["Observation/a1", "Observation/m1", "Observation/a2"], "{fhir}");
        assert_eq!(found.json()["total"], 3, "{fhir}");
        assert_eq!(world.get(&token, "/fhir/Observation/ab").await.status, 404, "{fhir}");
    }
}

#[tokio::test]
async fn by_the_full_compartment_a_performer_sees_it_too() {
    let world = World::start("patient_data = \"compartment\"\nnarrowing = \"compartment\"", "").await;
    let token = world.patient_token("patient/*.rs", "A");
    assert_eq!(world.get(&token, "/fhir/Observation/ab").await.status, 200);
    assert_eq!(world.get(&token, "/fhir/Observation/bf").await.status, 404);
    assert_eq!(world.get(&token, "/fhir/Observation/b1").await.status, 404);
}

#[tokio::test]
async fn who_asks_is_told_to_the_upstream_and_only_by_the_gate() {
    let headers =
        "identity_headers = { user = \"X-Smart-User\", patient = \"X-Smart-Patient\", client = \"X-Smart-Client\" }";
    let world = World::start(headers, "").await;
    let token = world.patient_token("patient/*.rs", "A");
    let lying = [
        ("Authorization".to_owned(), format!("Bearer {token}")),
        ("X-Smart-Patient".to_owned(), "B".to_owned()),
        ("X-Smart-Patient".to_owned(), "C".to_owned()),
        ("X-Smart-User".to_owned(), "Practitioner/root".to_owned()),
        ("Connection".to_owned(), "X-Smart-Patient".to_owned()),
    ];
    let reply = crate::wire::send(world.address(), "GET", "/fhir/Observation/a1", &lying, b"").await;
    assert_eq!(reply.status, 200);
    let seen = world.upstream.take();
    let told = |name: &str| -> Vec<String> {
        let values = seen[0].headers.iter().filter(|(given, _)| given == name).map(|(_, value)| value.clone());
        values.collect()
    };
    assert_eq!(told("x-smart-patient"), ["A"]);
    assert_eq!(told("x-smart-user"), ["someone"]);
    assert_eq!(told("x-smart-client"), ["app"]);
    let service = world.token(json!({ "scope": "system/*.rs" }).as_object().unwrap());
    world.get(&service, "/fhir/Observation/a1").await;
    assert_eq!(world.upstream.take()[0].header("x-smart-patient"), None);
}

/// attacks.md 112: what a resource contains belongs to it, whoever that is about; the documentation says so.
#[tokio::test]
async fn row_112_what_is_contained_goes_with_its_container() {
    let world = World::start("", "").await;
    let contained = json!([{ "resourceType": "Patient", "id": "p", "name": [{ "text": "another" }] }]);
    let mut own = observation("own", "A", "x");
    own["contained"] = contained.clone();
    let mut other = observation("other", "B", "x");
    other["contained"] = json!([{ "resourceType": "Observation", "id": "o", "subject": { "reference": "Patient/A" } }]);
    world.upstream.hold(vec![own.clone(), other]);
    let token = world.patient_token("patient/Observation.rs", "A");
    assert_eq!(world.get(&token, "/fhir/Observation/own").await.json()["contained"], contained);
    assert_eq!(world.get(&token, "/fhir/Observation?code=x").await.resources(), ["Observation/own"]);
    assert_eq!(world.get(&token, "/fhir/Observation/other").await.status, 404);
}
