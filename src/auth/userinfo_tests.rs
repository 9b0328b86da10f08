use http::header;
use serde_json::json;

use crate::auth::testing::{BASE, World, json as body};

async fn ask(world: &World, method: &str, authorization: &[&str]) -> (u16, serde_json::Value, String) {
    let mut request = http::Request::builder().method(method).uri("/auth/userinfo");
    for value in authorization {
        request = request.header(header::AUTHORIZATION, *value);
    }
    let answer = world.send(request.body(bytes::Bytes::new()).unwrap()).await;
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    let challenge = answer.headers().get(header::WWW_AUTHENTICATE).map(|value| value.to_str().unwrap().to_owned());
    (answer.status().as_u16(), body(&answer), challenge.unwrap_or_default())
}

async fn bearer(world: &World, scope: &str) -> String {
    format!("Bearer {}", world.launch("amy", scope).await["access_token"].as_str().unwrap())
}

#[tokio::test]
async fn sc_37_the_person_is_told_as_far_as_the_scopes_go() {
    let world = World::new().await;
    let whole = bearer(&world, "openid fhirUser launch/patient").await;
    let expected = json!({ "sub": "amy", "fhirUser": format!("{BASE}/Patient/amy") });
    for method in ["GET", "POST"] {
        assert_eq!(ask(&world, method, &[&whole]).await, (200, expected.clone(), String::new()), "{method}");
    }
    let less = bearer(&world, "openid launch/patient").await;
    assert_eq!(ask(&world, "GET", &[&less]).await.1, json!({ "sub": "amy" }));
}

#[tokio::test]
async fn sc_37_without_a_valid_token_that_has_openid_nothing_is_told() {
    let world = World::new().await;
    let (status, _, challenge) = ask(&world, "GET", &[]).await;
    assert_eq!((status, challenge.as_str()), (401, "Bearer realm=\"smartgate\""), "RFC 6750 §3.1: no error");
    let without = bearer(&world, "launch/patient patient/*.rs").await;
    let (status, _, challenge) = ask(&world, "GET", &[&without]).await;
    assert_eq!(status, 403);
    assert!(challenge.contains("insufficient_scope"), "{challenge}");
    let right = bearer(&world, "openid launch/patient").await;
    assert_eq!(ask(&world, "GET", &[&right, &right]).await.0, 401, "two headers are none");
    let launched = world.launch("amy", "openid launch/patient offline_access").await;
    let others = ["id_token", "refresh_token"].map(|name| format!("Bearer {}", launched[name].as_str().unwrap()));
    for wrong in others.iter().map(String::as_str).chain(["Bearer x"]) {
        let (status, answer, challenge) = ask(&world, "GET", &[wrong]).await;
        assert_eq!((status, answer.get("sub")), (401, None));
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    }
}

#[tokio::test]
async fn sc_37_a_token_that_is_revoked_or_whose_user_or_client_is_gone_tells_nothing() {
    let mut world = World::new().await;
    let right = bearer(&world, "openid launch/patient").await;
    world.reload(|snapshot| drop(snapshot.users.remove("amy")));
    assert_eq!(ask(&world, "GET", &[&right]).await.0, 401);
    world.reload(|snapshot| drop(snapshot.clients.configured.remove("app")));
    assert_eq!(ask(&world, "GET", &[&right]).await.0, 401);
    world.reload(|_| {});
    assert_eq!(ask(&world, "GET", &[&right]).await.0, 200);
    let form = [("token", right.trim_start_matches("Bearer ")), ("client_id", "app")];
    world.post("/auth/revoke", &form, &[]).await;
    assert_eq!(ask(&world, "GET", &[&right]).await.0, 401);
}
