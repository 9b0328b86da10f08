use http::StatusCode;
use serde_json::{Value, json};

use crate::auth::register::tests::{CALLBACK, TOKEN, post, public, register, world};
use crate::auth::testing::{World, json as body, service_jwks};

/// Asserts that the metadata is refused with this error, and that nothing is kept.
async fn refused(world: &World, metadata: &Value, error: &str) {
    let answer = register(world, metadata.clone()).await;
    let said = body(&answer);
    assert_eq!((answer.status(), &said["error"]), (StatusCode::BAD_REQUEST, &json!(error)), "{metadata}");
    assert!(world.store.clients.lock().is_empty(), "{metadata}");
}

fn with(name: &str, value: Value) -> Value {
    let mut metadata = public();
    metadata[name] = value;
    metadata
}

#[tokio::test]
async fn row_235_redirect_uris_are_held_to_the_rules_of_the_configuration() {
    let world = world().await;
    let long = format!("https://app.example.org/{}", "x".repeat(3000));
    let many: Vec<String> = (0..21).map(|n| format!("https://app.example.org/{n}")).collect();
    for uris in [
        json!([]),
        json!(null),
        json!(["javascript:alert(1)"]),
        json!(["data:text/html,x"]),
        json!(["http://app.example.org/cb"]),
        json!(["https://app.example.org/cb#x"]),
        json!(["https://user@app.example.org/cb"]),
        json!(["https://*.example.org/cb"]),
        json!(["myapp:/cb"]),
        json!(["/cb"]),
        json!([CALLBACK, "vbscript:x"]),
        json!(["https://app.example.org/\u{202e}"]),
        json!(["file:///etc/passwd"]),
        json!([long]),
        json!(many),
    ] {
        refused(&world, &with("redirect_uris", uris), "invalid_redirect_uri").await;
    }
}

#[tokio::test]
async fn row_235_metadata_that_is_wrong_registers_nothing() {
    let world = world().await;
    let long = "x".repeat(3000);
    for (name, value) in [
        ("redirect_uris", json!("https://app.example.org/cb")),
        ("client_name", json!("Safe\u{202e}live")),
        ("client_name", json!("two\nlines")),
        ("client_name", json!("zero\u{200b}width")),
        ("client_name", json!("x".repeat(81))),
        ("client_name", json!(5)),
        ("token_endpoint_auth_method", json!("tls_client_auth")),
        ("token_endpoint_auth_method", json!("client_secret_jwt")),
        ("token_endpoint_auth_method", json!("private_key_jwt")),
        ("grant_types", json!(["client_credentials"])),
        ("grant_types", json!(["refresh_token"])),
        ("grant_types", json!(["authorization_code", "client_credentials"])),
        ("grant_types", json!(["authorization_code", "implicit"])),
        ("grant_types", json!([])),
        ("response_types", json!(["token"])),
        ("response_types", json!(["code", "code id_token"])),
        ("scope", json!("system/*.rs")),
        ("scope", json!("system/Patient.r user/Patient.cud")),
        ("scope", json!("everything")),
        ("scope", json!("x ".repeat(3000))),
        ("logo_uri", json!("http://app.example.org/logo")),
        ("logo_uri", json!("javascript:alert(1)")),
        ("logo_uri", json!("data:image/png;base64,AAAA")),
        ("client_uri", json!("https://user:x@app.example.org/")),
        ("tos_uri", json!("x")),
        ("policy_uri", json!(format!("https://app.example.org/{long}"))),
        ("contacts", json!(["a\u{2066}b"])),
        ("contacts", json!(vec!["a"; 21])),
        ("software_id", json!(long)),
        ("software_version", json!("1\u{0}")),
    ] {
        refused(&world, &with(name, value), "invalid_client_metadata").await;
    }
}

#[tokio::test]
async fn al_8_row_235_keys_are_public_usable_and_at_a_public_place() {
    let world = world().await;
    let keys: Value = serde_json::from_str(service_jwks()).unwrap();
    let changed = |name: &str, value: Value| {
        let mut keys = keys.clone();
        keys["keys"][0][name] = value;
        keys
    };
    let by_keys = |jwks: Value, jwks_uri: Value| {
        let mut metadata = json!({ "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "private_key_jwt" });
        for (name, value) in [("jwks", jwks), ("jwks_uri", jwks_uri)] {
            metadata[name] = value;
        }
        metadata
    };
    let mut wrong = vec![
        by_keys(keys.clone(), json!("https://app.example.org/jwks")),
        by_keys(changed("d", json!("AAAA")), json!(null)),
        by_keys(changed("kid", json!(null)), json!(null)),
        by_keys(changed("alg", json!("ES256")), json!(null)),
        by_keys(changed("use", json!("enc")), json!(null)),
        by_keys(changed("x", json!("AA")), json!(null)),
        by_keys(json!({ "keys": [] }), json!(null)),
        by_keys(json!("x"), json!(null)),
        by_keys(json!({ "keys": keys["keys"], "x": "y".repeat(17_000) }), json!(null)),
    ];
    for url in [
        "http://app.example.org/jwks",
        "https://127.0.0.1/jwks",
        "https://[::1]/jwks",
        "https://169.254.169.254/latest",
        "https://10.0.0.1/",
        "https://2130706433/",
        "https://[::ffff:10.0.0.1]/",
        "ftp://app.example.org/",
        "file:///etc/passwd",
        "https://user@app.example.org/jwks",
        "https://app.example.org/jwks?x=1",
        "https://app.example.org/jwks#x",
        "jwks",
        "",
    ] {
        wrong.push(by_keys(json!(null), json!(url)));
    }
    for metadata in wrong {
        refused(&world, &metadata, "invalid_client_metadata").await;
    }
}

#[tokio::test]
async fn row_235_a_body_of_two_readings_or_none_is_refused() {
    let world = world().await;
    let token = format!("Bearer {TOKEN}");
    for (body_text, media_type) in [
        ("", "application/json"),
        ("[]", "application/json"),
        ("{", "application/json"),
        ("null", "application/json"),
        (r#"{"redirect_uris":["https://a.example/"],"redirect_uris":["https://b.example/"]}"#, "application/json"),
        ("{}", "text/plain"),
        ("redirect_uris=x", "application/x-www-form-urlencoded"),
    ] {
        let answer = post(&world, body_text, &[("content-type", media_type), ("authorization", &token)]).await;
        let error = body(&answer)["error"].clone();
        assert!(
            answer.status() == StatusCode::BAD_REQUEST && error == "invalid_client_metadata",
            "{body_text}: {error}"
        );
    }
    assert!(world.store.clients.lock().is_empty(), "nothing was kept");
}
