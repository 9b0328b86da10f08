use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{StatusCode, header};

use crate::auth::testing::{GATE, SECRET, World, assertion, basic, json};
use crate::store::Tried;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

const ASKED: [(&str, &str); 2] = [("grant_type", "client_credentials"), ("scope", "system/Patient.rs")];

async fn outcome(world: &World, form: &[(&str, &str)], authorization: Option<&str>) -> (StatusCode, String, bool) {
    let form: Vec<(&str, &str)> = ASKED.into_iter().chain(form.iter().copied()).collect();
    let headers: Vec<(&str, &str)> = authorization.map(|value| ("authorization", value)).into_iter().collect();
    let answer = world.post("/auth/token", &form, &headers).await;
    let error = json(&answer).get("error").map(|error| error.as_str().unwrap().to_owned());
    let challenged =
        answer.headers().get(header::WWW_AUTHENTICATE).is_some_and(|value| value.as_bytes().starts_with(b"Basic"));
    (answer.status(), error.unwrap_or_default(), challenged)
}

const OK: StatusCode = StatusCode::OK;
const BAD: StatusCode = StatusCode::BAD_REQUEST;
const WHO: StatusCode = StatusCode::UNAUTHORIZED;

#[tokio::test]
async fn rf_4_row_219_a_secret_may_come_encoded_or_plain() {
    let world = World::new().await;
    assert_eq!(outcome(&world, &[], Some(&basic("trusted", SECRET))).await, (OK, String::new(), false));
    let plain = format!("bAsIc {}", STANDARD.encode(format!("trusted:{SECRET}")));
    assert_eq!(outcome(&world, &[], Some(&plain)).await, (OK, String::new(), false));
    assert_eq!(outcome(&world, &[("client_id", "trusted")], Some(&plain)).await, (OK, String::new(), false));
}

#[tokio::test]
async fn a_secret_may_come_in_the_form() {
    let world = World::new().await;
    let form = [("client_id", "trusted"), ("client_secret", SECRET)];
    assert_eq!(outcome(&world, &form, None).await, (OK, String::new(), false));
}

#[tokio::test]
async fn rf_4_row_219_a_wrong_basic_header_is_challenged() {
    let world = World::new().await;
    let refused = (WHO, "invalid_client".to_owned(), true);
    for authorization in [
        basic("trusted", "wrong"),
        basic("trusted", ""),
        basic("nobody", SECRET),
        basic("app", ""),
        basic("service", SECRET),
        "Basic".to_owned(),
        "Basic ???".to_owned(),
        format!("Basic {}", STANDARD.encode("no colon")),
        "Bearer token".to_owned(),
    ] {
        assert_eq!(outcome(&world, &[], Some(&authorization)).await, refused, "{authorization}");
    }
}

#[tokio::test]
async fn rf_4_row_219_one_way_and_one_client_per_request() {
    let world = World::new().await;
    let authorization = basic("trusted", SECRET);
    let invalid = (BAD, "invalid_request".to_owned(), false);
    for (form, authorization) in [
        (vec![("client_secret", SECRET)], Some(authorization.as_str())),
        (vec![("client_id", "trusted"), ("client_secret", SECRET)], Some(authorization.as_str())),
        (vec![("client_assertion", "a.b.c"), ("client_assertion_type", ASSERTION_TYPE)], Some(authorization.as_str())),
        (vec![("client_assertion", "a.b.c"), ("client_assertion_type", ASSERTION_TYPE), ("client_secret", "x")], None),
        (vec![("client_id", "service")], Some(authorization.as_str())),
        (vec![("client_assertion", "a.b.c")], None),
        (vec![("client_assertion", "a.b.c"), ("client_assertion_type", "urn:other")], None),
        (vec![("client_assertion_type", ASSERTION_TYPE)], None),
    ] {
        assert_eq!(outcome(&world, &form, authorization).await, invalid, "{form:?}");
    }
}

#[tokio::test]
async fn what_is_no_authentication_is_refused_without_a_challenge() {
    let world = World::new().await;
    let refused = (WHO, "invalid_client".to_owned(), false);
    for form in [
        vec![],
        vec![("client_id", "nobody")],
        vec![("client_id", "retired")],
        vec![("client_id", "trusted")],
        vec![("client_id", "trusted"), ("client_secret", "wrong")],
        vec![("client_id", "app"), ("client_secret", SECRET)],
        vec![("client_id", "service"), ("client_secret", SECRET)],
        vec![("client_secret", SECRET)],
        vec![("client_assertion", "a.b.c"), ("client_assertion_type", ASSERTION_TYPE)],
    ] {
        assert_eq!(outcome(&world, &form, None).await, refused, "{form:?}");
    }
}

#[tokio::test]
async fn ca_8_row_222_an_assertion_counts_once() {
    let world = World::new().await;
    for (audience, id) in [(format!("{GATE}/auth/token"), "1"), (GATE.to_owned(), "2")] {
        let assertion = assertion("service", &audience, id);
        let form = [("client_assertion", assertion.as_str()), ("client_assertion_type", ASSERTION_TYPE)];
        assert_eq!(outcome(&world, &form, None).await, (OK, String::new(), false), "{audience}");
        assert_eq!(outcome(&world, &form, None).await, (WHO, "invalid_client".to_owned(), false), "replayed");
    }
}

