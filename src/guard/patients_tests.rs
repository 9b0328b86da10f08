use serde_json::{Value, json};

use super::people;
use crate::fhir::{FhirVersion, ResourceType};

fn practitioner(id: &str, system: &str, value: &str) -> Value {
    json!({ "resource": { "resourceType": "Practitioner", "id": id, "identifier": [{ "system": system, "value": value }] } })
}

fn found(bundle: &Value) -> Option<Vec<String>> {
    let of = ResourceType::parse(FhirVersion::R4, "Practitioner").unwrap();
    people(bundle, of, &[("identifier".to_owned(), "urn:staff|77".to_owned())])
}

fn bundle(entries: &[Value], total: Option<u64>, next: bool) -> Value {
    let link = if next { json!([{ "relation": "next", "url": "x" }]) } else { json!([]) };
    json!({ "resourceType": "Bundle", "total": total, "link": link, "entry": entries })
}

#[test]
fn one_hit_is_one_only_when_nothing_can_follow() {
    let one = [practitioner("carter", "urn:staff", "77")];
    let two = [practitioner("a", "urn:staff", "77"), practitioner("b", "urn:staff", "77")];
    let outcome = [one[0].clone(), json!({ "resource": { "resourceType": "OperationOutcome" } })];
    let carter = || Some(vec!["carter".to_owned()]);
    assert_eq!(found(&bundle(&one, None, false)), carter());
    assert_eq!(found(&bundle(&outcome, Some(1), false)), carter());
    assert_eq!(found(&bundle(&one, Some(2), false)), None);
    assert_eq!(found(&bundle(&one, None, true)), None);
    assert_eq!(found(&bundle(&two, Some(2), false)).map(|ids| ids.len()), Some(2));
    assert_eq!(found(&bundle(&[], Some(0), false)), Some(Vec::new()));
    assert_eq!(found(&json!({ "resourceType": "OperationOutcome" })), None);
}

#[test]
fn a_server_that_searches_badly_makes_nobody_somebody_else() {
    for other in [
        practitioner("osei", "urn:staff", "78"),
        practitioner("osei", "urn:other", "77"),
        json!({ "resource": { "resourceType": "Practitioner", "id": "osei" } }),
        json!({ "resource": { "resourceType": "Patient", "id": "osei", "identifier": [{ "system": "urn:staff", "value": "77" }] } }),
    ] {
        assert_eq!(found(&bundle(std::slice::from_ref(&other), Some(1), false)), None, "{other}");
    }
}
