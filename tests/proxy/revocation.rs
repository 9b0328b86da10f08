//! The gate's own tokens on the FHIR side, and what the audit log says of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Map;

use crate::tokens::{Issuer, Signature};
use crate::wire::{self, Reply};
use crate::world::{BACKEND_SECRET, World, usual_claims};

async fn post(world: &World, path: &str, body: &str) -> Reply {
    let basic = format!("Basic {}", STANDARD.encode(format!("backend:{BACKEND_SECRET}")));
    let headers = [
        ("Authorization".to_owned(), basic),
        ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
    ];
    wire::send(world.address(), "POST", path, &headers, body.as_bytes()).await
}

/// attacks.md 11: a token that was revoked is none, at once.
#[tokio::test]
async fn row_11_and_238_a_revoked_token_is_refused() {
    let world = World::start("", "").await;
    let issued = post(&world, "/auth/token", "grant_type=client_credentials&scope=system%2FObservation.rs").await;
    let issued = issued.json();
    let token = issued["access_token"].as_str().unwrap_or_else(|| panic!("{issued}"));
    assert_eq!(world.get(token, "/fhir/Observation/a1").await.status, 200);
    // Within what the client is registered for, and no further.
    assert_eq!(world.get(token, "/fhir/Patient/A").await.rule().as_deref(), Some("scope-missing"));
    assert_eq!(post(&world, "/auth/revoke", &format!("token={token}")).await.status, 200);
    let refused = world.get(token, "/fhir/Observation/a1").await;
    assert_eq!((refused.status, refused.rule().as_deref()), (401, Some("token-refused")));
    assert!(refused.header("www-authenticate").unwrap().contains("invalid_token"));
}

#[tokio::test]
async fn al_25_row_238_a_token_expires_although_it_was_verified_before() {
    let world = World::start("", "").await;
    let token = world.patient_token("patient/Observation.rs", "A");
    assert_eq!(world.get(&token, "/fhir/Observation/a1").await.status, 200);
    world.advance(299);
    assert_eq!(world.get(&token, "/fhir/Observation/a1").await.status, 200);
    world.advance(1);
    assert_eq!(world.get(&token, "/fhir/Observation/a1").await.status, 401);
}

/// design.md §4: own tokens are checked against the present configuration.
#[tokio::test]
async fn row_236_and_238_a_client_that_is_gone_is_gone_at_once() {
    let world = World::start("", "").await;
    let issued =
        post(&world, "/auth/token", "grant_type=client_credentials&scope=system%2FObservation.rs").await.json();
    let token = issued["access_token"].as_str().unwrap().to_owned();
    assert_eq!(world.get(&token, "/fhir/Observation/a1").await.status, 200);
    world.reload("", "[[clients]]\nid = \"other\"\nkind = \"public\"\nredirect_uris = [\"https://a.example/cb\"]\nscopes = [\"openid\"]\n");
    let refused = world.get(&token, "/fhir/Observation/a1").await;
    assert_eq!((refused.status, refused.rule().as_deref()), (401, Some("client-disabled")));
}

/// attacks.md 10: a new key is known before the old one is gone, and an old one is not known after.
#[tokio::test]
async fn keys_come_and_go() {
    let world = World::start("", "").await;
    let next = Issuer::new("k2");
    let mut claims = usual_claims();
    claims.insert("scope".to_owned(), "patient/Observation.rs".into());
    claims.insert("patient".to_owned(), "A".into());
    let old_token = world.token(&claims);
    let new_token = next.token(&claims, &Map::new(), Signature::Good);
    let statuses = async || {
        let target = "/fhir/Observation/a1";
        (world.get(&old_token, target).await.status, world.get(&new_token, target).await.status)
    };
    assert_eq!(statuses().await, (200, 401));
    world.publish(&[&world.issuer, &next]);
    world.reload("", "");
    assert_eq!(statuses().await, (200, 200));
    world.publish(&[&next]);
    world.reload("", "");
    assert_eq!(statuses().await, (401, 200));
}

#[tokio::test]
async fn the_audit_names_the_rule_and_no_secret() {
    let world = World::start("", "").await;
    let token = world.patient_token("patient/Observation.rs", "A");
    world.get(&token, "/fhir/Observation?code=very-private&patient=B").await;
    world.get(&token, "/fhir/Condition?code=very-private").await;
    world.get(&token, "/fhir/Observation/b1").await;
    world.get(&format!("{token}x"), "/fhir/Observation/a1").await;
    let audit = world.audit().await;
    let rules: Vec<(&str, &str)> = audit
        .iter()
        .map(|line| (line["decision"].as_str().unwrap_or_default(), line["rule"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(
        rules,
        [
            ("permit", "own-patient"),
            ("refuse", "scope-missing"),
            ("refuse", "not-found-or-not-yours"),
            ("refuse", "token-refused"),
        ]
    );
    let text = format!("{audit:?}");
    assert!(!text.contains("very-private") && !text.contains(&token), "{text}");
    assert_eq!(audit[1]["patient"], "A");
    assert_eq!(audit[2]["removed"], 1);
}
