use std::collections::HashMap;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::*;
use crate::config::Snapshot;
use crate::token::testing::{
    AUDIENCE, HandClock, ISSUER, NOW, Server, ambient, es256, gate_keys, snapshot_with, stranger,
};
use crate::token::{Claims, Fetcher, Verifier};

struct World {
    verifier: Verifier,
    metrics: Metrics,
    clock: Arc<HandClock>,
    server: Server,
    snapshot: Snapshot,
}

/// A right answer with a few members changed; `null` takes one away.
fn told(changed: Value) -> String {
    let mut answer = json!({
        "active": true, "iss": ISSUER, "aud": AUDIENCE, "sub": "amy", "exp": NOW + 600, "iat": NOW, "client_id": "app",
        "scope": "patient/*.rs", "token_type": "Bearer", "patient": "A", "fhirUser": "Patient/A"
    });
    for (name, value) in changed.as_object().unwrap() {
        answer[name] = value.clone();
    }
    answer.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    answer.to_string()
}

impl World {
    /// A gate that asks a server, which says that every token is good; `more` is for `introspection`.
    async fn new(more: &str) -> Self {
        Self::with(more, "client_id = \"gate\", client_secret = \"file:secret\"").await
    }

    async fn with(more: &str, who: &str) -> Self {
        let server = Server::start().await;
        let url = format!("url = \"{}/introspect\"", server.url);
        server.answers("", &told(json!({})));
        let snapshot = snapshot_with(&format!("token_type = \"jwt\"\nintrospection = {{ {url}, {who}{more} }}"));
        let ((ambient, clock), metrics) = (ambient(), Metrics::new().unwrap());
        let fetcher = Arc::new(Fetcher::new(ambient.clone(), metrics.clone()).unwrap());
        let verifier = Verifier { keys: gate_keys(&ambient), fetcher, ambient };
        Self { verifier, metrics, clock, server, snapshot }
    }

    async fn verify(&self, token: &str) -> Result<Claims, &'static str> {
        self.verifier.verify(token, &self.snapshot).await.map_err(|error| error.rule())
    }

    /// What becomes of a token of which the issuer says this.
    async fn rule(&self, token: &str, changed: Value) -> Option<&'static str> {
        self.server.answers("", &told(changed));
        self.verify(token).await.err()
    }

    fn counted(&self, outcome: &str) -> u64 {
        let (text, label) = (self.metrics.render(), format!("issuer_introspections_total{{outcome=\"{outcome}\"}} "));
        text.split_once(&label).and_then(|(_, rest)| rest.lines().next()?.parse().ok()).unwrap()
    }
}

#[tokio::test]
async fn an_opaque_token_is_what_its_issuer_says() {
    let world = World::new("").await;
    let expected = Claims {
        issuer: ISSUER.into(),
        own: false,
        subject: "amy".into(),
        client: Some("app".into()),
        scope: vec!["patient/*.rs".to_owned()],
        patient: Some("A".into()),
        encounter: None,
        fhir_user: Some("Patient/A".into()),
        expires: NOW + 30,
        token_id: None,
        grant: None,
    };
    assert_eq!(world.verify("opaque~1").await, Ok(expected));
    let request = world.server.requests().remove(0);
    assert!(request.starts_with("POST /introspect HTTP/1.1\r\n"), "{request}");
    // base64("gate:a+b%2Bc")
    assert!(request.contains("uthorization: Basic Z2F0ZTphK2IlMkJj\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\ntoken=opaque%7E1&token_type_hint=access_token"), "{request}");
    assert_eq!(world.counted("active"), 1);
}

#[tokio::test]
async fn an_answer_is_for_all_who_need_it_and_holds_as_long_as_configured() {
    let world = World::new(", cache = \"20s\"").await;
    let all = join_all((0..20).map(|_| world.verify("opaque"))).await;
    assert!(all.iter().all(|one| one.as_ref().is_ok_and(|claims| claims.expires == NOW + 20)), "{all:?}");
    world.clock.set(NOW + 19);
    assert_eq!(world.verify("opaque").await.unwrap().expires, NOW + 20);
    assert_eq!(world.server.seen(), 1);
    assert!(world.verify("another").await.is_ok());
    world.clock.set(NOW + 20);
    assert_eq!(world.verify("opaque").await.unwrap().expires, NOW + 40);
    assert_eq!(world.server.seen(), 3);
}

