use serde_json::{Value, json};

use super::rewritten;

fn written(statement: &str) -> Option<Value> {
    let body = rewritten(statement.as_bytes(), "https://gate.example", "https://gate.example/fhir").ok()?;
    serde_json::from_slice(&body).ok()
}

#[test]
fn the_gates_own_stands_in_the_place_of_the_servers() {
    let own = written(
        r#"{"resourceType":"CapabilityStatement","url":"http://inside/metadata","kind":"instance",
            "messaging":[{"endpoint":[{"address":"mllp:inside"}]}],
            "implementation":{"description":"a server","url":"http://inside/fhir"},
            "rest":[{"mode":"server","security":{"description":"open"},"resource":[{"type":"Patient","extra":1.50}]}]}"#,
    )
    .unwrap();
    assert_eq!((own.get("url"), own.get("messaging")), (None, None));
    assert_eq!(own["implementation"], json!({ "description": "a server", "url": "https://gate.example/fhir" }));
    let rest = &own["rest"][0];
    assert_eq!((&rest["mode"], &rest["resource"][0]["type"]), (&json!("server"), &json!("Patient")));
    assert_eq!(rest["security"]["service"][0]["coding"][0]["code"], "SMART-on-FHIR");
    assert_eq!(rest["security"]["extension"][0]["extension"][1]["valueUri"], "https://gate.example/auth/token");
    assert_eq!((&rest["security"]["description"], own.to_string().contains("inside")), (&Value::Null, false));
}

#[test]
fn a_server_that_says_little_gets_an_implementation() {
    let own = written(r#"{"resourceType":"CapabilityStatement"}"#).unwrap();
    assert_eq!(own["implementation"]["url"], "https://gate.example/fhir");
    assert_eq!(own.get("rest"), None);
}

#[test]
fn what_is_no_capability_statement_is_not_passed_on() {
    for statement in [
        "",
        "[]",
        "{}",
        r#"{"resourceType":"OperationOutcome"}"#,
        r#"{"resourceType":["CapabilityStatement"]}"#,
        r#"{"resourceType":"CapabilityStatement","rest":{"security":1}}"#,
        r#"{"resourceType":"CapabilityStatement","rest":[1]}"#,
        r#"{"resourceType":"CapabilityStatement","implementation":"http://inside/fhir"}"#,
        r#"{"resourceType":"CapabilityStatement","contact":[}"#,
        r#"{"resourceType":"CapabilityStatement"} {}"#,
    ] {
        assert_eq!(written(statement), None, "{statement}");
    }
}
