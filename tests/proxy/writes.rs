//! Writes under a patient context: races, and answers that are the same whatever there is (enforcement.md §2.7, §5).

use serde_json::{Value, json};

use crate::double::Manners;
use crate::resources::{OF_ANOTHER, observation};
use crate::uniform::constant;
use crate::wire::{self, Reply};
use crate::world::World;

const PATCH: &str = "application/json-patch+json";
const FHIR: &str = "application/fhir+json";

/// One write of the patient A's, with these headers besides.
async fn write(world: &World, method: &str, target: &str, kind: &str, body: &Value, more: &[(&str, &str)]) -> Reply {
    let token = world.patient_token("patient/*.cruds", "A");
    let mut headers = vec![("Authorization".to_owned(), format!("Bearer {token}"))];
    if method != "DELETE" {
        headers.push(("Content-Type".to_owned(), kind.to_owned()));
    }
    headers.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let body = if method == "DELETE" { String::new() } else { body.to_string() };
    wire::send(world.address(), method, target, &headers, body.as_bytes()).await
}

fn own(id: &str) -> Value {
    json!({ "resourceType": "Observation", "id": id, "subject": { "reference": "Patient/A" } })
}

fn amend() -> Value {
    json!([{ "op": "replace", "path": "/status", "value": "amended" }])
}

#[tokio::test]
async fn what_changes_hands_between_check_and_write_is_not_overwritten() {
    let world = World::start("", "").await;
    for (method, kind, body) in [("PUT", FHIR, own("a1")), ("PATCH", PATCH, amend()), ("DELETE", "", Value::Null)] {
        world.upstream.hold(vec![observation("a1", "A", "x")]);
        world.upstream.behave(Manners::ChangesHands);
        let reply = write(&world, method, "/fhir/Observation/a1", kind, &body, &[]).await;
        assert_eq!((reply.status, reply.rule().as_deref()), (409, Some("write-conflict")), "{method}");
        assert!(!reply.text().contains(OF_ANOTHER) && !reply.text().contains("Patient/B"), "{method}");
        let held = world.upstream.held("Observation", "a1").unwrap();
        assert_eq!(held["subject"]["reference"], "Patient/B", "{method}");
        assert_eq!(held["meta"]["versionId"], "2", "{method}");
    }
}

#[tokio::test]
async fn what_vanishes_between_check_and_write_is_not_made_again() {
    let world = World::start("upsert = \"allow\"", "").await;
    for (method, kind, body) in [("PUT", FHIR, own("a1")), ("PATCH", PATCH, amend()), ("DELETE", "", Value::Null)] {
        world.upstream.hold(vec![observation("a1", "A", "x")]);
        world.upstream.behave(Manners::Vanishes);
        let reply = write(&world, method, "/fhir/Observation/a1", kind, &body, &[]).await;
        assert_eq!(reply.status, 409, "{method}");
        assert_eq!(world.upstream.held("Observation", "a1"), None, "{method}");
    }
}

#[tokio::test]
async fn a_refused_write_is_the_same_bytes_whatever_there_is() {
    let world = World::start("", "").await;
    let conditions: [&[(&str, &str)]; 5] = [
        &[],
        &[("If-Match", "W/\"1\"")],
        &[("If-Match", "W/\"9\"")],
        &[("If-None-Match", "*")],
        &[("If-Unmodified-Since", "Tue, 01 Dec 2026 10:00:00 GMT")],
    ];
    for (method, kind, body) in [("PUT", FHIR, own("x1")), ("PATCH", PATCH, amend()), ("DELETE", "", Value::Null)] {
        for more in conditions {
            let mut answers = Vec::new();
            for resources in [
                vec![],
                vec![observation("x1", "B", "x")],
                vec![observation("x1", "A", "x"), observation("x1", "B", "x")],
                vec![json!({ "resourceType": "Observation", "id": "x1" })],
            ] {
                world.upstream.hold(resources);
                answers.push(constant(write(&world, method, "/fhir/Observation/x1", kind, &body, more).await));
            }
            assert_eq!(answers[0].0, 404, "{method} {more:?}");
            assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{method} {more:?}: {answers:?}");
        }
    }
}