#[tokio::test]
async fn no_answer_outlives_its_token_or_is_used_when_it_is_stale() {
    let world = World::new("").await;
    world.server.answers("", &told(json!({ "exp": NOW + 10 })));
    assert_eq!(world.verify("short").await.unwrap().expires, NOW + 10);
    world.server.answers("", &told(json!({})));
    assert!(world.verify("long").await.is_ok());
    world.server.answers_raw("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    world.clock.set(NOW + 29);
    assert_eq!(world.verify("short").await, Err("token-expired"));
    assert!(world.verify("long").await.is_ok());
    assert_eq!(world.server.seen(), 2, "that a token has expired need not be asked");
    world.clock.set(NOW + 30);
    assert_eq!(world.verify("long").await, Err("token-unchecked"));
    world.server.answers("", &told(json!({})));
    assert!(world.verify("long").await.is_ok(), "a failure is not kept");
}

#[tokio::test]
async fn without_a_cache_each_request_asks() {
    let world = World::new(", cache = \"0s\"").await;
    for asked in 1..4 {
        assert_eq!(world.verify("opaque").await.unwrap().expires, NOW);
        assert_eq!(world.server.seen(), asked);
    }
}

#[tokio::test]
async fn a_revoked_token_ends_with_the_cache_and_unknown_ones_are_kept_briefly() {
    let world = World::new("").await;
    assert!(world.verify("opaque").await.is_ok());
    world.server.answers("", "{\"active\": false}");
    world.clock.set(NOW + 30);
    assert_eq!(world.verify("opaque").await, Err("token-inactive"));
    world.server.answers("", &told(json!({})));
    world.clock.set(NOW + 34);
    assert_eq!(world.verify("opaque").await, Err("token-inactive"));
    assert_eq!((world.server.seen(), world.counted("inactive")), (2, 1));
    world.clock.set(NOW + 35);
    assert!(world.verify("opaque").await.is_ok());
}

#[tokio::test]
async fn no_answer_is_kept_longer_because_the_clock_was_set_back() {
    let world = World::new("").await;
    assert_eq!(world.rule("good", json!({ "iat": null })).await, None);
    world.server.answers("", "{\"active\": false}");
    assert_eq!(world.verify("unknown").await, Err("token-inactive"));
    world.clock.step(-3600);
    assert_eq!(world.verify("good").await.unwrap().expires, NOW - 3600 + 30);
    world.clock.set(NOW - 3600 + 30);
    assert_eq!(world.verify("good").await, Err("token-inactive"));
    assert_eq!(world.rule("unknown", json!({ "iat": null })).await, None);
}

#[tokio::test]
async fn a_flood_of_random_tokens_is_none_at_the_issuer() {
    let world = World::new(", rate = 5, cache = \"1s\"").await;
    assert!(world.verify("good").await.is_ok());
    world.server.answers("", "{\"active\": false}");
    world.clock.set(NOW + 1);
    let found = join_all((0..2000).map(|number| {
        let world = &world;
        async move { world.verify(&format!("random{number}")).await.unwrap_err() }
    }))
    .await;
    let count = |rule: &str| found.iter().filter(|found| **found == rule).count();
    assert_eq!((count("token-inactive"), count("token-unchecked")), (5, 1995));
    assert_eq!((world.server.seen(), world.counted("shed")), (6, 1995));
    world.server.answers("", &told(json!({})));
    assert!(world.verify("good").await.is_ok(), "a token that was good is asked about all the same");
    assert_eq!(world.verify("new").await, Err("token-unchecked"));
    world.clock.set(NOW + 2);
    assert!(world.verify("new").await.is_ok());
}

#[tokio::test]
async fn what_is_no_answer_is_unavailable_and_not_kept() {
    let large = format!("{{\"active\":true,\"x\":\"{}\"}}", "x".repeat(64 * 1024));
    let answer = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    };
    let world = World::new("").await;
    let wrong = [
        answer("401 Unauthorized", "{\"error\":\"invalid_client\"}"),
        answer("302 Found\r\nLocation: /other", ""),
        answer("503 Service Unavailable", &told(json!({}))),
        answer("200 OK", &large),
        answer("200 OK", "{\"active\":\"true\"}"),
        answer("200 OK", "{\"active\":true,\"active\":false}"),
        answer("200 OK", "{}"),
        answer("200 OK", "[]"),
        answer("200 OK", "eyJhbGciOiJSUzI1NiJ9.e30.AAAA"),
        "garbage".to_owned(),
        String::new(),
    ];
    for (number, answer) in wrong.iter().enumerate() {
        world.server.answers_raw(answer);
        assert_eq!(world.verify("opaque").await, Err("token-unchecked"), "{answer:.80}");
        assert_eq!(world.server.seen(), number + 1, "{answer:.80}");
    }
    assert_eq!(world.counted("failed"), wrong.len() as u64);
    world.server.answers("", &told(json!({})));
    assert!(world.verify("opaque").await.is_ok());
}

