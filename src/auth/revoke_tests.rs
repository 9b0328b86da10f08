use http::StatusCode;
use serde_json::Value;

use crate::auth::testing::{NOW, SECRET, World, basic};
use crate::store::Revoked;

async fn token(world: &World) -> String {
    let launched = world.launch("amy", "openid launch/patient patient/*.rs").await;
    match &launched["access_token"] {
        Value::String(token) => token.clone(),
        other => panic!("{other}"),
    }
}

async fn is_revoked(world: &World, token: &str) -> bool {
    let claims = world.verifier.verify(token, &world.snapshot).await.unwrap();
    world.revocations.is_revoked(&claims)
}

#[tokio::test]
async fn rf_8_row_230_a_revoked_token_is_revoked_at_once_and_for_every_replica() {
    let world = World::new().await;
    let token = token(&world).await;
    assert!(!is_revoked(&world, &token).await);
    let answer = world.post("/auth/revoke", &[("token", &token), ("client_id", "app")], &[]).await;
    assert_eq!((answer.status(), answer.body().len()), (StatusCode::OK, 0));
    assert!(is_revoked(&world, &token).await);
    let revoked = world.store.revoked.lock().clone();
    assert!(matches!(revoked.as_slice(), [(Revoked::Token { .. }, expires)] if *expires == NOW + 600), "{revoked:?}");
    let again = world.post("/auth/revoke", &[("token", &token), ("client_id", "app")], &[]).await;
    assert_eq!(again.status(), StatusCode::OK);
}

#[tokio::test]
async fn rf_8_row_230_other_tokens_are_answered_alike_and_nothing_happens() {
    let world = World::new().await;
    let token = token(&world).await;
    let trusted = basic("trusted", SECRET);
    for (token, authorization) in [(token.as_str(), Some(trusted.as_str())), ("garbage", None), ("a.b.c", None)] {
        let headers: Vec<(&str, &str)> = authorization.map(|value| ("authorization", value)).into_iter().collect();
        let client = if authorization.is_some() { "trusted" } else { "app" };
        let answer = world.post("/auth/revoke", &[("token", token), ("client_id", client)], &headers).await;
        assert_eq!(answer.status(), StatusCode::OK, "{token}");
    }
    assert!(!is_revoked(&world, &token).await);
    assert!(world.store.revoked.lock().is_empty());
}

#[tokio::test]
async fn a_store_that_is_down_revokes_nothing_and_says_so() {
    let world = World::new().await;
    let token = token(&world).await;
    world.store.down.store(true, std::sync::atomic::Ordering::SeqCst);
    let answer = world.post("/auth/revoke", &[("token", &token), ("client_id", "app")], &[]).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(!is_revoked(&world, &token).await, "what other replicas do not learn is not claimed here");
}

#[tokio::test]
async fn who_asks_must_be_a_client() {
    let world = World::new().await;
    let token = token(&world).await;
    for (form, status) in [
        (vec![("token", token.as_str())], 401),
        (vec![("token", token.as_str()), ("client_id", "trusted")], 401),
        (vec![("client_id", "app")], 400),
    ] {
        assert_eq!(world.post("/auth/revoke", &form, &[]).await.status().as_u16(), status, "{form:?}");
    }
}

#[tokio::test]
async fn rf_8_row_230_a_refresh_token_takes_its_grant_and_the_access_tokens_along() {
    for spent in [false, true] {
        let world = World::new().await;
        let launched = world.launch("amy", "launch/patient patient/*.rs offline_access").await;
        let (access, first) = (launched["access_token"].as_str().unwrap(), launched["refresh_token"].as_str().unwrap());
        let form = |token| [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "app")];
        if spent {
            assert_eq!(world.post("/auth/token", &form(first), &[]).await.status(), StatusCode::OK);
        }
        let trusted = basic("trusted", SECRET);
        let answer = world.post("/auth/revoke", &[("token", first)], &[("authorization", &trusted)]).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(!is_revoked(&world, access).await, "not by another client");
        for _ in 0..2 {
            let hinted = [("token", first), ("client_id", "app"), ("token_type_hint", "access_token")];
            let answer = world.post("/auth/revoke", &hinted, &[]).await;
            assert_eq!((answer.status(), answer.body().len()), (StatusCode::OK, 0));
        }
        assert!(is_revoked(&world, access).await);
        assert!(world.store.refresh_tokens().is_empty());
        assert_eq!(world.post("/auth/token", &form(first), &[]).await.status(), StatusCode::BAD_REQUEST);
    }
}
