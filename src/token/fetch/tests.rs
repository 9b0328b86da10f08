use futures_util::future::join_all;
use serde_json::json;

use super::*;
use crate::token::testing::{HandClock, NOW, Server, TestKey, ambient, es256, es384, jwks, snapshot_with, stranger};

struct World {
    fetcher: Fetcher,
    clock: Arc<HandClock>,
    server: Server,
}

impl World {
    async fn new() -> Self {
        let (ambient, clock) = ambient();
        Self { fetcher: Fetcher::new(ambient, Metrics::new().unwrap()).unwrap(), clock, server: Server::start().await }
    }

    fn url(&self) -> KeySource {
        KeySource::Url(format!("{}/jwks", self.server.url))
    }

    async fn get(&self, purpose: Purpose, key: &TestKey) -> Result<(), NoKey> {
        let algorithm = if key.id == "es384" { Algorithm::ES384 } else { Algorithm::ES256 };
        self.fetcher.key(&self.url(), purpose, Wanted { id: Some(key.id), algorithm }).await.map(drop)
    }
}

/// Between two fetches, in seconds.
const WAIT: i64 = 10;

const UNKNOWN: Result<(), NoKey> = Err(NoKey::Missing(Miss::Unknown));

fn is_unavailable(result: &Result<(), NoKey>) -> bool {
    matches!(result, Err(NoKey::Unavailable(_)))
}

#[tokio::test]
async fn ca_12_a_set_is_fetched_once_for_all_who_need_it() {
    let world = World::new().await;
    world.server.answers("", &jwks(&[es256()]));
    let found = join_all((0..20).map(|_| world.get(Purpose::Tokens, es256()))).await;
    assert!(found.iter().all(Result::is_ok), "{found:?}");
    assert_eq!(world.server.seen(), 1);
    let request = world.server.requests().remove(0).to_ascii_lowercase();
    assert!(
        request.starts_with("get /jwks http/1.1\r\n") && request.contains("\r\naccept: application/json\r\n"),
        "{request}"
    );
    assert_eq!(world.fetcher.generation(), 1);
}

#[tokio::test]
async fn ca_15_row_223_a_set_lasts_as_long_as_its_server_says() {
    for (headers, lasts) in [
        ("", 300),
        ("Cache-Control: public, max-age=60\r\n", 60),
        ("Cache-Control: public\r\nCache-Control: Max-Age=\"90\"\r\nAge: 30\r\n", 60),
        ("Cache-Control: max-age=600, max-age=20\r\n", 20),
        ("Cache-Control: max-age=1000000\r\n", 24 * 3600),
    ] {
        for purpose in [Purpose::Tokens, Purpose::Assertions] {
            let world = World::new().await;
            world.server.answers(headers, &jwks(&[es256()]));
            world.get(purpose, es256()).await.unwrap();
            world.server.answers(headers, &jwks(&[es384()]));
            world.clock.set(NOW + lasts - 1);
            assert_eq!(world.get(purpose, es256()).await, Ok(()), "{headers}");
            world.clock.set(NOW + lasts);
            assert_eq!(world.get(purpose, es256()).await, UNKNOWN, "{headers}: the key was withdrawn");
            assert_eq!(world.server.seen(), 2, "{headers}");
        }
    }
}

#[tokio::test]
async fn ca_14_row_223_an_issuers_set_is_kept_a_little_and_a_clients_only_if_it_may() {
    for headers in
        ["Cache-Control: no-store\r\n", "Cache-Control: no-cache, max-age=60\r\n", "Cache-Control: max-age=x\r\n"]
    {
        let world = World::new().await;
        world.server.answers(headers, &jwks(&[es256()]));
        world.get(Purpose::Tokens, es256()).await.unwrap();
        world.clock.set(NOW + 9);
        world.get(Purpose::Tokens, es256()).await.unwrap();
        assert_eq!(world.server.seen(), 1, "{headers}");
        world.get(Purpose::Assertions, es256()).await.unwrap();
        world.server.answers(headers, &jwks(&[es384()]));
        assert_eq!(world.get(Purpose::Assertions, es256()).await, UNKNOWN, "{headers}: at once");
    }
}

#[tokio::test]
async fn a_set_that_must_not_be_kept_is_not_fetched_without_end() {
    let world = World::new().await;
    world.server.answers("Cache-Control: no-store\r\n", &jwks(&[es256()]));
    let mut served = 0;
    for _ in 0..50 {
        match world.get(Purpose::Assertions, es256()).await {
            Ok(()) => served += 1,
            other => assert!(is_unavailable(&other), "{other:?}"),
        }
    }
    assert_eq!((served, world.server.seen()), (10, 10));
    world.clock.set(NOW + WAIT);
    world.get(Purpose::Assertions, es256()).await.unwrap();
}