#[tokio::test]
async fn an_issuer_that_is_silent_or_down_is_given_up() {
    let mut world = World::new("").await;
    let mut listener = Some(tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap());
    let url = format!("http://{}/introspect", listener.as_ref().unwrap().local_addr().unwrap());
    let issuer = world.snapshot.issuers.get_mut(ISSUER).unwrap();
    Arc::get_mut(issuer).unwrap().introspection.as_mut().unwrap().url = Some(url);
    for down in ["silent", "closed"] {
        assert_eq!(timeout(2 * TIMEOUT, world.verify(down)).await.unwrap(), Err("token-unchecked"), "{down}");
        listener.take();
    }
}

#[tokio::test]
async fn what_is_told_is_checked_like_claims() {
    let world = World::new("").await;
    for (number, (changed, expected)) in [
        (json!({ "iss": null }), None),
        (json!({ "iss": "https://other.example" }), Some("token-issuer")),
        (json!({ "aud": null }), Some("token-audience")),
        (json!({ "aud": ["https://other/fhir"] }), Some("token-audience")),
        (json!({ "aud": 5 }), Some("token-malformed")),
        (json!({ "exp": null }), Some("token-expiry")),
        (json!({ "exp": NOW }), Some("token-expired")),
        (json!({ "exp": "1900000000" }), Some("token-malformed")),
        (json!({ "nbf": NOW + 31 }), Some("token-not-yet-valid")),
        (json!({ "token_type": null }), None),
        (json!({ "token_type": "bearer" }), None),
        (json!({ "token_type": "DPoP" }), Some("token-type")),
        (json!({ "token_type": "refresh_token" }), Some("token-type")),
        (json!({ "token_use": "access_token" }), None),
        (json!({ "token_use": "refresh_token" }), Some("token-type")),
        (json!({ "typ": "Refresh" }), Some("token-type")),
        (json!({ "nonce": "n" }), Some("token-type")),
        (json!({ "cnf": {} }), Some("token-bound")),
        (json!({ "sub": "" }), Some("token-subject")),
        (json!({ "sub": null, "client_id": null }), Some("token-subject")),
        (json!({ "scope": ["patient/*.rs"] }), Some("token-scope")),
        (json!({ "patient": "A,B" }), Some("token-patient")),
        (json!({ "fhirUser": 5 }), Some("token-fhir-user")),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(world.rule(&format!("opaque{number}"), changed.clone()).await, expected, "{changed}");
    }
    world.server.answers("", &told(json!({ "sub": null, "scope": null })));
    let service = world.verify("service").await.unwrap();
    assert_eq!((service.subject.as_str(), service.scope.len()), ("app", 0), "nobody's token is the client's own");
}

#[tokio::test]
async fn a_token_is_shown_to_nobody_whom_it_does_not_concern() {
    let mut world = World::new("").await;
    let jwt = |key: &crate::token::testing::TestKey, issuer: &str| {
        let claims = json!({ "iss": issuer, "aud": AUDIENCE, "sub": "a", "exp": NOW + 60, "client_id": "app" });
        key.token(&claims)
    };
    let header = es256().token(&json!({})).split('.').next().unwrap().to_owned();
    for (token, expected) in [
        (jwt(es256(), ISSUER), None),
        (jwt(stranger(), ISSUER), Some("token-key")),
        (jwt(es256(), "https://elsewhere.example"), Some("token-issuer")),
        (jwt(es256(), "https://gate.example.org"), Some("token-type")),
        (es256().token(&json!({ "sub": "a" })), Some("token-issuer")),
        (format!("{header}.e30x.AAAA"), Some("token-malformed")),
        (es256().signed(&json!({ "alg": "none" }), &json!({ "iss": ISSUER })), Some("token-algorithm")),
        (es256().signed(&json!({ "alg": "ES256", "crit": [] }), &json!({ "iss": ISSUER })), Some("token-critical")),
    ] {
        assert_eq!(world.verify(&token).await.err(), expected, "{token}");
    }
    let own = |token: &str| world.verifier.verify_own(token, &world.snapshot).map_err(|error| error.rule());
    assert_eq!(own("opaque"), Err("token-malformed"));
    assert_eq!(own(&jwt(es256(), ISSUER)), Err("token-issuer"));
    assert_eq!(world.server.seen(), 0);
    // An issuer without keys is asked about its JWTs, too.
    let issuer = world.snapshot.issuers.get_mut(ISSUER).unwrap();
    Arc::get_mut(issuer).unwrap().keys = None;
    assert!(world.verify(&jwt(stranger(), ISSUER)).await.is_ok());
    assert_eq!(world.verify(&jwt(es256(), "https://elsewhere.example")).await, Err("token-issuer"));
    assert_eq!(world.server.seen(), 1);
    world.snapshot.issuers.clear();
    assert_eq!(world.verify("opaque").await, Err("token-malformed"));
}

