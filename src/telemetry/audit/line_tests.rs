use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn read(line: Vec<u8>) -> Value {
    let text = String::from_utf8(line).unwrap();
    assert_eq!(text.find('\n'), Some(text.len() - 1), "{text:?}");
    serde_json::from_str(&text).unwrap()
}

proptest! {
    #[test]
    fn whatever_is_printed_is_read_again(text in any::<String>(), texts in prop::collection::vec(any::<String>(), 0..4), number: u64) {
        let line = printed("decision", 0, |line| {
            line.text("text", text.as_str()).texts("texts", &texts).number("number", Some(number));
        });
        let mut expected = json!({"kind": "decision", "time": "1970-01-01T00:00:00Z", "text": text, "number": number});
        if !texts.is_empty() {
            expected["texts"] = json!(texts);
        }
        prop_assert_eq!(read(line), expected);
    }
}

#[test]
fn each_byte_that_needs_an_escape_gets_it() {
    for odd in (0..=0x1f_u8).chain([b'"', b'\\', 0x7f]) {
        let value = format!("sixteen bytes and {} and sixteen more", char::from(odd));
        let line = printed("auth", 0, |line| {
            line.text("value", value.as_str());
        });
        assert_eq!(read(line)["value"], value);
    }
}

#[test]
fn what_is_none_is_left_out() {
    let line = printed("auth", i64::MAX, |line| {
        line.text("text", None).number("number", None::<u64>).shown("shown", None::<&str>).texts("texts", &[]);
    });
    assert_eq!(line, format!("{{\"kind\":\"auth\",\"time\":{}}}\n", i64::MAX).into_bytes());
}
