use http::Method;

use super::*;
use crate::decide::testing::{claims, snapshot_with};
use crate::decide::{Grant, decide};
use crate::fhir::interaction::Interaction;

fn asked(limits: &str, key: &str, value: &str) -> Result<Permit, Refusal> {
    let snapshot = snapshot_with("", &format!("[limits]\n{limits}\n"));
    let grant = Grant::of(claims("patient/*.rs", Some("A"), None), &snapshot)?;
    let interaction = Interaction::SearchType { of: ResourceType::PROVENANCE };
    let pairs = [(key.to_owned(), value.to_owned())];
    decide(&snapshot, &grant, &Request::new(&Method::GET, interaction, &pairs, None, None)?)
}

#[test]
fn no_more_is_asked_for_than_is_looked_up() {
    for (key, two, three) in
        [("target", "Observation/a,Observation/b", "Observation/a,Observation/b,Condition/c"), ("_id", "a,b", "a,b,c")]
    {
        assert_eq!(asked("look_ups = 2", key, two).unwrap().rule(), "linked");
        assert_eq!(asked("look_ups = 2", key, three).unwrap_err().rule, &PROVENANCE_TARGET_VALUE);
    }
}

#[test]
fn each_value_is_looked_up_once_and_a_patient_not_at_all() {
    let snapshot = snapshot_with("", "");
    let grant = Grant::of(claims("patient/*.rs", Some("A"), None), &snapshot).unwrap();
    let permit = asked("", "target", "Observation/a,Patient/A,Observation/a,Practitioner/p").unwrap();
    let Action::Targets(search) = permit.action() else { panic!("{permit:?}") };
    let look_ups = search.look_ups(&snapshot, &grant);
    assert_eq!(look_ups.len(), 1);
    assert_eq!(look_ups[0].request().target(), "/Observation/a");
    match search.narrowed(&snapshot, &grant, &Seen::default()).action() {
        Action::Guard { request, .. } => assert_eq!(request.target(), "/Provenance?target=Patient/A"),
        other => panic!("{other:?}"),
    }
}
