//! Writes and the FHIR server's obedience: found out on a resource of the gate's own, once, and nobody else's is ever overwritten
//! (enforcement.md §2.7).

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::double::{Double, Manners, Seen};
use crate::resources::{OF_ANOTHER, observation};
use crate::uniform::constant;
use crate::wire::{self, Reply};
use crate::world::{OBEDIENT, World};

const PATCH: &str = "application/json-patch+json";
const FHIR: &str = "application/fhir+json";

async fn write(world: &World, method: &str, target: &str, kind: &str, body: &Value) -> Reply {
    let token = world.patient_token("patient/*.cruds", "A");
    let mut headers = vec![("Authorization".to_owned(), format!("Bearer {token}"))];
    if method != "DELETE" {
        headers.push(("Content-Type".to_owned(), kind.to_owned()));
    }
    let body = if method == "DELETE" { String::new() } else { body.to_string() };
    wire::send(world.address(), method, target, &headers, body.as_bytes()).await
}

async fn update(world: &World, id: &str) -> Reply {
    write(world, "PUT", &format!("/fhir/Observation/{id}"), FHIR, &own(id)).await
}

async fn delete(world: &World, id: &str) -> Reply {
    write(world, "DELETE", &format!("/fhir/Observation/{id}"), "", &Value::Null).await
}

fn own(id: &str) -> Value {
    json!({ "resourceType": "Observation", "id": id, "subject": { "reference": "Patient/A" } })
}

fn amend() -> Value {
    json!([{ "op": "add", "path": "/status", "value": "amended" }])
}

fn said(reply: &Reply) -> (u16, Option<String>) {
    (reply.status, reply.rule())
}

fn refused(status: u16, rule: &str) -> (u16, Option<String>) {
    (status, Some(rule.to_owned()))
}

async fn unprobed(fhir: &str, manners: Manners) -> World {
    let world = World::start_with(fhir, "", None).await;
    world.capabilities_known().await;
    world.upstream.behave(manners);
    world.upstream.take();
    world
}

#[tokio::test]
async fn the_first_write_finds_out_and_no_other_has_to() {
    let world = unprobed("", Manners::Good).await;
    assert_eq!(update(&world, "a1").await.status, 200);
    let lines: Vec<String> = world.upstream.take().iter().map(Seen::line).collect();
    let (probe, write) = lines.split_at(lines.len() - 2);
    assert_eq!(write, ["GET /fhir/Observation/a1", "PUT /fhir/Observation/a1"]);
    assert_eq!(probe[0], "POST /fhir/Basic");
    let own = |line: &String| line.ends_with(" /fhir/Basic/new") || line == "POST /fhir";
    assert!(probe[1..].iter().all(own), "a resource of its own: {probe:?}");
    assert_eq!(world.upstream.held("Basic", "new"), None, "nothing is left behind");
    assert_eq!(world.recorded().await.as_deref(), Some(OBEDIENT));
    assert_eq!(delete(&world, "a1").await.status, 204);
    assert_eq!(world.upstream.take().len(), 2);
}

#[tokio::test]
async fn many_first_writes_find_out_once() {
    let world = unprobed("", Manners::Good).await;
    let replies = join_all((0..8).map(|_| update(&world, "a1"))).await;
    assert!(replies.iter().all(|reply| [200, 409].contains(&reply.status)), "{replies:?}");
    let probes = world.upstream.take().iter().filter(|seen| seen.line() == "POST /fhir/Basic").count();
    assert_eq!(probes, 1);
}

#[tokio::test]
async fn a_method_whose_condition_is_ignored_is_closed() {
    for (manners, put, patch, remove) in [
        (Manners::IgnoresConditions, false, false, false),
        (Manners::IgnoresConditionsOfDelete, true, true, false),
        (Manners::NoBasic, true, true, true),
    ] {
        let world = unprobed("", manners).await;
        let open = |open: bool, status: u16| if open { (status, None) } else { refused(403, "write-unpinned") };
        assert_eq!(said(&update(&world, "a1").await), open(put, 200), "{manners:?}");
        let patched = write(&world, "PATCH", "/fhir/Observation/a1", PATCH, &amend()).await;
        assert_eq!(said(&patched), open(patch, 200), "{manners:?}");
        assert_eq!(said(&delete(&world, "a1").await), open(remove, 204), "{manners:?}");
        assert_eq!(write(&world, "POST", "/fhir/Observation", FHIR, &own("x")).await.status, 201, "{manners:?}");
        if !remove {
            let mut answers = Vec::new();
            for id in ["a2", "b1", "nope"] {
                answers.push(constant(delete(&world, id).await));
            }
            assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{manners:?}: {answers:?}");
        }
    }
}

