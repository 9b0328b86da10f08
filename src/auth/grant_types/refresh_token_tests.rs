use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};

use super::digest;
use crate::auth::testing::{BASE, Browser, GATE, NOW, PASSWORD, SECRET, World, basic, json as body, request, set};
use crate::config::{Client, GrantType, PatientChoice};
use crate::store::Revoked;

const SCOPE: &str = "openid fhirUser launch/patient patient/*.read offline_access";
const REFUSED: (StatusCode, &str) = (StatusCode::BAD_REQUEST, "invalid_grant");

fn text<'a>(tokens: &'a Value, name: &str) -> &'a str {
    tokens[name].as_str().unwrap_or_else(|| panic!("`{name}` of {tokens}"))
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

async fn refresh(world: &World, token: &str, more: &[(&str, &str)]) -> (StatusCode, Value) {
    let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
    form.extend(more);
    if more.iter().all(|(name, _)| *name != "client_id") {
        form.push(("client_id", "app"));
    }
    let answer = world.post("/auth/token", &form, &[]).await;
    (answer.status(), body(&answer))
}

async fn refreshed(world: &World, token: &str) -> Value {
    let (status, tokens) = refresh(world, token, &[]).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    tokens
}

async fn is_refused(world: &World, token: &str) {
    let (status, tokens) = refresh(world, token, &[]).await;
    assert_eq!((status, text(&tokens, "error")), REFUSED);
}

async fn is_revoked(world: &World, access_token: &str) -> bool {
    let claims = world.verifier.verify(access_token, &world.snapshot).await.unwrap();
    world.revocations.is_revoked(&claims)
}

#[tokio::test]
async fn al_36_a_refresh_answers_as_the_code_did() {
    let world = World::new().await;
    let first = world.launch("amy", SCOPE).await;
    assert_eq!(text(&first, "scope"), SCOPE);
    assert_eq!(URL_SAFE_NO_PAD.decode(text(&first, "refresh_token")).unwrap().len(), 32, "256 bits, opaque");
    world.wait(500);
    let second = refreshed(&world, text(&first, "refresh_token")).await;
    for name in ["token_type", "expires_in", "scope", "patient", "need_patient_banner"] {
        assert_eq!(second[name], first[name], "{name}");
    }
    let (old, new) = (claims(text(&first, "access_token")), claims(text(&second, "access_token")));
    for name in ["iss", "aud", "sub", "client_id", "scope", "patient", "fhirUser", "grant"] {
        assert_eq!(new[name], old[name], "{name}");
    }
    assert_ne!(new["jti"], old["jti"]);
    assert_eq!(new["exp"], NOW + 1100);
    // OpenID Connect Core §12.2: when the person logged in does not change, and there is no nonce.
    let expected = json!({
        "iss": GATE, "sub": "amy", "aud": "app", "iat": NOW + 500, "exp": NOW + 1100, "auth_time": NOW,
        "fhirUser": format!("{BASE}/Patient/amy"),
    });
    assert_eq!(claims(text(&second, "id_token")), expected);
}

#[tokio::test]
async fn al_37_without_a_scope_for_it_there_is_no_refresh_token() {
    let world = World::new().await;
    let tokens = world.launch("amy", "openid launch/patient patient/*.rs").await;
    assert_eq!(tokens.get("refresh_token"), None);
    assert!(world.store.refresh_tokens().is_empty());
}

#[tokio::test]
async fn al_37_online_access_ends_with_the_session_and_offline_access_with_disuse() {
    let session = NOW + 8 * 3600;
    let world = World::new().await;
    let mut online = world.launch("amy", "launch/patient patient/*.rs online_access").await;
    let mut offline = world.launch("amy", "launch/patient patient/*.rs offline_access online_access").await;
    for _ in 0..3 {
        world.wait(2 * 3600);
        online = refreshed(&world, text(&online, "refresh_token")).await;
    }
    world.wait(session - (NOW + 6 * 3600) - 1);
    online = refreshed(&world, text(&online, "refresh_token")).await;
    world.wait(1);
    is_refused(&world, text(&online, "refresh_token")).await;

    let month = 30 * 24 * 3600;
    for _ in 0..3 {
        world.wait(month - 8 * 3600 - 1);
        offline = refreshed(&world, text(&offline, "refresh_token")).await;
    }
    world.wait(month);
    is_refused(&world, text(&offline, "refresh_token")).await;
}

#[tokio::test]
async fn al_37_a_shorter_session_holds_for_tokens_that_are_there() {
    let mut world = World::new().await;
    let online = world.launch("amy", "launch/patient patient/*.rs online_access").await;
    world.reload(|snapshot| snapshot.tokens.session_lifetime = Duration::from_secs(60));
    world.wait(60);
    is_refused(&world, text(&online, "refresh_token")).await;
}

