//! Includes of an upstream that adds them for whatever it finds: each page has those of its own matches and no others.

use serde_json::{Value, json};

use crate::double::Manners;
use crate::pages::{NOT_NARROWED, masked, pages};
use crate::resources::{OF_ANOTHER, observation};
use crate::world::World;

const INCLUDED: &str = "/fhir/Observation?_include=Observation:performer&_include=Observation:encounter&_count=2";

fn shared(of: &str, id: &str) -> Value {
    json!({ "resourceType": of, "id": id, "meta": { "versionId": "1" } })
}

fn performed(id: &str, patient: &str, performer: &str, encounter: &str) -> Value {
    let mut resource = observation(id, patient, "x");
    resource["performer"] = json!([{ "reference": format!("Practitioner/{performer}") }]);
    resource["encounter"] = json!({ "reference": format!("Encounter/{encounter}") });
    resource
}

fn visit(id: &str, patient: &str) -> Value {
    let mut resource = shared("Encounter", id);
    resource["subject"] = json!({ "reference": format!("Patient/{patient}") });
    if patient != "A" {
        resource["reasonCode"] = json!([{ "text": OF_ANOTHER }]);
    }
    resource
}

/// Five observations of A, two of them on each visit, each by someone else; between them `others` of B, by others again, but some
/// of them on A's visits.
fn held(others: usize) -> Vec<Value> {
    let mut resources = Vec::new();
    for n in 0..5 {
        resources.push(performed(&format!("a{n}"), "A", &format!("p{n}"), &format!("e{}", n / 2)));
        resources.extend((0..others).map(|m| performed(&format!("b{n}-{m}"), "B", &format!("q{n}-{m}"), "e0")));
        resources.extend((0..others).map(|m| performed(&format!("c{n}-{m}"), "B", "p0", "eb")));
        resources.push(shared("Practitioner", &format!("p{n}")));
        resources.extend((0..others).map(|m| shared("Practitioner", &format!("q{n}-{m}"))));
    }
    resources.extend((0..3).map(|n| visit(&format!("e{n}"), "A")));
    resources.push(visit("eb", "B"));
    resources
}

#[tokio::test]
async fn each_page_has_the_includes_of_its_own_matches() {
    for (fhir, others) in [("", 0), ("", 2), (NOT_NARROWED, 0), (NOT_NARROWED, 2)] {
        let world = World::start(fhir, "").await;
        world.upstream.hold(held(others));
        let token = world.patient_token("patient/*.rs", "A");
        let pages = pages(&world, &token, INCLUDED).await;
        let found: Vec<Vec<String>> = pages.iter().map(crate::wire::Reply::resources).collect();
        let page = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
        let expected = [
            page(&["Observation/a0", "Observation/a1", "Encounter/e0", "Practitioner/p0", "Practitioner/p1"]),
            page(&["Observation/a2", "Observation/a3", "Encounter/e1", "Practitioner/p2", "Practitioner/p3"]),
            page(&["Observation/a4", "Encounter/e2", "Practitioner/p4"]),
        ];
        assert_eq!(found, expected, "{fhir} {others}");
    }
}

/// enforcement.md §2.5 for joins: what they bring and what they find is the same whatever others have.
#[tokio::test]
async fn joins_tell_nothing_of_others() {
    for fhir in ["", NOT_NARROWED] {
        let world = World::start(fhir, "").await;
        let token = world.patient_token("patient/*.rs", "A");
        for target in [
            INCLUDED,
            "/fhir/Observation?_include=*&_count=3",
            "/fhir/Observation?_include:iterate=Encounter:subject&_include=Observation:encounter",
            "/fhir/Encounter?_revinclude=Observation:encounter&_count=1",
            "/fhir/Encounter?_revinclude:iterate=Observation:encounter&_include:iterate=Observation:performer:Practitioner",
            "/fhir/Observation?performer:Practitioner._id=p0",
            "/fhir/Observation?_summary=count",
            "/fhir/Encounter?_count=0&_revinclude=Observation:encounter",
            "/fhir/Patient?_has:Observation:patient:performer:Practitioner._id=q0-0",
            "/fhir/Patient?_has:Observation:patient:code=x&_revinclude=Encounter:subject",
        ] {
            for manners in [Manners::Good, Manners::OthersUnreadable] {
                world.upstream.behave(manners);
                world.upstream.hold([held(0), vec![shared("Patient", "A")]].concat());
                let alone: Vec<_> = pages(&world, &token, target).await.iter().map(masked).collect();
                world.upstream.hold([held(3), vec![shared("Patient", "A"), shared("Patient", "B")]].concat());
                let among: Vec<_> = pages(&world, &token, target).await.iter().map(masked).collect();
                assert_eq!(alone[0].0, 200, "{fhir} {target}: {}", alone[0].2);
                assert_eq!(alone, among, "{fhir} {target}");
            }
        }
    }
}

#[tokio::test]
async fn a_count_is_given_where_everything_can_be_looked_through() {
    let world = World::start(NOT_NARROWED, "[limits]\nscan_pages = 2\ncount = 10\n").await;
    let token = world.patient_token("patient/*.rs", "A");
    let of = |count: usize| (0..count).map(|n| observation(&format!("a{n}"), "A", "x")).collect::<Vec<_>>();
    world.upstream.hold(of(20));
    let counted = world.get(&token, "/fhir/Observation?_summary=count").await;
    assert_eq!((counted.status, counted.json()["total"].as_u64()), (200, Some(20)));
    assert_eq!(counted.json()["entry"], Value::Null);
    world.upstream.hold(of(21));
    let refused = world.get(&token, "/fhir/Observation?_summary=count").await;
    assert_eq!((refused.status, refused.rule().as_deref()), (400, Some("count-only")));
}

/// A total counts matches: whether it is there tells nothing of what was included and is not granted.
#[tokio::test]
async fn a_total_tells_nothing_of_includes_that_are_hidden() {
    let claims = json!({
        "scope": "user/Patient.rs user/Observation.rs?category=laboratory",
        "fhirUser": "Practitioner/p",
    });
    for manners in [Manners::Good, Manners::NoModes] {
        let mut told = Vec::new();
        for hidden in [None, Some(observation("o1", "P0", "x"))] {
            let world = World::start("", "").await;
            world.upstream.behave(manners);
            let people = (0..3).map(|n| shared("Patient", &format!("P{n}")));
            world.upstream.hold(people.chain(hidden).collect());
            let token = world.token(claims.as_object().unwrap());
            let reply = world.get(&token, "/fhir/Patient?_count=1&_revinclude=Observation:patient").await;
            assert_eq!(reply.resources(), ["Patient/P0"]);
            told.push(masked(&reply));
        }
        assert_eq!(told[0], told[1], "{manners:?}");
    }
}
