//! Several addresses of one FHIR server, and no more requests at a time than it bears.

use serde_json::{Value, json};

use crate::double::{Double, Manners, Seen};
use crate::pages::{NOT_NARROWED, pages};
use crate::resources::observation;
use crate::wire::{self, Reply};
use crate::world::World;

/// A gate before its own FHIR server and another one at a second address, which has the same.
async fn two(fhir: &str) -> (World, Double) {
    let world = World::start("", "").await;
    let second = Double::start().await;
    world.reload_to_all(&[world.upstream.base(), second.base()], fhir);
    (world, second)
}

fn service(world: &World) -> String {
    let claims = json!({ "scope": "system/*.cruds", "sub": "service", "client_id": "service" });
    world.token(claims.as_object().unwrap())
}

fn hold(world: &World, second: &Double, resources: &[Value]) {
    world.upstream.hold(resources.to_vec());
    second.hold(resources.to_vec());
}

#[tokio::test]
async fn both_addresses_are_asked_and_a_page_where_the_one_before_it_was_made() {
    for (fhir, patient) in [("", false), (NOT_NARROWED, true), ("", true)] {
        let (world, second) = two(fhir).await;
        hold(&world, &second, &(0..9).map(|n| observation(&format!("a{n}"), "A", "x")).collect::<Vec<_>>());
        let token = if patient { world.patient_token("patient/Observation.rs", "A") } else { service(&world) };
        let mut chains = Vec::new();
        for _ in 0..4 {
            let pages = pages(&world, &token, "/fhir/Observation?_count=4").await;
            assert_eq!(pages.iter().map(|page| page.resources().len()).sum::<usize>(), 9);
            for page in &pages {
                let text = page.text();
                assert!(!text.contains(world.upstream.base()) && !text.contains(second.base()), "{text}");
            }
            let counts = (world.upstream.take().len(), second.take().len());
            assert!(counts.0 == 0 || counts.1 == 0, "one chain of pages went to both: {counts:?}");
            chains.push(counts.0 > 0);
        }
        assert!(chains.contains(&true) && chains.contains(&false), "{chains:?}");
    }
}

#[tokio::test]
async fn links_of_every_address_are_the_gates() {
    let (world, second) = two("").await;
    let mut resource = observation("a1", "A", "x");
    let url = |base: &str| format!("{base}/Binary/1");
    resource["derivedFrom"] = json!([{ "reference": url(world.upstream.base()) }, { "reference": url(second.base()) }]);
    hold(&world, &second, &[resource]);
    for token in [world.patient_token("patient/Observation.rs", "A"), service(&world)] {
        for _ in 0..4 {
            let text = world.get(&token, "/fhir/Observation").await.text();
            assert_eq!(text.matches("https://p/fhir/Binary/1").count(), 2, "{text}");
        }
    }
}

#[tokio::test]
async fn what_is_looked_up_and_what_is_written_go_to_one_address() {
    let (world, second) = two("unpinned_writes = [\"PUT\"]").await;
    let token = world.patient_token("patient/*.cruds", "A");
    for _ in 0..4 {
        hold(&world, &second, &[observation("a1", "A", "x")]);
        let headers = [
            ("Authorization".to_owned(), format!("Bearer {token}")),
            ("Content-Type".to_owned(), "application/fhir+json".to_owned()),
        ];
        let body = observation("a1", "A", "y").to_string();
        let reply = wire::send(world.address(), "PUT", "/fhir/Observation/a1", &headers, body.as_bytes()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let counts = (world.upstream.take().len(), second.take().len());
        assert!(counts.0 == 0 || counts.1 == 0, "{counts:?}");
    }
}

/// A finding of one address does not stand for another.
#[tokio::test]
async fn what_the_server_obeys_is_tried_at_each_address() {
    let (world, second) = two("").await;
    second.behave(Manners::IgnoresConditions);
    hold(&world, &second, &[observation("a1", "A", "x")]);
    let token = world.patient_token("patient/*.cruds", "A");
    let reply = world.ask(&token, "DELETE", "/fhir/Observation/a1").await;
    assert_eq!(reply.rule().as_deref(), Some("write-unpinned"), "{}", reply.text());
    assert!(second.take().iter().any(|seen| seen.line() == "POST /fhir/Basic"), "it was not tried there");
}

#[tokio::test]
async fn an_address_that_goes_away_is_not_missed_and_shown() {
    let (world, second) = two("health = { interval = \"100ms\" }").await;
    let gone = second.base().to_owned();
    drop(second);
    let token = service(&world);
    for _ in 0..8 {
        assert_eq!(world.get(&token, "/fhir/Observation/b1").await.status, 200);
    }
    let (out, well) =
        (format!("upstream_healthy{{upstream=\"{gone}\"}} 0"), format!("{{upstream=\"{}\"}} 1", world.upstream.base()));
    loop {
        let metrics = world.metrics();
        if metrics.contains(&out) {
            assert!(metrics.contains(&well), "{metrics}");
            break;
        }
        tokio::task::yield_now().await;
    }
    world.reload("", "");
    while world.metrics().contains(&gone) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn beyond_what_the_server_bears_there_is_a_fast_503() {
    let world = World::start("max_concurrent = 1\nmax_waiting = 0\nhealth = { check = \"none\" }", "").await;
    world.capabilities_known().await;
    world.upstream.behave(Manners::Slow);
    let token = service(&world);
    // The gate's own look at the metadata has the only turn for a moment, too.
    let in_turn = async || loop {
        let reply = world.get(&token, "/fhir/Observation/b1").await;
        if reply.rule().as_deref() != Some("upstream-busy") {
            break reply;
        }
    };
    let hanging = in_turn();
    let others = async {
        while world.upstream.take().is_empty() {
            tokio::task::yield_now().await;
        }
        for token in [&token, &world.patient_token("patient/*.rs", "A")] {
            let busy = world.get(token, "/fhir/Observation/a1").await;
            assert_eq!((busy.status, busy.rule().as_deref()), (503, Some("upstream-busy")));
            assert_eq!(busy.header("retry-after"), Some("5"));
        }
        assert!(world.upstream.take().is_empty());
    };
    let (hung, ()) = tokio::join!(hanging, others);
    assert_eq!(hung.rule().as_deref(), Some("upstream-timeout"));
    world.upstream.behave(Manners::Good);
    assert_eq!(in_turn().await.status, 200);
}

/// The first who ask fetch it, once for all of them.
#[tokio::test]
async fn metadata_is_there_as_soon_as_the_gate_is() {
    let world = World::start("", "").await;
    let ask = || wire::send(world.address(), "GET", "/fhir/metadata", &[], b"");
    let replies: Vec<Reply> = futures_util::future::join_all((0..8).map(|_| ask())).await;
    assert!(replies.iter().all(|reply| reply.status == 200), "{:?}", replies.first().map(Reply::text));
    let lines: Vec<String> = world.upstream.take().iter().map(Seen::line).collect();
    assert!(lines.is_empty(), "{lines:?}");
}