#[tokio::test]
async fn rf_10_each_use_gives_another_token_and_the_store_has_digests_only() {
    let world = World::new().await;
    let mut tokens = world.launch("amy", SCOPE).await;
    let mut seen = HashSet::new();
    for _ in 0..5 {
        assert!(seen.insert(text(&tokens, "refresh_token").to_owned()));
        tokens = refreshed(&world, text(&tokens, "refresh_token")).await;
    }
    let live: Vec<_> = world.store.refresh_tokens().into_iter().filter(|(_, live)| *live).collect();
    assert_eq!(live, [(digest(text(&tokens, "refresh_token")), true)]);
}

#[tokio::test]
async fn a_client_that_did_not_get_the_answer_gets_the_same_token_again() {
    let world = World::new().await;
    let first = world.launch("amy", SCOPE).await;
    let token = text(&first, "refresh_token");
    let second = refreshed(&world, token).await;
    world.wait(29);
    let again = refreshed(&world, token).await;
    assert_eq!(again["refresh_token"], second["refresh_token"]);
    assert_ne!(again["access_token"], second["access_token"]);
    refreshed(&world, text(&second, "refresh_token")).await;
}

#[tokio::test]
async fn bp_2_row_221_a_token_used_twice_ends_the_grant_and_its_access_tokens() {
    for uses_successor in [false, true] {
        let world = World::new().await;
        let other = world.launch("amy", SCOPE).await;
        let first = world.launch("amy", SCOPE).await;
        let second = refreshed(&world, text(&first, "refresh_token")).await;
        let mut access = vec![text(&first, "access_token").to_owned(), text(&second, "access_token").to_owned()];
        let mut last = second.clone();
        if uses_successor {
            last = refreshed(&world, text(&second, "refresh_token")).await;
            access.push(text(&last, "access_token").to_owned());
        } else {
            world.wait(30);
        }
        is_refused(&world, text(&first, "refresh_token")).await;
        for token in &access {
            assert!(is_revoked(&world, token).await);
        }
        is_refused(&world, text(&last, "refresh_token")).await;
        assert!(!is_revoked(&world, text(&other, "access_token")).await, "another grant goes on");
        refreshed(&world, text(&other, "refresh_token")).await;

        let grant = claims(text(&first, "access_token"))["grant"].as_str().unwrap().to_owned();
        let revoked = world.store.revoked.lock().clone();
        assert!(matches!(revoked.as_slice(), [(Revoked::Grant(id), until)] if *id == grant && *until >= NOW + 630));
        let lines = world.audited().await;
        let ended = lines.iter().find(|line| line["event"] == "revoke").unwrap();
        assert_eq!((&ended["client"], &ended["subject"]), (&json!("app"), &json!("amy")));
        assert!(ended["detail"].as_str().unwrap().contains("used twice"));
        let audit = lines.iter().map(Value::to_string).collect::<String>();
        assert!(!audit.contains(text(&first, "refresh_token")), "no token is written down");
    }
}

#[tokio::test]
async fn rf_1_a_code_shown_twice_takes_the_refresh_token_too() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    let mut asked = request();
    set(&mut asked, "scope", SCOPE);
    browser.open(&asked).await;
    browser.log_in("amy", PASSWORD).await;
    browser.submit(&[("do", "allow"), ("patient", "amy")]).await;
    let code = browser.landed()["code"].clone();
    let tokens = body(&world.redeem(&code).await);
    assert_eq!(world.redeem(&code).await.status(), StatusCode::BAD_REQUEST);
    is_refused(&world, text(&tokens, "refresh_token")).await;
    assert!(is_revoked(&world, text(&tokens, "access_token")).await);
}

#[tokio::test]
async fn al_34_row_221_a_refresh_token_is_its_clients_own() {
    let world = World::new().await;
    let tokens = world.launch("amy", SCOPE).await;
    let token = text(&tokens, "refresh_token");
    let authorization = basic("trusted", SECRET);
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    let answer = world.post("/auth/token", &form, &[("authorization", &authorization)]).await;
    assert_eq!((answer.status(), text(&body(&answer), "error")), REFUSED);
    let (status, _) = refresh(&world, token, &[("client_id", "trusted")]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "al_38: a client with a secret must show it");
    let service = refresh(&world, token, &[("client_id", "nobody")]).await;
    assert_eq!(service.0, StatusCode::UNAUTHORIZED);
    refreshed(&world, token).await;
}

