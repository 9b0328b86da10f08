use super::*;

const GATE: Gate<'_> = Gate { base: "https://gate.example.org/fhir", url: "https://gate.example.org" };

fn of(line: Value) -> Value {
    event(&serde_json::from_value(line).unwrap(), &GATE)
}

fn decision(interaction: &str, more: Value) -> Value {
    let mut line = json!({
        "kind": "decision", "time": "2026-11-26T03:00:00Z", "request_id": "u3Jx0fL2nq8cQ1rT5wYzAg", "issuer": "https://idp.example.org",
        "client": "growth-chart", "subject": "amy", "fhir_user": "Patient/amy", "patient": "amy", "address": "192.0.2.1", "method": "GET",
        "interaction": interaction, "resource_type": "Observation", "resource_id": "o1", "decision": "permit", "rule": "own-patient",
        "status": 200, "path": "guard", "removed": 0,
    });
    for (key, value) in more.as_object().unwrap() {
        line[key] = value.clone();
    }
    line
}

fn texts<'e>(event: &'e Value, pointers: &[&str]) -> Vec<&'e str> {
    pointers.iter().map(|pointer| event.pointer(pointer).and_then(Value::as_str).unwrap_or("none")).collect()
}

fn agents(event: &Value) -> Vec<&str> {
    let agents = event["agent"].as_array().unwrap();
    agents.iter().map(|agent| agent.pointer("/type/coding/0/code").unwrap().as_str().unwrap()).collect()
}

/// Code of the type and of the role of each entity; the transaction has no role.
fn entities(event: &Value) -> Vec<(&str, &str)> {
    let all = event["entity"].as_array().unwrap().iter();
    all.map(|it| (it["type"]["code"].as_str().unwrap(), it["role"]["code"].as_str().unwrap_or(""))).collect()
}

#[test]
fn a_read_of_a_patients_resource() {
    let event = of(decision("read", json!({})));
    let pointers = ["/meta/profile/0", "/action", "/outcome", "/recorded", "/subtype/0/code", "/type/code"];
    let profile = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientRead";
    assert_eq!(texts(&event, &pointers), [profile, "R", "0", "2026-11-26T03:00:00Z", "read", "rest"]);
    assert_eq!(agents(&event), ["110152", "110153", "IRCP"]);
    assert_eq!(entities(&event), [("XrequestId", ""), ("2", "4"), ("1", "1")]);
    let references = ["/entity/1/what/reference", "/entity/2/what/reference", "/agent/2/who/reference"];
    let base = "https://gate.example.org/fhir";
    assert_eq!(
        texts(&event, &references),
        [format!("{base}/Observation/o1"), format!("{base}/Patient/amy"), format!("{base}/Patient/amy")]
    );
    assert_eq!(
        texts(&event, &["/agent/0/who/identifier/value", "/agent/0/network/address"]),
        ["growth-chart", "192.0.2.1"]
    );
    assert_eq!(texts(&event, &["/entity/0/what/identifier/value"]), ["u3Jx0fL2nq8cQ1rT5wYzAg"]);
}

#[test]
fn each_interaction_has_its_profile() {
    for (interaction, profile, action, client) in [
        ("vread", "PatientRead", "R", "110152"),
        ("search-type", "PatientQuery", "E", "110153"),
        ("search-compartment", "PatientQuery", "E", "110153"),
        ("create", "PatientCreate", "C", "110153"),
        ("update", "PatientUpdate", "U", "110153"),
        ("conditional-patch", "PatientUpdate", "U", "110153"),
        ("delete", "PatientDelete", "D", "110150"),
    ] {
        let event = of(decision(interaction, json!({})));
        assert!(texts(&event, &["/meta/profile/0"])[0].ends_with(&format!(".{profile}")), "{interaction}");
        assert_eq!((event["action"].as_str(), agents(&event)[0]), (Some(action), client), "{interaction}");
    }
    for interaction in ["history-type", "operation", "bundle", "none"] {
        assert!(of(decision(interaction, json!({})))["meta"].is_null(), "{interaction}");
    }
}

#[test]
fn without_a_patient_it_is_the_profile_without_one() {
    let line = decision("read", json!({ "patient": null, "resource_type": "Organization", "fhir_user": null }));
    let event = of(line);
    assert!(texts(&event, &["/meta/profile/0"])[0].ends_with("BasicAudit.Read"));
    assert_eq!(entities(&event).len(), 2);
    let event = of(decision("read", json!({ "patient": null, "resource_type": "Patient", "resource_id": "ben" })));
    assert!(texts(&event, &["/meta/profile/0"])[0].ends_with("PatientRead"), "the patient is the one that is read");
}

#[test]
fn a_refusal_claims_no_profile_and_names_its_rule() {
    let event = of(decision("read", json!({ "decision": "refuse", "rule": "scope-missing", "status": 403 })));
    assert!(event["meta"].is_null());
    assert_eq!(texts(&event, &["/outcome", "/outcomeDesc"]), ["4", "scope-missing"]);
    let event = of(decision("read", json!({ "decision": "refuse", "rule": "upstream-timeout", "status": 504 })));
    assert_eq!(texts(&event, &["/outcome", "/outcomeDesc"]), ["8", "upstream-timeout"]);
}

#[test]
fn a_backend_service_acts_for_itself() {
    let event = of(decision("read", json!({ "subject": "growth-chart", "fhir_user": null, "patient": null })));
    assert_eq!(agents(&event).len(), 2);
    assert_eq!(event["agent"][0]["requestor"], true);
}

#[test]
fn search_values_are_there_only_where_they_are_in_the_line() {
    let query = |event: &Value| STANDARD.decode(event["entity"][1]["query"].as_str().unwrap()).unwrap();
    let named = of(decision("search-type", json!({ "parameters": ["code", "date"], "resource_id": null })));
    assert_eq!(query(&named), b"GET Observation?code&date");
    let asked = of(decision("search-type", json!({ "query": "Observation?code=1", "resource_id": null })));
    assert_eq!(query(&asked), b"GET Observation?code=1");
}

#[test]
fn a_login_is_an_authentication() {
    let line = json!({
        "kind": "auth", "time": "2026-11-26T03:00:00Z", "request_id": "x", "event": "login", "outcome": "failure",
        "client": "growth-chart", "subject": "amy", "error": "wrong_password", "address": "192.0.2.1",
    });
    let event = of(line);
    assert_eq!(texts(&event, &["/type/code", "/subtype/0/code", "/outcome"]), ["110114", "110122", "4"]);
    assert_eq!(texts(&event, &["/outcomeDesc"]), ["wrong_password"]);
    assert_eq!(agents(&event)[0], "110150");
}

#[test]
fn a_line_that_says_nothing_is_still_an_event() {
    let event = of(json!({}));
    assert_eq!(event["resourceType"], "AuditEvent");
    assert_eq!(event["agent"].as_array().unwrap().len(), 2);
}
