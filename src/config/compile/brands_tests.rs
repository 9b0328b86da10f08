use std::sync::Arc;

use serde_json::{Value, json};

use crate::config::{Brands, load_str};

const IDENTIFIER: &str = "identifier = { system = \"urn:ietf:rfc:3986\", value = \"https://a.example\" }";

fn organization(id: &str, endpoints: &[&str]) -> Value {
    let endpoints: Vec<Value> = endpoints.iter().map(|id| json!({ "reference": format!("Endpoint/{id}") })).collect();
    json!({ "resource": {
        "resourceType": "Organization", "id": id, "name": id.to_uppercase(), "endpoint": endpoints,
        "identifier": [{ "system": "urn:ietf:rfc:3986", "value": format!("https://{id}.example") }],
    }})
}

fn endpoint(id: &str, address: &str) -> Value {
    json!({
        "fullUrl": format!("https://brands.example/Endpoint/{id}"),
        "resource": { "resourceType": "Endpoint", "id": id, "status": "active", "address": address },
    })
}

fn bundle(entries: Vec<Value>) -> Value {
    json!({ "resourceType": "Bundle", "type": "collection", "timestamp": "2026-01-31T12:00:00+01:00", "entry": entries })
}

fn one() -> Value {
    bundle(vec![organization("a", &["r4"]), endpoint("r4", "https://gate.example.org/fhir/")])
}

fn two() -> Value {
    bundle(vec![
        organization("a", &["r4"]),
        organization("b", &["r4"]),
        endpoint("r4", "https://gate.example.org/fhir"),
    ])
}

fn load(lines: &str, bundle: &str) -> Result<Arc<Brands>, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("brands.json"), bundle).unwrap();
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\npublic_url = \"https://gate.example.org\"\n[admin]\nlisten = [\"127.0.0.1:0\"]\n\
         [fhir]\nupstream = \"http://127.0.0.1:9/fhir\"\n[brands]\n{lines}\n"
    );
    let prefix = format!("{}/", folder.path().display());
    let loaded = load_str(&text, folder.path());
    let errors = |errors: crate::config::ConfigErrors| errors.lines().map(|line| line.replace(&prefix, "")).collect();
    loaded.map(|loaded| loaded.snapshot.brands.unwrap()).map_err(errors)
}

fn read(bundle: &Value, more: &str) -> Result<Arc<Brands>, Vec<String>> {
    load(&format!("bundle = \"brands.json\"\n{more}"), &bundle.to_string())
}

/// The one thing that is wrong.
fn wrong(bundle: &Value, more: &str) -> String {
    let found = read(bundle, more).err().unwrap_or_else(|| panic!("this was accepted: {bundle} {more}"));
    assert_eq!(found.len(), 1, "{found:#?}");
    found[0].clone()
}

/// BR-2: several brands need an identifier, which fits one.
#[test]
fn one_brand_needs_no_identifier_and_several_do() {
    let brands = read(&one(), "").unwrap();
    assert_eq!(brands.bundle, one().to_string());
    assert!(brands.identifier.is_none() && brands.names_this_server);
    assert!(brands.tag.starts_with("W/\"") && brands.tag.len() == 36, "{}", brands.tag);
    assert_ne!(brands.tag, read(&two(), IDENTIFIER).unwrap().tag);
    let told = wrong(&two(), "");
    assert!(
        told.starts_with("smartgate.toml:8: [brands] identifier: is missing, and the bundle has several brands"),
        "{told}"
    );
}

#[test]
fn the_identifier_fits_exactly_one() {
    for (identifier, found) in [
        ("{ value = \"https://a.example\" }", 1),
        ("{ value = \"https://c.example\" }", 0),
        ("{ system = \"urn:other\", value = \"https://a.example\" }", 0),
    ] {
        let read = read(&two(), &format!("identifier = {identifier}"));
        match found {
            1 => assert_eq!(read.unwrap().identifier.as_ref().unwrap().value, "https://a.example"),
            _ => assert!(read.err().unwrap()[0].contains("fits 0 identifiers of the organizations in brands.json")),
        }
    }
    let mut twice = two();
    twice["entry"][1]["resource"]["identifier"][0]["value"] = "https://a.example".into();
    assert!(wrong(&twice, IDENTIFIER).contains("identifier: fits 2 identifiers"), "two brands");
    let mut twice = one();
    let same = twice["entry"][0]["resource"]["identifier"][0].clone();
    twice["entry"][0]["resource"]["identifier"] = json!([same, same]);
    assert!(wrong(&twice, IDENTIFIER).contains("identifier: fits 2 identifiers"), "one brand twice");
    let told = wrong(&one(), "identifier = { system = \"urn:x\" }");
    assert!(told.starts_with("smartgate.toml:10: [brands] identifier.value: is missing"), "{told}");
}

