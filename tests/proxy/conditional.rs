//! Conditional writes under a patient context: what is others' counts for nothing, before the write and while it goes on
//! (enforcement.md §3).

use serde_json::{Map, Value, json};

use crate::double::{Manners, Seen};
use crate::resources::{OF_ANOTHER, observation};
use crate::uniform::constant;
use crate::wire::{self, Reply};
use crate::world::World;

async fn write(world: &World, scope: &str, method: &str, target: &str, body: &str, more: &[(&str, &str)]) -> Reply {
    let claims = json!({ "scope": scope, "patient": "A" });
    send(world, claims.as_object().unwrap(), method, target, body, more).await
}

async fn send(
    world: &World,
    claims: &Map<String, Value>,
    method: &str,
    target: &str,
    body: &str,
    more: &[(&str, &str)],
) -> Reply {
    let mut headers = vec![("Authorization".to_owned(), format!("Bearer {}", world.token(claims)))];
    match method {
        "DELETE" => {}
        "PATCH" => headers.push(("Content-Type".to_owned(), "application/json-patch+json".to_owned())),
        _ => headers.push(("Content-Type".to_owned(), "application/fhir+json".to_owned())),
    }
    headers.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    wire::send(world.address(), method, &format!("/fhir/{target}"), &headers, body.as_bytes()).await
}

const ALL: &str = "patient/*.cruds";
const OWN: &str = r#"{"resourceType":"Observation","subject":{"reference":"Patient/A"}}"#;
const AMEND: &str = r#"[{"op":"add","path":"/status","value":"amended"}]"#;

fn lines(world: &World) -> Vec<String> {
    world.upstream.take().iter().map(Seen::line).collect()
}

