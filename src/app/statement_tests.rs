use serde_json::json;

use super::*;
use crate::decide::testing::snapshot_with;

fn resource(of: &str, interactions: &[&str], parameters: &[&str]) -> Value {
    json!({
        "type": of,
        "interaction": interactions.iter().map(|code| json!({ "code": code })).collect::<Vec<_>>(),
        "searchParam": parameters.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
    })
}

fn statement(resources: &[Value]) -> Value {
    json!({
        "resourceType": "CapabilityStatement",
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json"],
        "rest": [{ "mode": "client", "resource": [resource("Group", &[], &[])] }, { "mode": "server", "resource": resources }],
    })
}

fn said(statement: &Value, fhir: &str) -> Vec<String> {
    compare(statement, &snapshot_with(fhir, "").fhir).iter().map(ToString::to_string).collect()
}

#[test]
fn a_statement_that_fits() {
    let fits = statement(&[
        resource("Observation", &["read", "search-type"], &["patient", "code"]),
        resource("Patient", &["read", "search-type"], &["_id"]),
        resource("Practitioner", &[], &[]),
    ]);
    assert_eq!(
        said(&fits, ""),
        [
            "right  version: 4.0.1 is R4",
            "right  format: JSON",
            "right  types: 3 of the statement's are known here",
            "right  parameters: the statement names all that searches are narrowed by",
        ]
    );
    let fhir = snapshot_with("", "").fhir;
    assert_eq!(tried_on(&fits, &fhir), Some((ResourceType::OBSERVATION, "patient".to_owned())));
}

#[test]
fn what_makes_a_configuration_wrong() {
    let mut wrong = statement(&[resource("Appointment", &["read", "search-type"], &["patient"])]);
    wrong["fhirVersion"] = json!("5.0.0");
    wrong["format"] = json!(["xml"]);
    let said = said(&wrong, "narrowing_by_type = { Appointment = \"actor\" }");
    let wrong: Vec<&String> = said.iter().filter(|line| line.starts_with("WRONG")).collect();
    assert_eq!(
        wrong,
        [
            "WRONG  version: the statement says 5.0.0, [fhir] version says R4",
            "WRONG  format: the statement offers [\"xml\"]; the gate needs JSON",
            "WRONG  parameters: [fhir] narrowing_by_type names what the statement does not have: Appointment.actor",
        ]
    );
    let none = compare(&json!({ "resourceType": "OperationOutcome" }), &snapshot_with("", "").fhir);
    assert!(matches!(none.as_slice(), [Finding::Wrong(_)]), "{none:?}");
}

#[test]
fn what_is_to_be_known() {
    let mut observation = resource("Observation", &["search-type"], &["code"]);
    observation["versioning"] = json!("no-version");
    let known =
        statement(&[observation, resource("Condition", &["read"], &["patient"]), resource("Nonsense", &[], &[])]);
    assert_eq!(
        said(&known, "")[2..],
        [
            "right  types: 2 of the statement's are known here",
            "note   types: not R4's, so refused: Nonsense",
            "note   interactions: as the statement says, these cannot be read, so nothing of them is written under patients' scopes: Observation",
            "note   interactions: as the statement says, these cannot be searched: Condition",
            "note   interactions: as the statement says, these have no versions, so nothing of them is written under patients' scopes: Observation",
            "note   parameters: searches are narrowed by what the statement does not name: Observation.patient",
        ]
    );
    assert_eq!(tried_on(&statement(&[]), &snapshot_with("", "").fhir), None);
    assert!(said(&statement(&[]), "").iter().any(|line| line.contains("names none")));
}