/// BR-4: what a publisher owes, each with what would be right.
#[test]
fn the_duties_of_a_publisher_are_checked() {
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 12] = [
        (|it| it["resourceType"] = "Patient".into(), "brands.json: is no collection; write"),
        (|it| it["type"] = "searchset".into(), "brands.json: is no collection; write"),
        (|it| it["timestamp"] = Value::Null, "brands.json: `timestamp` is missing or no instant; write"),
        (|it| it["timestamp"] = "2026-01-31".into(), "brands.json: `timestamp` is missing or no instant; write"),
        (
            |it| it["timestamp"] = "2026-01-31T12:00:00".into(),
            "brands.json: `timestamp` is missing or no instant; write",
        ),
        (
            |it| it["entry"][1]["resource"] = json!({ "resourceType": "Patient", "id": "amy" }),
            "brands.json: Patient/amy is neither an Organization nor an Endpoint; take it out",
        ),
        (|it| it["entry"][0]["resource"]["name"] = Value::Null, "brands.json: Organization/a has no `name`"),
        (|it| it["entry"][1]["resource"]["address"] = Value::Null, "brands.json: Endpoint/r4 has no `address`"),
        (
            |it| {
                it["entry"][0]["resource"]["endpoint"] =
                    json!([{ "reference": "Endpoint/r4" }, { "reference": "Endpoint/r2" }])
            },
            "brands.json: Organization/a refers to `Endpoint/r2`, which is not in the bundle; add",
        ),
        (
            |it| it["entry"].as_array_mut().unwrap().push(endpoint("r5", "https://gate.example.org/r5")),
            "brands.json: Endpoint/r5 is no endpoint of the primary brand, Organization/a; write it into its `endpoint`",
        ),
        (
            |it| {
                it["entry"][0]["resource"]["_alias"] = json!([{ "extension": [{
                "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown" }] }])
            },
            "brands.json: \"unknown\" is no Data Absent Reason for a brand; write one of asked-declined, asked-unknown",
        ),
        (|it| it["entry"] = json!([]), "brands.json: has no Organization"),
    ];
    for (change, says) in changes {
        let mut bundle = one();
        change(&mut bundle);
        let found = read(&bundle, "").err().unwrap_or_else(|| panic!("this was accepted: {bundle}"));
        assert!(found.iter().any(|line| line.starts_with(says)), "{says}: {found:#?}");
    }
}

#[test]
fn what_the_specification_leaves_open_passes() {
    let mut bundle = one();
    bundle["entry"][0]["resource"]["_alias"] = json!([{ "extension": [{
        "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "asked-declined" }] }]);
    // A portal refers to it, by the URL of its entry.
    bundle["entry"][0]["resource"]["endpoint"] = json!([]);
    bundle["entry"][0]["resource"]["extension"] = json!([{
        "url": "http://hl7.org/fhir/StructureDefinition/organization-portal",
        "extension": [
            { "url": "portalName", "valueString": "Clinic" },
            { "url": "portalEndpoint", "valueReference": { "reference": "https://brands.example/Endpoint/r4" } },
        ],
    }]);
    bundle["entry"][1]["resource"]["address"] = "https://elsewhere.example/fhir".into();
    assert!(!read(&bundle, "").unwrap().names_this_server);
}

#[test]
fn a_file_that_cannot_be_read_is_told_as_one() {
    let told = load("bundle = \"other.json\"", "{}").err().unwrap();
    assert!(told[0].starts_with("smartgate.toml:9: [brands] bundle: `other.json` cannot be read"), "{told:?}");
    let told = load("bundle = \"brands.json\"", "{\"type\": \"a\", \"type\": \"b\"}").err().unwrap();
    assert!(told[0].starts_with("brands.json: is no FHIR Bundle: "), "{told:?}");
    let told = load("", "{}").err().unwrap();
    assert!(told[0].contains("[brands] bundle: is missing; write for example bundle = \"brands.json\""), "{told:?}");
}
