use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use crate::auth::testing::{BASE, GATE, NOW, SECRET, World, assertion, basic, json as body};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Asks as `service`, which may.
async fn introspect(world: &World, token: &str, id: &str) -> Value {
    let assertion = assertion("service", &format!("{GATE}/auth/introspect"), id);
    let form = [("token", token), ("client_assertion", &assertion), ("client_assertion_type", ASSERTION_TYPE)];
    let answer = world.post("/auth/introspect", &form, &[]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    body(&answer)
}

async fn service_token(world: &World) -> String {
    let assertion = assertion("service", GATE, "for-a-token");
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", "system/*.rs"),
        ("client_assertion", &assertion),
        ("client_assertion_type", ASSERTION_TYPE),
    ];
    let answer: Response<Bytes> = world.post("/auth/token", &form, &[]).await;
    body(&answer)["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn ti_2_ti_4_a_valid_token_is_told_with_its_context() {
    let world = World::new().await;
    let launched = world.launch("amy", "openid fhirUser launch/patient patient/*.read").await;
    world.wait(10);
    let mut active = introspect(&world, launched["access_token"].as_str().unwrap(), "1").await;
    assert!(active.as_object_mut().unwrap().remove("jti").is_some_and(|id| id.is_string()));
    assert_eq!(
        active,
        json!({
            "active": true,
            "scope": "openid fhirUser launch/patient patient/*.read",
            "client_id": "app",
            "token_type": "Bearer",
            "exp": NOW + 600,
            "iat": NOW,
            "iss": GATE,
            "aud": BASE,
            "sub": "amy",
            "username": "amy",
            "fhirUser": format!("{BASE}/Patient/amy"),
            "patient": "amy",
            "need_patient_banner": true,
        })
    );
}

#[tokio::test]
async fn a_service_has_no_username() {
    let world = World::new().await;
    let active = introspect(&world, &service_token(&world).await, "1").await;
    assert_eq!((&active["sub"], &active["scope"]), (&json!("service"), &json!("system/*.rs")));
    assert_eq!((active.get("username"), active.get("patient")), (None, None));
}

#[tokio::test]
async fn rf_9_row_229_of_any_other_token_only_that_it_is_not_active() {
    let mut world = World::new().await;
    let inactive = json!({ "active": false });
    let launched = world.launch("amy", "openid launch/patient patient/*.rs").await;
    let token = launched["access_token"].as_str().unwrap();
    assert_eq!(introspect(&world, token, "1").await["active"], true);
    for (id, other) in [("2", "garbage"), ("3", "a.b.c"), ("4", launched["id_token"].as_str().unwrap())] {
        assert_eq!(introspect(&world, other, id).await, inactive, "{other}");
    }
    world.reload(|snapshot| {
        snapshot.users.remove("amy");
    });
    assert_eq!(introspect(&world, token, "5").await, inactive, "the user is gone");
    world.reload(|snapshot| {
        snapshot.clients.configured.remove("app");
    });
    assert_eq!(introspect(&world, token, "6").await, inactive, "the client is gone");
    world.reload(|_| {});
    assert_eq!(introspect(&world, token, "7").await["active"], true);
    world.post("/auth/revoke", &[("token", token), ("client_id", "app")], &[]).await;
    assert_eq!(introspect(&world, token, "8").await, inactive, "revoked");

    world.reload(|snapshot| snapshot.tokens.access_lifetime = std::time::Duration::from_secs(60));
    let launched = world.launch("amy", "launch/patient patient/*.rs").await;
    world.wait(60);
    assert_eq!(introspect(&world, launched["access_token"].as_str().unwrap(), "9").await, inactive, "expired");
}

#[tokio::test]
async fn rf_9_row_229_only_who_may_and_proves_it_is_answered() {
    let world = World::new().await;
    let token = service_token(&world).await;
    let bearer = format!("Bearer {token}");
    let users = world.launch("amy", "launch/patient patient/*.rs").await;
    let users = format!("Bearer {}", users["access_token"].as_str().unwrap());
    let secret = basic("trusted", SECRET);
    for (form, authorization, status) in [
        (vec![("token", token.as_str())], None, 401),
        (vec![("token", token.as_str()), ("client_id", "app")], None, 401),
        (vec![("token", token.as_str())], Some(secret.as_str()), 403),
        (vec![("token", token.as_str())], Some(users.as_str()), 403),
        (vec![("token", token.as_str())], Some("Bearer garbage"), 401),
        (vec![("token", token.as_str())], Some(bearer.as_str()), 200),
        (vec![], Some(bearer.as_str()), 400),
    ] {
        let headers: Vec<(&str, &str)> = authorization.map(|value| ("authorization", value)).into_iter().collect();
        let answer = world.post("/auth/introspect", &form, &headers).await;
        assert_eq!(answer.status().as_u16(), status, "{form:?} {authorization:?}");
        assert!(status == 200 || body(&answer).get("active").is_none());
    }
}

const OFFLINE: &str = "openid fhirUser launch/patient patient/*.read offline_access";

#[tokio::test]
async fn ti_5_a_client_that_may_shows_an_access_token_instead_of_its_key() {
    let world = World::new().await;
    let bearer = format!("Bearer {}", service_token(&world).await);
    let launched = world.launch("amy", OFFLINE).await;
    for name in ["access_token", "refresh_token"] {
        let form = [("token", launched[name].as_str().unwrap())];
        let answer = body(&world.post("/auth/introspect", &form, &[("authorization", &bearer)]).await);
        assert_eq!((&answer["active"], &answer["client_id"]), (&json!(true), &json!("app")), "{name}");
    }
    let both = [("authorization", bearer.as_str()), ("authorization", bearer.as_str())];
    let answer = world.post("/auth/introspect", &[("token", "x")], &both).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "two headers are no proof");
}

#[tokio::test]
async fn ti_3_a_refresh_token_is_told_as_one_while_it_lives() {
    let mut world = World::new().await;
    let launched = world.launch("amy", OFFLINE).await;
    let token = launched["refresh_token"].as_str().unwrap();
    let expected = json!({
        "active": true,
        "scope": OFFLINE,
        "client_id": "app",
        "token_type": "refresh_token",
        "exp": NOW + 30 * 24 * 3600,
        "iss": GATE,
        "sub": "amy",
        "username": "amy",
        "fhirUser": format!("{BASE}/Patient/amy"),
        "patient": "amy",
        "need_patient_banner": true,
    });
    assert_eq!(introspect(&world, token, "1").await, expected);
    let inactive = json!({ "active": false });
    world.reload(|snapshot| drop(snapshot.users.remove("amy")));
    assert_eq!(introspect(&world, token, "2").await, inactive, "the user is gone");
    world.reload(|_| {});
    let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "app")];
    let next = body(&world.post("/auth/token", &form, &[]).await);
    assert_eq!(introspect(&world, token, "3").await, inactive, "it was exchanged");
    let next = next["refresh_token"].as_str().unwrap();
    assert_eq!(introspect(&world, next, "4").await["active"], true);

    world.reload(|snapshot| snapshot.tokens.refresh_lifetime = std::time::Duration::from_secs(60));
    let launched = world.launch("amy", OFFLINE).await;
    world.wait(60);
    assert_eq!(introspect(&world, launched["refresh_token"].as_str().unwrap(), "5").await, inactive, "expired");
}

#[tokio::test]
async fn a_client_that_may_not_introspect_is_told_of_its_own_refresh_tokens_only() {
    let world = World::new().await;
    let others = world.launch("amy", OFFLINE).await;
    let secret = basic("trusted", SECRET);
    let own = world.launch_trusted().await;
    for (token, status) in [
        (own["refresh_token"].as_str().unwrap(), 200),
        (own["access_token"].as_str().unwrap(), 403),
        (others["refresh_token"].as_str().unwrap(), 403),
        ("x", 403),
    ] {
        let answer = world.post("/auth/introspect", &[("token", token)], &[("authorization", &secret)]).await;
        assert_eq!(answer.status().as_u16(), status);
    }
}
