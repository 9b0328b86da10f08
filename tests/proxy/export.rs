//! A bulk export from its kick-off to its last file, and a FHIR server that keeps to none of it (attacks.md 168 to 170).

use serde_json::{Map, Value, json};

use crate::double::Double;
use crate::resources::OF_ANOTHER;
use crate::uniform::constant;
use crate::wire::{self, Reply};
use crate::world::World;

const SCOPES: &str = "system/Patient.rs system/Observation.rs";

fn token(world: &World, client: &str, scope: &str) -> String {
    let claims = json!({ "scope": scope, "sub": client, "client_id": client });
    world.token(claims.as_object().unwrap_or(&Map::new()))
}

async fn send(world: &World, token: &str, method: &str, target: &str) -> Reply {
    let headers = [
        ("Authorization".to_owned(), format!("Bearer {token}")),
        ("Prefer".to_owned(), "respond-async".to_owned()),
        ("Accept".to_owned(), "application/fhir+json".to_owned()),
    ];
    wire::send(world.address(), method, target, &headers, b"").await
}

fn below(url: &str) -> String {
    url.strip_prefix("https://p").unwrap_or_else(|| panic!("{url}")).to_owned()
}

/// Kicks an export off, and tells where it can be watched.
async fn kicked_off(world: &World, token: &str) -> String {
    let reply = send(world, token, "GET", "/fhir/$export").await;
    assert_eq!(reply.status, 202, "{}", reply.text());
    world.upstream.take();
    below(reply.header("content-location").unwrap())
}

/// Lets the FHIR server say that the export is done.
fn done(world: &World, output: Value) {
    let manifest = json!({
        "transactionTime": "2026-12-01T10:00:00Z",
        "request": format!("{}/$export?secret={OF_ANOTHER}", world.upstream.base()),
        "requiresAccessToken": false,
        "output": output,
        "extension": { "x": OF_ANOTHER },
    });
    world.upstream.script("GET /fhir/bulk-status/1", 200, &[], &manifest.to_string());
}

/// The files of a finished export with this one in it.
async fn file(world: &World, token: &str, of: &str, body: &str) -> String {
    let watched = kicked_off(world, token).await;
    done(world, json!([{ "type": of, "url": format!("{}/bulk-files/1/x.ndjson?sig=a%2Fb", world.upstream.base()) }]));
    world.upstream.script("GET /fhir/bulk-files/1/x.ndjson?sig=a%2Fb", 200, &[], body);
    let manifest = world.get(token, &watched).await;
    world.upstream.take();
    below(manifest.json()["output"][0]["url"].as_str().unwrap_or_else(|| panic!("{}", manifest.text())))
}

#[tokio::test]
async fn an_export_lives_from_its_kick_off_to_its_last_file() {
    let world = World::start("", "").await;
    let token = token(&world, "loader", SCOPES);
    let accepted = send(&world, &token, "GET", "/fhir/$export?_since=2020-01-01T00:00:00Z").await;
    assert_eq!((accepted.status, accepted.body.len()), (202, 0));
    let kick_off = world.upstream.take().remove(0);
    assert_eq!(kick_off.line(), "GET /fhir/$export?_type=Observation,Patient&_since=2020-01-01T00:00:00Z");
    assert_eq!(kick_off.header("prefer"), Some("respond-async"));
    assert_eq!(kick_off.header("accept"), Some("application/fhir+json"));
    let watched = below(accepted.header("content-location").unwrap());
    assert!(watched.starts_with("/fhir/$export-status?_export="), "{watched}");

    let progress = [("X-Progress", "at Patient/B"), ("Retry-After", "7")];
    world.upstream.script("GET /fhir/bulk-status/1", 202, &progress, "Patient/B");
    let waiting = world.get(&token, &watched).await;
    assert_eq!((waiting.status, waiting.header("x-progress"), waiting.body.len()), (202, Some("in progress"), 0));
    assert_eq!(waiting.header("retry-after"), Some("7"));

    let base = world.upstream.base().to_owned();
    done(
        &world,
        json!([
            { "type": "Patient", "url": format!("{base}/bulk-files/1/Patient.ndjson"), "count": 2 },
            { "type": "Condition", "url": format!("{base}/bulk-files/1/Condition.ndjson"), "count": 9 },
            { "type": "Observation", "url": "bulk-files/1/Observation.ndjson" },
        ]),
    );
    let complete = world.get(&token, &watched).await;
    let manifest = complete.json();
    assert_eq!((complete.status, complete.header("content-type")), (200, Some("application/json")));
    assert_eq!(manifest["requiresAccessToken"], true);
    assert_eq!(manifest["request"], "https://p/fhir/$export?_since=2020-01-01T00:00:00Z");
    assert_eq!(manifest["transactionTime"], "2026-12-01T10:00:00Z");
    let types: Vec<&str> = manifest["output"].as_array().unwrap().iter().filter_map(|f| f["type"].as_str()).collect();
    assert_eq!(types, ["Patient", "Observation"]);
    assert_eq!((&manifest["output"][0]["count"], &manifest["error"]), (&json!(2), &json!([])));
    assert!(!complete.text().contains(&base) && !complete.text().contains(OF_ANOTHER), "{}", complete.text());

    let lines = format!(
        "{{\"resourceType\":\"Patient\",\"id\":\"A\",\"n\":1.50}}\r\n\n{{\"id\":\"B\",\"resourceType\":\"Patient\",\"photo\":[{{\"url\":\"{base}/Binary/x\"}}]}}"
    );
    world.upstream.script(
        "GET /fhir/bulk-files/1/Patient.ndjson",
        200,
        &[("Content-Type", "application/octet-stream")],
        &lines,
    );
    world.upstream.take();
    let fetched = world.get(&token, &below(manifest["output"][0]["url"].as_str().unwrap())).await;
    assert_eq!((fetched.status, fetched.header("content-type")), (200, Some("application/fhir+ndjson")));
    assert_eq!(
        fetched.text(),
        "{\"resourceType\":\"Patient\",\"id\":\"A\",\"n\":1.50}\n{\"id\":\"B\",\"resourceType\":\"Patient\",\"photo\":[{\"url\":\"https://p/fhir/Binary/x\"}]}\n"
    );
    assert_eq!(world.upstream.take()[0].header("accept"), Some("application/fhir+ndjson"));

    world.upstream.script("DELETE /fhir/bulk-status/1", 202, &[], "");
    let cancelled = world.ask(&token, "DELETE", &watched).await;
    assert_eq!((cancelled.status, cancelled.body.len()), (202, 0));
    assert_eq!(world.upstream.take()[0].line(), "DELETE /fhir/bulk-status/1");
    world.upstream.script("GET /fhir/bulk-status/1", 404, &[], "");
    assert_eq!(world.get(&token, &watched).await.status, 404);
}

