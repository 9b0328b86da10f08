//! Tokens as Keycloak, Entra ID, Okta and Auth0 make them, under the samples in `conf/providers`: what they open, and what is refused
//! that only looks like one.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::resources::conventional;
use crate::tokens::{NOW, Signature};
use crate::world::World;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Provider {
    token: Vec<Token>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    name: String,
    /// Of the JOSE header; a `typ` that is not here is not there.
    #[serde(default)]
    header: Map<String, Value>,
    /// Without `iat`, `nbf` and `exp`, which go by the clock.
    claims: Map<String, Value>,
    /// Targets and the status of the answer.
    asks: Vec<(String, u16)>,
    #[serde(default)]
    hostile: Vec<Hostile>,
}

/// What is changed in the token, and why it is refused then.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hostile {
    about: String,
    #[serde(default)]
    header: Map<String, Value>,
    #[serde(default)]
    claims: Map<String, Value>,
    #[serde(default)]
    without: Vec<String>,
    detail: String,
}

fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn signed(world: &World, header: &Map<String, Value>, claims: &Map<String, Value>) -> String {
    let mut head = Map::from_iter([("typ".to_owned(), Value::Null)]);
    head.extend(header.clone());
    let times = [("iat", NOW - 10), ("nbf", NOW - 10), ("exp", NOW + 300)];
    let mut all = Map::from_iter(times.map(|(name, at)| (name.to_owned(), Value::from(at))));
    all.extend(claims.clone());
    world.issuer.token(&all, &head, Signature::Good)
}

async fn detail(world: &World) -> Option<String> {
    world.audit().await.last().and_then(|line| line["detail"].as_str()).map(str::to_owned)
}

async fn holds(provider: &str) {
    let sample = text(&format!("conf/providers/{provider}.toml"));
    assert!(sample.contains("discovery = true\n") && sample.contains("[\"RS256\"]\n"), "{provider}: {sample}");
    let here = sample.replace("discovery = true\n", "jwks_file = \"idp.json\"\n").replace("RS256", "ES256");
    let world = World::start("", &format!("[[issuers]]\n{here}")).await;
    world.upstream.hold(conventional());
    let fixture: Provider = toml::from_str(&text(&format!("tests/providers/{provider}.toml"))).unwrap();
    for token in fixture.token {
        let good = signed(&world, &token.header, &token.claims);
        for (target, status) in &token.asks {
            let reply = world.get(&good, target).await;
            assert_eq!(reply.status, *status, "{provider}, {}: {target}: {}", token.name, reply.text());
        }
        for hostile in token.hostile {
            let about = format!("{provider}, {}: {}", token.name, hostile.about);
            let (mut header, mut claims) = (token.header.clone(), token.claims.clone());
            header.extend(hostile.header);
            claims.extend(hostile.claims);
            hostile.without.iter().for_each(|name| assert!(claims.remove(name).is_some(), "{about}: {name}"));
            let reply = world.get(&signed(&world, &header, &claims), &token.asks[0].0).await;
            assert_eq!((reply.status, detail(&world).await), (401, Some(hostile.detail)), "{about}");
        }
    }
}

#[tokio::test]
async fn tokens_of_keycloak() {
    holds("keycloak").await;
}

#[tokio::test]
async fn tokens_of_entra() {
    holds("entra").await;
}

#[tokio::test]
async fn tokens_of_okta() {
    holds("okta").await;
}

#[tokio::test]
async fn tokens_of_auth0() {
    holds("auth0").await;
}
