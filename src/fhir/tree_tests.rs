use super::*;
use crate::fhir::json::Document;

/// A document that lives as long as its text.
fn tree(text: &str) -> Tree<'_> {
    Tree::of(Box::leak(Box::new(Document::parse(text.as_bytes(), 64).unwrap())).root())
}

#[test]
fn what_is_printed_keeps_every_text_but_the_space() {
    for (text, printed) in [
        (
            r#" { "a" : [ 1.50 , 1e2, 123456789012345678901234567890 ], "b":{} } "#,
            r#"{"a":[1.50,1e2,123456789012345678901234567890],"b":{}}"#,
        ),
        (r#"{"\u0061b":"x\"}\\","c":[[],[true,null]]}"#, r#"{"ab":"x\"}\\","c":[[],[true,null]]}"#),
        (r#""ü""#, r#""ü""#),
        ("-0.0", "-0.0"),
        (r#"{"a\"\n":1}"#, r#"{"a\"\n":1}"#),
    ] {
        assert_eq!(tree(text).print(), printed);
    }
}

#[test]
fn the_same_is_the_same_value() {
    let same = |a, b| tree(a).same(&tree(b));
    for (a, b) in [
        ("1.50", "1.5"),
        ("100", "1e2"),
        ("1E+2", "100.0"),
        ("0", "-0.0e7"),
        ("0.001", "1e-3"),
        (r#""\u0061""#, r#""a""#),
        (r#"{"a":1,"b":[2]}"#, r#"{"b":[2.0],"a":1}"#),
    ] {
        assert!(same(a, b), "{a} {b}");
    }
    for (a, b) in [
        ("1", "\"1\""),
        ("1", "-1"),
        ("1", "10"),
        ("true", "false"),
        ("null", "0"),
        ("[1,2]", "[2,1]"),
        (r#"{"a":1}"#, r#"{"a":1,"b":1}"#),
        ("{}", "[]"),
        ("123456789012345678901234567890", "123456789012345678901234567891"),
    ] {
        assert!(!same(a, b), "{a} {b}");
    }
}
