//! An issuer whose key the tests hold: any claims, any header, any signature.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

/// `iss` of the tokens.
pub const ISSUER: &str = "https://idp.example.org";

/// The moment at which the clock of the tests stands.
pub const NOW: i64 = 1_800_000_000;

/// How a token is signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signature {
    /// By the issuer's key.
    #[default]
    Good,
    /// Not at all, and `alg` says `none`.
    None,
    /// `HS256` with the issuer's public key as the secret.
    PublicKeyAsSecret,
    /// By a key that the issuer does not publish, under the `kid` of one that it does.
    OtherKey,
    /// By a key that comes along in the token's own header.
    EmbeddedKey,
    /// By the issuer's key, and then one character of it changed.
    Tampered,
}

pub struct Issuer {
    kid: &'static str,
    key: EcdsaKeyPair,
    other: EcdsaKeyPair,
}

impl Issuer {
    pub fn new(kid: &'static str) -> Self {
        let key = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { kid, key: key(), other: key() }
    }

    /// The issuer's key as it publishes it.
    pub fn jwk(&self) -> Value {
        let mut jwk = jwk(&self.key);
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk["alg"] = json!("ES256");
        jwk
    }

    /// The JWK set that the issuer publishes.
    pub fn jwks(&self) -> String {
        json!({ "keys": [self.jwk()] }).to_string()
    }

    /// A token with these claims; `header` overrides what the header usually says.
    pub fn token(&self, claims: &Map<String, Value>, header: &Map<String, Value>, signature: Signature) -> String {
        let mut head = json!({ "alg": "ES256", "typ": "at+jwt", "kid": self.kid });
        match signature {
            Signature::None => head["alg"] = json!("none"),
            Signature::PublicKeyAsSecret => head["alg"] = json!("HS256"),
            Signature::EmbeddedKey => head["jwk"] = jwk(&self.other),
            Signature::Good | Signature::OtherKey | Signature::Tampered => {}
        }
        for (name, value) in header {
            head[name] = value.clone();
        }
        let encode = |value: String| URL_SAFE_NO_PAD.encode(value);
        let signed = format!("{}.{}", encode(head.to_string()), encode(Value::from(claims.clone()).to_string()));
        let sign = |key: &EcdsaKeyPair| {
            let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
            URL_SAFE_NO_PAD.encode(signature)
        };
        let signature = match signature {
            Signature::Good => sign(&self.key),
            Signature::None => String::new(),
            Signature::OtherKey | Signature::EmbeddedKey => sign(&self.other),
            Signature::PublicKeyAsSecret => {
                let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, self.jwks().as_bytes());
                URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&secret, signed.as_bytes()))
            }
            Signature::Tampered => {
                let good = sign(&self.key);
                let first = if good.starts_with('A') { 'B' } else { 'A' };
                format!("{first}{}", &good[1..])
            }
        };
        format!("{signed}.{signature}")
    }
}

fn jwk(key: &EcdsaKeyPair) -> Value {
    // An uncompressed point: 4, then x and y (SEC 1 §2.3.3).
    let point = key.public_key().as_ref();
    json!({
        "kty": "EC",
        "crv": "P-256",
        "x": URL_SAFE_NO_PAD.encode(&point[1..33]),
        "y": URL_SAFE_NO_PAD.encode(&point[33..65]),
    })
}
