use http::{Request, StatusCode, header};

use super::testing::{BASE, GATE, World, json, text};
use super::*;

const ENDPOINTS: [&str; 12] = [
    "/fhir/.well-known/smart-configuration",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
    "/.well-known/jwks.json",
    "/auth/authorize",
    "/auth/login",
    "/auth/patient",
    "/auth/consent",
    "/auth/token",
    "/auth/introspect",
    "/auth/revoke",
    "/auth/userinfo",
];

#[test]
fn it_owns_what_exists_and_nothing_that_only_looks_like_it() {
    let snapshot = testing::snapshot();
    for path in ENDPOINTS {
        assert!(AuthServer::endpoint(path, &snapshot).is_some(), "{path}");
    }
    for path in [
        "/",
        "/auth",
        "/auth/",
        "/auth/token/",
        "/auth/manage/",
        "/auth/launch/",
        "/auth/launch/start/",
        "/fhir",
        "/fhir/auth/token",
        "/fhir/Patient/.well-known/smart-configuration",
        "/.well-known/smart-configuration",
        "/fhir/.well-known/smart-configuration/",
        "/fhirx/.well-known/smart-configuration",
        "/Auth/token",
    ] {
        assert!(AuthServer::endpoint(path, &snapshot).is_none(), "{path}");
    }
}

#[tokio::test]
async fn every_endpoint_has_its_methods_and_no_others() {
    let world = World::new().await;
    for path in ENDPOINTS {
        let allow = Endpoint::of(path, &world.snapshot).unwrap().allow();
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
            let answer = world.send(Request::builder().method(method).uri(path).body(Bytes::new()).unwrap()).await;
            let allowed = allow.split(", ").any(|known| known == method);
            assert_eq!(answer.status() != StatusCode::METHOD_NOT_ALLOWED, allowed, "{method} {path}");
            if !allowed {
                assert_eq!(answer.headers()[header::ALLOW], allow);
            }
        }
    }
    assert_eq!(world.get("/auth/logout").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(json(&world.get("/auth/logout").await)["error"], "not_found");
}

#[tokio::test]
async fn discovery_says_what_is_there_with_absolute_urls_of_the_configuration() {
    let world = World::new().await;
    let request = Request::get(ENDPOINTS[0])
        .header(header::ACCEPT, "text/html")
        .header(header::HOST, "evil.example")
        .header("x-forwarded-host", "evil.example")
        .header(header::ORIGIN, "https://any.example");
    let answer = world.send(request.body(Bytes::new()).unwrap()).await;
    assert_eq!(answer.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    assert!(!text(&answer).contains("evil"));
    let smart = json(&answer);
    assert_eq!(smart["issuer"], GATE);
    assert_eq!(smart["code_challenge_methods_supported"], serde_json::json!(["S256"]));
    assert_eq!(
        smart["grant_types_supported"],
        serde_json::json!(["authorization_code", "refresh_token", "client_credentials"])
    );
    let capabilities = smart["capabilities"].as_array().unwrap();
    assert!(capabilities.contains(&"permission-v2".into()) && capabilities.contains(&"launch-ehr".into()));
    for name in ["permission-offline", "permission-online"] {
        assert!(capabilities.contains(&name.into()), "{name}");
    }
    for name in ["registration_endpoint", "end_session_endpoint"] {
        assert_eq!(smart.get(name), None, "{name} does not exist");
    }

    for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"] {
        let metadata = json(&world.get(path).await);
        for (name, value) in smart.as_object().unwrap().iter().filter(|(name, _)| *name != "capabilities") {
            assert_eq!(metadata.get(name), Some(value), "both kinds of document agree about {name}");
        }
        assert_eq!(metadata["id_token_signing_alg_values_supported"], serde_json::json!(["RS256"]));
        assert_eq!(metadata["request_uri_parameter_supported"], false);
    }
}

#[tokio::test]
async fn every_published_url_is_served() {
    let world = World::new().await;
    let metadata = json(&world.get("/.well-known/openid-configuration").await);
    assert_eq!(metadata["ui_locales_supported"], serde_json::json!(["en", "de"]));
    let urls =
        metadata.as_object().unwrap().iter().filter(|(name, _)| name.ends_with("_endpoint") || *name == "jwks_uri");
    for (name, url) in urls {
        let path = url.as_str().unwrap().strip_prefix(GATE).unwrap();
        assert!(AuthServer::endpoint(path, &world.snapshot).is_some(), "{name}");
    }
    let keys = json(&world.get("/.well-known/jwks.json").await);
    assert!(keys["keys"].as_array().unwrap().iter().all(|key| key.get("d").is_none() && key.get("kid").is_some()));
    assert_eq!(world.snapshot.fhir.public_base, BASE);
}

#[tokio::test]
async fn browsers_of_registered_origins_may_read_what_is_for_clients() {
    let world = World::new().await;
    let allowed = |answer: &Response<Bytes>| {
        answer.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().unwrap().to_owned())
    };
    let preflight = |path: &str, origin: &str| {
        Request::options(path)
            .header(header::ORIGIN, origin)
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
            .body(Bytes::new())
            .unwrap()
    };
    for path in ["/auth/token", "/auth/introspect", "/auth/revoke", "/auth/userinfo"] {
        let answer = world.send(preflight(path, "https://app.example.org")).await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert_eq!(allowed(&answer).as_deref(), Some("https://app.example.org"), "{path}");
        assert!(answer.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap().contains("Authorization"));
        assert_eq!(answer.headers()[header::VARY], "Origin");
        assert_eq!(allowed(&world.send(preflight(path, "https://evil.example")).await), None);
    }
    for path in ["/auth/authorize", "/auth/login", "/auth/consent"] {
        assert_eq!(allowed(&world.send(preflight(path, "https://app.example.org")).await), None, "{path}");
    }
    let answer = world.send(preflight("/fhir/.well-known/smart-configuration", "https://evil.example")).await;
    assert_eq!(allowed(&answer).as_deref(), Some("*"));

    // Unknown client: its 401 can be read from any registered origin. A known one: from its own only.
    let origin = [("origin", "https://app.example.org")];
    let answer = world.post("/auth/token", &[("grant_type", "x"), ("client_id", "nobody")], &origin).await;
    assert_eq!((answer.status(), allowed(&answer).is_some()), (StatusCode::UNAUTHORIZED, true));
    let authorization = testing::basic("trusted", testing::SECRET);
    let form = [("grant_type", "client_credentials"), ("scope", "system/Patient.rs")];
    let headers = [origin[0], ("authorization", authorization.as_str())];
    let answer = world.post("/auth/token", &form, &headers).await;
    assert_eq!((answer.status(), allowed(&answer)), (StatusCode::OK, None));
    assert_eq!(answer.headers()[header::VARY], "Origin");
    let headers = [("origin", "https://trusted.example.org"), headers[1]];
    let answer = world.post("/auth/token", &form, &headers).await;
    assert_eq!(allowed(&answer).as_deref(), Some("https://trusted.example.org"));
}

#[test]
fn the_hash_of_a_secret_is_its_sha256() {
    assert_eq!(hash_secret("abc"), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
