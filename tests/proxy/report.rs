//! Report mode (enforcement.md §9, attacks.md 241): what would be refused passes and is told, what is wrong is refused as ever, and
//! it ends by itself.

use serde_json::{Map, Value};

use crate::case;
use crate::resources::observation;
use crate::trial::Trial;
use crate::wire::{self, Reply};
use crate::world::World;

/// The clock stands at 2027-01-15T08:00:00Z.
const REPORT: &str = "[enforcement]\nmode = \"report\"\nreport_until = \"2027-01-16\"\n";
const TO_THE_END: i64 = 16 * 3600;
const FHIR: &str = "application/fhir+json";

async fn reporting() -> World {
    World::start("", REPORT).await
}

async fn last(world: &World) -> Value {
    // The line of the whole, above those of a Bundle's entries.
    world.audit().await.into_iter().rfind(|line| line.get("entry").is_none()).expect("an audit line")
}

async fn put(world: &World, token: &str, target: &str, body: &Value) -> Reply {
    let headers = [("Authorization", format!("Bearer {token}")), ("Content-Type", FHIR.to_owned())];
    let headers = headers.map(|(name, value)| (name.to_owned(), value));
    wire::send(world.address(), "PUT", target, &headers, body.to_string().as_bytes()).await
}

fn told(line: &Value) -> (&str, &str, Option<&str>, u64) {
    let text = |name: &str| line[name].as_str();
    (text("decision").unwrap(), text("rule").unwrap(), text("would"), line["would_remove"].as_u64().unwrap_or_default())
}

#[tokio::test]
async fn row_241_what_would_be_refused_passes_and_is_audited() {
    let world = reporting().await;
    let token = world.patient_token("patient/Observation.rs", "A");
    for (target, would) in [
        ("/fhir/Patient/B", "scope-missing"),
        ("/fhir/Condition", "scope-missing"),
        ("/fhir/Observation?patient=B", "other-patient"),
        ("/fhir?_type=Observation", "system-search-restricted"),
    ] {
        world.upstream.take();
        let reply = world.get(&token, target).await;
        assert_eq!(reply.status, 200, "{target}: {}", reply.text());
        assert_eq!(told(&last(&world).await), ("permit", "report-mode", Some(would), 0), "{target}");
        let sent: Vec<String> = world.upstream.take().iter().map(crate::double::Seen::line).collect();
        assert_eq!(sent, [format!("GET {target}")], "nothing is narrowed");
    }
    let metrics = world.metrics();
    assert!(metrics.contains("smartgate_reported_total{rule=\"other-patient\"} 1"), "{metrics}");
}

#[tokio::test]
async fn row_241_what_verification_would_take_out_is_counted_and_passes() {
    let world = reporting().await;
    world.upstream.hold(vec![observation("a1", "A", "x"), observation("b1", "B", "x"), observation("b2", "B", "x")]);
    let token = world.patient_token("patient/Observation.rs", "A");
    let found = world.get(&token, "/fhir/Observation?code=x").await;
    assert_eq!(found.resources(), ["Observation/a1", "Observation/b1", "Observation/b2"]);
    assert_eq!(found.json()["total"], 3);
    assert_eq!(told(&last(&world).await), ("permit", "report-mode", None, 2));
    assert_eq!(world.get(&token, "/fhir/Observation/b1").await.resources(), ["Observation/b1"]);
    assert_eq!(told(&last(&world).await), ("permit", "report-mode", None, 1));
    assert_eq!(world.get(&token, "/fhir/Observation/a1").await.resources(), ["Observation/a1"]);
    assert_eq!(told(&last(&world).await), ("permit", "report-mode", None, 0));
    assert!(world.metrics().contains("smartgate_resources_reported_total 3"));
}

#[tokio::test]
async fn row_241_an_answer_that_is_too_large_to_look_at_passes_whole() {
    let world = World::start("", &format!("[limits]\nresponse_body = 65536\n{REPORT}")).await;
    let long = "x".repeat(100_000);
    world.upstream.hold(vec![observation("a1", "A", &long)]);
    let token = world.patient_token("patient/Observation.rs", "A");
    let reply = world.get(&token, "/fhir/Observation/a1").await;
    assert_eq!((reply.status, reply.json()["code"]["text"].as_str()), (200, Some(long.as_str())));
    assert_eq!(told(&last(&world).await), ("permit", "report-mode", Some("upstream-unreadable"), 0));
}

