use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::config::{Consent, GrantType};
use crate::telemetry::Metrics;
use crate::token::testing::{HandClock, NOW, Server, TestKey, ambient, es256, es384, jwks, rs384, store, stranger};

const TOKEN_URL: &str = "https://gate.example.org/auth/token";
const ISSUER: &str = "https://gate.example.org";

struct World {
    assertions: Assertions,
    clock: Arc<HandClock>,
    _folder: TempDir,
}

impl World {
    fn new() -> Self {
        let ((folder, store), (ambient, clock)) = (store(), ambient());
        let fetcher = Arc::new(Fetcher::new(ambient.clone(), Metrics::new().unwrap()).unwrap());
        Self { assertions: Assertions { fetcher, store, ambient }, clock, _folder: folder }
    }

    async fn check(&self, assertion: &str) -> Result<(), String> {
        self.check_with(assertion, &client(ClientAuth::PrivateKeyJwt(inline()))).await
    }

    async fn check_with(&self, assertion: &str, client: &Client) -> Result<(), String> {
        self.assertions.check(assertion, client, &[TOKEN_URL, ISSUER]).await.map_err(|error| error.to_string())
    }
}

fn inline() -> KeySource {
    KeySource::Inline(jwks(&[rs384(), es384(), es256()]).into())
}

fn client(auth: ClientAuth) -> Client {
    Client {
        id: "backend".to_owned(),
        name: "Backend".to_owned(),
        auth,
        redirect_uris: Vec::new(),
        scopes: Default::default(),
        grant_types: vec![GrantType::ClientCredentials],
        origins: Vec::new(),
        consent: Consent::Granted,
        may_introspect: false,
        enforced: false,
        launcher: None,
        self_registered: false,
        rate: None,
        launch_uris: Vec::new(),
        enabled: true,
    }
}

/// Right claims with a few changed; `null` takes one away.
fn claims(changed: Value) -> Value {
    let mut claims = json!({
        "iss": "backend", "sub": "backend", "aud": TOKEN_URL, "exp": NOW + 300, "iat": NOW, "jti": "one"
    });
    claims.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
    claims
}

fn header(key: &TestKey, changed: Value) -> Value {
    let mut header = json!({ "typ": "JWT", "alg": key.id.to_ascii_uppercase(), "kid": key.id });
    header.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
    header
}

#[tokio::test]
async fn ca_8_a_client_authenticates_once_with_each_assertion() {
    let world = World::new();
    for key in [rs384(), es384()] {
        let assertion = key.token(&claims(json!({ "jti": key.id })));
        assert_eq!(Assertions::claimed_client(&assertion).as_deref(), Some("backend"));
        assert_eq!(world.check(&assertion).await, Ok(()));
        assert_eq!(world.check(&assertion).await, Err("the assertion was used before".to_owned()));
        world.clock.set(NOW + 299);
        assert!(world.check(&assertion).await.is_err());
        world.clock.set(NOW + 300);
        assert_eq!(world.check(&assertion).await, Err("the assertion has expired".to_owned()));
        world.clock.set(NOW);
    }
    for (changed, header_changed) in [
        (json!({ "aud": ISSUER, "jti": "2" }), json!({})),
        (json!({ "aud": [TOKEN_URL], "jti": "3" }), json!({})),
        (json!({ "iat": null, "jti": "4" }), json!({ "typ": null })),
        (json!({ "nbf": NOW + CLOCK_SKEW, "jti": "5" }), json!({ "typ": "client-authentication+jwt" })),
        (json!({ "exp": NOW + 300 + CLOCK_SKEW, "jti": "6" }), json!({})),
    ] {
        let assertion = es384().signed(&header(es384(), header_changed), &claims(changed.clone()));
        assert_eq!(world.check(&assertion).await, Ok(()), "{changed}");
    }
}

#[tokio::test]
async fn ca_6_rf_6_row_222_claims_that_do_not_fit_are_refused() {
    let world = World::new();
    for changed in [
        json!({ "iss": "other" }),
        json!({ "sub": "other" }),
        json!({ "iss": null }),
        json!({ "sub": ["backend"] }),
        json!({ "aud": "https://elsewhere/token" }),
        json!({ "aud": null }),
        json!({ "aud": [] }),
        json!({ "aud": [TOKEN_URL, "https://elsewhere/token"] }),
        json!({ "aud": [TOKEN_URL, ISSUER] }),
        json!({ "exp": null }),
        json!({ "exp": NOW }),
        json!({ "exp": NOW + 300 + CLOCK_SKEW + 1 }),
        json!({ "exp": 1e300 }),
        json!({ "exp": (NOW + 60).to_string() }),
        json!({ "iat": NOW + CLOCK_SKEW + 1 }),
        json!({ "nbf": NOW + 60 }),
        json!({ "jti": null }),
        json!({ "jti": "" }),
        json!({ "jti": 7 }),
        json!({ "jti": "x".repeat(MAX_ID + 1) }),
    ] {
        let result = world.check(&es384().token(&claims(changed.clone()))).await;
        assert!(result.is_err(), "{changed}");
    }
    assert_eq!(world.check(&es384().token(&claims(json!({})))).await, Ok(()), "and none of those used up the `jti`");
}

