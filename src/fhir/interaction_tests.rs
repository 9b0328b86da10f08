use proptest::prelude::*;

use super::*;

fn name(method: &str, path: &str) -> Result<&'static str, GrammarError> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    classify(FhirVersion::R4, &method, &segments, !query.is_empty()).map(|interaction| interaction.name())
}

#[test]
fn the_whole_of_the_rest_grammar() {
    for (method, path, expected) in [
        ("GET", "metadata", "capabilities"),
        ("HEAD", "metadata", "capabilities"),
        ("GET", "Patient/A", "read"),
        ("HEAD", "Patient/A", "read"),
        ("GET", "Patient/A/_history/3", "vread"),
        ("GET", "Patient/A/_history", "history-instance"),
        ("GET", "Patient/_history", "history-type"),
        ("GET", "_history", "history-system"),
        ("GET", "Observation", "search-type"),
        ("POST", "Observation/_search", "search-type"),
        ("GET", "Observation/_search", "search-type"),
        ("GET", "Patient/A/Observation", "search-compartment"),
        ("POST", "Patient/A/Observation/_search", "search-compartment"),
        ("GET", "Patient/A/*", "search-compartment"),
        ("POST", "Patient/A/_search", "search-compartment"),
        ("GET", "", "search-system"),
        ("GET", "?_type=Patient", "search-system"),
        ("POST", "_search", "search-system"),
        ("POST", "Observation", "create"),
        ("PUT", "Observation/a", "update"),
        ("PATCH", "Observation/a", "patch"),
        ("DELETE", "Observation/a", "delete"),
        ("PUT", "Observation?code=x", "conditional-update"),
        ("PATCH", "Observation?code=x", "conditional-patch"),
        ("DELETE", "Observation?code=x", "conditional-delete"),
        ("POST", "", "bundle"),
        ("GET", "$export", "operation"),
        ("POST", "Observation/$lastn", "operation"),
        ("GET", "Patient/A/$everything", "operation"),
    ] {
        assert_eq!(name(method, path), Ok(expected), "{method} {path}");
    }
}

#[test]
fn what_is_not_fhir_is_not_found() {
    for path in [
        "Foo",
        "patient",
        "PATIENT/A",
        "Resource",
        "DomainResource/x",
        "actuator",
        "swagger-ui/index.html",
        "DEFAULT/Patient/B",
        "Patient/A/metadata",
        "Patient/A/_history/1/2",
        "Patient/A/Observation/x",
        "Patient/A_B",
        "metadata/x",
        "Patient/A/$a/b",
        "Patient/$",
        "Patient/$$x",
        "Patient/A/B/C/D",
    ] {
        assert_eq!(name("GET", path), Err(GrammarError::NotFound), "{path}");
    }
}

#[test]
fn a_method_that_does_not_fit_is_refused() {
    for (method, path) in [
        ("POST", "metadata"),
        ("POST", "Observation/a"),
        ("PUT", "Observation"),
        ("DELETE", "Observation"),
        ("DELETE", "Observation/a/_history"),
        ("DELETE", "Observation/a/_history/2"),
        ("DELETE", ""),
        ("PUT", "Patient/$x"),
        ("TRACE", "Patient/A"),
        ("PROPFIND", "Patient"),
        ("get", "Patient/A"),
    ] {
        assert_eq!(name(method, path), Err(GrammarError::Method), "{method} {path}");
    }
}

proptest! {
    #[test]
    fn no_path_panics(method in "[A-Z]{1,7}", segments in prop::collection::vec("[A-Za-z_$*.-]{1,12}", 0..6)) {
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let _ = classify(FhirVersion::R4, &Method::from_bytes(method.as_bytes()).unwrap(), &segments, false);
    }
}