#[tokio::test]
async fn rf_6_row_222_an_assertion_for_another_place_or_client_is_refused() {
    let world = World::new().await;
    for (client, audience) in [
        ("service", "https://other.example/auth/token".to_owned()),
        ("service", format!("{GATE}/auth/introspect")),
        ("trusted", GATE.to_owned()),
        ("app", GATE.to_owned()),
        ("nobody", GATE.to_owned()),
    ] {
        let assertion = assertion(client, &audience, "1");
        let form = [("client_assertion", assertion.as_str()), ("client_assertion_type", ASSERTION_TYPE)];
        assert_eq!(
            outcome(&world, &form, None).await,
            (WHO, "invalid_client".to_owned(), false),
            "{client} {audience}"
        );
    }
}

#[tokio::test]
async fn row_237_an_assertion_that_cannot_be_checked_is_not_a_wrong_one() {
    let world = World::new().await;
    world.store.down.store(true, std::sync::atomic::Ordering::SeqCst);
    let assertion = assertion("service", GATE, "1");
    let form = [("client_assertion", assertion.as_str()), ("client_assertion_type", ASSERTION_TYPE)];
    let expected = (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable".to_owned(), false);
    assert_eq!(outcome(&world, &form, None).await, expected);
}

const WAIT: StatusCode = StatusCode::TOO_MANY_REQUESTS;

/// Posts a wrong secret for `client` this often; the last status.
async fn guess(world: &World, client: &str, times: usize) -> StatusCode {
    let mut last = OK;
    for _ in 0..times {
        last = outcome(world, &[], Some(&basic(client, "wrong"))).await.0;
    }
    last
}

/// attacks.md 232: whoever tries secrets has to wait, and a client that is not there is no different.
#[tokio::test]
async fn row_232_after_ten_wrong_secrets_there_is_a_pause() {
    let world = World::new().await;
    for client in ["trusted", "nobody", "service"] {
        assert_eq!(guess(&world, client, 10).await, WHO, "{client}");
        assert_eq!(guess(&world, client, 1).await, WAIT, "{client}");
    }
    let form = [("client_id", "trusted"), ("client_secret", SECRET)];
    assert_eq!(outcome(&world, &form, None).await.0, WAIT, "the other way is no way around, nor is the right secret");
    let encoded = format!("Basic {}", STANDARD.encode("%74rusted:wrong"));
    assert_eq!(outcome(&world, &[], Some(&encoded)).await.0, WAIT, "nor another spelling");
    for path in ["/auth/introspect", "/auth/revoke", "/auth/launch"] {
        let answer = world.post(path, &[("token", "x")], &[("authorization", &basic("trusted", SECRET))]).await;
        assert_eq!(answer.status(), WAIT, "{path}");
        assert_eq!(answer.headers()[header::RETRY_AFTER], "60", "{path}");
        assert_eq!(json(&answer)["error"], "temporarily_unavailable");
    }
    world.wait(60);
    assert_eq!(guess(&world, "trusted", 1).await, WHO);
    assert_eq!(guess(&world, "trusted", 1).await, WAIT);
    world.wait(60);
    assert_eq!(outcome(&world, &[], Some(&basic("trusted", SECRET))).await.0, OK, "the pause does not grow for long");
    assert_eq!(guess(&world, "trusted", 9).await, WHO, "the right secret is a fresh start");
}

#[tokio::test]
async fn row_232_a_stranger_keeps_nobody_out_but_those_at_the_same_place() {
    let world = World::new().await;
    guess(&world, "trusted", 20).await;
    for (from, status) in [("192.0.2.7", OK), ("::ffff:127.0.0.1", WAIT), ("2001:db8::1", OK), ("127.0.0.1", WAIT)] {
        *world.from.lock() = from.parse().unwrap();
        assert_eq!(outcome(&world, &[], Some(&basic("trusted", SECRET))).await.0, status, "{from}");
    }
    *world.from.lock() = "2001:db8::1".parse().unwrap();
    guess(&world, "trusted", 20).await;
    for (from, status) in [("2001:db8::ffff:2", WAIT), ("2001:db8:0:1::1", OK)] {
        *world.from.lock() = from.parse().unwrap();
        assert_eq!(outcome(&world, &[], Some(&basic("trusted", SECRET))).await.0, status, "{from}");
    }
}

#[tokio::test]
async fn row_232_a_signature_is_not_guessed() {
    let world = World::new().await;
    let token_url = format!("{GATE}/auth/token");
    fn form(assertion: &str) -> [(&str, &str); 2] {
        [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion)]
    }
    for n in 0..15 {
        let wrong = assertion("service", "https://elsewhere.example.org", &n.to_string());
        assert_eq!(outcome(&world, &form(&wrong), None).await.0, WHO);
    }
    let right = assertion("service", &token_url, "right");
    assert_eq!(outcome(&world, &form(&right), None).await.0, OK);
}

#[tokio::test]
async fn names_that_are_made_up_take_no_room_from_those_that_can_be_guessed() {
    let world = World::new().await;
    for client in ["trusted", "nobody", "service", "app"] {
        guess(&world, client, 1).await;
    }
    assert_eq!(*world.store.tried.lock(), [Tried::Client, Tried::NoClient, Tried::NoClient, Tried::NoClient]);
}