#[tokio::test]
async fn an_export_is_its_clients_alone_and_for_seven_days() {
    let world = World::start("", "").await;
    let own = token(&world, "loader", SCOPES);
    let watched = kicked_off(&world, &own).await;
    let fetched = file(&world, &own, "Patient", "{\"resourceType\":\"Patient\"}").await;
    let denial = constant(world.get(&own, "/fhir/$export-status?_export=nonsense").await);
    assert_eq!(denial.0, 404);
    let other = token(&world, "stranger", SCOPES);
    for (method, target) in [("GET", &watched), ("DELETE", &watched), ("GET", &fetched)] {
        assert_eq!(constant(world.ask(&other, method, target).await), denial, "{method} {target}");
    }
    // A status is no file and a file no status, and neither is a page.
    for target in [
        watched.replace("export-status", "export-file"),
        fetched.replace("export-file", "export-status"),
        format!("{watched}x"),
        "/fhir/$export-file".to_owned(),
    ] {
        assert_eq!(constant(world.get(&own, &target).await), denial, "{target}");
    }
    let page = watched.replace("$export-status?_export", "Patient?_page");
    assert_eq!(world.get(&own, &page).await.rule().as_deref(), Some("seal-refused"));
    let seen: Vec<String> = world.upstream.take().iter().map(crate::double::Seen::line).collect();
    assert!(seen.is_empty(), "{seen:?}");
    // Another token of the same client opens it, a narrower one as far as it goes.
    let narrow = token(&world, "loader", "system/Observation.rs");
    let status = world.get(&narrow, &watched).await;
    assert_eq!((status.status, &status.json()["output"]), (200, &json!([])));
    assert_eq!(world.get(&narrow, &fetched).await.rule().as_deref(), Some("scope-missing"));
    assert_eq!(world.get(&world.patient_token("patient/*.rs", "A"), &fetched).await.status, 403);
    world.advance(7 * 24 * 3600 - 1);
    assert_eq!(world.get(&fresh(&world, 7 * 24 * 3600), &watched).await.status, 200);
    world.advance(1);
    assert_eq!(constant(world.get(&fresh(&world, 7 * 24 * 3600), &watched).await), denial);
}

/// A token of the loader that is good `later` seconds after the first moment.
fn fresh(world: &World, later: i64) -> String {
    let now = crate::tokens::NOW + later;
    let claims = json!({ "scope": SCOPES, "sub": "loader", "client_id": "loader", "iat": now - 10, "exp": now + 300 });
    world.token(claims.as_object().unwrap_or(&Map::new()))
}

