//! Batches and transactions before a FHIR server that misbehaves, races, and answers that are the same whatever there is
//! (enforcement.md §2, §3, §5).

use serde_json::{Value, json};

use crate::double::Manners;
use crate::resources::{OF_ANOTHER, conventional, observation};
use crate::uniform::constant;
use crate::wire::{self, Reply};
use crate::world::World;

const ALL: &str = "patient/*.cruds";

/// Sends a Bundle of these entries with a token.
async fn send(world: &World, token: &str, kind: &str, entries: &[Value]) -> Reply {
    let bundle = json!({ "resourceType": "Bundle", "type": kind, "entry": entries }).to_string();
    let headers = [
        ("Authorization".to_owned(), format!("Bearer {token}")),
        ("Content-Type".to_owned(), "application/fhir+json".to_owned()),
    ];
    wire::send(world.address(), "POST", "/fhir", &headers, bundle.as_bytes()).await
}

async fn transaction(world: &World, scope: &str, entries: &[Value]) -> Reply {
    send(world, &world.patient_token(scope, "A"), "transaction", entries).await
}

fn of_a(id: Option<&str>) -> Value {
    let mut resource = json!({ "resourceType": "Observation", "subject": { "reference": "Patient/A" } });
    if let Some(id) = id {
        resource["id"] = json!(id);
    }
    resource
}

fn create(name: &str, resource: &Value) -> Value {
    json!({
        "fullUrl": format!("urn:uuid:{name}"),
        "resource": resource,
        "request": { "method": "POST", "url": resource["resourceType"] },
    })
}

fn put(id: &str) -> Value {
    json!({ "resource": of_a(Some(id)), "request": { "method": "PUT", "url": format!("Observation/{id}") } })
}

fn delete(id: &str) -> Value {
    json!({ "request": { "method": "DELETE", "url": format!("Observation/{id}") } })
}

fn get(url: &str) -> Value {
    json!({ "request": { "method": "GET", "url": url } })
}

fn patch(id: &str) -> Value {
    // [{"op":"replace","path":"/status","value":"amended"}]
    let data = "W3sib3AiOiJyZXBsYWNlIiwicGF0aCI6Ii9zdGF0dXMiLCJ2YWx1ZSI6ImFtZW5kZWQifV0=";
    let resource = json!({ "resourceType": "Binary", "contentType": "application/json-patch+json", "data": data });
    json!({ "resource": resource, "request": { "method": "PATCH", "url": format!("Observation/{id}") } })
}

