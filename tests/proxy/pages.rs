//! Pages: full ones of visible entries, links that only their owner can follow, and nothing in either that tells of others.

use serde_json::Value;

use crate::double::Manners;
use crate::resources::{OF_ANOTHER, observation};
use crate::tokens::NOW;
use crate::wire::Reply;
use crate::world::World;

pub(crate) const NOT_NARROWED: &str = "narrowing = \"none\"";

/// `own` observations of A; before and behind each, `others` of B.
fn mixed(own: usize, others: usize) -> Vec<Value> {
    let mut resources = Vec::new();
    for n in 0..own {
        resources.extend((0..others).map(|m| observation(&format!("b{n}-{m}"), "B", "x")));
        resources.push(observation(&format!("a{n}"), "A", "x"));
        resources.extend((0..others).map(|m| observation(&format!("b{n}-{m}x"), "B", "x")));
    }
    resources
}

fn names(own: std::ops::Range<usize>) -> Vec<String> {
    own.map(|n| format!("Observation/a{n}")).collect()
}

/// Follows `next` to the end.
pub(crate) async fn pages(world: &World, token: &str, target: &str) -> Vec<Reply> {
    let mut pages = vec![world.get(token, target).await];
    while let Some(next) = pages.last().unwrap().link("next") {
        assert!(pages.len() < 100, "pages without end");
        let target = next.strip_prefix("https://p").unwrap_or_else(|| panic!("{next}")).to_owned();
        pages.push(world.get(token, &target).await);
    }
    pages
}

/// An answer without what is random or the time of day: the request id, the date, and the seals, of which the length stays.
pub(crate) fn masked(reply: &Reply) -> (u16, Vec<(String, String)>, String) {
    let headers =
        reply.headers.iter().filter(|(name, _)| !matches!(name.as_str(), "x-request-id" | "date")).cloned().collect();
    let text = reply.text();
    let mut parts = text.split("_page=");
    let mut masked = parts.next().unwrap().to_owned();
    for part in parts {
        let end = part.find('"').unwrap();
        masked.push_str(&format!("_page={}{}", "x".repeat(end), &part[end..]));
    }
    (reply.status, headers, masked)
}

#[tokio::test]
async fn pages_are_full_although_the_upstream_does_not_narrow() {
    let world = World::start(NOT_NARROWED, "").await;
    world.upstream.hold(mixed(10, 1));
    let token = world.patient_token("patient/Observation.rs", "A");
    let pages = pages(&world, &token, "/fhir/Observation?_count=4").await;
    let found: Vec<Vec<String>> = pages.iter().map(Reply::resources).collect();
    assert_eq!(found, [names(0..4), names(4..8), names(8..10)]);
    assert!(pages.iter().all(|page| page.json()["total"].is_null()), "no page saw the whole result");
    assert!(pages.iter().all(|page| !page.text().contains(OF_ANOTHER)));
}