#[tokio::test]
async fn what_leads_elsewhere_is_not_followed() {
    let world = World::start("", "").await;
    let token = token(&world, "loader", SCOPES);
    let origin = world.upstream.base().strip_suffix("/fhir").unwrap().to_owned();
    for elsewhere in [
        "http://elsewhere.example/status".to_owned(),
        "//elsewhere.example/status".to_owned(),
        format!("{origin}/status"),
        format!("{origin}/fhir2/status"),
        format!("{origin}/fhir/../status"),
        world.upstream.base().replace("http://", "http://u:p@"),
    ] {
        let place = [("Content-Location", elsewhere.as_str())];
        world.upstream.script("GET /fhir/$export?_type=Observation,Patient", 202, &place, "");
        let reply = send(&world, &token, "GET", "/fhir/$export").await;
        assert_eq!((reply.status, reply.rule().as_deref()), (502, Some("export-elsewhere")), "{elsewhere}");
    }
    world.upstream.script("GET /fhir/$export?_type=Observation,Patient", 202, &[], "");
    assert_eq!(send(&world, &token, "GET", "/fhir/$export").await.rule().as_deref(), Some("upstream-unreadable"));
    let place = [("Content-Location", "/fhir/bulk-status/1")];
    world.upstream.script("GET /fhir/$export?_type=Observation,Patient", 202, &place, "");
    let watched = kicked_off(&world, &token).await;
    done(&world, json!([{ "type": "Patient", "url": "http://169.254.169.254/x.ndjson" }]));
    assert_eq!(world.get(&token, &watched).await.rule().as_deref(), Some("export-elsewhere"));
    // A redirect is an answer that cannot be used.
    let target = file(&world, &token, "Patient", "").await;
    let place = [("Location", "http://elsewhere.example/x")];
    world.upstream.script("GET /fhir/bulk-files/1/x.ndjson?sig=a%2Fb", 307, &place, "");
    let reply = world.get(&token, &target).await;
    assert_eq!((reply.status, reply.header("location")), (502, None));
    assert_eq!(world.upstream.take().len(), 1);
}

#[tokio::test]
async fn a_listed_host_gets_no_credentials() {
    let files = Double::start().await;
    let host = files.base().strip_suffix("/fhir").unwrap().to_owned();
    let fhir = format!(
        "bulk_hosts = [\"{host}\"]\nupstream_auth = {{ kind = \"passthrough\" }}\nidentity_headers = {{ client = \"X-Client\" }}"
    );
    let world = World::start(&fhir, "").await;
    let token = token(&world, "loader", SCOPES);
    let watched = kicked_off(&world, &token).await;
    done(&world, json!([{ "type": "Patient", "url": format!("{host}/signed/a.ndjson?X-Sig=1") }]));
    files.script("GET /signed/a.ndjson?X-Sig=1", 200, &[], "{\"resourceType\":\"Patient\",\"id\":\"A\"}\n");
    let manifest = world.get(&token, &watched).await;
    assert!(world.upstream.take()[0].header("authorization").is_some());
    let fetched = world.get(&token, &below(manifest.json()["output"][0]["url"].as_str().unwrap())).await;
    assert_eq!(fetched.text(), "{\"resourceType\":\"Patient\",\"id\":\"A\"}\n");
    let seen = files.take().remove(0);
    assert_eq!((seen.header("authorization"), seen.header("x-client")), (None, None));
    assert_eq!(seen.header("host"), host.strip_prefix("http://"));
    assert!(world.upstream.take().is_empty());
}

#[tokio::test]
async fn a_file_ends_where_it_is_not_what_it_should_be() {
    let world = World::start("", "[limits]\nresponse_body = 4096\n").await;
    let token = token(&world, "loader", SCOPES);
    let good = "{\"resourceType\":\"Patient\",\"id\":\"A\"}\n";
    let secret = format!("{{\"resourceType\":\"Condition\",\"id\":\"{OF_ANOTHER}\"}}\n");
    for (what, bad) in [
        ("another type", secret.clone()),
        ("another granted type", secret.replace("Condition", "Observation")),
        ("no type", secret.replace("resourceType", "type")),
        ("two types", secret.replace('{', "{\"resourceType\":\"Patient\",")),
        ("a list", format!("[{}]\n", secret.trim())),
        ("two on a line", format!("{} {secret}", good.trim())),
        ("no JSON", format!("{OF_ANOTHER}\n")),
        ("a byte order mark", format!("\u{feff}{good}{secret}")),
        ("too long", format!("{{\"resourceType\":\"Patient\",\"id\":\"{}\"}}\n", OF_ANOTHER.repeat(500))),
        ("too long without an end", format!("{{\"resourceType\":\"Patient\",\"id\":\"{}", OF_ANOTHER.repeat(500))),
        ("cut off", format!("{{\"resourceType\":\"Patient\",\"id\":\"{OF_ANOTHER}")),
    ] {
        let target = file(&world, &token, "Patient", &format!("{good}{bad}{good}")).await;
        let request = format!("GET {target} HTTP/1.1\r\nHost: p\r\nAuthorization: Bearer {token}\r\n\r\n");
        let answer = wire::exchange(world.address(), request.as_bytes()).await;
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with("HTTP/1.1 200") && !text.contains(OF_ANOTHER), "{what}: {text}");
        assert!(!answer.ends_with(b"0\r\n\r\n"), "{what}: the end must be seen to be missing");
    }
}