#[tokio::test]
async fn the_operator_may_open_it_all_the_same() {
    let world = unprobed("unpinned_writes = [\"DELETE\"]", Manners::IgnoresConditions).await;
    assert_eq!(delete(&world, "a1").await.status, 204);
    assert_eq!(world.upstream.take().len(), 2, "what is open is not tried out");
    assert_eq!(said(&delete(&world, "b1").await), refused(404, "not-found-or-not-yours"));
    assert_eq!(said(&update(&world, "a2").await), refused(403, "write-unpinned"));
}

#[tokio::test]
async fn what_cannot_be_found_out_is_closed_and_not_tried_at_once_again() {
    let world = unprobed("", Manners::RefusesWrites).await;
    assert_eq!(said(&update(&world, "a1").await), refused(503, "write-unprobed"));
    let lines: Vec<String> = world.upstream.take().iter().map(Seen::line).collect();
    assert_eq!(lines, ["POST /fhir/Basic", "POST /fhir/Observation"]);
    world.upstream.behave(Manners::Good);
    assert_eq!(said(&delete(&world, "a1").await), refused(503, "write-unprobed"));
    assert_eq!(world.upstream.take().len(), 0);
    assert_eq!(world.recorded().await, None);
    let detail = world.audit().await.pop().unwrap()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("smartgate check --upstream"), "{detail}");
}

#[tokio::test]
async fn each_fhir_server_has_its_own_record() {
    let world = unprobed("", Manners::Good).await;
    assert_eq!(update(&world, "a1").await.status, 200);
    let other = Double::start().await;
    other.behave(Manners::IgnoresConditions);
    world.reload_to(other.base());
    assert_eq!(said(&update(&world, "a1").await), refused(403, "write-unpinned"));
    world.reload_to(world.upstream.base());
    assert_eq!(update(&world, "a1").await.status, 200);
}

#[tokio::test]
async fn a_put_that_creates_needs_a_server_that_overwrites_nothing() {
    for (absent, expected) in [(true, (201, None)), (false, refused(403, "write-unpinned"))] {
        let obeyed = OBEDIENT.replacen("\"absent\":true", &format!("\"absent\":{absent}"), 1);
        let world = World::start_with("upsert = \"allow\"", "", Some(&obeyed)).await;
        assert_eq!(said(&update(&world, "new1").await), expected);
        assert_eq!(update(&world, "a1").await.status, 200);
    }
}

/// The acceptance of the whole: between the gate's look and its write the resource becomes B's.
#[tokio::test]
async fn nothing_of_anothers_is_overwritten_whatever_the_server_obeys() {
    for manners in [Manners::Good, Manners::IgnoresConditions, Manners::IgnoresConditionsOfDelete, Manners::NoBasic] {
        let world = unprobed("", manners).await;
        // Found out before anything changes hands.
        update(&world, "a1").await;
        world.upstream.steal(true);
        for (method, target, kind, body) in [
            ("PUT", "/fhir/Observation/a1", FHIR, own("a1")),
            ("PATCH", "/fhir/Observation/a1", PATCH, amend()),
            ("DELETE", "/fhir/Observation/a1", "", Value::Null),
            ("PUT", "/fhir/Observation?code=x", FHIR, own("a1")),
            ("PATCH", "/fhir/Observation?code=x", PATCH, amend()),
            ("DELETE", "/fhir/Observation?code=x", "", Value::Null),
        ] {
            world.upstream.hold(vec![observation("a1", "A", "x")]);
            let reply = write(&world, method, target, kind, &body).await;
            let about = format!("{manners:?} {method} {target}: {} {:?}", reply.status, reply.rule());
            assert!([403, 404, 409].contains(&reply.status), "{about}");
            assert!(!reply.text().contains(OF_ANOTHER) && !reply.text().contains("Patient/B"), "{about}");
            let held = world.upstream.held("Observation", "a1").unwrap();
            // Where it was refused before any look nobody has stolen it yet.
            let untouched = held == observation("a1", "A", "x");
            let stolen = held["subject"]["reference"] == "Patient/B" && held["note"][0]["text"] == OF_ANOTHER;
            assert!(untouched || stolen && held["status"] == "final", "{about}: {held}");
        }
    }
}
