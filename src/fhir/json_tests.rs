use proptest::prelude::*;

use super::*;

const DEPTH: usize = 64;

#[test]
fn bodies_with_two_readings_are_refused() {
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    for body in [
        r#"{"subject":1,"subject":2}"#,
        r#"{"subject":1,"\u0073ubject":2}"#,
        "\u{feff}{}",
        r#"{"a":"\ud800"}"#,
        r#"{"a":NaN}"#,
        r#"{"a":1e400}"#,
        r#"{"a":1,}"#,
        r#"{"a":1} x"#,
        "{} {}",
        "// c\n{}",
        "",
        deep.as_str(),
    ] {
        assert!(Json::parse(body.as_bytes(), DEPTH).is_err(), "{body}");
    }
    assert!(Json::parse(b"{\"a\":\"\xff\"}", DEPTH).is_err());
    assert!(Json::parse(&[0xff, 0xfe, b'{', 0, b'}', 0], DEPTH).is_err());
}

#[test]
fn many_keys_are_compared_too() {
    let mut keys: Vec<String> = (0..100).map(|n| format!("\"k{n}\":0")).collect();
    let body = format!("{{{}}}", keys.join(","));
    assert!(Json::parse(body.as_bytes(), DEPTH).is_ok());
    keys.push("\"k7\":0".into());
    let body = format!("{{{}}}", keys.join(","));
    assert!(Json::parse(body.as_bytes(), DEPTH).is_err());
}

#[test]
fn a_path_goes_through_arrays() {
    let body = br#"{"participant":[{"actor":{"reference":"a"}},{"x":1},{"actor":{"reference":"b"}}]}"#;
    let tree = Json::parse(body, DEPTH).unwrap();
    let mut found = Vec::new();
    tree.visit(&["participant", "actor", "reference"], &mut |value| found.push(value.as_str().unwrap().to_owned()));
    assert_eq!(found, ["a", "b"]);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Json::parse(&bytes, DEPTH);
    }
}
