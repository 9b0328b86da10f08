use serde_json::{Value, json};

use super::*;
use crate::token::testing::{es256, es384, rs256, rs384, stranger};

fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

/// The key with members changed; `null` takes one away.
fn changed(mut jwk: Value, members: Value) -> Value {
    for (name, value) in members.as_object().unwrap() {
        match value {
            Value::Null => jwk.as_object_mut().unwrap().remove(name),
            value => jwk.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    jwk
}

fn miss(keys: &[Value], id: Option<&str>, algorithm: Algorithm) -> Option<Miss> {
    set(keys).find(id, algorithm).err()
}

#[test]
fn ca_5_keys_of_other_kinds_are_as_good_as_absent() {
    let (ec, rsa) = (es256().jwk(), rs256().jwk());
    let short = "A".repeat(42);
    for jwk in [
        json!({ "kty": "oct", "kid": "es256", "k": "c2VjcmV0", "alg": "HS256" }),
        json!({ "kty": "OKP", "kid": "es256", "crv": "Ed25519", "x": ec["x"] }),
        json!({ "kid": "es256" }),
        json!("es256"),
        changed(ec.clone(), json!({ "use": "enc" })),
        changed(ec.clone(), json!({ "key_ops": ["sign"] })),
        changed(ec.clone(), json!({ "crv": "P-384" })),
        changed(ec.clone(), json!({ "crv": "P-521" })),
        changed(ec.clone(), json!({ "crv": null })),
        changed(ec.clone(), json!({ "alg": "ES384" })),
        changed(ec.clone(), json!({ "alg": "HS256" })),
        changed(ec.clone(), json!({ "alg": "RS256" })),
        changed(ec.clone(), json!({ "alg": "ECDH-ES" })),
        changed(ec.clone(), json!({ "x": short })),
        changed(ec.clone(), json!({ "y": null })),
        changed(ec.clone(), json!({ "kty": "RSA" })),
        changed(rsa.clone(), json!({ "kid": "es256", "n": "A".repeat(342) })),
        changed(
            rsa.clone(),
            json!({ "kid": "es256", "alg": null, "n": rsa["n"].as_str().unwrap().get(..170).unwrap() }),
        ),
        changed(rsa, json!({ "kid": "es256", "alg": "RSA-OAEP" })),
    ] {
        for algorithm in [Algorithm::ES256, Algorithm::HS256, Algorithm::RS256, Algorithm::EdDSA] {
            assert_eq!(miss(std::slice::from_ref(&jwk), Some("es256"), algorithm), Some(Miss::Unknown), "{jwk}");
        }
        assert_eq!(miss(&[jwk.clone(), ec.clone()], Some("es256"), Algorithm::ES256), None, "{jwk}");
    }
}

#[test]
fn a_key_verifies_with_its_own_algorithms_only() {
    let keys = [changed(rs256().jwk(), json!({ "alg": null, "use": null })), es256().jwk(), rs384().jwk()];
    assert_eq!(miss(&keys, Some("rs256"), Algorithm::RS256), None);
    assert_eq!(miss(&keys, Some("rs256"), Algorithm::PS384), None);
    assert_eq!(miss(&keys, Some("rs256"), Algorithm::HS256), Some(Miss::Algorithm), "the public key is no secret");
    assert_eq!(miss(&keys, Some("rs256"), Algorithm::ES256), Some(Miss::Algorithm));
    assert_eq!(miss(&keys, Some("rs384"), Algorithm::RS256), Some(Miss::Algorithm));
    assert_eq!(miss(&keys, Some("es256"), Algorithm::ES384), Some(Miss::Algorithm));
    let with_ops = changed(es384().jwk(), json!({ "key_ops": ["verify"], "x5c": ["ignored"] }));
    assert_eq!(miss(&[with_ops], Some("es384"), Algorithm::ES384), None);
}

#[test]
fn ca_11_row_222_one_key_must_fit() {
    let (ours, other) = (es256().jwk(), changed(stranger().jwk(), json!({ "kid": "es256" })));
    assert_eq!(miss(&[ours.clone(), other], Some("es256"), Algorithm::ES256), Some(Miss::Ambiguous));
    let same_id = changed(rs256().jwk(), json!({ "kid": "es256" }));
    assert_eq!(miss(&[ours.clone(), same_id], Some("es256"), Algorithm::ES256), None, "of different types");
    assert_eq!(miss(std::slice::from_ref(&ours), None, Algorithm::ES256), None, "no id is needed among one");
    assert_eq!(miss(&[ours.clone(), es384().jwk()], None, Algorithm::ES256), Some(Miss::Ambiguous));
    assert_eq!(miss(&[ours], Some("other"), Algorithm::ES256), Some(Miss::Unknown));
    assert_eq!(miss(&[], None, Algorithm::ES256), Some(Miss::Unknown));
}

#[test]
fn what_is_no_set_is_an_error() {
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, "<html>"] {
        assert!(KeySet::parse(text.as_bytes()).is_err(), "{text}");
    }
}
