use http::{Request, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::ambient::Ambient;
use crate::auth::testing::{BASE, Browser, GATE, NOW, PASSWORD, World, encode, landed, request, set, text};
use crate::store::Store as _;
use crate::token::GateKeys;

/// What the app is told when one parameter is changed.
async fn refused(world: &World, name: &'static str, value: &str) -> (String, String) {
    let mut asked = request();
    set(&mut asked, name, value);
    let landed = landed(&world.get(&format!("/auth/authorize?{}", encode(&asked))).await);
    assert_eq!(landed["iss"], GATE);
    assert_eq!(landed["kept"], "1");
    assert!(!landed.contains_key("code"));
    (landed["error"].clone(), landed.get("state").cloned().unwrap_or_default())
}

#[tokio::test]
async fn rf_2_row_213_without_a_known_client_and_its_exact_redirect_uri_nobody_is_redirected() {
    let world = World::new().await;
    for (name, value) in [
        ("client_id", ""),
        ("client_id", "nobody"),
        ("client_id", "retired"),
        ("client_id", "service"),
        ("redirect_uri", ""),
        ("redirect_uri", "https://app.example.org/callback"),
        ("redirect_uri", "https://app.example.org/callback?kept=1&x=2"),
        ("redirect_uri", "https://app.example.org/callback/?kept=1"),
        ("redirect_uri", "https://app.example.org/Callback?kept=1"),
        ("redirect_uri", "https://app.example.org:443/callback?kept=1"),
        ("redirect_uri", "https://user@app.example.org/callback?kept=1"),
        ("redirect_uri", "https://evil.example/callback?kept=1"),
    ] {
        let mut asked = request();
        set(&mut asked, name, value);
        let answer = world.get(&format!("/auth/authorize?{}", encode(&asked))).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{name}={value}");
        assert_eq!(answer.headers().get(header::LOCATION), None);
        assert!(text(&answer).contains("<h1>"), "{name}={value}");
        assert!(!text(&answer).contains("evil"), "what was sent is not shown");
    }
}

#[tokio::test]
async fn rf_3_row_213_and_214_a_parameter_that_comes_twice_is_a_page_too() {
    let world = World::new().await;
    for twice in ["&state=b", "&redirect_uri=https://evil.example/", "&scope=patient/*.rs", "&aud=x", "&%73tate=b"] {
        let answer = world.get(&format!("/auth/authorize?{}{twice}", encode(&request()))).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{twice}");
        assert_eq!(answer.headers().get(header::LOCATION), None);
    }
}

#[tokio::test]
async fn al_14_row_212_and_214_and_217_everything_else_that_is_wrong_is_told_the_app() {
    let world = World::new().await;
    let state = "a&error=x\u{e9} \"'<";
    let long = "x".repeat(8193);
    for (name, value, error) in [
        ("response_type", "", "unsupported_response_type"),
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "code id_token", "unsupported_response_type"),
        ("response_mode", "fragment", "invalid_request"),
        ("aud", "", "invalid_request"),
        ("aud", "https://other.example/fhir", "invalid_request"),
        ("aud", "http://gate.example.org/fhir", "invalid_request"),
        ("aud", "https://gate.example.org/fhir//", "invalid_request"),
        ("aud", "https://gate.example.org/fhir?x", "invalid_request"),
        ("resource", "https://other.example/fhir", "invalid_request"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", "tooshort10", "invalid_request"),
        ("code_challenge", "not base64url, but as long as a challenge has to be", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("launch", "xyz", "invalid_request"),
        ("request", "eyJ", "request_not_supported"),
        ("request_uri", "https://app.example.org/r", "request_uri_not_supported"),
        ("prompt", "none", "login_required"),
        ("prompt", "none login", "invalid_request"),
        ("scope", "", "invalid_scope"),
        ("scope", "profile launch system/*.rs patient/*.cud", "invalid_scope"),
        ("scope", "patient/Observation.rs?category:in=laboratory", "invalid_scope"),
        ("nonce", &long, "invalid_request"),
    ] {
        assert_eq!(refused(&world, name, value).await, (error.to_owned(), state.to_owned()), "{name}={value}");
    }
    assert_eq!(refused(&world, "state", "").await, ("invalid_request".to_owned(), String::new()));
    assert!(world.store.in_progress().is_empty(), "nothing was begun");
}

#[tokio::test]
async fn a_right_request_begins_an_authorization_in_this_browser() {
    let world = World::new().await;
    for (name, value) in [
        ("aud", "https://gate.example.org/fhir/"),
        ("resource", BASE),
        ("prompt", "login consent"),
        ("response_mode", "query"),
        ("unknown", "x"),
        ("redirect_uri", "org.example.app:/callback"),
    ] {
        let mut asked = request();
        set(&mut asked, name, value);
        let answer = world.get(&format!("/auth/authorize?{}", encode(&asked))).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{name}={value}");
        assert!(answer.headers()[header::LOCATION].to_str().unwrap().starts_with("login?id="));
    }
    let mut asked = request();
    set(&mut asked, "aud", "");
    set(&mut asked, "resource", BASE);
    let answer = world.get(&format!("/auth/authorize?{}", encode(&asked))).await;
    assert!(answer.headers()[header::LOCATION].to_str().unwrap().starts_with("login"), "`resource` alone is enough");
    let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("__Host-smartgate-"), "{cookie}");
    for attribute in ["; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age=600"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Domain"));
}

#[tokio::test]
async fn without_tls_the_cookie_has_no_prefix_that_browsers_would_refuse() {
    let world = World::at("http://127.0.0.1:8080").await;
    let mut asked = request();
    set(&mut asked, "aud", "http://127.0.0.1:8080/fhir");
    let answer = world.get(&format!("/auth/authorize?{}", encode(&asked))).await;
    let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("smartgate-") && !cookie.contains("Secure") && cookie.contains("HttpOnly"), "{cookie}");
}

#[tokio::test]
async fn al_13_row_215_post_is_the_same_as_get() {
    let world = World::new().await;
    let form = request();
    let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = world.post("/auth/authorize", &form, &[]).await;
    assert!(answer.headers()[header::LOCATION].to_str().unwrap().starts_with("login?id="));
    let json = Request::post("/auth/authorize").header(header::CONTENT_TYPE, "application/json");
    let answer = world.send(json.body(encode(&form).into()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn al_18_row_216_state_comes_back_exactly() {
    let world = World::new().await;
    for state in ["a&error=x", "line\r\nbreak", "<script>", "%2526+ #?", &"s".repeat(4096)] {
        let mut asked = request();
        set(&mut asked, "state", state);
        let mut browser = Browser::new(&world);
        browser.open(&asked).await;
        browser.log_in("amy", PASSWORD).await;
        browser.submit(&[("do", "deny")]).await;
        let landed = browser.landed();
        assert_eq!((landed["state"].as_str(), landed["error"].as_str()), (state, "access_denied"));
    }
}

/// attacks.md 232: who has not logged in fills nothing, and crowds nobody out.
#[tokio::test]
async fn row_232_nothing_is_kept_of_who_has_not_logged_in() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    for _ in 0..20 {
        browser.open(&request()).await;
        browser.log_in("amy", "wrong").await;
        assert!(browser.html().contains("role=\"alert\""));
    }
    assert!(world.store.in_progress().is_empty());
    browser.log_in("carter", PASSWORD).await;
    assert_eq!(world.store.in_progress().len(), 1);
}

#[tokio::test]
async fn a_store_that_is_down_lets_nobody_in() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    world.store.down.store(true, std::sync::atomic::Ordering::SeqCst);
    browser.open(&request()).await;
    browser.log_in("amy", PASSWORD).await;
    assert_eq!(browser.answer.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn what_does_not_fit_the_address_of_the_login_page_is_told_the_app() {
    let world = World::new().await;
    let long = "n".repeat(8000);
    let mut asked = request();
    set(&mut asked, "nonce", &long);
    let mut browser = Browser::new(&world);
    browser.open(&asked).await;
    browser.log_in("amy", PASSWORD).await;
    assert!(browser.path.starts_with("/auth/consent?id="), "{}", browser.path);
    set(&mut asked, "state", &long);
    let form: Vec<(&str, &str)> = asked.iter().map(|(name, value)| (*name, value.as_str())).collect();
    browser.post("/auth/authorize", &form).await;
    assert_eq!(browser.landed()["error_description"], "a parameter is too long");
}

/// What the browser carries before the login is of use to nobody else, and cannot be written by anybody.
#[tokio::test]
async fn what_was_begun_is_bound_to_its_browser_and_its_time() {
    let world = World::new().await;
    let mut one = Browser::new(&world);
    one.open(&request()).await;
    let mut two = Browser::new(&world);
    two.open(&request()).await;
    let (own, foreign) = (one.hidden("begun").unwrap(), two.hidden("begun").unwrap());
    let id = one.hidden("id").unwrap();
    let other = own.chars().rev().collect::<String>();
    for begun in [foreign.as_str(), &other, "x", ""] {
        one.post("/auth/login", &[("id", &id), ("begun", begun), ("username", "amy"), ("password", PASSWORD)]).await;
        assert_eq!(one.answer.status(), StatusCode::BAD_REQUEST, "{begun}");
    }
    one.post("/auth/login", &[("id", &id), ("begun", &own), ("username", "amy"), ("password", PASSWORD)]).await;
    assert!(one.path.starts_with("/auth/consent?id="), "{}", one.path);
}

#[tokio::test]
async fn refusals_are_audited_without_what_was_sent() {
    let world = World::new().await;
    let mut asked = request();
    set(&mut asked, "aud", "https://other.example/fhir");
    world.get(&format!("/auth/authorize?{}", encode(&asked))).await;
    let line = &world.audited().await[0];
    assert_eq!(
        (&line["event"], &line["outcome"], &line["error"]),
        (&"authorize".into(), &"failure".into(), &"invalid_request".into())
    );
    assert_eq!((&line["client"], &line["request_id"]), (&"app".into(), &"request-1".into()));
    assert!(!line.to_string().contains("other.example") && !line.to_string().contains("callback"));
}

/// Not even by somebody who has the key: who has logged in is in the store.
#[tokio::test]
async fn a_seal_that_says_who_logged_in_is_not_taken() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    browser.open(&request()).await;
    let (id, begun) = (browser.hidden("id").unwrap(), browser.hidden("begun").unwrap());
    let secret = browser.cookies.values().next().unwrap();
    let binding = [b"authorization ".as_slice(), &Sha256::digest(secret)].concat();
    let keys = GateKeys::of(&world.store.keys().await.unwrap(), &Ambient::system()).unwrap();
    let mut pending: Value = serde_json::from_slice(&keys.open_seal(&begun, &binding).unwrap()).unwrap();
    for (login, status) in
        [(json!({ "username": "amy", "at": NOW }), StatusCode::BAD_REQUEST), (Value::Null, StatusCode::OK)]
    {
        pending["login"] = login;
        let seal = keys.seal(pending.to_string().as_bytes(), &binding).unwrap();
        browser.go(&format!("/auth/login?id={id}&begun={seal}")).await;
        assert_eq!(browser.answer.status(), status, "{pending}");
    }
}
