use super::*;

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
        assert_eq!(Tree::read(text).unwrap().print(), printed);
    }
}

#[test]
fn what_is_no_json_is_nothing() {
    for text in ["", "{", "{\"a\"}", "[1,]", "[1 2]", "\"x", "{\"a\":1,}", "1 2", "{1:2}", "\"\\"] {
        assert_eq!(Tree::read(text), None, "{text}");
    }
}

#[test]
fn the_same_is_the_same_value() {
    let same = |a, b| Tree::read(a).unwrap().same(&Tree::read(b).unwrap());
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
