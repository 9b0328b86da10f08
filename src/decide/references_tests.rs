use super::*;
use crate::decide::testing::{claims, snapshot, snapshot_with};
use crate::fhir::json::Document;

/// The look-ups that a reference leads to, or the rule that refuses it.
fn judged(scope: &str, body: &str) -> Result<Vec<String>, &'static str> {
    let snapshot = snapshot("");
    let grant = Grant::of(claims(scope, Some("A"), Some("Practitioner/p")), &snapshot).unwrap();
    let body = Document::parse(body.as_bytes(), 16).unwrap();
    look_ups(&snapshot, &grant, &["A"], None, body.root())
        .map(|look_ups| look_ups.iter().map(|one| one.request().target().to_owned()).collect())
        .map_err(|refusal| refusal.rule.name)
}

fn reference(text: &str) -> String {
    format!(r#"{{"x":[{{"y":{{"reference":{}}}}}]}}"#, serde_json::Value::from(text))
}

#[test]
fn references_that_need_no_look() {
    for text in [
        "Patient/A",
        "https://p/fhir/Patient/A",
        "http://u:8080/fhir/Patient/A/_history/1",
        "Practitioner/x",
        "#contained",
        "urn:uuid:7",
        "http://other.example/fhir/Encounter/1",
    ] {
        assert_eq!(judged("patient/*.rs", &reference(text)), Ok(Vec::new()), "{text}");
    }
    assert_eq!(judged("user/*.rs", &reference("Encounter/e")), Ok(Vec::new()), "all of it may be seen");
}

#[test]
fn what_is_looked_up_is_what_is_named() {
    for (text, target) in [
        ("Encounter/e", "/Encounter/e"),
        ("https://p/fhir/Encounter/e", "/Encounter/e"),
        ("http://u:8080/fhir/Encounter/e", "/Encounter/e"),
        ("Encounter/e/_history/2", "/Encounter/e/_history/2"),
        ("Binary/b", "/Binary/b"),
    ] {
        assert_eq!(judged("patient/*.rs", &reference(text)), Ok(vec![target.to_owned()]), "{text}");
    }
}

#[test]
fn what_could_mean_another_resource_of_this_server_is_refused() {
    for text in [
        "Patient/B",
        "Patient?identifier=x",
        "Group/g",
        "Nothing/x",
        "Encounter",
        "./Encounter/e",
        "/Encounter/e",
        "Encounter/e/",
        "Encounter%2Fe",
        "//p/fhir/Encounter/e",
        "http://p/fhir/Encounter/e",
        "HTTPS://P./fhir/Encounter/e",
        "http:\\\\u:8080\\fhir\\Encounter\\e",
        " https://p/fhir/Encounter/e",
        "https://p/fhir/../fhir/Encounter/e",
        "",
    ] {
        assert_eq!(judged("patient/*.rs", &reference(text)), Err("reference-not-allowed"), "{text}");
    }
    assert_eq!(judged("patient/Observation.rs", &reference("Encounter/e")), Err("reference-not-allowed"));
    for shape in
        [r#"{"reference":7}"#, r#"{"reference":["Encounter/e"]}"#, r#"{"url":[["x"]]}"#, r#"{"reference":null}"#]
    {
        assert_eq!(judged("patient/*.rs", shape), Err("reference-shape"), "{shape}");
    }
}

#[test]
fn urls_of_attachments_and_names_that_are_urls() {
    let url = |text: &str| format!(r#"{{"attachment":{{"url":{}}}}}"#, serde_json::Value::from(text));
    for text in
        ["ombCategory", "http://hl7.org/fhir/x", "https://p/StructureDefinition/x", "urn:oid:1.2", "data:,x", "#x"]
    {
        assert_eq!(judged("patient/*.rs", &url(text)), Ok(Vec::new()), "{text}");
    }
    for text in ["Binary/b", "https://p/fhir/Binary/b"] {
        assert_eq!(judged("patient/*.rs", &url(text)), Ok(vec!["/Binary/b".to_owned()]), "{text}");
    }
    for text in ["/fhir/Binary/b", "https://p/FHIR/Binary/b", "https://p/%66hir/Binary/b", "?x"] {
        assert_eq!(judged("patient/*.rs", &url(text)), Err("reference-not-allowed"), "{text}");
    }
}

#[test]
fn look_ups_are_bounded_and_made_once() {
    let snapshot = snapshot_with("", "[limits]\nwrite_references = 2\n");
    let grant = Grant::of(claims("patient/*.rs", Some("A"), None), &snapshot).unwrap();
    let count = |ids: &[&str]| {
        let list: Vec<String> = ids.iter().map(|id| reference(&format!("Encounter/{id}"))).collect();
        let body = format!("[{}]", list.join(","));
        let body = Document::parse(body.as_bytes(), 16).unwrap();
        look_ups(&snapshot, &grant, &["A"], None, body.root())
            .map(|found| found.len())
            .map_err(|refusal| refusal.rule.name)
    };
    assert_eq!(count(&["a", "b", "a", "b"]), Ok(2));
    assert_eq!(count(&["a", "b", "c"]), Err("references-too-many"));
}
