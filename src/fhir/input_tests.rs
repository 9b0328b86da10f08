use super::*;

fn read(parameters: &str) -> Result<Vec<(String, String)>, InputError> {
    let body = format!("{{\"resourceType\":\"Parameters\",\"parameter\":[{parameters}]}}");
    pairs(body.as_bytes(), 20, 5)
}

#[test]
fn simple_values_are_read_as_a_query_has_them() {
    for (parameter, value) in [
        (r#"{"name":"x","valueString":"a b"}"#, "a b"),
        (r#"{"valueId":"A","name":"x"}"#, "A"),
        (r#"{"name":"x","valuePositiveInt":3}"#, "3"),
        (r#"{"name":"x","valueDecimal":1.50}"#, "1.50"),
        (r#"{"name":"x","valueBoolean":true}"#, "true"),
        (r#"{"name":"x","valueReference":{"reference":"Patient/A","display":"Amy"}}"#, "Patient/A"),
        (r#"{"name":"x","valueCoding":{"system":"http://loinc.org","code":"1|2"}}"#, "http://loinc.org|1\\|2"),
        (r#"{"name":"x","valueCodeableConcept":{"coding":[{"code":"c"}],"text":"C"}}"#, "c"),
    ] {
        assert_eq!(read(parameter), Ok(vec![("x".to_owned(), value.to_owned())]), "{parameter}");
    }
    assert_eq!(pairs(b"", 20, 5), Ok(vec![]));
    assert_eq!(pairs(b"{\"resourceType\":\"Parameters\"}", 20, 5), Ok(vec![]));
}

#[test]
fn what_a_query_could_not_hold_is_refused() {
    for parameter in [
        r#"{"name":"x"}"#,
        r#"{"name":"x","valueString":null}"#,
        r#"{"name":"x","valueString":"a","valueCode":"b"}"#,
        r#"{"name":"x","resource":{"resourceType":"Patient"}}"#,
        r#"{"name":"x","part":[]}"#,
        r#"{"name":"x","valueString":"a\nb"}"#,
        r#"{"name":"x","valueIdentifier":{"value":"1"}}"#,
        r#"{"name":"x","valueReference":{"reference":"Patient/A","identifier":{"value":"B"}}}"#,
        r#"{"name":"x","valueCodeableConcept":{"coding":[{"code":"c"},{"code":"d"}]}}"#,
        r#"{"name":1,"valueString":"a"}"#,
        "7",
    ] {
        assert_eq!(read(parameter), Err(InputError::NotSimple), "{parameter}");
    }
    assert_eq!(read(&[r#"{"name":"x","valueString":"a"}"#; 6].join(",")), Err(InputError::TooMany));
    for body in [r#"{"resourceType":"Patient"}"#, "{}", "[]", r#"{"resourceType":"Parameters","x":1}"#] {
        assert_eq!(pairs(body.as_bytes(), 20, 5), Err(InputError::NotParameters), "{body}");
    }
    for body in [r#"{"resourceType":"Parameters","resourceType":"Parameters"}"#, "{", "\u{feff}{}"] {
        assert_eq!(pairs(body.as_bytes(), 20, 5), Err(InputError::Ambiguous), "{body}");
    }
}