#[tokio::test]
async fn what_was_deleted_and_what_went_wrong_are_told_as_far_as_granted() {
    let world = World::start("", "").await;
    let token = token(&world, "loader", SCOPES);
    let watched = kicked_off(&world, &token).await;
    let base = world.upstream.base().to_owned();
    let manifest = json!({
        "transactionTime": "2026-12-01T10:00:00Z",
        "output": [],
        "deleted": [{ "type": "Bundle", "url": format!("{base}/d.ndjson") }],
        "error": [{ "type": "Patient", "url": format!("{base}/e.ndjson") }],
    });
    world.upstream.script("GET /fhir/bulk-status/1", 200, &[], &manifest.to_string());
    let deletions = json!({
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            { "request": { "method": "DELETE", "url": "Patient/x" }, "resource": { "note": OF_ANOTHER } },
            { "request": { "method": "DELETE", "url": "Condition/c" } },
            { "request": { "method": "PUT", "url": "Patient/y" } },
            { "request": { "method": "DELETE", "url": "Patient?identifier=1" } },
        ],
    });
    let others = json!({ "resourceType": "Bundle", "type": "transaction", "entry": [{ "request": { "method": "DELETE", "url": "Condition/c" } }] });
    world.upstream.script("GET /fhir/d.ndjson", 200, &[], &format!("{deletions}\n{others}\n"));
    world.upstream.script("GET /fhir/e.ndjson", 200, &[], "{\"resourceType\":\"OperationOutcome\",\"issue\":[]}\n");
    let manifest = world.get(&token, &watched).await.json();
    assert_eq!(
        (&manifest["deleted"][0]["type"], &manifest["error"][0]["type"]),
        (&json!("Bundle"), &json!("OperationOutcome"))
    );
    let deleted = world.get(&token, &below(manifest["deleted"][0]["url"].as_str().unwrap())).await;
    assert_eq!(
        deleted.text(),
        "{\"resourceType\":\"Bundle\",\"type\":\"transaction\",\"entry\":[{\"request\":{\"method\":\"DELETE\",\"url\":\"Patient/x\"}}]}\n"
    );
    let error = world.get(&token, &below(manifest["error"][0]["url"].as_str().unwrap())).await;
    assert_eq!(error.text(), "{\"resourceType\":\"OperationOutcome\",\"issue\":[]}\n");
    world.upstream.script("GET /fhir/e.ndjson", 200, &[], "{\"resourceType\":\"Patient\"}\n");
    let wrong = world.get(&token, &below(manifest["error"][0]["url"].as_str().unwrap())).await;
    assert_eq!(wrong.text(), "");
}

#[tokio::test]
async fn failures_of_the_server_are_told_in_the_gates_words() {
    let world = World::start("", "").await;
    let token = token(&world, "loader", SCOPES);
    let watched = kicked_off(&world, &token).await;
    for (status, expected, rule) in [
        (500, 502, "upstream-error"),
        (404, 404, "not-found-or-not-yours"),
        (410, 404, "not-found-or-not-yours"),
        (302, 502, "upstream-error"),
        (429, 429, "export-too-soon"),
    ] {
        let headers = [("Retry-After", "9"), ("Location", "http://elsewhere.example/x")];
        world.upstream.script("GET /fhir/bulk-status/1", status, &headers, OF_ANOTHER);
        let reply = world.get(&token, &watched).await;
        assert_eq!((reply.status, reply.rule().as_deref()), (expected, Some(rule)), "{status}");
        assert!(!reply.text().contains(OF_ANOTHER));
        assert_eq!(reply.header("retry-after"), (status == 429).then_some("9"));
    }
    let refused =
        json!({ "resourceType": "OperationOutcome", "issue": [{ "diagnostics": "no such filter" }] }).to_string();
    world.upstream.script("GET /fhir/$export?_type=Observation,Patient", 400, &[], &refused);
    let reply = send(&world, &token, "GET", "/fhir/$export").await;
    assert_eq!((reply.status, reply.text()), (400, refused));
    for garbage in ["", "[]", "{}", "{\"transactionTime\":\"x\",\"output\":[{\"type\":\"Patient\"}]}"] {
        world.upstream.script("GET /fhir/bulk-status/1", 200, &[], garbage);
        assert_eq!(world.get(&token, &watched).await.rule().as_deref(), Some("upstream-unreadable"), "{garbage}");
    }
}