#[tokio::test]
async fn a_rotated_key_is_found_at_once_and_unknown_ones_do_not_flood() {
    let world = World::new().await;
    world.server.answers("", &jwks(&[es256()]));
    world.get(Purpose::Tokens, es256()).await.unwrap();
    world.server.answers("", &jwks(&[es256(), es384()]));
    assert_eq!(world.get(Purpose::Tokens, es384()).await, Ok(()));
    assert_eq!(world.get(Purpose::Tokens, es256()).await, Ok(()));
    assert_eq!((world.server.seen(), world.fetcher.generation()), (2, 2));
    for _ in 0..20 {
        assert_eq!(world.get(Purpose::Tokens, stranger()).await, UNKNOWN);
    }
    assert_eq!(world.server.seen(), 2);
    world.clock.set(NOW + WAIT);
    for _ in 0..20 {
        assert_eq!(world.get(Purpose::Tokens, stranger()).await, UNKNOWN);
    }
    assert_eq!(world.server.seen(), 3);
    assert_eq!(world.fetcher.generation(), 2, "the same keys again change nothing");
}

#[tokio::test]
async fn row_237_a_failure_keeps_an_issuers_stale_set_up_to_its_bound() {
    let world = World::new().await;
    world.server.answers("", &jwks(&[es256()]));
    for purpose in [Purpose::Tokens, Purpose::Assertions] {
        world.get(purpose, es256()).await.unwrap();
    }
    world.server.answers_raw("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    world.clock.set(NOW + 300);
    assert_eq!(world.get(Purpose::Tokens, es256()).await, Ok(()));
    assert!(is_unavailable(&world.get(Purpose::Assertions, es256()).await), "a client's set is never kept longer");
    let seen = world.server.seen();
    assert_eq!(world.get(Purpose::Tokens, es256()).await, Ok(()));
    assert_eq!(world.server.seen(), seen, "a server in trouble is left alone for a while");
    world.clock.set(NOW + 300 + 3600);
    assert!(is_unavailable(&world.get(Purpose::Tokens, es256()).await));
    world.server.answers("", &jwks(&[es256()]));
    assert!(is_unavailable(&world.get(Purpose::Tokens, es256()).await));
    world.clock.set(NOW + 300 + 3600 + WAIT);
    assert_eq!(world.get(Purpose::Tokens, es256()).await, Ok(()));
}

#[tokio::test]
async fn steps_of_the_wall_clock_neither_keep_a_set_nor_keep_it_from_being_fetched() {
    let world = World::new().await;
    world.server.answers_raw("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert!(is_unavailable(&world.get(Purpose::Assertions, es256()).await));
    world.server.answers("", &jwks(&[es256()]));
    world.clock.step(-3600);
    world.clock.set(NOW - 3600 + WAIT);
    assert_eq!(world.get(Purpose::Assertions, es256()).await, Ok(()), "tried again after the usual time");
    world.clock.step(7200);
    assert_eq!(world.get(Purpose::Assertions, es256()).await, Ok(()));
    assert_eq!(world.server.seen(), 2, "it is as old as before");
    world.server.answers("", &jwks(&[es384()]));
    world.clock.step(-7200);
    world.clock.set(world.fetcher.ambient.now() + 300);
    assert_eq!(world.get(Purpose::Assertions, es256()).await, UNKNOWN, "and grows old in the usual time");
}

#[tokio::test]
async fn row_222_what_is_no_key_set_is_unavailable() {
    let large = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(64 * 1024));
    let redirect = "HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    for answer in [
        redirect.to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}".to_owned(),
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{large}"),
        format!("HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: close\r\n\r\n{}", jwks(&[es256()])),
        "HTTP/1.1 404 Not Found\r\nContent-Length: 11\r\nConnection: close\r\n\r\n{\"keys\":[]}".to_owned(),
        "garbage".to_owned(),
        String::new(),
    ] {
        let world = World::new().await;
        world.server.answers_raw(&answer);
        let result = world.get(Purpose::Tokens, es256()).await;
        assert!(is_unavailable(&result), "{answer:.80}: {result:?}");
        assert_eq!(world.server.seen(), 1, "{answer:.80}: no redirect is followed, nothing is tried twice");
    }
}

#[tokio::test]
async fn a_fetch_goes_on_when_who_asked_goes_away() {
    let world = World::new().await;
    world.server.answers("", &jwks(&[es256()]));
    {
        let mut asked = Box::pin(world.get(Purpose::Tokens, es256()));
        assert!(futures_util::poll!(asked.as_mut()).is_pending());
    }
    assert_eq!(world.get(Purpose::Tokens, es256()).await, Ok(()));
    assert_eq!(world.server.seen(), 1);
}