#[tokio::test]
async fn ca_6_row_222_headers_that_do_not_fit_are_refused() {
    let world = World::new();
    let attacker = json!({ "jwk": stranger().jwk(), "kid": "stranger", "alg": "ES256" });
    for changed in [
        json!({ "typ": "at+jwt" }),
        json!({ "typ": "refresh" }),
        json!({ "kid": null }),
        json!({ "kid": "unknown" }),
        json!({ "kid": "rs384" }),
        json!({ "alg": "none" }),
        json!({ "alg": "HS384" }),
        json!({ "alg": "PS384" }),
        json!({ "crit": ["exp"] }),
        json!({ "jku": "https://backend.example/jwks" }),
        attacker,
    ] {
        let assertion = es384().signed(&header(es384(), changed.clone()), &claims(json!({})));
        assert!(world.check(&assertion).await.is_err(), "{changed}");
    }
    let es256 = es256().token(&claims(json!({})));
    assert_eq!(world.check(&es256).await, Err(NOT_SUPPORTED.to_owned()));
    let forged = stranger().signed(&header(es384(), json!({})), &claims(json!({})));
    assert_eq!(world.check(&forged).await, Err("the assertion's signature is wrong".to_owned()));
    for auth in [ClientAuth::Public, ClientAuth::Secret([0; 32])] {
        let assertion = es384().token(&claims(json!({})));
        assert!(world.check_with(&assertion, &client(auth)).await.is_err());
    }
    for text in ["", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
        assert!(world.check(text).await.is_err());
        assert_eq!(Assertions::claimed_client(text), None);
    }
    assert_eq!(world.check(&es384().token(&claims(json!({})))).await, Ok(()), "a forgery does not use up an id");
}

#[tokio::test]
async fn ca_10_row_222_keys_by_url_follow_the_registered_one() {
    let world = World::new();
    let server = Server::start().await;
    server.answers("Cache-Control: no-store\r\n", &jwks(&[es384()]));
    let url = format!("{}/jwks", server.url);
    let client = client(ClientAuth::PrivateKeyJwt(KeySource::Url(url.clone())));
    let with =
        |jku: Value, jti: &str| es384().signed(&header(es384(), json!({ "jku": jku })), &claims(json!({ "jti": jti })));
    assert_eq!(world.check_with(&with(json!(url), "1"), &client).await, Ok(()));
    assert_eq!(world.check_with(&with(json!(null), "2"), &client).await, Ok(()));
    let seen = server.seen();
    assert!(world.check_with(&with(json!(format!("{url}?x")), "3"), &client).await.is_err());
    assert_eq!(server.seen(), seen, "a URL in the assertion is never fetched");

    server.answers("", &jwks(&[rs384()]));
    assert!(world.check_with(&with(json!(null), "4"), &client).await.is_err(), "the key was withdrawn");
    server.answers_raw("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    world.clock.set(NOW + 300);
    let later = es384().token(&claims(json!({ "exp": NOW + 400 })));
    let error = world.assertions.check(&later, &client, &[TOKEN_URL]).await.unwrap_err();
    assert!(matches!(error, AssertionError::Unavailable(_)), "{error}");
}

#[tokio::test]
async fn what_was_used_stays_used_when_the_clock_is_set_forwards_and_back() {
    let world = World::new();
    let Assertions { store, ambient, .. } = &world.assertions;
    let used = es384().token(&claims(json!({})));
    assert_eq!(world.check(&used).await, Ok(()));
    for step in [23 * 3600, -23 * 3600 - 60, 60] {
        world.clock.step(step);
        store.sweep(ambient.now(), ambient.forgettable()).await.unwrap();
        assert!(world.check(&used).await.is_err(), "by {step} seconds");
    }
    world.clock.set(NOW + 3600);
    store.sweep(ambient.now(), ambient.forgettable()).await.unwrap();
    world.clock.step(-3600);
    assert_eq!(world.check(&used).await, Err("the assertion was used before".to_owned()), "it had expired");
    assert_eq!(world.check(&es384().token(&claims(json!({ "jti": "another" })))).await, Ok(()), "and others go on");
}