fn statuses(reply: &Reply) -> Vec<String> {
    let body = reply.json();
    let entries = body["entry"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| entry["response"]["status"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn what_is_created_together_refers_to_each_other() {
    let world = World::start("", "").await;
    let mut first = of_a(None);
    first["hasMember"] = json!([{ "reference": "urn:uuid:two" }, { "reference": "Observation/a1" }]);
    let mut second = of_a(None);
    second["derivedFrom"] = json!([{ "reference": "urn:uuid:one" }]);
    second["valueDecimal"] = json!(1.5);
    let entries = [create("one", &first), put("a1"), create("two", &second), get("Observation/a1"), delete("a2")];
    let reply = transaction(&world, ALL, &entries).await;
    assert_eq!(
        (reply.status, statuses(&reply)),
        (200, ["201", "200", "201", "200", "204"].map(str::to_owned).to_vec())
    );
    let body = reply.json();
    assert_eq!(body["type"], "transaction-response");
    assert_eq!(body["entry"][0]["resource"]["hasMember"][0]["reference"], "Observation/new-1");
    assert_eq!(body["entry"][0]["response"]["location"], "https://p/fhir/Observation/new/_history/1");
    assert_eq!(body["entry"][1]["response"]["etag"], "W/\"2\"");
    assert_eq!(body["entry"][1]["response"]["lastModified"], "2026-12-01T10:00:00.123Z");
    // A read comes after the writes, wherever it stands.
    assert_eq!(body["entry"][3]["resource"]["meta"]["versionId"], "2");
    assert!(!reply.text().contains("all well") && !reply.text().contains("upstream-bundle"), "{}", reply.text());
    assert_eq!(world.upstream.held("Observation", "new").unwrap()["hasMember"][0]["reference"], "Observation/new-1");
    assert_eq!(world.upstream.held("Observation", "new-1").unwrap()["derivedFrom"][0]["reference"], "Observation/new");
    assert_eq!(world.upstream.held("Observation", "a2"), None);
    let seen = world.upstream.take();
    let lines: Vec<String> = seen.iter().map(crate::double::Seen::line).collect();
    assert_eq!(lines.iter().filter(|line| *line == "POST /fhir").count(), 1, "{lines:?}");
    assert!(
        lines[..2].iter().all(|line| line.starts_with("GET ")) && lines[3] == "GET /fhir/Observation/a1",
        "{lines:?}"
    );
    let sent: Value = serde_json::from_str(&seen[2].body).unwrap();
    assert_eq!(sent["entry"][1]["request"], json!({ "method": "PUT", "url": "Observation/a1", "ifMatch": "W/\"1\"" }));
    assert_eq!(
        sent["entry"][3]["request"],
        json!({ "method": "DELETE", "url": "Observation/a2", "ifMatch": "W/\"1\"" })
    );
}

#[tokio::test]
async fn a_patch_goes_up_as_the_checked_result_for_the_checked_version() {
    let world = World::start("", "").await;
    let reply = transaction(&world, ALL, &[patch("a1")]).await;
    assert_eq!(statuses(&reply), ["200"]);
    assert_eq!(reply.json()["entry"][0]["resource"]["status"], "amended");
    let sent: Value = serde_json::from_str(&world.upstream.take()[1].body).unwrap();
    assert_eq!(sent["entry"][0]["request"], json!({ "method": "PUT", "url": "Observation/a1", "ifMatch": "W/\"1\"" }));
    assert_eq!(sent["entry"][0]["resource"]["valueQuantity"]["value"], 1.5);
}

#[tokio::test]
async fn one_that_is_refused_refuses_the_whole_and_is_named() {
    let world = World::start("", "").await;
    let patient = json!({ "resourceType": "Patient" });
    let mut named = of_a(None);
    named["subject"]["reference"] = json!("urn:uuid:p");
    let mut of_b = of_a(None);
    of_b["subject"]["reference"] = json!("Patient/B");
    let mut pointing = of_a(None);
    pointing["hasMember"] = json!([{ "reference": "Observation/b1" }]);
    let mut second = put("a2");
    second["fullUrl"] = json!("https://p/fhir/Observation/a1");
    for (entry, status, rule) in [
        (create("p", &patient), 403, "patient-create"),
        (create("o", &named), 403, "subject-not-own"),
        (create("o", &of_b), 403, "subject-not-own"),
        (create("o", &pointing), 403, "reference-not-allowed"),
        (put("b1"), 404, "not-found-or-not-yours"),
        (put("nope"), 404, "not-found-or-not-yours"),
        (patch("b1"), 404, "not-found-or-not-yours"),
        (delete("b1"), 404, "not-found-or-not-yours"),
        (get("Observation?performer:Patient.name=x"), 403, "join-restricted"),
        (get("Observation?_has:x:y:z=1"), 400, "parameter-value"),
        (get("Patient/A/$everything"), 400, "bundle-entry"),
        (second, 400, "bundle-entry"),
        (put("a1"), 400, "bundle-overlap"),
        (delete("a1"), 400, "bundle-overlap"),
        (create("first", &of_a(None)), 400, "bundle-overlap"),
    ] {
        world.upstream.hold(conventional());
        world.upstream.take();
        let reply = transaction(&world, ALL, &[create("first", &of_a(None)), put("a1"), entry.clone()]).await;
        assert_eq!((reply.status, reply.rule().as_deref()), (status, Some(rule)), "{entry}: {}", reply.text());
        assert_eq!(reply.json()["issue"][0]["expression"], json!(["Bundle.entry[2]"]), "{entry}");
        let seen = world.upstream.take();
        assert!(seen.iter().all(|seen| seen.method == "GET"), "{entry}: {seen:?}");
        assert_eq!(world.upstream.held("Observation", "a1").unwrap()["meta"]["versionId"], "1");
    }
    assert!(
        world
            .audit()
            .await
            .iter()
            .all(|line| line["entry"].is_null() && line["detail"].to_string().contains("entry 2"))
    );
}

#[tokio::test]
async fn what_changes_hands_between_check_and_write_stays_and_so_does_all_else() {
    let world = World::start("", "").await;
    for (manners, entry) in [
        (Manners::ChangesHands, put("a1")),
        (Manners::ChangesHands, patch("a1")),
        (Manners::ChangesHands, delete("a1")),
        (Manners::Vanishes, put("a1")),
        (Manners::Vanishes, delete("a1")),
    ] {
        world.upstream.hold(vec![observation("a1", "A", "x")]);
        world.upstream.behave(manners);
        let reply = transaction(&world, ALL, &[create("new", &of_a(None)), entry.clone()]).await;
        assert_eq!((reply.status, reply.rule().as_deref()), (409, Some("write-conflict")), "{entry}");
        assert!(!reply.text().contains(OF_ANOTHER) && !reply.text().contains("Patient/B"), "{entry}");
        assert_eq!(world.upstream.held("Observation", "new"), None, "{entry}");
        let held = world.upstream.held("Observation", "a1");
        assert_eq!(held.is_some(), manners == Manners::ChangesHands, "{entry}");
        assert!(held.is_none_or(|held| held["subject"]["reference"] == "Patient/B"), "{entry}");
    }
}

#[tokio::test]
async fn a_server_that_misbehaves_tells_nothing_of_anothers() {
    let world = World::start("", "").await;
    let condition = json!({ "resourceType": "Condition", "subject": { "reference": "Patient/A" } });
    let entries =
        [create("one", &of_a(None)), put("a1"), create("two", &condition), delete("a2"), get("Observation/a1")];
    for (manners, status) in [
        (Manners::FewerEntries, 502),
        (Manners::MoreEntries, 502),
        (Manners::OtherOrder, 200),
        (Manners::OthersEntries, 200),
        (Manners::FailsLate, 200),
        (Manners::RefusesWrites, 400),
        (Manners::WritesElsewhere, 200),
        (Manners::EveryType, 200),
    ] {
        for scope in [ALL, "patient/*.cud patient/Observation.r", "patient/*.cruds user/Binary.cruds"] {
            world.upstream.hold(conventional());
            world.upstream.behave(manners);
            let reply = transaction(&world, scope, &entries).await;
            assert_eq!(reply.status, status, "{manners:?}: {}", reply.text());
            let text = reply.text();
            for secret in [OF_ANOTHER, "Patient/B", "Observation/b1", "all well", "elsewhere", "Whatever"] {
                assert!(!text.contains(secret), "{manners:?} {scope} tells {secret}: {text}");
            }
        }
    }
    // What was to be of one entry is not told of another.
    world.upstream.behave(Manners::OtherOrder);
    world.upstream.hold(conventional());
    let reply = transaction(&world, ALL, &entries[..3]).await;
    let body = reply.json();
    assert_eq!(body["entry"][0], json!({ "response": { "status": "201" } }));
    assert_eq!(body["entry"][1]["resource"]["id"], "a1");
    assert_eq!(body["entry"][2], json!({ "response": { "status": "201" } }));
}

#[tokio::test]
async fn a_refused_transaction_is_the_same_bytes_whatever_there_is() {
    let world = World::start("", "").await;
    let mut pointing = of_a(None);
    pointing["hasMember"] = json!([{ "reference": "Observation/x1" }]);
    let read_and_write = [create("one", &of_a(None)), get("Observation/x1"), get("Observation?_id=x1")];
    for (entries, status) in [
        (vec![create("one", &of_a(None)), put("x1")], 404),
        (vec![create("one", &of_a(None)), patch("x1")], 404),
        (vec![delete("x1"), put("x2")], 404),
        (vec![create("one", &pointing), put("a1")], 403),
        (read_and_write.to_vec(), 200),
    ] {
        let mut answers = Vec::new();
        for others in [vec![], vec![observation("x1", "B", "x"), observation("x2", "B", "x")]] {
            world.upstream.hold([vec![observation("a1", "A", "x")], others].concat());
            answers.push(constant(transaction(&world, ALL, &entries).await));
        }
        assert_eq!((answers[0].0, &answers[0]), (status, &answers[1]));
    }
}

#[tokio::test]
async fn limits_hold_for_the_whole() {
    let world = World::start("", "[limits]\nwrite_references = 3\nbundle_entries = 4\n").await;
    let pointing = |id: &str, to: [&str; 2]| {
        let mut resource = of_a(Some(id));
        resource["hasMember"] = to.map(|id| json!({ "reference": format!("Observation/{id}") })).to_vec().into();
        json!({ "resource": resource, "request": { "method": "PUT", "url": format!("Observation/{id}") } })
    };
    world.upstream.hold(["a1", "a2", "a3", "a4", "a5", "a6"].map(|id| observation(id, "A", "x")).to_vec());
    // Those that the transaction itself writes, and those that two refer to, are not looked at twice.
    let within = [pointing("a1", ["a2", "a3"]), pointing("a2", ["a4", "a3"]), pointing("a6", ["a5", "a1"])];
    assert_eq!(statuses(&transaction(&world, ALL, &within).await), ["200", "200", "200"]);
    let beyond = [pointing("a1", ["a2", "a3"]), pointing("a6", ["a4", "a5"])];
    let reply = transaction(&world, ALL, &beyond).await;
    assert_eq!((reply.status, reply.rule().as_deref()), (413, Some("references-too-many")));
    assert_eq!(reply.json()["issue"][0]["expression"], json!(["Bundle.entry[1]"]));
    world.upstream.take();
    for (kind, count) in [("batch", 5), ("transaction", 5), ("transaction", 10_000), ("batch", 10_000)] {
        let entries = vec![get("Observation/a1"); count];
        let reply = send(&world, &world.patient_token(ALL, "A"), kind, &entries).await;
        assert_eq!((reply.status, reply.rule().as_deref()), (413, Some("bundle-too-many")), "{kind} {count}");
    }
    assert!(world.upstream.take().is_empty());
}

#[tokio::test]
async fn a_token_of_two_kinds_writes_each_type_by_its_own_permit() {
    let world = World::start("", "").await;
    let scope = "patient/Observation.cruds user/Condition.cu user/Location.cruds";
    let claims = json!({ "scope": scope, "patient": "A", "fhirUser": "Practitioner/p" });
    let token = world.token(claims.as_object().unwrap());
    let condition = json!({ "resourceType": "Condition", "subject": { "reference": "Patient/B" }, "note": [{ "text": OF_ANOTHER }] });
    let location = json!({ "resourceType": "Location", "id": "l", "name": "here" });
    let mut pointing = of_a(None);
    pointing["hasMember"] = json!([{ "reference": "urn:uuid:c" }]);
    let entries = [
        create("c", &condition),
        create("o", &pointing),
        json!({ "resource": location, "request": { "method": "PUT", "url": "Location/l" } }),
        get("Location/l"),
    ];
    let reply = send(&world, &token, "transaction", &entries).await;
    assert_eq!(statuses(&reply), ["201", "201", "200", "200"], "{}", reply.text());
    let body = reply.json();
    assert_eq!((&body["entry"][0]["resource"], &body["entry"][2]["resource"]["name"]), (&Value::Null, &json!("here")));
    assert_eq!(body["entry"][1]["resource"]["hasMember"][0]["reference"], "Condition/new");
    assert!(!reply.text().contains(OF_ANOTHER));
    let refused = send(&world, &token, "transaction", &[entries[0].clone(), put("b1")]).await;
    assert_eq!((refused.status, refused.rule().as_deref()), (404, Some("not-found-or-not-yours")));
}

#[tokio::test]
async fn each_entry_has_its_audit_line_below_that_of_the_whole() {
    let world = World::start("", "").await;
    let entries = [get("Observation/b1"), put("a1"), get("Practitioner?x"), json!({ "request": { "method": "BREW" } })];
    let reply = send(&world, &world.patient_token("patient/Observation.rus", "A"), "batch", &entries).await;
    let id = reply.header("x-request-id").unwrap();
    let lines = world.audit().await;
    let told: Vec<String> = lines
        .iter()
        .map(|line| {
            assert_eq!((line["request_id"].as_str(), &line["patient"]), (Some(id), &json!("A")));
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            let entry = &line["entry"];
            format!("{entry} {} {} {} {}", text("method"), text("interaction"), text("decision"), text("rule"))
        })
        .collect();
    assert_eq!(
        told,
        [
            "null POST bundle permit entries",
            "0 GET read refuse not-found-or-not-yours",
            "1 PUT update permit own-patient",
            "2 GET search-type refuse scope-missing",
            "3  none refuse bundle-entry",
        ]
    );
}

/// Requests whose answer in a batch is held against their answer alone.
fn requests() -> Vec<Value> {
    let reads = [
        "Patient/A",
        "Patient/B",
        "Patient/nope",
        "Patient",
        "Observation/a1",
        "Observation/b1",
        "Observation/nope",
        "Observation/m1/_history/1",
        "Observation/m1/_history/2",
        "Observation/a1/_history",
        "Observation/b1/_history",
        "Observation",
        "Observation?code=x",
        "Observation?patient=B",
        "Observation?patient=A&_count=1",
        "Observation?_id=b1",
        "Observation?_filter=x",
        "Observation?_count=x",
        "Observation?subject:missing=true",
        "Observation?_elements=status",
        "Practitioner/p",
        "Practitioner/nope",
        "Location",
        "Encounter/ea",
        "Encounter/eb",
        "Group/A",
        "_history",
        "Observation/_history",
        "Patient/A/Observation",
        "Patient/B/Observation",
        "Nothing/x",
        "Observation?_summary=count",
    ];
    let mut requests: Vec<Value> = reads.into_iter().map(get).collect();
    for id in ["a1", "b1", "nope"] {
        requests.extend([put(id), patch(id), delete(id)]);
        for condition in ["W/\"1\"", "W/\"9\"", "*"] {
            let mut put = put(id);
            put["request"]["ifMatch"] = json!(condition);
            requests.push(put);
        }
    }
    let mut of_b = of_a(None);
    of_b["subject"]["reference"] = json!("Patient/B");
    for resource in [of_a(None), of_b, json!({ "resourceType": "Patient" }), json!({ "resourceType": "Location" })] {
        let mut entry = create("x", &resource);
        entry.as_object_mut().unwrap().remove("fullUrl");
        requests.push(entry);
    }
    requests
}

/// The same as a request of its own.
async fn alone(world: &World, token: &str, entry: &Value) -> Reply {
    let asked = &entry["request"];
    let text = |name: &str| asked[name].as_str().map(str::to_owned);
    let method = text("method").unwrap();
    let mut headers = vec![("Authorization".to_owned(), format!("Bearer {token}"))];
    headers.extend(text("ifMatch").map(|value| ("If-Match".to_owned(), value)));
    let mut body = if entry["resource"].is_null() { String::new() } else { entry["resource"].to_string() };
    let kind = if method == "PATCH" {
        body = json!([{ "op": "replace", "path": "/status", "value": "amended" }]).to_string();
        "application/json-patch+json"
    } else {
        "application/fhir+json"
    };
    if !body.is_empty() {
        headers.push(("Content-Type".to_owned(), kind.to_owned()));
    }
    wire::send(world.address(), &method, &format!("/fhir/{}", text("url").unwrap()), &headers, body.as_bytes()).await
}

/// What an answer says: status, location, tag, body. A seal is another each time.
fn told(status: &str, location: Value, tag: Value, body: &Value) -> [Value; 4] {
    let mut body = body.clone();
    if let Some(links) = body["link"].as_array_mut() {
        links.retain(|link| link["relation"] == "self");
    }
    [json!(status), location, tag, body]
}

fn told_alone(reply: &Reply) -> [Value; 4] {
    let header = |name: &str| reply.header(name).map_or(Value::Null, |value| json!(value));
    told(&reply.status.to_string(), header("location"), header("etag"), &reply.json())
}

fn told_in_batch(entry: &Value) -> [Value; 4] {
    let response = &entry["response"];
    let status = response["status"].as_str().and_then(|text| text.get(..3)).unwrap_or_default();
    let body = if status < "300" { &entry["resource"] } else { &response["outcome"] };
    told(status, response["location"].clone(), response["etag"].clone(), body)
}

#[tokio::test]
async fn a_batch_answers_like_its_requests_alone() {
    let world = World::start("", "").await;
    let tokens = [
        json!({ "scope": ALL, "patient": "A" }),
        json!({ "scope": "patient/Observation.rs patient/Patient.r", "patient": "A" }),
        json!({ "scope": "patient/Observation.cud", "patient": "A" }),
        json!({ "scope": "patient/Observation.cruds user/Location.cruds user/Observation.r", "patient": "A", "fhirUser": "Practitioner/p" }),
        json!({ "scope": "patient/Observation.cruds?code=x", "patient": "A" }),
        json!({ "scope": "system/*.cruds", "sub": "service", "client_id": "service" }),
        json!({ "scope": "system/Observation.rs", "sub": "service", "client_id": "service" }),
        json!({ "scope": "openid" }),
    ];
    for claims in tokens {
        let token = world.token(claims.as_object().unwrap());
        let (reads, writes): (Vec<Value>, Vec<Value>) =
            requests().into_iter().partition(|entry| entry["request"]["method"] == "GET");
        // Reads all in one batch, writes one by one, since each must find what the one alone found.
        for entries in std::iter::once(reads).chain(writes.into_iter().map(|write| vec![write])) {
            let mut single = Vec::new();
            for entry in &entries {
                world.upstream.hold(conventional());
                single.push(told_alone(&alone(&world, &token, entry).await));
            }
            world.upstream.hold(conventional());
            let batch = send(&world, &token, "batch", &entries).await;
            let batched = batch.json()["entry"].as_array().unwrap().iter().map(told_in_batch).collect::<Vec<_>>();
            for ((single, batched), entry) in single.iter().zip(&batched).zip(&entries) {
                assert_eq!(batched, single, "{claims} {entry}");
            }
            assert_eq!((batch.status, batched.len()), (200, entries.len()), "{claims}");
        }
    }
}

#[tokio::test]
async fn a_server_that_ignores_conditions_in_a_transaction_gets_none_that_needs_them() {
    for manners in [Manners::IgnoresConditionsInBundles, Manners::NoBundles, Manners::Good] {
        let world = World::start_with("", "", None).await;
        world.upstream.behave(manners);
        let obeys = manners == Manners::Good;
        let expected = if obeys { (200, None) } else { (403, Some("write-unpinned".to_owned())) };
        for entry in [put("a1"), patch("a1"), delete("a1")] {
            world.upstream.hold(conventional());
            let reply = transaction(&world, ALL, std::slice::from_ref(&entry)).await;
            assert_eq!((reply.status, reply.rule()), expected, "{manners:?} {entry}");
            world.upstream.hold(conventional());
            let alone = alone(&world, &world.patient_token(ALL, "A"), &entry).await;
            assert!([200, 204].contains(&alone.status), "{manners:?} {entry}: {}", alone.text());
        }
        let created = transaction(&world, ALL, &[create("one", &of_a(None))]).await;
        assert_eq!(created.status, if manners == Manners::NoBundles { 400 } else { 200 }, "{manners:?}");
        assert!(!created.text().contains(OF_ANOTHER));
    }
}

#[tokio::test]
async fn a_transaction_creates_by_put_where_a_single_request_would() {
    let world = World::start("upsert = \"allow\"", "").await;
    let mut pointing = of_a(None);
    pointing["hasMember"] = json!([{ "reference": "Observation/made" }]);
    let reply = transaction(&world, ALL, &[create("one", &pointing), put("made")]).await;
    assert_eq!((reply.status, statuses(&reply)), (200, vec!["201".to_owned(), "201".to_owned()]), "{}", reply.text());
    let seen = world.upstream.take();
    let sent: Value = serde_json::from_str(&seen.last().unwrap().body).unwrap();
    assert_eq!(sent["entry"][1]["request"]["ifNoneMatch"], "*");
    let refused = transaction(&world, ALL, &[put("other"), put("b1")]).await;
    assert_eq!((refused.status, refused.rule().as_deref()), (404, Some("not-found-or-not-yours")));
    assert_eq!(world.upstream.held("Observation", "other"), None);
}

/// A conditional form of an entry.
fn by(criteria: &str, mut entry: Value) -> Value {
    match entry["request"]["method"].as_str() {
        Some("POST") => entry["request"]["ifNoneExist"] = json!(criteria),
        _ => entry["request"]["url"] = json!(format!("Observation?{criteria}")),
    }
    entry
}

#[tokio::test]
async fn what_is_created_unless_it_is_there_is_what_others_refer_to() {
    let world = World::start("", "").await;
    let mut pointing = of_a(None);
    pointing["hasMember"] = json!([{ "reference": "urn:uuid:one" }]);
    for (held, status, target) in [
        (vec![], "201", "Observation/new"),
        (vec![observation("b9", "B", "z")], "201", "Observation/new"),
        (vec![observation("a9", "A", "z"), observation("b9", "B", "z")], "200", "Observation/a9"),
    ] {
        for named in [true, false] {
            world.upstream.hold(held.clone());
            world.upstream.take();
            let mut first = by("code=z", create("one", &of_a(None)));
            let mut entries = vec![first.clone(), create("two", &pointing)];
            if !named {
                first.as_object_mut().unwrap().remove("fullUrl");
                entries = vec![first];
            }
            let reply = transaction(&world, ALL, &entries).await;
            assert_eq!((reply.status, statuses(&reply)[0].as_str()), (200, status), "{}", reply.text());
            let body = reply.json();
            let location = body["entry"][0]["response"]["location"].as_str().unwrap();
            assert!(location.starts_with(&format!("https://p/fhir/{target}")), "{location}");
            assert!(!reply.text().contains(OF_ANOTHER));
            if named {
                assert_eq!(body["entry"][1]["resource"]["hasMember"][0]["reference"], target);
            }
            // The FHIR server is asked about nothing that could be another's.
            let sent =
                world.upstream.take().into_iter().filter(|seen| seen.line() == "POST /fhir").map(|seen| seen.body);
            let sent: String = sent.collect();
            assert_eq!(sent.contains("ifNoneExist"), named && status == "200", "{sent}");
            assert!(!sent.contains("code=z"), "{sent}");
        }
    }
}

#[tokio::test]
async fn what_criteria_mean_is_found_out_before_and_pinned() {
    let world = World::start("", "").await;
    let mut without_id = put("a9");
    without_id["resource"].as_object_mut().unwrap().remove("id");
    for (entry, method) in [
        (by("code=z", without_id.clone()), "PUT"),
        (by("code=z", patch("a9")), "PUT"),
        (by("code=z", delete("a9")), "DELETE"),
    ] {
        world.upstream.hold(vec![observation("a9", "A", "z"), observation("b9", "B", "z")]);
        world.upstream.take();
        let reply = transaction(&world, ALL, std::slice::from_ref(&entry)).await;
        assert_eq!(reply.status, 200, "{entry}: {}", reply.text());
        let seen = world.upstream.take();
        let sent: Value = serde_json::from_str(&seen.last().unwrap().body).unwrap();
        let expected = json!({ "method": method, "url": "Observation/a9", "ifMatch": "W/\"1\"" });
        assert_eq!(sent["entry"][0]["request"], expected);
        // The same by its id and by criteria is twice the same.
        world.upstream.hold(vec![observation("a9", "A", "z"), observation("b9", "B", "z")]);
        let reply = transaction(&world, ALL, &[delete("a9"), entry.clone()]).await;
        assert_eq!((reply.status, reply.rule().as_deref()), (400, Some("bundle-overlap")), "{entry}");
        assert_eq!(world.upstream.held("Observation", "a9").unwrap()["meta"]["versionId"], "1");
    }
    let mut answers = Vec::new();
    for others in
        [vec![], vec![observation("b9", "B", "z")], vec![observation("b8", "B", "z"), observation("b9", "B", "z")]]
    {
        world.upstream.hold(others);
        for entry in [by("code=z", patch("a9")), by("code=z", delete("a9")), by("patient=B", delete("a9"))] {
            answers.push(constant(transaction(&world, ALL, &[entry]).await));
        }
        let made = transaction(&world, ALL, &[by("code=z", without_id.clone())]).await;
        assert_eq!((made.status, statuses(&made)), (200, vec!["201".to_owned()]), "{}", made.text());
    }
    assert!(answers.iter().all(|answer| answer.0 == 404 && *answer == answers[0]), "{answers:?}");
}