#[tokio::test]
async fn a_result_that_fits_is_counted() {
    let world = World::start(NOT_NARROWED, "").await;
    world.upstream.hold(mixed(4, 2));
    let token = world.patient_token("patient/Observation.rs", "A");
    for target in ["/fhir/Observation?_count=4", "/fhir/Observation", "/fhir/Observation?_count=50"] {
        let page = world.get(&token, target).await;
        assert_eq!((page.resources(), page.link("next")), (names(0..4), None), "{target}");
        assert_eq!(page.json()["total"], 4, "{target}");
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_page_is_paged() {
    let world = World::start("", "").await;
    world.upstream.hold((0..10).map(|n| observation(&format!("a{n}"), "A", "x")).collect());
    let token = world.patient_token("patient/Observation.rs", "A");
    // The double puts ten on a page unless told otherwise; `_count` is not told to it behind a page of its own.
    world.upstream.behave(Manners::IgnoresCount);
    let pages = pages(&world, &token, "/fhir/Observation?_count=3").await;
    let found: Vec<Vec<String>> = pages.iter().map(Reply::resources).collect();
    assert_eq!(found, [names(0..3), names(3..6), names(6..9), names(9..10)]);
}

#[tokio::test]
async fn a_narrowed_search_reads_one_page_for_one_page() {
    let world = World::start("", "").await;
    world.upstream.hold(mixed(5, 1));
    let token = world.patient_token("patient/Observation.rs", "A");
    let pages = pages(&world, &token, "/fhir/Observation?_count=2").await;
    assert_eq!(pages.iter().map(|page| page.resources().len()).collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!(world.upstream.take().len(), 3);
}

/// enforcement.md §2.5, for what pages and counts could tell.
#[tokio::test]
async fn pages_tell_nothing_of_others() {
    for fhir in [NOT_NARROWED, ""] {
        let world = World::start(fhir, "").await;
        let token = world.patient_token("patient/Observation.rs", "A");
        for own in [0, 1, 4, 11] {
            for query in ["", "?_count=2", "?_count=5", "?_count=200", "?code=x&_count=4"] {
                let target = format!("/fhir/Observation{query}");
                world.upstream.hold(mixed(own, 0));
                let alone: Vec<_> = pages(&world, &token, &target).await.iter().map(masked).collect();
                let mut resources = mixed(own, 2);
                resources.extend((0..3).map(|n| observation(&format!("last{n}"), "B", "x")));
                world.upstream.hold(resources);
                let among: Vec<_> = pages(&world, &token, &target).await.iter().map(masked).collect();
                assert_eq!(alone, among, "{fhir} {own} {target}");
            }
        }
    }
}

#[tokio::test]
async fn a_search_for_a_needle_is_too_costly_whatever_was_found() {
    let world = World::start(NOT_NARROWED, "[limits]\nscan_pages = 3\n").await;
    let token = world.patient_token("patient/Observation.rs", "A");
    let mut resources = mixed(1, 0);
    resources.extend((0..60).map(|n| observation(&format!("b{n}"), "B", "x")));
    resources.extend(mixed(2, 0));
    world.upstream.hold(resources);
    let page = world.get(&token, "/fhir/Observation?_count=2").await;
    assert_eq!((page.status, page.rule().as_deref()), (503, Some("too-costly")));
    assert!(!page.text().contains("a0"));
    assert_eq!(world.upstream.take().len(), 3);
}

/// attacks.md 186, 187.
#[tokio::test]
async fn a_page_link_is_its_owners_alone() {
    let world = World::start("", "").await;
    world.upstream.hold(mixed(5, 1));
    let claims = |changes: Value| {
        let mut claims = serde_json::Map::new();
        claims.insert("scope".to_owned(), "patient/Observation.rs".into());
        claims.insert("patient".to_owned(), "A".into());
        claims.extend(changes.as_object().unwrap().clone());
        claims
    };
    let token = world.token(&claims(serde_json::json!({})));
    let first = world.get(&token, "/fhir/Observation?_count=2").await;
    let next = first.link("next").unwrap().strip_prefix("https://p").unwrap().to_owned();
    assert_eq!(world.get(&token, &next).await.resources(), names(2..4));
    for (changes, status, rule) in [
        // A renewed token of the same grant goes on.
        (serde_json::json!({ "jti": "t2", "exp": NOW + 900 }), 200, None),
        (serde_json::json!({ "patient": "B" }), 404, Some("seal-refused")),
        (serde_json::json!({ "sub": "someone-else" }), 404, Some("seal-refused")),
        (serde_json::json!({ "client_id": "other-app" }), 404, Some("seal-refused")),
        (serde_json::json!({ "fhirUser": "Patient/A" }), 404, Some("seal-refused")),
        // The search is decided again for the token that shows the link.
        (serde_json::json!({ "scope": "patient/Observation.r" }), 403, Some("scope-missing")),
        (serde_json::json!({ "scope": "patient/Condition.rs" }), 403, Some("scope-missing")),
    ] {
        let other = world.token(&claims(changes.clone()));
        world.upstream.take();
        let reply = world.get(&other, &next).await;
        assert_eq!((reply.status, reply.rule().as_deref()), (status, rule), "{changes}");
        assert_eq!(world.upstream.take().is_empty(), rule.is_some(), "{changes}");
    }
}

/// attacks.md 188.
#[tokio::test]
async fn a_page_link_cannot_be_changed() {
    let world = World::start("", "").await;
    world.upstream.hold(mixed(5, 0));
    let token = world.patient_token("patient/Observation.rs", "A");
    let first = world.get(&token, "/fhir/Observation?_count=2").await;
    let next = first.link("next").unwrap().strip_prefix("https://p").unwrap().to_owned();
    let (path, seal) = next.split_once("_page=").unwrap();
    let flipped = |at: usize| {
        let mut seal = seal.as_bytes().to_vec();
        seal[at] = if seal[at] == b'A' { b'B' } else { b'A' };
        format!("{path}_page={}", String::from_utf8(seal).unwrap())
    };
    for (target, status, rule) in [
        (flipped(0), 404, "seal-refused"),
        (flipped(seal.len() / 2), 404, "seal-refused"),
        (format!("{path}_page={}", &seal[..seal.len() - 4]), 404, "seal-refused"),
        (format!("{next}&_count=100"), 400, "parameter-unknown"),
        (format!("{next}&_include=Observation:subject"), 400, "parameter-unknown"),
        (format!("{next}&_page=x"), 400, "parameter-unknown"),
    ] {
        let reply = world.get(&token, &target).await;
        assert_eq!((reply.status, reply.rule().as_deref()), (status, Some(rule)), "{target}");
    }
    // A seal is for reading on; to any other method it is an unknown parameter, or no right at all.
    assert_eq!(world.ask(&token, "DELETE", &next).await.status, 403);
    assert_eq!(world.ask(&token, "HEAD", &next).await.status, 200);
}

#[tokio::test]
async fn a_page_link_expires() {
    let world = World::start("", "").await;
    world.upstream.hold(mixed(5, 0));
    let mut claims = serde_json::Map::new();
    claims.insert("scope".to_owned(), "patient/Observation.rs".into());
    claims.insert("patient".to_owned(), "A".into());
    claims.insert("exp".to_owned(), (NOW + 100_000).into());
    let token = world.token(&claims);
    let first = world.get(&token, "/fhir/Observation?_count=2").await;
    let next = first.link("next").unwrap().strip_prefix("https://p").unwrap().to_owned();
    world.advance(3599);
    assert_eq!(world.get(&token, &next).await.status, 200);
    world.advance(1);
    assert_eq!(world.get(&token, &next).await.rule().as_deref(), Some("seal-refused"));
}

#[tokio::test]
async fn a_page_that_the_upstream_forgot_is_gone() {
    let world = World::start("", "").await;
    world.upstream.hold(mixed(5, 0));
    let token = world.patient_token("patient/Observation.rs", "A");
    let first = world.get(&token, "/fhir/Observation?_count=2").await;
    let next = first.link("next").unwrap().strip_prefix("https://p").unwrap().to_owned();
    world.upstream.behave(Manners::Error404);
    let reply = world.get(&token, &next).await;
    assert_eq!((reply.status, reply.rule().as_deref()), (404, Some("seal-refused")));
}

#[tokio::test]
async fn pages_that_flow_through_have_sealed_links_too() {
    let world = World::start("", "").await;
    world.upstream.hold(mixed(5, 0));
    let mut claims = serde_json::Map::new();
    claims.insert("scope".to_owned(), "system/Observation.rs".into());
    let token = world.token(&claims);
    let pages = pages(&world, &token, "/fhir/Observation?code=x&_count=2").await;
    assert_eq!(pages.iter().map(|page| page.resources().len()).collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!(pages[0].link("self").as_deref(), Some("https://p/fhir/Observation?code=x&_count=2"));
    assert!(pages.iter().all(|page| !page.text().contains("_offset") && !page.text().contains(world.upstream.base())));
    let head = world.ask(&token, "HEAD", "/fhir/Observation?code=x").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(world.audit().await.last().unwrap()["decision"], "permit", "an answer without a body is whole");
}

#[tokio::test]
async fn what_is_not_granted_stops_what_flows_through() {
    let world = World::start("", "").await;
    let mut other = observation("x1", "A", "x");
    other["resourceType"] = "Condition".into();
    other["id"] = "secret-condition".into();
    // An upstream that answers a search for one type with another.
    world.upstream.hold(vec![observation("a0", "A", "x"), other]);
    world.upstream.behave(Manners::EveryType);
    let mut claims = serde_json::Map::new();
    claims.insert("scope".to_owned(), "system/Observation.rs".into());
    let token = world.token(&claims);
    let reply = world.get(&token, "/fhir/Observation?code=x").await;
    assert_eq!(reply.json(), Value::Null, "cut off, so not the whole of a Bundle: {}", reply.text());
    assert!(!reply.text().contains("secret-condition"), "{}", reply.text());
    let audit = world.audit().await;
    assert_eq!(audit.last().unwrap()["rule"], "answer-cut-off");
}

#[tokio::test]
async fn a_history_is_filled_like_a_search() {
    let world = World::start("", "").await;
    let mut versions: Vec<Value> = (0..25).map(|n| observation("h", if n % 5 == 0 { "A" } else { "B" }, "x")).collect();
    for (n, version) in versions.iter_mut().enumerate() {
        version["meta"]["versionId"] = n.to_string().into();
    }
    world.upstream.hold(versions);
    let token = world.patient_token("patient/Observation.r", "A");
    let pages = pages(&world, &token, "/fhir/Observation/h/_history?_count=2").await;
    let found = |page: &Reply| {
        let body = page.json();
        let entries = body["entry"].as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .map(|entry| entry["resource"]["meta"]["versionId"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(pages.iter().map(found).collect::<Vec<_>>(), [vec!["20", "15"], vec!["10", "5"], vec!["0"]]);
    assert!(pages.iter().all(|page| page.json()["type"] == "history" && !page.text().contains(OF_ANOTHER)));
}
