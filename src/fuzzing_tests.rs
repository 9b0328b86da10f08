use proptest::prelude::*;

/// Bytes made of what the grammars are made of, so that some of them are in the grammar.
fn bytes_of(words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        12 => proptest::sample::select(words).prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..3),
    ];
    prop::collection::vec(word, 0..12).prop_map(|words| words.concat())
}

const SCOPE: &[&str] =
    &["patient/", "user/", "system/", "Observation", "*", ".", "rs", "cruds", "read", "?", "a=b", "&", "/"];
const TARGET: &[&str] = &[
    "/",
    "Patient",
    "/Observation",
    "/1",
    "?",
    "&",
    "=",
    "patient=A",
    "%20",
    "%2f",
    "+",
    ";",
    "_history",
    "/$x",
    "..",
    "é",
];
const KEY: &[&str] = &["_has:", "subject", ":", "Patient", ".", "name", "_include", "iterate", ",", "\\", "é", "-"];
const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"a\"",
    "\"b\"",
    "\"entry\":[{\"resource\":{\"resourceType\":\"Patient\"",
    "\"url\":",
    "1",
    "1e400",
    "-0.5",
    "null",
    "true",
    " ",
    "\"\\ud83d\\ude00\"",
    "\"\\ud800\"",
    "\"é\"",
    "\"link\":[{\"url\":\"x\"",
];
const REFERENCE: &[&str] =
    &["http://u/fhir", "https://p/fhir", "/", "Patient", "Observation", "A", "1", "_history", "#", "?", "-", "."];

proptest! {
    #[test]
    fn scope(bytes in bytes_of(SCOPE)) {
        super::scope(&bytes);
    }

    #[test]
    fn target(bytes in bytes_of(TARGET)) {
        super::target(&bytes);
    }

    #[test]
    fn search_key(bytes in bytes_of(KEY)) {
        super::search_key(&bytes);
    }

    #[test]
    fn json(bytes in bytes_of(JSON)) {
        super::json(&bytes);
    }

    #[test]
    fn reference(bytes in bytes_of(REFERENCE)) {
        super::reference(&bytes);
    }

    #[test]
    fn rewriter(bytes in bytes_of(JSON)) {
        super::rewriter(&bytes);
    }
}
