use super::*;
use crate::decide::testing::{claims, resource, snapshot};
use crate::decide::{Grant, visible};
use crate::fhir::ResourceType;
use crate::fhir::json::Document;
use crate::scope::{Letter, Scope};

const DEPTH: usize = 20;

/// Whether `body` is visible to a token of patient A with these scopes.
fn sees_with(scopes: &str, body: &str) -> bool {
    let snapshot = snapshot("");
    let grant = Grant::of(claims(scopes, Some("A"), None), &snapshot).unwrap();
    assert!(grant.ignored.is_empty(), "{:?}", grant.ignored);
    visible(&snapshot, &grant, Letter::Read, Document::parse(body.as_bytes(), DEPTH).unwrap().root())
}

/// As [`sees_with`], of an Observation of patient A with these members and a scope with this constraint.
fn sees(constraint: &str, members: &str) -> bool {
    let body = format!(r#"{{"resourceType":"Observation","id":"a","subject":{{"reference":"Patient/A"}},{members}}}"#);
    sees_with(&format!("patient/Observation.rs?{constraint}"), &body)
}

#[test]
fn tokens_on_codings() {
    let lab = r#""category":[{"coding":[{"system":"http://s","code":"lab"}]}]"#;
    let bare = r#""category":[{"coding":[{"code":"lab"}]}]"#;
    let other = r#""category":[{"coding":[{"system":"http://t","code":"lab"}]}]"#;
    let text = r#""category":[{"text":"lab"}]"#;
    let second = r#""category":[{"coding":[{"system":"http://s","code":"x"}]},{"coding":[{"code":"y"},{"system":"http://s","code":"lab"}]}]"#;
    let upper = r#""category":[{"coding":[{"system":"http://s","code":"LAB"}]}]"#;
    let split = r#""category":[{"coding":[{"system":"http://s","code":"x"},{"system":"http://t","code":"lab"}]}]"#;
    for (constraint, body, expected) in [
        ("category=lab", lab, true),
        ("category=lab", bare, true),
        ("category=lab", other, true),
        ("category=lab", text, false),
        ("category=lab", second, true),
        ("category=lab", upper, false),
        ("category=la", lab, false),
        ("category=http://s|lab", lab, true),
        ("category=http://s|lab", bare, false),
        ("category=http://s|lab", other, false),
        ("category=http://s|lab", second, true),
        // System and code are of one coding.
        ("category=http://s|lab", split, false),
        ("category=http://s/|lab", lab, false),
        ("category=|lab", lab, false),
        ("category=|lab", bare, true),
        ("category=http://s|", lab, true),
        ("category=http://s|", other, false),
        ("category=http://s|", bare, false),
        ("category=x,lab", lab, true),
        ("category=x,y", lab, false),
        ("category=lab&status=final", lab, false),
        ("category=lab", r#""category":"lab""#, true),
        ("category=lab", r#""category":[]"#, false),
        ("category=lab", r#""category":[{"coding":"lab"}]"#, false),
        ("category=lab", r#""category":null"#, false),
        ("category=lab", r#""code":{"coding":[{"code":"lab"}]}"#, false),
        ("category=lab", r#""contained":[{"category":[{"coding":[{"code":"lab"}]}]}]"#, false),
        (
            "combo-code=c",
            r#""component":[{"code":{"coding":[{"code":"b"}]}},{"code":{"coding":[{"code":"c"}]}}]"#,
            true,
        ),
    ] {
        assert_eq!(sees(constraint, body), expected, "{constraint} {body}");
    }
}

#[test]
fn conditions_hold_together_but_each_by_itself() {
    let body = r#""category":[{"coding":[{"code":"a"}]},{"coding":[{"code":"b"}]}],"status":"final""#;
    assert!(sees("category=a&category=b", body));
    assert!(sees("category=a&status=final", body));
    assert!(!sees("category=a&category=c", body));
    assert!(!sees("category=a&status=preliminary", body));
}

#[test]
fn tokens_on_other_elements() {
    for (constraint, members, expected) in [
        ("status=final", r#""status":"final""#, true),
        ("status=final", r#""status":"finally""#, false),
        // The system of a plain code is implied, so none is compared.
        ("status=http://hl7.org/fhir/observation-status|final", r#""status":"final""#, false),
        ("status=|final", r#""status":"final""#, false),
        ("identifier=7", r#""identifier":[{"system":"urn:x","value":"7"}]"#, true),
        ("identifier=urn:x|7", r#""identifier":[{"system":"urn:x","value":"7"}]"#, true),
        ("identifier=urn:x|", r#""identifier":[{"system":"urn:x","value":"7"}]"#, true),
        ("identifier=|7", r#""identifier":[{"system":"urn:x","value":"7"}]"#, false),
        ("identifier=|7", r#""identifier":[{"value":"7"}]"#, true),
        ("identifier=7", r#""identifier":[{"type":{"coding":[{"code":"7"}]},"value":"8"}]"#, false),
        ("value-concept=c", r#""valueCodeableConcept":{"coding":[{"code":"c"}]}"#, true),
        ("value-concept=c", r#""valueString":"c""#, false),
        ("_id=a", r#""status":"final""#, true),
        ("_id=b", r#""status":"final""#, false),
        ("_security=R", r#""meta":{"security":[{"code":"R"}]}"#, true),
        ("_security=R", r#""meta":{"tag":[{"code":"R"}]}"#, false),
        ("_tag=urn:t|x", r#""meta":{"tag":[{"system":"urn:t","code":"x"}]}"#, true),
        ("_profile=http://x", r#""meta":{"profile":["http://y","http://x"]}"#, true),
        ("_profile=http://x", r#""meta":{"profile":["http://x/y"]}"#, false),
        ("_profile=http://x", r#""meta":{"profile":["http://x|1"]}"#, false),
        ("_security=R", r#""status":"final""#, false),
    ] {
        assert_eq!(sees(constraint, members), expected, "{constraint} {members}");
    }
    let of_patient = |member: &str| format!(r#"{{"resourceType":"Patient","id":"A",{member}}}"#);
    assert!(sees_with("patient/Patient.r?active=true", &of_patient(r#""active":true"#)));
    assert!(!sees_with("patient/Patient.r?active=true", &of_patient(r#""active":false"#)));
    assert!(!sees_with("patient/Patient.r?active=true", &of_patient(r#""active":1"#)));
    assert!(sees_with("patient/Patient.r?telecom=555", &of_patient(r#""telecom":[{"system":"phone","value":"555"}]"#)));
}

#[test]
fn references_are_type_and_id_under_the_own_bases() {
    for (reference, expected) in [
        ("Practitioner/p", true),
        ("https://p/fhir/Practitioner/p", true),
        ("http://u:8080/fhir/Practitioner/p/_history/2", true),
        ("https://other/fhir/Practitioner/p", false),
        ("Practitioner/q", false),
        ("PractitionerRole/p", false),
        ("p", false),
        ("#p", false),
    ] {
        let members = format!(r#""performer":[{{"reference":"{reference}"}}]"#);
        assert_eq!(sees("performer=Practitioner/p", &members), expected, "{reference}");
    }
    assert!(!sees("performer=Practitioner/p", r#""performer":[{"identifier":{"value":"Practitioner/p"}}]"#));
}

#[test]
fn a_canonical_without_a_version_is_any_version() {
    let is = |wanted: &str, text: &str| {
        let value = format!("\"{text}\"");
        let value = Document::parse(value.as_bytes(), DEPTH).unwrap();
        is_wanted(&Wanted::Canonical(wanted.to_owned()), value.root(), &[])
    };
    assert!(is("http://x", "http://x") && is("http://x", "http://x|1") && is("http://x|1", "http://x|1"));
    assert!(!is("http://x|1", "http://x") && !is("http://x", "http://xy") && !is("http://x|1", "http://x|1|2"));
}

#[test]
fn a_constraint_does_not_replace_the_patient() {
    let body = |patient: &str| {
        format!(
            r#"{{"resourceType":"Observation","id":"a","status":"final","subject":{{"reference":"Patient/{patient}"}}}}"#
        )
    };
    assert!(sees_with("patient/Observation.rs?status=final", &body("A")));
    assert!(!sees_with("patient/Observation.rs?status=final", &body("B")));
    assert!(!sees_with("patient/Observation.rs?patient=B", &body("B")));
    assert!(!sees_with("patient/Observation.rs?patient=B", &body("A")));
}

#[test]
fn several_permits_are_one_or_the_other() {
    let of = |status: &str, code: &str| {
        format!(
            r#"{{"resourceType":"Observation","id":"a","status":"{status}","code":{{"coding":[{{"code":"{code}"}}]}},"subject":{{"reference":"Patient/A"}}}}"#
        )
    };
    let both = "patient/Observation.rs?status=final patient/Observation.rs?code=c";
    assert!(sees_with(both, &of("final", "x")) && sees_with(both, &of("x", "c")));
    assert!(!sees_with(both, &of("x", "x")));
    let letters = "patient/Observation.s patient/Observation.r?status=final";
    assert!(sees_with(letters, &of("final", "x")) && !sees_with(letters, &of("x", "x")));
    assert!(sees_with("patient/Observation.rs?status=final patient/*.read", &of("x", "x")));
}

#[test]
fn what_goes_up_leaves_nothing_out() {
    let filter = |of: &str, text: &str| {
        let version = crate::fhir::FhirVersion::R4;
        let scope = Scope::parse(version, &format!("patient/{of}.rs?{text}")).unwrap();
        scope.constraint.unwrap().filter(version, resource(of)).unwrap()
    };
    let up = |constraints: &[Option<&str>]| {
        let filters: Vec<Option<Filter>> =
            constraints.iter().map(|text| text.map(|text| filter(ResourceType::OBSERVATION.name(), text))).collect();
        let parts: Vec<Part<'_>> =
            filters.iter().map(|filter| Part { patients: None, filter: filter.as_ref() }).collect();
        let parameters = narrowing(&parts.iter().collect::<Vec<_>>());
        crate::fhir::search::print_parameters(&parameters).replace("%7C", "|")
    };
    assert_eq!(up(&[Some("category=http://s|lab,b&code=c")]), "category=http://s|lab,b&code=c");
    assert_eq!(up(&[Some("category=a"), Some("category=b,a")]), "category=a,b");
    assert_eq!(up(&[Some("category=a"), Some("code=b")]), "");
    assert_eq!(up(&[Some("category=a"), Some("category=b&code=c")]), "");
    assert_eq!(up(&[Some("category=a"), None]), "");
    assert_eq!(up(&[]), "");
}
