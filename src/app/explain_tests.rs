use super::*;
use crate::decide::testing::snapshot;

fn asked(scope: &str, url: &str) -> Asked {
    Asked {
        token: None,
        scope: scope.to_owned(),
        patient: Some("A".to_owned()),
        fhir_user: None,
        client: None,
        form: None,
        body: None,
        method: "GET".to_owned(),
        url: url.to_owned(),
    }
}

fn text(scope: &str, url: &str) -> String {
    explained(&Arc::new(snapshot("")), &asked(scope, url)).unwrap().unwrap()
}

#[test]
fn a_url_of_another_place_is_told_as_such() {
    let snapshot = Arc::new(snapshot(""));
    let whole = format!("{}/Observation?code=x", snapshot.fhir.public_base);
    assert!(explained(&snapshot, &asked("patient/*.rs", &whole)).unwrap().is_ok());
    for elsewhere in ["http://u:8080/fhir/Observation", "https://other.example.org/fhir/Observation"] {
        let failure = explained(&snapshot, &asked("patient/*.rs", elsewhere)).err().unwrap().to_string();
        assert!(failure.contains("is not below") && failure.contains(&snapshot.fhir.public_base), "{failure}");
    }
}

#[test]
fn constraints_are_named_and_shown_where_they_go_up() {
    let shown = text("patient/Observation.rs?category=urn:c|lab", "Observation?code=x");
    for line in [
        "constrained  patient/Observation.rs?category=urn:c|lab\n",
        "decision     permit\n",
        "rule         constrained\n",
        "upstream     GET http://u:8080/fhir/Observation?code=x&category=urn:c%7Clab&patient=Patient/A\n",
    ] {
        assert!(shown.contains(line), "{line} is not in {shown}");
    }
}

#[test]
fn a_constraint_that_grants_nothing_says_why() {
    let shown = text("patient/Observation.rs?date=2020", "Observation");
    assert!(shown.contains("grants nothing: `patient/Observation.rs?date=2020`: the constraint after `?`"), "{shown}");
    assert!(shown.contains("rule         scope-missing\n"), "{shown}");
}