#[tokio::test]
async fn row_241_writes_are_checked_and_go_up_all_the_same() {
    let world = reporting().await;
    world.capabilities_known().await;
    let token = world.patient_token("patient/Observation.cruds", "A");
    let of_a = observation("b1", "A", "x");
    // The stored version is B's.
    assert_eq!(put(&world, &token, "/fhir/Observation/b1", &of_a).await.status, 200);
    assert_eq!(told(&last(&world).await), ("permit", "report-mode", Some("not-found-or-not-yours"), 0));
    // The new version is B's.
    assert_eq!(put(&world, &token, "/fhir/Observation/a1", &observation("a1", "B", "x")).await.status, 200);
    assert_eq!(told(&last(&world).await), ("permit", "report-mode", Some("subject-not-own"), 0));
    let own = world.patient_token("patient/Observation.cu", "A");
    assert_eq!(put(&world, &own, "/fhir/Observation/a2", &observation("a2", "A", "x")).await.status, 200);
    assert_eq!(told(&last(&world).await), ("permit", "report-mode", None, 1), "the answer obeys `r`");
    // What is wrong with the body is wrong.
    assert_eq!(put(&world, &token, "/fhir/Observation/a1", &observation("a2", "A", "x")).await.status, 400);
    assert_eq!(last(&world).await["decision"], "refuse");
}

#[tokio::test]
async fn row_241_a_bundle_is_told_its_first_refused_entry() {
    let world = reporting().await;
    let token = world.patient_token("patient/Observation.rs", "A");
    let headers =
        [("Authorization".to_owned(), format!("Bearer {token}")), ("Content-Type".to_owned(), FHIR.to_owned())];
    let body = r#"{"resourceType":"Bundle","type":"batch","entry":[
        {"request":{"method":"GET","url":"Observation/a1"}},{"request":{"method":"GET","url":"Condition/c"}}]}"#;
    let reply = wire::send(world.address(), "POST", "/fhir", &headers, body.as_bytes()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(told(&last(&world).await), ("permit", "report-mode", Some("scope-missing"), 0));
}

/// Whatever the corpus has refused as wrong in itself, report mode refuses, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_241_what_is_wrong_is_refused_in_report_mode_too() {
    let rows = crate::operations::ROWS;
    let world = World::start("", &format!("[limits]\nrequest_body = 65536\n{REPORT}{rows}")).await;
    world.capabilities_known().await;
    let tokens = case::tokens();
    let held = crate::resources::conventional();
    let mut failures = Vec::new();
    let files = ["a_tokens", "c_paths", "d_interactions", "f_joins_and_results", "k_operations", "l_bodies", "n_http"];
    for case in files.into_iter().flat_map(|file| case::section(&format!("{file}.toml")).case) {
        if !matches!(case.expect.status, 400 | 401 | 405 | 413 | 415 | 431)
            && case.expect.rule != "operation-not-listed"
        {
            continue;
        }
        for target in &case.targets {
            let trial = Trial { world: &world, tokens: &tokens, case: &case, target, held: &held };
            let status = trial.status().await;
            if status != case.expect.status {
                failures.push(format!("{}: {} {target} ({}): {status}", case.row, case.method, case.about));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn row_241_it_is_shown_and_ends_by_itself() {
    let world = reporting().await;
    let shows = |mode: &str| world.metrics().contains(&format!("smartgate_enforcement_mode{{mode=\"{mode}\"}} 1"));
    while !shows("report") {
        tokio::task::yield_now().await;
    }
    world.advance(TO_THE_END - 1);
    let mut claims = Map::new();
    claims.insert("exp".to_owned(), (crate::tokens::NOW + TO_THE_END + 300).into());
    claims.insert("scope".to_owned(), "patient/Observation.rs".into());
    claims.insert("patient".to_owned(), "A".into());
    let token = world.token(&claims);
    world.upstream.hold(vec![observation("a1", "A", "x"), observation("b1", "B", "x"), observation("a2", "A", "x")]);
    let first = world.get(&token, "/fhir/Observation?_count=1").await;
    let next = first.link("next").unwrap();
    assert_eq!(world.get(&token, "/fhir/Condition").await.status, 200);
    world.advance(1);
    assert_eq!(world.get(&token, "/fhir/Condition").await.rule().as_deref(), Some("scope-missing"));
    // A page link that was given out before shows no more than the rules.
    let page = world.get(&token, next.strip_prefix("https://p").unwrap()).await;
    assert_eq!((page.status, page.resources()), (200, vec!["Observation/a2".to_owned()]));
    while !shows("enforce") || shows("report") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn row_241_a_client_may_be_exempt() {
    let strict = "[[clients]]\nid = \"app\"\nkind = \"public\"\nredirect_uris = [\"https://a.example/cb\"]\n\
                  scopes = [\"patient/*.rs\"]\nmode = \"enforce\"\n";
    let world = World::start("", &format!("{strict}{REPORT}")).await;
    let token = world.patient_token("patient/Observation.rs", "A");
    assert_eq!(world.get(&token, "/fhir/Patient/B").await.rule().as_deref(), Some("scope-missing"));
    let mut claims = Map::new();
    claims.insert("client_id".to_owned(), "another".into());
    assert_eq!(world.get(&world.token(&claims), "/fhir/Patient/B").await.status, 200);
}
