use std::path::Path;

use proptest::prelude::*;

/// Each seed in `fuzz/seeds`: what the fuzzers found worth keeping, and what they once broke.
#[test]
fn seeds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    for (name, target) in super::TARGETS {
        let lines = std::fs::read_to_string(folder.join(name)).unwrap();
        let seeds: Vec<&str> = lines.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(!seeds.is_empty(), "no seed for {name}");
        for seed in seeds {
            let bytes = unescaped(seed);
            assert!(std::panic::catch_unwind(|| target(&bytes)).is_ok(), "{name}: {seed}");
        }
    }
}

/// The bytes that `<[u8]>::escape_ascii` printed.
fn unescaped(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = line.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b't') => b'\t',
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&digits, 16).unwrap()
            }
            other => panic!("{line}: {other:?}"),
        });
    }
    bytes
}

/// Bytes made of what the grammars are made of, so that some of them are in the grammar.
fn bytes_of(words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        12 => proptest::sample::select(words).prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..3),
    ];
    prop::collection::vec(word, 0..12).prop_map(|words| words.concat())
}

/// JSON in which keys may come twice, as it is written.
fn json_value() -> impl Strategy<Value = String> {
    let leaf = proptest::sample::select(LEAVES).prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 4, |value| {
        let member = (proptest::sample::select(KEYS), value.clone()).prop_map(|(key, value)| format!("{key}:{value}"));
        prop_oneof![
            1 => prop::collection::vec(value, 0..4).prop_map(|elements| format!("[{}]", elements.join(","))),
            2 => prop::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

/// An entry of a page, as it is written.
fn entry() -> impl Strategy<Value = String> {
    let select = |texts: &'static [&'static str]| proptest::sample::select(texts);
    let parts = (select(&ENTRIES), select(&TYPES), select(&IDS), select(&SUBJECTS), select(&SUBJECTS), select(&MODES));
    parts.prop_map(|(entry, of, id, subject, other, mode)| {
        let parts = [("TYPE", of), ("ID", id), ("SUBJECT", subject), ("OTHER", other), ("MODE", mode)];
        parts.into_iter().fold(entry.to_owned(), |entry, (part, text)| entry.replace(part, text))
    })
}

const ENTRIES: [&str; 5] = [
    r#"{"fullUrl":ID,"resource":{"resourceType":TYPE,"id":ID,"subject":{"reference":SUBJECT}},"search":{"mode":MODE}}"#,
    r#"{"fullUrl":ID,"resource":{"resourceType":TYPE,"id":ID,"subject":{"reference":SUBJECT}},"search":{"mode":MODE}}"#,
    r#"{"search":{"mode":MODE},"resource":{"performer":[{"reference":SUBJECT},{"reference":OTHER}],"id":ID,"resourceType":TYPE}}"#,
    r#"{"resource":{"resourceType":TYPE,"subject":{"reference":SUBJECT,"x":true},"patient":{"reference":OTHER}},"request":null}"#,
    r#"{"resource":OTHER,"fullUrl":null,"response":{"status":"200","x":[{"a":ID},{"a":OTHER}]}}"#,
];
const TYPES: [&str; 7] = [
    r#""Observation""#,
    r#""Observation""#,
    r#""\u004fbservation""#,
    r#""Patient""#,
    r#""Coverage""#,
    r#""Practitioner""#,
    "1",
];
const IDS: [&str; 4] = [r#""A""#, r#""B""#, r#""p""#, r#""a-longer-one""#];
const SUBJECTS: [&str; 7] = [
    r#""Patient/A""#,
    r#""Patient/A""#,
    r#""Patient/B""#,
    r#""Patient\/A""#,
    r#""http://u:8080/fhir/Patient/A""#,
    "null",
    r#"{"reference":"Patient/A"}"#,
];
const MODES: [&str; 4] = [r#""match""#, r#""include""#, r#""outcome""#, "null"];

const LEAVES: &[&str] = &[
    "\"\"",
    "\"final\"",
    "\"http://loinc.org/a/text/of/more/than/thirty-two/bytes\"",
    "\"\\\"\\n\"",
    "\"\\ud83d\\ude00\"",
    "\"é\"",
    "\"}],\"",
    "0",
    "-1.5",
    "12",
    "1e400",
    "null",
    "true",
];
const KEYS: &[&str] =
    &["\"a\"", "\"\\u0061\"", "\"code\"", "\"effectiveDateTime\"", "\"medicationCodeableConcept\" ", "\"\""];
const SIGNS: &[&str] = &[
    "", "\"", "\\", "{", "}", "[", "]", ",", ":", "0", "e", " ", "\n", "x", "\"a\":1,", "{}", "\\u0041", "\\ud800",
    "é", "\0",
];

const SCOPE: &[&str] = &[
    "patient/",
    "user/",
    "system/",
    "Observation",
    "*",
    ".",
    "rs",
    "cruds",
    "read",
    "?",
    "code=b",
    "&",
    "/",
    "|",
    ",",
];
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
    "{\"reference\":\"http://u:8080/fhir/Patient/1\"}",
    "{\"url\":\"http:\\/\\/u:8080/fhir\"}",
];
const PATCH: &[&str] = &[
    "[",
    "{\"op\":\"add\",\"path\":\"/a\",\"value\":1.50}",
    "{\"op\":\"add\",\"path\":\"/a/-\",\"value\":[]}",
    "{\"op\":\"remove\",\"path\":\"/a/0\"}",
    "{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b\"}",
    "{\"op\":\"copy\",\"from\":\"\",\"path\":\"/b/a\"}",
    "{\"op\":\"test\",\"path\":\"/a\",\"value\":1e2}",
    ",",
    "]",
    "\n",
    "{\"a\":[1e2],\"b\":{}}",
];
const REFERENCE: &[&str] =
    &["http://u/fhir", "https://p/fhir", "/", "Patient", "Observation", "A", "1", "_history", "#", "?", "-", "."];
const DECISION: &[&str] = &[
    "GET\n/",
    "POST\n/",
    "DELETE\n/",
    "Patient",
    "Observation",
    "/A",
    "/_history",
    "/_search",
    "/$everything",
    "?",
    "patient=",
    "Patient/A",
    "&_include=Observation:subject",
    "&subject:Patient.name=x",
    "&_count=1",
    "\n?identifier=1",
];
const BUNDLE: &[&str] = &[
    "{\"resourceType\":\"Bundle\",\"type\":\"batch\",\"entry\":[",
    "{\"resourceType\":\"Bundle\",\"type\":\"transaction\",\"entry\":[",
    "{\"request\":{\"method\":\"GET\",\"url\":\"Observation",
    "{\"request\":{\"method\":\"GET\",\"url\":\"Patient/A",
    "/_search",
    "?patient=A",
    "&code=a%7Cb",
    "\"}}",
    "{\"resource\":{\"resourceType\":\"Encounter\"},\"request\":{\"method\":\"POST\",\"url\":\"Encounter\"}}",
    ",",
    "]}",
];
const SEAL: &[&str] = &["\0\0", "\u{1}9", "/Observation?patient=A", "\n", "?page=2", "/Observation?_getpages=", "x"];

proptest! {
    #[test]
    fn scope(bytes in bytes_of(SCOPE)) {
        super::run("scope", &bytes);
    }

    #[test]
    fn target(bytes in bytes_of(TARGET)) {
        super::run("target", &bytes);
        super::run("query", &bytes);
    }

    #[test]
    fn search_key(bytes in bytes_of(KEY)) {
        super::run("search_key", &bytes);
    }

    #[test]
    fn json(bytes in bytes_of(JSON)) {
        super::run("json", &bytes);
        super::run("rewriter", &bytes);
    }

    /// A value again and again, once with a change in it: as far as they are the same, they are read as one.
    #[test]
    fn alike(value in json_value(), at in any::<prop::sample::Index>(), gone in 0..4usize, sign in proptest::sample::select(SIGNS)) {
        let mut other = value.clone().into_bytes();
        let at = at.index(other.len());
        let end = other.len().min(at + gone);
        other.splice(at..end, sign.bytes());
        let value = value.as_bytes();
        for parts in [&[b"[", value, b",", &other, b",", value, b"]"][..], &[b"[{\"b\":[", value, b"]},{\"b\":[", &other, b"]}]"]] {
            super::run("json", &parts.concat());
        }
    }

    #[test]
    fn patch(bytes in bytes_of(PATCH)) {
        super::run("patch", &bytes);
    }

    #[test]
    fn reference(bytes in bytes_of(REFERENCE)) {
        super::run("reference", &bytes);
    }

    #[test]
    fn decision(bytes in bytes_of(DECISION)) {
        super::run("decision", &bytes);
    }

    /// Entries of which many have the nodes of the one before, and say something else.
    #[test]
    fn page(entries in prop::collection::vec(entry(), 1..8)) {
        let page = format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{}]}}"#, entries.join(","));
        super::run("bundle", page.as_bytes());
        super::run("json", page.as_bytes());
    }

    #[test]
    fn bundle(bytes in bytes_of(BUNDLE)) {
        super::run("bundle", &bytes);
    }

    #[test]
    fn seal(bytes in bytes_of(SEAL)) {
        super::run("seal", &bytes);
    }
}