#[tokio::test]
async fn al_38_a_confidential_client_authenticates_and_its_tokens_rotate_too() {
    let world = World::new().await;
    let tokens = world.launch_trusted().await;
    let authorization = basic("trusted", SECRET);
    let headers = [("authorization", authorization.as_str())];
    let token = text(&tokens, "refresh_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    assert_eq!(refresh(&world, token, &[("client_id", "trusted")]).await.0, StatusCode::UNAUTHORIZED);
    let next = body(&world.post("/auth/token", &form, &headers).await);
    assert_ne!(text(&next, "refresh_token"), token);
}

#[tokio::test]
async fn al_35_row_221_a_narrower_scope_is_for_this_access_token_only_and_a_wider_one_is_refused() {
    let world = World::new().await;
    let tokens = world.launch("amy", SCOPE).await;
    let token = text(&tokens, "refresh_token");
    for wider in ["patient/*.cruds", "user/*.rs", "openid online_access", "system/*.rs", &"patient/*.read ".repeat(400)]
    {
        let (status, answer) = refresh(&world, token, &[("scope", wider)]).await;
        assert_eq!((status, text(&answer, "error")), (StatusCode::BAD_REQUEST, "invalid_scope"), "{wider}");
    }
    let (status, narrow) = refresh(&world, token, &[("scope", "patient/Observation.read")]).await;
    assert_eq!(
        (status, text(&narrow, "scope")),
        (StatusCode::OK, "patient/Observation.read"),
        "nothing was spent before"
    );
    assert_eq!((narrow.get("id_token"), text(&narrow, "patient")), (None, "amy"));
    let whole = refreshed(&world, text(&narrow, "refresh_token")).await;
    assert_eq!(text(&whole, "scope"), SCOPE);
}

#[tokio::test]
async fn row_221_who_is_gone_or_may_no_longer_gets_nothing() {
    let mut world = World::new().await;
    let tokens = world.launch("amy", SCOPE).await;
    let token = text(&tokens, "refresh_token");
    world.reload(|snapshot| drop(snapshot.users.remove("amy")));
    is_refused(&world, token).await;
    world.reload(|snapshot| {
        let user = Arc::get_mut(snapshot.users.get_mut("amy").unwrap()).unwrap();
        user.enabled = false;
    });
    is_refused(&world, token).await;
    let change = |world: &mut World, change: fn(&mut Client)| {
        world.reload(|snapshot| {
            change(Arc::get_mut(snapshot.clients.configured.get_mut("app").unwrap()).unwrap());
        });
    };
    change(&mut world, |client| client.enabled = false);
    assert_eq!(refresh(&world, token, &[]).await.0, StatusCode::UNAUTHORIZED);
    change(&mut world, |client| client.grant_types.retain(|grant| *grant != GrantType::RefreshToken));
    assert_eq!(text(&refresh(&world, token, &[]).await.1, "error"), "unauthorized_client");
    change(&mut world, |client| client.scopes.other.retain(|scope| scope != "offline_access"));
    is_refused(&world, token).await;
    change(&mut world, |client| client.scopes.other.retain(|scope| scope != "openid"));
    let less = refreshed(&world, token).await;
    assert_eq!(text(&less, "scope"), "launch/patient patient/*.read offline_access", "cut to what is registered now");
}

#[tokio::test]
async fn a_store_that_is_down_spends_nothing() {
    let world = World::new().await;
    let tokens = world.launch("amy", SCOPE).await;
    world.store.down.store(true, Ordering::SeqCst);
    assert_eq!(refresh(&world, text(&tokens, "refresh_token"), &[]).await.0, StatusCode::SERVICE_UNAVAILABLE);
    world.store.down.store(false, Ordering::SeqCst);
    refreshed(&world, text(&tokens, "refresh_token")).await;
}

#[tokio::test]
async fn what_is_no_refresh_token_is_refused() {
    let world = World::new().await;
    let tokens = world.launch("amy", SCOPE).await;
    for other in ["x", text(&tokens, "access_token"), text(&tokens, "id_token"), &"x".repeat(10_000)] {
        is_refused(&world, other).await;
    }
}

#[tokio::test]
async fn access_to_a_patient_ends_where_the_person_may_not_choose_them_any_more() {
    let mut world = World::new().await;
    let code = async |world: &World| {
        let mut browser = Browser::new(world);
        let mut asked = request();
        set(&mut asked, "scope", SCOPE);
        browser.open(&asked).await;
        browser.log_in("mum", PASSWORD).await;
        browser.submit(&[("do", "choose"), ("patient", "kid1")]).await;
        browser.submit(&[("do", "allow"), ("patient", "kid1")]).await;
        browser.landed()["code"].clone()
    };
    let tokens = body(&world.redeem(&code(&world).await).await);
    let unspent = code(&world).await;
    world.reload(|snapshot| {
        let mum = snapshot.users.get_mut("mum").and_then(Arc::get_mut).unwrap();
        mum.patients = PatientChoice::These(vec!["kid2".to_owned()]);
    });
    is_refused(&world, text(&tokens, "refresh_token")).await;
    assert_eq!(world.redeem(&unspent).await.status(), StatusCode::BAD_REQUEST);
    world.reload(|_| {});
    assert_eq!(text(&refreshed(&world, text(&tokens, "refresh_token")).await, "patient"), "kid1");
}
