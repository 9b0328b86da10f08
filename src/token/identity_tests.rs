use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::config::KeySource;
use crate::telemetry::Metrics;
use crate::token::testing::{NOW, TestKey, ambient, es256, es384, jwks, rs256, store, stranger};
use crate::token::{Fetcher, GateKeys};

const ISSUER: &str = "https://idp.example";

fn oidc() -> Oidc {
    Oidc {
        issuer: ISSUER.to_owned(),
        client_id: "gate".to_owned(),
        client_secret: None,
        scopes: vec!["openid".to_owned()],
        label: None,
        fhir_user: None,
        patients: None,
        keys: KeySource::Inline(jwks(&[es256(), es384(), rs256()]).into()),
    }
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "sub": "248", "aud": "gate", "exp": NOW + 60, "iat": NOW, "nonce": "n", "fhirUser": "Patient/amy" })
}

async fn ask(token: &str) -> Result<String, &'static str> {
    let (ambient, _) = ambient();
    let (_folder, store) = store();
    let tokens = crate::token::testing::snapshot().tokens;
    let keys = Arc::new(GateKeys::open(&*store, &ambient, &tokens).await.unwrap());
    let fetcher = Arc::new(Fetcher::new(ambient.clone(), Metrics::new().unwrap()).unwrap());
    let verifier = Verifier { keys, fetcher, ambient };
    let found = verifier.identity(token, &oidc(), "n").await;
    found.map(|identity| identity.subject).map_err(|error| error.rule())
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

#[tokio::test]
async fn a_right_token_names_the_person() {
    for key in [es256(), es384(), rs256()] {
        assert_eq!(ask(&key.token(&claims())).await.as_deref(), Ok("248"));
    }
    let several = json!(["gate", "another"]);
    let mut both = with("aud", several);
    both["azp"] = "gate".into();
    assert_eq!(ask(&es256().token(&both)).await.as_deref(), Ok("248"));
}

#[tokio::test]
async fn a_token_for_another_purpose_or_time_is_refused() {
    for (name, value, rule) in [
        ("iss", json!("https://idp.example/"), "token-issuer"),
        ("aud", json!("another"), "token-audience"),
        ("aud", json!(["gate", "another"]), "token-audience"),
        ("azp", json!("another"), "token-audience"),
        ("exp", json!(NOW), "token-expired"),
        ("exp", Value::Null, "token-expiry"),
        ("iat", json!(NOW + 31), "token-issued-later"),
        ("iat", Value::Null, "token-issued-later"),
        ("nonce", json!("another"), "token-nonce"),
        ("nonce", Value::Null, "token-nonce"),
        ("sub", Value::Null, "token-subject"),
    ] {
        assert_eq!(ask(&es256().token(&with(name, value.clone()))).await, Err(rule), "{name} {value}");
    }
}

#[tokio::test]
async fn a_signature_that_proves_nothing_is_refused() {
    let header = |alg: &str, typ: &str| json!({ "alg": alg, "kid": "es256", "typ": typ });
    let refused = async |key: &TestKey, header: Value| ask(&key.signed(&header, &claims())).await.err();
    assert!(refused(es256(), header("none", "JWT")).await.is_some());
    assert_eq!(refused(es256(), header("HS256", "JWT")).await, Some("token-algorithm"));
    assert_eq!(refused(es256(), header("ES256", "at+jwt")).await, Some("token-type"));
    assert!(ask(&stranger().token(&claims())).await.is_err());
}
