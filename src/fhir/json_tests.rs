use proptest::prelude::*;

use std::time::Instant;

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
        assert!(Document::parse(body.as_bytes(), DEPTH).is_err(), "{body}");
    }
    assert!(Document::parse(b"{\"a\":\"\xff\"}", DEPTH).is_err());
    assert!(Document::parse(&[0xff, 0xfe, b'{', 0, b'}', 0], DEPTH).is_err());
}

#[test]
fn many_keys_are_compared_too() {
    let mut keys: Vec<String> = (0..100).map(|n| format!("\"k{n}\":0")).collect();
    let body = format!("{{{}}}", keys.join(","));
    assert!(Document::parse(body.as_bytes(), DEPTH).is_ok());
    keys.push("\"k7\":0".into());
    let body = format!("{{{}}}", keys.join(","));
    assert!(Document::parse(body.as_bytes(), DEPTH).is_err());
}

#[test]
fn long_keys_are_compared_too() {
    for long in [usize::from(u16::MAX) - 1, usize::from(u16::MAX), 100_000] {
        let key = "k".repeat(long);
        let body = format!("{{\"a\":0,\"{key}\":1,\"{key}k\":2}}");
        let document = Document::parse(body.as_bytes(), DEPTH).unwrap();
        assert!(matches!(document.root().get(&key).map(Json::value), Some(Value::Number("1"))), "{long}");
        let body = format!("{{\"{key}\":1,\"{key}\":2}}");
        assert!(Document::parse(body.as_bytes(), DEPTH).is_err(), "{long}");
    }
}

