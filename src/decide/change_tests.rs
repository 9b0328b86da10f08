use super::*;
use crate::fhir::json::Document;

fn labelled(labels: &str) -> String {
    format!(r#"{{"meta":{{"security":[{labels}]}}}}"#)
}

#[test]
fn labels_may_be_added_and_neither_removed_nor_outbid() {
    let restricted = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}"#;
    let normal = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"N"}"#;
    let other = r#"{"system":"http://s","code":"R","display":"x"}"#;
    for (stored, new, kept) in [
        (String::new(), restricted.to_owned(), true),
        (restricted.to_owned(), restricted.to_owned(), true),
        (restricted.to_owned(), format!("{other},{restricted}"), true),
        (restricted.to_owned(), String::new(), false),
        (restricted.to_owned(), normal.to_owned(), false),
        (restricted.to_owned(), other.to_owned(), false),
        (restricted.to_owned(), format!("{restricted},{normal}"), false),
        (format!("{restricted},{other}"), restricted.to_owned(), false),
    ] {
        let (stored, new) = (labelled(&stored), labelled(&new));
        let versions = [&stored, &new].map(|text| Document::parse(text.as_bytes(), 8).unwrap());
        assert_eq!(keeps_labels(versions[0].root(), versions[1].root()).is_ok(), kept, "{stored} {new}");
    }
    let stored = labelled(restricted);
    let stored = Document::parse(stored.as_bytes(), 8).unwrap();
    for gone in ["{}", r#"{"meta":{}}"#, r#"{"meta":{"security":{"code":"R"}}}"#, r#"{"meta":[]}"#] {
        assert!(keeps_labels(stored.root(), Document::parse(gone.as_bytes(), 8).unwrap().root()).is_err(), "{gone}");
    }
}