#[tokio::test]
async fn a_reference_to_anothers_is_refused_as_one_to_nothing() {
    let world = World::start("", "").await;
    let body = json!({
        "resourceType": "Observation",
        "subject": { "reference": "Patient/A" },
        "hasMember": [{ "reference": "Observation/x1" }],
    });
    let mut answers = Vec::new();
    for resources in [vec![], vec![observation("x1", "B", "x")]] {
        world.upstream.hold(resources);
        answers.push(constant(write(&world, "POST", "/fhir/Observation", FHIR, &body, &[]).await));
    }
    assert_eq!(answers[0].0, 403);
    assert_eq!(answers[0], answers[1]);
    world.upstream.hold(vec![observation("x1", "A", "x")]);
    assert_eq!(write(&world, "POST", "/fhir/Observation", FHIR, &body, &[]).await.status, 201);
}

#[tokio::test]
async fn a_put_creates_where_the_operator_allows_it_and_nothing_is_there() {
    let world = World::start("upsert = \"allow\"", "").await;
    world.upstream.hold(vec![observation("b1", "B", "x")]);
    let reply = write(&world, "PUT", "/fhir/Observation/new1", FHIR, &own("new1"), &[]).await;
    assert_eq!(reply.status, 201);
    assert_eq!(world.upstream.take()[1].header("if-none-match"), Some("*"));
    let reply = write(&world, "PUT", "/fhir/Observation/new2", FHIR, &own("new2"), &[("If-Match", "W/\"1\"")]).await;
    assert_eq!((reply.status, reply.rule().as_deref()), (412, Some("precondition-failed")));
    assert_eq!(write(&world, "PUT", "/fhir/Observation/b1", FHIR, &own("b1"), &[]).await.status, 404);
    let patient = json!({ "resourceType": "Patient", "id": "A" });
    assert_eq!(write(&world, "PUT", "/fhir/Patient/A", FHIR, &patient, &[]).await.status, 404);
    assert_eq!(write(&world, "PATCH", "/fhir/Observation/new3", PATCH, &amend(), &[]).await.status, 404);
    assert_eq!(world.upstream.held("Observation", "b1").unwrap()["subject"]["reference"], "Patient/B");
}

#[tokio::test]
async fn by_the_full_compartment_writing_still_goes_by_the_subject() {
    let world = World::start("patient_data = \"compartment\"\nnarrowing = \"compartment\"", "").await;
    let reply = write(&world, "PUT", "/fhir/Observation/ab", FHIR, &own("ab"), &[]).await;
    assert_eq!(reply.status, 404);
    let performed = json!({
        "resourceType": "Observation",
        "subject": { "reference": "Patient/B" },
        "performer": [{ "reference": "Patient/A" }],
    });
    let reply = write(&world, "POST", "/fhir/Observation", FHIR, &performed, &[]).await;
    assert_eq!((reply.status, reply.rule().as_deref()), (403, Some("subject-not-own")));
    assert_eq!(write(&world, "PUT", "/fhir/Observation/a1", FHIR, &own("a1"), &[]).await.status, 200);
}

#[tokio::test]
async fn a_person_who_is_a_patient_writes_as_that_patient() {
    let world = World::start("", "").await;
    let claims = json!({ "scope": "user/*.cruds", "fhirUser": "Patient/A" });
    let token = world.token(claims.as_object().unwrap());
    let headers =
        [("Authorization".to_owned(), format!("Bearer {token}")), ("Content-Type".to_owned(), FHIR.to_owned())];
    for (target, body, status) in [
        ("/fhir/Observation/a1", own("a1"), 200),
        ("/fhir/Observation/b1", own("b1"), 404),
        ("/fhir/Observation/a1", observation("a1", "B", "x"), 403),
    ] {
        let reply = wire::send(world.address(), "PUT", target, &headers, body.to_string().as_bytes()).await;
        assert_eq!(reply.status, status, "{target}");
    }
}

#[tokio::test]
async fn to_read_one_patients_data_is_not_to_test_anothers() {
    let world = World::start("", "").await;
    let claims =
        json!({ "scope": "patient/Observation.r user/Observation.u", "patient": "A", "fhirUser": "Patient/B" });
    let token = world.token(claims.as_object().unwrap());
    let headers =
        [("Authorization".to_owned(), format!("Bearer {token}")), ("Content-Type".to_owned(), PATCH.to_owned())];
    for (patch, status) in [
        (json!([{ "op": "test", "path": "/valueQuantity/value", "value": 1.5 }]), 403),
        (json!([{ "op": "test", "path": "/valueQuantity/value", "value": 7 }]), 403),
        (amend(), 200),
    ] {
        let reply =
            wire::send(world.address(), "PATCH", "/fhir/Observation/b1", &headers, patch.to_string().as_bytes()).await;
        assert_eq!((reply.status, reply.text().contains(OF_ANOTHER)), (status, false), "{patch}");
    }
}