/// What an object is like may have stood less deep, or have been like another one itself.
#[test]
fn what_is_alike_is_not_nested_deeper() {
    let one = r#"{"a":{"a":[{"a":1}]},"b":1}"#;
    let body = format!(r#"{{"x":[{one},{one},{{"a":{{"a":[{{"a":1}}],"x":{one}}},"b":1}},{{"y":[{{"x":{one}}}]}}]}}"#);
    assert!(Document::parse(body.as_bytes(), 9).is_ok());
    assert!(Document::parse(body.as_bytes(), 8).is_err());
}

/// An object has the nodes of the one right before it where names and kinds of values are the same, whatever the values say.
#[test]
fn the_nodes_of_the_one_before() {
    let one = r#"{"a":"x","b":[{"c":1},{"c":2}],"d":true}"#;
    for (other, has) in [
        (one, true),
        (r#"{"a":"yy\n","b":[{"c":10},{"c":-2}],"d":false}"#, true),
        (r#"{"a":"x","b":[{"c":1},{"c":2}],"e":true}"#, false),
        (r#"{"a":"x","b":[{"c":1},{"c":2}],"d":null}"#, false),
        (r#"{"a":"x","b":[{"c":1},{"c":null}],"d":true}"#, false),
        (r#"{"a":"x","b":[{"c":1},{"c":2},{"c":3}],"d":true}"#, false),
        (r#"{"a":"x","b":[{"c":1}],"d":true}"#, false),
        (r#"{"a":"x","b":[{"c":1},{"c":2}],"d":true,"e":0}"#, false),
        (r#"{"a":"x","b":[{"c":1},{"c":2}]}"#, false),
        (r#"{"a":1,"b":[{"c":1},{"c":2}],"d":true}"#, false),
    ] {
        let text = format!("[{one},{other},{other},{one}]");
        let document = Document::parse(text.as_bytes(), DEPTH).unwrap();
        let elements: Vec<Json<'_>> = document.root().elements().collect();
        assert_eq!(elements[1].has_nodes_of(elements[0]), has, "{other}");
        assert_eq!(elements[3].has_nodes_of(elements[2]), has, "{other}");
        assert!(elements[2].has_nodes_of(elements[1]), "{other}");
        // Only of the one right before it.
        assert!(!elements[2].has_nodes_of(elements[0]) && !elements[0].has_nodes_of(elements[0]), "{other}");
    }
}

/// What has a second reading, in one parser or another, wherever in the document it stands.
#[test]
fn no_second_reading_hides_anywhere() {
    assert!(Document::parse(b"", DEPTH).is_err());
    for value in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"\u0073ubject":1,"b":2,"subject":3}"#,
        r#"{"":1,"":2}"#,
        r#"{"\/":1,"/":2}"#,
        "\u{feff}1",
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        r#""\ud800\u0041""#,
        r#""\uD83D""#,
        r#""\x41""#,
        r#""\u00g0""#,
        r#""\'""#,
        "\"\n\"",
        "\"\0\"",
        "'a'",
        "NaN",
        "Infinity",
        "-Infinity",
        "undefined",
        "0x10",
        "010",
        "+1",
        "-",
        "1.",
        ".5",
        "1e",
        "1e400",
        "-1e400",
        "1_000",
        "True",
        "nul",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\" 1}",
        "{1:1}",
        "{\"a\":}",
        "[1}",
        "1//",
        "1/**/",
        "1#",
        "1 1",
        "1\u{a0}",
        "1\u{2028}",
        "1\u{b}",
        "1\u{0}",
        "\u{1e}1",
    ] {
        for body in [value.to_owned(), format!("[{value}]"), format!(r#"{{"x":[0,{{"y":{value}}}],"z":1}}"#)] {
            assert!(Document::parse(body.as_bytes(), DEPTH).is_err(), "{body}");
        }
    }
    for value in
        [b"\"\xc0\xaf\"".as_slice(), b"\"\xed\xa0\x80\"", b"\"\xff\"", b"\"\xf4\x90\x80\x80\"", b"\"\xe2\x82\""]
    {
        assert!(Document::parse(&[b"{\"x\":", value, b"}"].concat(), DEPTH).is_err(), "{value:?}");
    }
    for encoded in [b"\xff\xfe{\0}\0".as_slice(), b"\xfe\xff\0{\0}", b"{\0}\0", b"\0{\0}", b"{\0\0\0}\0\0\0"] {
        assert!(Document::parse(encoded, DEPTH).is_err(), "{encoded:?}");
    }
}

#[test]
fn one_reading_is_enough() {
    let keys = r#"{"subject":1,"subject ":2,"Subject":3,"s\u0075bject\u200b":4,"\u0000":5}"#;
    assert_eq!(Document::parse(keys.as_bytes(), DEPTH).unwrap().root().members().count(), 5);
    let pair = Document::parse(br#""\ud83d\ude00""#, DEPTH).unwrap();
    assert_eq!(pair.root().as_str(), Some("\u{1f600}"));
    for number in ["0", "-0", "1.50", "1e2", "1E+2", "1e-400", "123456789012345678901234567890", "1e308"] {
        let document = Document::parse(number.as_bytes(), DEPTH).unwrap();
        assert!(matches!(document.root().value(), Value::Number(text) if text == number), "{number}");
    }
}

#[test]
fn a_document_has_so_many_values_and_no_more() {
    let array = |elements: usize| format!("[{}0]", "0,".repeat(elements - 1));
    assert!(Document::parse(array(MAX_VALUES - 1).as_bytes(), DEPTH).is_ok());
    assert!(Document::parse(array(MAX_VALUES).as_bytes(), DEPTH).is_err());
    assert!(Document::parse(format!("[{0},{0}]", array(MAX_VALUES / 2)).as_bytes(), DEPTH).is_err());
    // Unless it is long enough.
    let number = "1".repeat(BYTES_A_VALUE);
    let long = format!("[{}0]", format!("{number},").repeat(MAX_VALUES));
    assert!(Document::parse(long.as_bytes(), DEPTH).is_ok());
    assert_eq!(size_of::<Node>(), 20, "what a value takes");
}

/// Less than any thread has that parses, and without the optimiser's help.
#[test]
fn nesting_takes_a_bounded_stack() {
    let parse = || {
        for (open, close, step) in [("[", "]", None), ("{\"a\":", "}", Some("a"))] {
            let nested = |depth: usize| format!("{}0{}", open.repeat(depth), close.repeat(depth));
            assert!(Document::parse(nested(MAX_DEPTH).as_bytes(), 1000).is_ok());
            for depth in [MAX_DEPTH + 1, 200, 1_000_000] {
                assert!(Document::parse(nested(depth).as_bytes(), usize::MAX).is_err());
            }
            let text = nested(MAX_DEPTH);
            let document = Document::parse(text.as_bytes(), MAX_DEPTH).unwrap();
            let tree = super::super::tree::Tree::of(document.root());
            assert_eq!((tree.print(), tree.depth(), tree.same(&tree.clone())), (text.clone(), MAX_DEPTH, true));
            let path: Vec<&str> = std::iter::repeat_n(step, MAX_DEPTH).flatten().collect();
            let mut seen = 0;
            document.root().visit(&path, &mut |_| seen += 1);
            assert_eq!(seen, 1);
        }
        for name in ["a.".repeat(1_000_000), "_has:A:b:".repeat(1_000_000), "a:b.".repeat(1_000_000)] {
            assert!(super::super::search::Key::parse(&format!("{name}c")).is_err());
        }
    };
    std::thread::Builder::new().stack_size(1024 * 1024).spawn(parse).unwrap().join().unwrap();
}

#[test]
fn a_path_goes_through_arrays() {
    let body = br#"{"participant":[{"actor":{"reference":"a"}},{"x":1},{"actor":{"reference":"b"}}]}"#;
    let document = Document::parse(body, DEPTH).unwrap();
    let mut found = Vec::new();
    document
        .root()
        .visit(&["participant", "actor", "reference"], &mut |value| found.push(value.as_str().unwrap().to_owned()));
    assert_eq!(found, ["a", "b"]);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Document::parse(&bytes, DEPTH);
    }
}

/// What an object is compared with may be much longer than what the two have in common.
#[test]
fn what_is_unlike_costs_no_more_than_its_own_length() {
    // Under each name, the last object holds the long array; then objects in each other, of which none ends before the next begins.
    let letters = || (b'a'..=b'z').map(char::from);
    let names: Vec<String> = letters().flat_map(|a| letters().map(move |b| format!("{a}{b}"))).take(400).collect();
    let mut long = format!("[0{}]", ",0".repeat(60_000));
    for name in names.iter().step_by(7).take(58) {
        long = format!("{{\"a\":0,\"{name}\":{long}}}");
    }
    let document = |space: &str| {
        let mut chains = String::new();
        for name in &names {
            let links = format!("{{{space}\"a\":0,\"{name}\" :").repeat(50);
            chains.push_str(&format!(",{{\"{name}\":{links}1{}}}", "}".repeat(50)));
        }
        format!("{{\"r\":{long},\"c\":[0{chains}]}}")
    };
    let fastest = |text: String| {
        let took = || {
            let begin = Instant::now();
            Document::parse(text.as_bytes(), DEPTH).unwrap();
            begin.elapsed()
        };
        (0..5).map(|_| took()).min()
    };
    // Behind a space nothing looks like an object before it.
    let (unlike, alike) = (fastest(document(" ")).unwrap(), fastest(document("")).unwrap());
    assert!(alike < unlike * 8, "{alike:?} {unlike:?}");
}
