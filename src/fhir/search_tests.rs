use proptest::prelude::*;

use super::*;

#[test]
fn names_are_taken_apart() {
    assert_eq!(
        Key::parse("subject:Patient.name:exact").unwrap(),
        Key::Chain {
            code: "subject".into(),
            of: Some("Patient".into()),
            rest: Box::new(Key::Plain { code: "name".into(), modifier: Some("exact".into()) }),
        }
    );
    assert_eq!(
        Key::parse("_has:Observation:patient:code").unwrap(),
        Key::Has {
            of: "Observation".into(),
            by: "patient".into(),
            rest: Box::new(Key::Plain { code: "code".into(), modifier: None }),
        }
    );
}

#[test]
fn names_outside_the_grammar_are_refused() {
    for name in ["", "a:", ":a", "a..b", "a b", "_has:Observation", "_has:Observation:patient:", "a:b:c", "näme", "a=b"]
    {
        assert_eq!(Key::parse(name), Err(KeyError), "{name}");
    }
    assert_eq!(Key::parse("a.b.c.d.e.f.g"), Err(KeyError));
    assert_eq!(Key::parse(&format!("{}code", "_has:Observation:patient:".repeat(64))), Err(KeyError));
}

#[test]
fn an_escaped_comma_separates_nothing() {
    assert_eq!(or_list("A,B"), ["A", "B"]);
    assert_eq!(or_list("A\\,B,C"), ["A\\,B", "C"]);
    assert_eq!(or_list("A\\\\,B"), ["A\\\\", "B"]);
    assert_eq!(or_list(""), [""]);
    assert_eq!(or_list(","), ["", ""]);
    assert_eq!(or_list("A\\"), ["A\\"]);
}

proptest! {
    #[test]
    fn a_printed_name_reads_back_the_same(name in "(_has:[A-Za-z]{1,9}:[a-z]{1,9}:){0,2}([a-z-]{1,9}(:[A-Za-z]{1,9})?\\.){0,2}[_a-z-]{1,9}(:[a-z]{1,9})?") {
        let key = Key::parse(&name).unwrap();
        prop_assert_eq!(key.to_string(), name);
    }

    #[test]
    fn no_name_panics(name in ".{0,100}") {
        if let Ok(key) = Key::parse(&name) {
            prop_assert_eq!(key.to_string(), name);
        }
    }

    #[test]
    fn or_lists_lose_nothing(value in "[A-C,\\\\é]{0,20}") {
        prop_assert_eq!(or_list(&value).join(","), value);
    }
}
