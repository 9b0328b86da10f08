use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::token::testing::es256;

fn flaw(header: &str, claims: &str) -> Option<Flaw> {
    Jws::parse(&es256().signed_text(header, claims)).err()
}

#[test]
fn a_token_is_read_in_one_way_only() {
    let header = r#"{"alg":"ES256"}"#;
    assert_eq!(flaw(header, r#"{"iss":"a"}"#), None);
    for (header, claims) in [
        (r#"{"alg":"ES256","alg":"none"}"#, "{}"),
        (r#"{"alg":"ES256","\u0061lg":"none"}"#, "{}"),
        (header, r#"{"iss":"a","iss":"b"}"#),
        (header, r#"{"a":{"b":1,"b":2}}"#),
        (header, "[]"),
        (header, "\"x\""),
        (header, "{} {}"),
        (header, "\u{feff}{}"),
        (r#"{"typ":"JWT"}"#, "{}"),
        (r#"{"alg":["ES256"]}"#, "{}"),
        (r#"{"alg":"ES256","kid":1}"#, "{}"),
        (r#"{"alg":"ES256","typ":[]}"#, "{}"),
        (header, &format!("{{\"a\":{}1{}}}", "[".repeat(20), "]".repeat(20))),
    ] {
        assert_eq!(flaw(header, claims), Some(Flaw::Malformed), "{header} {claims}");
    }
}

#[test]
fn other_serialisations_are_no_tokens() {
    let token = es256().token(&json!({ "iss": "a" }));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    assert!(Jws::parse(&token).is_ok());
    let padded = format!("{}=.{signature}", signed);
    let long = es256().token(&json!({ "iss": "a".repeat(MAX_BYTES) }));
    for token in ["", ".", "..", "a.b", signed, &padded, &format!("{token}.x"), &format!(" {token}"), &long] {
        assert_eq!(Jws::parse(token).err(), Some(Flaw::Malformed), "{token}");
    }
    for signature in ["", "AAAA", "!!!!", &format!("{signature}="), &format!("{signature}A")] {
        let token = format!("{signed}.{signature}");
        let keys = crate::token::jwks::KeySet::parse(crate::token::testing::jwks(&[es256()]).as_bytes()).unwrap();
        let jws = Jws::parse(&token).ok().unwrap();
        assert!(!jws.is_signed_by(keys.find(Some("es256"), Algorithm::ES256).unwrap()), "{signature}");
    }
}

#[test]
fn no_algorithm_is_none_and_nothing_is_critical() {
    for alg in ["none", "None", "NONE", "es256", "ES256K", "", "dir", "RSA-OAEP"] {
        assert_eq!(flaw(&json!({ "alg": alg }).to_string(), "{}"), Some(Flaw::Algorithm), "{alg}");
    }
    for crit in [json!(["b64"]), json!(["exp"]), json!([]), json!(null)] {
        assert_eq!(
            flaw(&json!({ "alg": "ES256", "b64": false, "crit": crit }).to_string(), "{}"),
            Some(Flaw::Critical)
        );
    }
}

#[test]
fn members_are_read_by_type() {
    let token = es256().token(&json!({
        "text": "a", "number": 5, "float": 5.0, "huge": 1e300, "beyond": u64::MAX, "digits": "5", "null": null, "list": ["a", "b"],
        "mixed": ["a", 1]
    }));
    let claims = Jws::parse(&token).ok().unwrap().claims;
    assert_eq!(claims.text("text"), Ok(Some("a")));
    assert_eq!(claims.text("absent"), Ok(None));
    assert_eq!(claims.text("null"), Ok(None));
    assert_eq!(claims.text("number"), Err(Flaw::Malformed));
    assert_eq!(claims.seconds("number"), Ok(Some(5)));
    for name in ["float", "huge", "beyond", "digits", "list"] {
        assert_eq!(claims.seconds(name), Err(Flaw::Malformed), "{name}");
    }
    assert_eq!(claims.texts("text"), Ok(vec!["a"]));
    assert_eq!(claims.texts("list"), Ok(vec!["a", "b"]));
    assert_eq!(claims.texts("absent"), Ok(vec![]));
    assert_eq!(claims.texts("mixed"), Err(Flaw::Malformed));
    assert_eq!(claims.texts("number"), Err(Flaw::Malformed));
    assert!(claims.has("null"));
}

#[test]
fn a_media_type_has_no_case_and_no_prefix() {
    for (typ, expected) in
        [("at+jwt", "at+jwt"), ("AT+JWT", "at+jwt"), ("application/at+jwt", "at+jwt"), ("JWT", "jwt")]
    {
        let token = es256().signed(&json!({ "alg": "ES256", "typ": typ }), &json!({}));
        assert_eq!(Jws::parse(&token).ok().unwrap().media_type.as_deref(), Some(expected));
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "[A-Za-z0-9_.=-]{0,80}|\\PC{0,40}") {
        let _ = Jws::parse(&text);
    }
}