#[tokio::test]
async fn whatever_others_have_the_answer_is_the_same_bytes() {
    let many = |patient: &str| (0..25).map(|n| observation(&format!("{patient}{n}"), patient, "x")).collect::<Vec<_>>();
    let others = [vec![], vec![observation("x1", "B", "x")], many("B")];
    let own =
        [vec![], vec![observation("o1", "A", "x")], vec![observation("o1", "A", "x"), observation("o2", "A", "x")]];
    for fhir in ["", "narrowing = \"compartment\"", "narrowing = \"none\""] {
        let world = World::start(fhir, "").await;
        for (method, target, body, more) in [
            ("POST", "Observation", OWN, &[("If-None-Exist", "code=x")][..]),
            ("PUT", "Observation?code=x", OWN, &[]),
            ("PATCH", "Observation?code=x", AMEND, &[]),
            ("DELETE", "Observation?code=x", "", &[]),
        ] {
            for (own, expected) in own.iter().zip([[201, 201, 404, 404], [200, 200, 200, 204], [412, 412, 412, 412]]) {
                let mut answers = Vec::new();
                for others in &others {
                    world.upstream.hold([others.clone(), own.clone()].concat());
                    answers.push(constant(write(&world, ALL, method, target, body, more).await));
                }
                let index = ["POST", "PUT", "PATCH", "DELETE"].iter().position(|known| *known == method).unwrap();
                assert_eq!(answers[0].0, expected[index], "{fhir} {method}: {answers:?}");
                assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{fhir} {method}: {answers:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_takes_anothers_for_a_match_prevents_nothing() {
    let world = World::start("", "").await;
    for others in [1, 2] {
        world.upstream.hold((0..others).map(|n| observation(&format!("b{n}"), "B", "x")).collect());
        world.upstream.behave(Manners::IgnoresParameters);
        world.upstream.take();
        let reply = write(&world, ALL, "POST", "Observation", OWN, &[("If-None-Exist", "code=x")]).await;
        assert_eq!((reply.status, reply.header("location")), (201, Some("https://p/fhir/Observation/new/_history/1")));
        assert!(!reply.text().contains(OF_ANOTHER));
        let search = "GET /fhir/Observation?code=x&patient=Patient/A";
        let create = "POST /fhir/Observation";
        assert_eq!(lines(&world), [search, create, search, create]);
    }
}

#[tokio::test]
async fn of_two_who_create_one_finds_the_others() {
    let world = World::start("", "").await;
    world.upstream.hold(vec![]);
    world.upstream.after_search(observation("a9", "A", "z"));
    let reply = write(&world, ALL, "POST", "Observation", OWN, &[("If-None-Exist", "code=z")]).await;
    assert_eq!((reply.status, reply.header("location")), (200, Some("https://p/fhir/Observation/a9/_history/1")));
    assert_eq!(world.upstream.held("Observation", "new"), None);

    world.upstream.hold(vec![]);
    world.upstream.after_search(observation("b9", "B", "z"));
    let reply = write(&world, ALL, "POST", "Observation", OWN, &[("If-None-Exist", "code=z")]).await;
    assert_eq!((reply.status, reply.header("location")), (201, Some("https://p/fhir/Observation/new/_history/1")));
}

#[tokio::test]
async fn under_a_constraint_the_criteria_stay_with_the_gate() {
    let world = World::start("", "").await;
    let lab = |id: &str, code: &str| {
        let mut resource = observation(id, "A", "x");
        resource["category"] = json!([{ "coding": [{ "code": code }] }]);
        resource
    };
    let scope = "patient/Observation.cuds?category=laboratory";
    let body = r#"{"resourceType":"Observation","category":[{"coding":[{"code":"laboratory"}]}],"subject":{"reference":"Patient/A"}}"#;
    world.upstream.hold(vec![lab("v", "vital-signs")]);
    let reply = write(&world, scope, "POST", "Observation", body, &[("If-None-Exist", "code=x")]).await;
    assert_eq!(reply.status, 201, "what is outside of the constraint is no match");
    assert!(world.upstream.take().iter().all(|seen| seen.header("if-none-exist").is_none()));
    world.upstream.hold(vec![lab("v", "vital-signs"), lab("l", "laboratory")]);
    assert_eq!(write(&world, scope, "PUT", "Observation?code=x", body, &[]).await.status, 200);
    let held = world.upstream.held("Observation", "l").unwrap();
    assert_eq!(held["meta"]["versionId"], "2");
    let reply = write(&world, scope, "PUT", "Observation?code=x", OWN, &[]).await;
    assert_eq!((reply.status, reply.rule().as_deref()), (403, Some("constraint-not-met")));
    let to_vital = r#"[{"op":"replace","path":"/category/0/coding/0/code","value":"vital-signs"}]"#;
    let reply = write(&world, scope, "PATCH", "Observation?_id=l", to_vital, &[]).await;
    assert_eq!((reply.status, reply.rule().as_deref()), (403, Some("constraint-not-met")));
    assert_eq!(write(&world, scope, "DELETE", "Observation?_id=v", "", &[]).await.status, 404);
    assert_eq!(write(&world, scope, "DELETE", "Observation?_id=l", "", &[]).await.status, 204);
}

#[tokio::test]
async fn a_clinician_under_a_constraint_writes_to_any_patients() {
    let world = World::start("", "").await;
    let claims = json!({ "scope": "user/Observation.cuds?category=http://cat|1", "fhirUser": "Practitioner/p" });
    let coded = |id: &str, patient: &str| {
        let mut resource = observation(id, patient, "x");
        resource["category"] = json!([{ "coding": [{ "system": "http://cat", "code": "1" }] }]);
        resource
    };
    let held = vec![coded("b1", "B"), observation("a1", "A", "x")];
    let asked = |method: &'static str, target: &'static str, body: String| {
        let (world, claims) = (&world, claims.as_object().unwrap());
        async move { send(world, claims, method, target, &body, &[]).await.status }
    };
    world.upstream.hold(held.clone());
    assert_eq!(asked("PUT", "Observation?_id=b1", coded("b1", "B").to_string()).await, 200);
    assert_eq!(asked("DELETE", "Observation?_id=a1", String::new()).await, 404);
    assert_eq!(asked("DELETE", "Observation/b1", String::new()).await, 204);
}

#[tokio::test]
async fn where_a_put_may_create_it_creates_only_what_is_not_there() {
    let world = World::start("upsert = \"allow\"", "").await;
    let body =
        |id: &str| format!(r#"{{"resourceType":"Observation","id":"{id}","subject":{{"reference":"Patient/A"}}}}"#);
    world.upstream.hold(vec![observation("b1", "B", "x"), observation("a1", "A", "x")]);
    for (id, status) in [("a1", 404), ("b1", 404), ("new1", 201)] {
        assert_eq!(write(&world, ALL, "PUT", "Observation?code=z", &body(id), &[]).await.status, status, "{id}");
    }
    let sent = world.upstream.take();
    let put: Vec<&Seen> = sent.iter().filter(|seen| seen.method == "PUT").collect();
    assert_eq!((put.len(), put[0].line().as_str()), (1, "PUT /fhir/Observation/new1"));
    assert_eq!(put[0].header("if-none-match"), Some("*"));
    let reply = write(&world, ALL, "PUT", "Observation?code=z", &body("x/../Patient"), &[]).await;
    assert_eq!((reply.status, reply.rule().as_deref()), (400, Some("body-other-resource")));
}
