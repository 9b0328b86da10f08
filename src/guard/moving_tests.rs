use super::*;
use crate::config::Address;
use crate::fhir::AddressKey;

fn addresses() -> Addresses {
    let address = |base: &str| Address {
        base: base.to_owned(),
        authority: "u".to_owned(),
        host: "u".to_owned(),
        port: 80,
        tls: false,
        base_path: "/fhir".to_owned(),
        key: AddressKey::of(base),
    };
    Addresses { first: address("http://u/fhir"), others: vec![address("http://u/fhir/inner")] }
}

fn moved(text: &str) -> String {
    let document = Document::parse(text.as_bytes(), 64).unwrap();
    let mut out = String::new();
    Moving::of(&document, Bases { upstream: &addresses(), public: "https://p/fhir" }).copy(document.root(), &mut out);
    out
}

/// attacks.md 198.
#[test]
fn urls_are_moved_where_they_are_urls() {
    for (text, expected) in [
        (r#"{"url":"http://u/fhir"}"#, r#"{"url":"https://p/fhir"}"#),
        (
            r#"{"x":[{"url": "http://u/fhir/Binary/1","n":1.50}]}"#,
            r#"{"x":[{"url": "https://p/fhir/Binary/1","n":1.50}]}"#,
        ),
        (r#"{"reference":"http://u/fhir/A/1?x=é#y"}"#, r#"{"reference":"https://p/fhir/A/1?x=é#y"}"#),
        (
            r#"[{"fullUrl":"http://u/fhir/A"},{"location":"http://u/fhir/B"}]"#,
            r#"[{"fullUrl":"https://p/fhir/A"},{"location":"https://p/fhir/B"}]"#,
        ),
        (
            r#"{"url":"http://u/fhir#","reference":"http://u/fhir/1"}"#,
            r#"{"url":"https://p/fhir#","reference":"https://p/fhir/1"}"#,
        ),
        (r#"{"url":"http://u/fhir/inner/A/1"}"#, r#"{"url":"https://p/fhir/A/1"}"#),
    ] {
        assert_eq!(moved(text), expected);
    }
}

#[test]
fn escapes_do_not_hide_a_url() {
    for (text, expected) in [
        (r#"{"url":"http:\/\/u\/fhir\/1"}"#, r#"{"url":"https://p/fhir/1"}"#),
        (r#"{"\u0075rl":"http://u/fh\u0069r"}"#, r#"{"\u0075rl":"https://p/fhir"}"#),
        (r#"{"url":"http://u/fhir/\"\n\\"}"#, r#"{"url":"https://p/fhir/\"\n\\"}"#),
    ] {
        assert_eq!(moved(text), expected);
    }
}

#[test]
fn everything_else_stays() {
    for text in [
        r#"{"url":"http://u/fhir2/1","reference":"http://u/fhirx"}"#,
        r#"{"url":["http://u/fhir/1"],"x":"http://u/fhir/1"}"#,
        r#"{"http://u/fhir":"url","div":"<a href=\"http://u/fhir/1\">"}"#,
        r#"{"url":{"x":"http://u/fhir/1"},"reference":null}"#,
        r#"["url","http://u/fhir/1"]"#,
        r#""http://u/fhir""#,
        r#"{"url":"\"http://u/fhir/1"}"#,
        r#"{"url":"x http://u/fhir/1"}"#,
    ] {
        assert_eq!(moved(text), text);
    }
}

#[test]
fn a_value_is_copied_without_its_neighbours() {
    let text = r#"{"a":{"url":"http://u/fhir/1"},"b":{"url":"http://u/fhir/2"},"url":"http://u/fhir/3"}"#;
    let document = Document::parse(text.as_bytes(), 64).unwrap();
    let addresses = addresses();
    let moving = Moving::of(&document, Bases { upstream: &addresses, public: "https://p/fhir" });
    let copied = |key: &str| {
        let mut out = String::new();
        moving.copy(document.root().get(key).unwrap(), &mut out);
        out
    };
    // In whatever order, and more than once.
    for key in ["a", "b", "url", "b", "b", "a", "url", "a"] {
        let expected = match key {
            "a" => r#"{"url":"https://p/fhir/1"}"#,
            "b" => r#"{"url":"https://p/fhir/2"}"#,
            _ => r#""https://p/fhir/3""#,
        };
        assert_eq!(copied(key), expected);
    }
    for (one, between, other) in
        [("a", r#","b":"#, "b"), ("a", r#","x":"#, "b"), ("b", r#","b":"#, "a"), ("b", "", "b")]
    {
        let mut out = String::new();
        let value = |key: &str| document.root().get(key).unwrap();
        moving.copy_both(value(one), between, value(other), &mut out);
        assert_eq!(out, format!("{}{between}{}", copied(one), copied(other)));
    }
    let mut out = String::new();
    Moving::nothing(&document).copy(document.root(), &mut out);
    assert_eq!(out, text);
}