#[tokio::test]
async fn of_several_issuers_the_prefix_says_which() {
    let (mut world, other) = (World::new("").await, World::new(", prefix = \"b_\"").await);
    let mut of_b = Arc::into_inner(other.snapshot.issuers.into_values().next().unwrap()).unwrap();
    of_b.issuer = "https://b.example".to_owned();
    world.snapshot.issuers.insert(of_b.issuer.clone(), Arc::new(of_b));
    other.server.answers("", &told(json!({ "iss": "https://b.example" })));
    assert_eq!(&*world.verify("b_1").await.unwrap().issuer, "https://b.example");
    assert_eq!(&*world.verify("a_1").await.unwrap().issuer, ISSUER);
    assert_eq!((world.server.seen(), other.server.seen()), (1, 1));
    world.snapshot.issuers.remove(ISSUER);
    assert_eq!(world.verify("a_2").await, Err("token-malformed"), "nobody's");
    assert_eq!(other.server.seen(), 1);
}

#[tokio::test]
async fn a_question_goes_on_when_who_asked_goes_away() {
    let world = World::new("").await;
    {
        let mut asked = Box::pin(world.verify("opaque"));
        assert!(futures_util::poll!(asked.as_mut()).is_pending());
    }
    assert!(world.verify("opaque").await.is_ok());
    assert_eq!(world.server.seen(), 1);
}

#[tokio::test]
async fn an_issuer_is_reached_when_it_knows_no_made_up_token() {
    let world = World::new("").await;
    let issuer = world.snapshot.issuers[ISSUER].clone();
    let reach = || world.verifier.fetcher.reach_introspection(&issuer);
    assert!(reach().await.unwrap_err().contains("a made-up token is active"));
    world.server.answers("", "{\"active\": false}");
    assert_eq!(reach().await, Ok(()));
    world.server.answers_raw("HTTP/1.1 401 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert!(reach().await.unwrap_err().contains("answered 401"));
}

/// The pairs of a request's form.
fn form(request: &str) -> HashMap<String, String> {
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    form_urlencoded::parse(body.as_bytes()).into_owned().collect()
}

#[tokio::test]
async fn the_gate_may_show_its_secret_in_the_form_or_sign() {
    let posts = World::new(", auth = \"post\"").await;
    assert!(posts.verify("opaque").await.is_ok());
    let request = posts.server.requests().remove(0);
    assert!(!request.to_ascii_lowercase().contains("authorization"), "{request}");
    assert_eq!((form(&request)["client_id"].as_str(), form(&request)["client_secret"].as_str()), ("gate", "a b+c"));

    let signs = World::with("", "client_id = \"gate\", private_key = \"file:key.pem\", key_id = \"k1\"").await;
    for token in ["opaque1", "opaque2"] {
        assert!(signs.verify(token).await.is_ok());
    }
    let [first, second] = &signs.server.requests()[..] else { panic!() };
    let assertion = form(first)["client_assertion"].clone();
    assert_ne!(assertion, form(second)["client_assertion"]);
    let jws = crate::token::jws::Jws::parse(&assertion).unwrap();
    assert_eq!(jws.key_id.as_deref(), Some("k1"));
    let set = crate::token::jwks::KeySet::parse(crate::token::testing::jwks(&[es256()]).as_bytes()).unwrap();
    assert!(jws.is_signed_by(set.find(Some("es256"), jws.algorithm).unwrap()));
    for (name, value) in [("iss", "gate"), ("sub", "gate"), ("aud", &format!("{}/introspect", signs.server.url))] {
        assert_eq!(jws.claims.text(name).unwrap(), Some(value), "{name}");
    }
    assert_eq!(jws.claims.seconds("exp").unwrap(), Some(NOW + 60));
}

#[tokio::test]
async fn the_discovery_document_may_say_where_to_ask() {
    let mut world = World::new("").await;
    let url = world.server.url.clone();
    let mut issuer = Arc::into_inner(world.snapshot.issuers.remove(ISSUER).unwrap()).unwrap();
    issuer.issuer = url.clone();
    issuer.introspection.as_mut().unwrap().url = None;
    world.snapshot.issuers.insert(url.clone(), Arc::new(issuer));
    // The server gives one answer to both requests.
    let answer =
        |issuer: &str| told(json!({ "iss": null, "issuer": issuer, "introspection_endpoint": format!("{url}/ask") }));
    world.server.answers("", &answer("https://other.example"));
    assert_eq!(world.verify("opaque").await, Err("token-unchecked"));
    world.server.answers("", &answer(&url));
    assert!(world.verify("opaque").await.is_ok() && world.verify("opaque2").await.is_ok());
    let asked: Vec<_> = world.server.requests().iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect();
    let document = "/.well-known/openid-configuration";
    assert_eq!(asked, [document, document, "/ask", "/ask"]);
}