#[tokio::test]
async fn discovery_must_speak_for_the_issuer() {
    let world = World::new().await;
    let issuer = world.server.url.clone();
    let source = KeySource::Discovery(issuer.clone());
    let wanted = Wanted { id: Some("es256"), algorithm: Algorithm::ES256 };
    // The server gives one answer to both requests: a document that is a provider's and a key set at once.
    let document = |of: &str| {
        let keys: serde_json::Value = serde_json::from_str(&jwks(&[es256()])).unwrap();
        json!({ "issuer": of, "jwks_uri": format!("{issuer}/keys"), "keys": keys["keys"] }).to_string()
    };
    for other in ["https://idp.example", &format!("{issuer}/"), ""] {
        world.server.answers("", &document(other));
        assert!(is_unavailable(&world.fetcher.key(&source, Purpose::Tokens, wanted).await.map(drop)), "{other}");
        world.clock.set(world.fetcher.ambient.now() + WAIT);
    }
    world.server.answers("", &document(&issuer));
    assert!(world.fetcher.key(&source, Purpose::Tokens, wanted).await.is_ok());
    let paths: Vec<_> =
        world.server.requests().iter().rev().take(2).map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(paths, ["/keys", "/.well-known/openid-configuration"]);
}

#[tokio::test]
async fn a_configured_set_needs_no_server() {
    let world = World::new().await;
    let wanted = Wanted { id: Some("es256"), algorithm: Algorithm::ES256 };
    let source = |text: &str| KeySource::Inline(text.into());
    let get = |text: String| {
        let source = source(&text);
        let fetcher = &world.fetcher;
        async move { fetcher.key(&source, Purpose::Tokens, wanted).await.map(drop) }
    };
    assert_eq!(get(jwks(&[es256()])).await, Ok(()));
    assert_eq!(get(jwks(&[es256()])).await, Ok(()));
    assert_eq!(get(jwks(&[es384()])).await, UNKNOWN);
    assert!(is_unavailable(&get("{}".to_owned()).await));
}

#[tokio::test]
async fn a_withdrawn_key_is_noticed_without_a_new_token() {
    let world = World::new().await;
    let mut snapshot = snapshot_with("");
    let mut issuer = Arc::into_inner(snapshot.issuers.drain().next().unwrap().1).unwrap();
    issuer.keys = Some(world.url());
    snapshot.issuers.insert(issuer.issuer.clone(), Arc::new(issuer));
    world.server.answers("", &jwks(&[es256()]));
    world.fetcher.refresh(&snapshot).await;
    world.fetcher.refresh(&snapshot).await;
    assert_eq!((world.server.seen(), world.fetcher.generation()), (1, 1));
    world.server.answers("", &jwks(&[es384()]));
    world.clock.set(NOW + 300);
    world.fetcher.refresh(&snapshot).await;
    assert_eq!((world.server.seen(), world.fetcher.generation()), (2, 2));
}

#[tokio::test]
async fn row_222_a_clients_url_is_another_place_than_the_operators() {
    let world = World::new().await;
    world.server.answers("", &jwks(&[es256()]));
    world.get(Purpose::Assertions, es256()).await.unwrap();
    let KeySource::Url(url) = world.url() else { panic!() };
    let wanted = Wanted { id: Some("es256"), algorithm: Algorithm::ES256 };
    for url in [url.clone(), url.replace("http:", "https:"), url.replace("http://127.0.0.1", "https://localhost")] {
        let found = world.fetcher.key(&KeySource::ClientUrl(url.clone()), Purpose::Assertions, wanted).await;
        assert!(is_unavailable(&found.map(drop)), "{url}: what the operator's URL brought is not given out for it");
    }
    assert_eq!(world.server.seen(), 1);
}

#[tokio::test]
async fn row_222_a_server_that_does_not_answer_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::new().await;
    let silent = KeySource::Url(format!("http://{}/jwks", listener.local_addr().unwrap()));
    let wanted = Wanted { id: Some("es256"), algorithm: Algorithm::ES256 };
    let asked = world.fetcher.key(&silent, Purpose::Assertions, wanted);
    let found = tokio::time::timeout(2 * download::TIMEOUT, asked).await.unwrap();
    assert!(is_unavailable(&found.map(drop)));
}

#[tokio::test]
async fn clients_cannot_crowd_out_the_configurations_sets() {
    let world = World::new().await;
    world.server.answers("", &jwks(&[es256()]));
    world.get(Purpose::Assertions, es256()).await.unwrap();
    let wanted = Wanted { id: Some("es256"), algorithm: Algorithm::ES256 };
    for number in 0..2 * MAX_PLACES {
        let url = KeySource::ClientUrl(format!("https://127.0.0.1/{number}"));
        assert!(world.fetcher.key(&url, Purpose::Assertions, wanted).await.is_err());
    }
    world.get(Purpose::Assertions, es256()).await.unwrap();
    assert_eq!(world.server.seen(), 1);
}
