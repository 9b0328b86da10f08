use proptest::prelude::*;

use super::*;

fn parse(raw: &str) -> Result<Target, TargetError> {
    Target::parse(raw, 100)
}

#[test]
fn segments_are_decoded_once() {
    assert_eq!(parse("/fhir/Pati%65nt/%42").unwrap().path, ["fhir", "Patient", "B"]);
    assert_eq!(parse("/fhir/Patient/%2542"), Err(TargetError::Character));
}

#[test]
fn ambiguous_paths_are_refused() {
    for raw in [
        "/fhir/Patient/A/../B",
        "/fhir/Patient/./B",
        "/fhir/Patient/%2e%2e/B",
        "//fhir/Patient/B",
        "/fhir//Patient/B",
        "/fhir/Patient/A%2FB",
        "/fhir/Patient/A%5cB",
        "/fhir\\Patient\\B",
        "/fhir/Patient/B%00.json",
        "/fhir/Patient/B%0d%0aX:y",
        "/fhir/Patient/%c0%af",
        "/fhir/Patient/B%EF%BC%8FC",
        "/fhir/Patient/B%C2%A0",
        "/fhir/Patient;x=1/B",
        "/fhir/Patient/B;jsessionid=1",
        "/fhir/Patient/B%",
        "/fhir/Patient/B%4",
        "/fhir/Patient/B%zz",
        "fhir",
        "",
    ] {
        assert!(parse(raw).is_err(), "{raw}");
    }
}

#[test]
fn one_trailing_slash_is_seen_and_two_are_refused() {
    let target = parse("/fhir/").unwrap();
    assert_eq!((target.path, target.trailing_slash), (vec!["fhir".to_owned()], true));
    assert!(parse("/fhir/Patient//").is_err());
}

#[test]
fn semicolons_separate_nothing_and_names_are_decoded_once() {
    let query = parse("/fhir/Observation?patient=A;patient=B&pat%69ent=C&&x").unwrap().query;
    assert_eq!(query[0], ("patient".into(), "A;patient=B".into()));
    assert_eq!(query[1], ("patient".into(), "C".into()));
    assert_eq!(query[2], ("x".into(), String::new()));
}

#[test]
fn parameters_are_counted() {
    let raw = format!("/fhir/Observation?{}", vec!["a=b"; 101].join("&"));
    assert_eq!(parse(&raw), Err(TargetError::TooMany));
}

proptest! {
    #[test]
    fn no_input_panics(raw in ".{0,200}") {
        let _ = parse(&raw);
    }

    #[test]
    fn a_printed_query_reads_back_the_same(
        pairs in prop::collection::vec(("[^\\p{Cc}]{1,20}", "[^\\p{Cc}]{0,30}"), 0..8)
    ) {
        let printed = print_query(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        prop_assert!(!printed.contains(' ') && !printed.contains('#'));
        prop_assert_eq!(parse_query(&printed, 100).unwrap(), pairs);
    }
}
