mod provider;
mod silent;

use std::collections::HashMap;

use http::{StatusCode, header};
use serde_json::{Value, json};
use url::Url;

use super::Failed;
use crate::ambient::Ambient;
use crate::auth::testing::{Browser, NOW, World, json as body, request, set};
use crate::auth::texts::{self, Notice};
use crate::config::{FhirUser, Language};
use crate::store::Store as _;
use crate::token::GateKeys;
use provider::Fake;

const SCOPE: &str = "openid fhirUser launch/patient patient/*.rs user/*.rs offline_access";

/// A world whose people log in at `fake`.
async fn world(fake: &Fake) -> World {
    let mut world = World::new().await;
    let oidc = fake.oidc();
    world.reload(|snapshot| snapshot.oidc = Some(oidc.into()));
    world
}

async fn at_login(world: &World) -> Browser<'_> {
    let mut asked = request();
    set(&mut asked, "scope", SCOPE);
    let mut browser = Browser::new(world);
    browser.open(&asked).await;
    assert!(browser.html().contains("Log in with the clinic"), "{}", browser.html());
    browser
}

/// What the browser is sent to the provider with.
fn sent(browser: &Browser<'_>) -> HashMap<String, String> {
    let location = browser.answer.headers()[header::LOCATION].to_str().unwrap();
    Url::parse(location).unwrap().query_pairs().into_owned().collect()
}

/// To the provider and back; returns the callback that the browser came back on.
async fn comes_back(browser: &mut Browser<'_>, fake: &Fake, more: &str) -> String {
    browser.federate().await;
    let callback = format!("{}{more}", fake.callback(&sent(browser)));
    browser.go(&callback).await;
    callback
}

async fn failure(world: &World) -> (Value, Value) {
    let audited = world.audited().await;
    let line = audited.iter().rfind(|line| line["event"] == "login").unwrap();
    assert_eq!(line["outcome"], "failure", "{line}");
    (line["error"].clone(), line["detail"].clone())
}

fn told(browser: &Browser<'_>, failed: Failed) -> bool {
    browser.path.starts_with("/auth/login?id=")
        && browser.html().contains((texts::of(Language::English).notice)(&Notice::Provider(failed)))
}

#[tokio::test]
async fn a_clinician_of_the_provider_picks_a_patient_and_the_access_ends_with_the_federation() {
    let fake = Fake::start().await;
    let mut world = world(&fake).await;
    let mut browser = at_login(&world).await;
    let asked = {
        browser.federate().await;
        sent(&browser)
    };
    assert_eq!((asked["response_type"].as_str(), asked["code_challenge_method"].as_str()), ("code", "S256"));
    assert_eq!(asked["ui_locales"], "en", "the provider speaks the language of the page before");
    assert_eq!(
        (asked["redirect_uri"].as_str(), asked["scope"].as_str()),
        ("https://gate.example.org/auth/callback", "openid")
    );
    browser.go(&fake.callback(&asked)).await;
    assert!(
        browser.path.starts_with("/auth/patient?id=")
            && browser.html().contains("Dr <Carter>".replace('<', "&#60;").replace('>', "&#62;").as_str())
    );
    browser.submit(&[("patient", "bob"), ("do", "choose")]).await;
    browser.submit(&[("do", "allow"), ("patient", "bob")]).await;
    let tokens = body(&world.redeem(&browser.landed()["code"]).await);
    let username = format!("{}#248", fake.url);
    assert_eq!(tokens["patient"], "bob", "{tokens}");
    let access = tokens["access_token"].as_str().unwrap().to_owned();
    let claims = world.verifier.verify(&access, &world.snapshot).await.unwrap();
    assert_eq!(
        (claims.subject.as_str(), claims.fhir_user.as_deref()),
        (username.as_str(), Some("https://gate.example.org/fhir/Practitioner/carter"))
    );
    assert!(world.snapshot.has_user(&claims.subject));
    let bearer = format!("Bearer {access}");
    let info = body(&world.post("/auth/userinfo", &[], &[("authorization", &bearer)]).await);
    assert_eq!(
        (&info["sub"], &info["fhirUser"]),
        (&json!(username), &json!("https://gate.example.org/fhir/Practitioner/carter"))
    );
    let refresh = |token: &Value| {
        [
            ("grant_type", "refresh_token".to_owned()),
            ("client_id", "app".to_owned()),
            ("refresh_token", token.as_str().unwrap().to_owned()),
        ]
    };
    let ask = async |world: &World, form: [(&'static str, String); 3]| {
        let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
        world.post("/auth/token", &form, &[]).await
    };
    let next = ask(&world, refresh(&tokens["refresh_token"])).await;
    assert_eq!(next.status(), StatusCode::OK, "{next:?}");
    let next = body(&next)["refresh_token"].clone();
    assert!(!world.audited().await.iter().any(|line| line.to_string().contains("nonce")));

    world.reload(|_| ());
    assert!(!world.snapshot.has_user(&claims.subject));
    assert_eq!(ask(&world, refresh(&next)).await.status(), StatusCode::BAD_REQUEST);
    let info = world.post("/auth/userinfo", &[], &[("authorization", &bearer)]).await;
    assert_eq!(info.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_id_token_that_is_not_the_one_asked_for_logs_nobody_in() {
    for (claim, value, rule) in [
        ("nonce", json!("another"), "token-nonce"),
        ("iss", json!("https://idp.example.org"), "token-issuer"),
        ("aud", json!("another"), "token-audience"),
        ("exp", json!(1), "token-expired"),
    ] {
        let fake = Fake::start().await;
        fake.say(claim, value);
        let world = world(&fake).await;
        let mut browser = at_login(&world).await;
        comes_back(&mut browser, &fake, "").await;
        assert!(told(&browser, Failed::Answer), "{claim}: {}", browser.html());
        assert_eq!(failure(&world).await, ("provider-answer".into(), rule.into()));
    }
    for algorithm in ["none", "HS256"] {
        let fake = Fake::start().await;
        fake.sign_as(algorithm);
        let world = world(&fake).await;
        let mut browser = at_login(&world).await;
        comes_back(&mut browser, &fake, "").await;
        assert!(told(&browser, Failed::Answer), "{algorithm}");
        assert_eq!(failure(&world).await.1, "token-algorithm");
    }
}

#[tokio::test]
async fn a_state_is_good_once_and_in_one_browser() {
    let fake = Fake::start().await;
    let world = world(&fake).await;
    let mut browser = at_login(&world).await;
    browser.federate().await;
    let callback = fake.callback(&sent(&browser));
    let mut other = at_login(&world).await;
    other.go(&callback).await;
    assert!(other.html().contains("no longer valid"), "another browser");
    browser.go(&format!("{callback}x")).await;
    assert!(browser.html().contains("no longer valid"), "another state");
    let cookies = browser.cookies.clone();
    browser.go(&callback).await;
    assert!(browser.path.starts_with("/auth/patient?id="), "{}", browser.path);
    browser.cookies.extend(cookies);
    browser.go(&callback).await;
    assert!(browser.html().contains("no longer valid"), "a second time");
}

/// Not even by somebody who has the key: who has logged in is in the store.
#[tokio::test]
async fn an_attempt_that_says_who_logged_in_is_not_believed() {
    let fake = Fake::start().await;
    let world = world(&fake).await;
    let mut browser = at_login(&world).await;
    browser.federate().await;
    let keys = GateKeys::of(&world.store.keys().await.unwrap(), &Ambient::system()).unwrap();
    let opened = |sealed: &String| keys.open_seal(sealed, super::BINDING);
    let (name, attempt) = browser.cookies.iter().find_map(|(name, it)| Some((name.clone(), opened(it)?))).unwrap();
    let mut attempt: Value = serde_json::from_slice(&attempt).unwrap();
    attempt["pending"]["login"] = json!({ "username": "amy", "at": NOW });
    let forged = keys.seal(attempt.to_string().as_bytes(), super::BINDING).unwrap();
    let state = sent(&browser)["state"].clone();
    browser.cookies.insert(name, forged);
    browser.go(&format!("/auth/callback?state={state}&error=access_denied")).await;
    assert!(told(&browser, Failed::Refused), "{}", browser.path);
    assert!(world.store.in_progress().is_empty());
}

#[tokio::test]
async fn an_answer_must_be_from_the_provider_that_was_asked() {
    let fake = Fake::start().await;
    let world = world(&fake).await;
    let mut browser = at_login(&world).await;
    comes_back(&mut browser, &fake, "&iss=https%3A%2F%2Fevil.example.org").await;
    assert!(told(&browser, Failed::Answer));
    fake.redeems_nothing();

    let fake = Fake::start().await;
    fake.names_itself();
    let world = self::world(&fake).await;
    let mut browser = at_login(&world).await;
    comes_back(&mut browser, &fake, "").await;
    assert!(told(&browser, Failed::Answer), "it says that it names itself, and does not");
    fake.redeems_nothing();
    let named = format!("&iss={}", fake.url);
    comes_back(&mut browser, &fake, &named).await;
    assert!(browser.path.starts_with("/auth/patient?id="), "{}", browser.html());
}

#[tokio::test]
async fn a_provider_that_refuses_or_is_down_is_told_apart() {
    let fake = Fake::start().await;
    let world = world(&fake).await;
    let mut browser = at_login(&world).await;
    browser.federate().await;
    let state = sent(&browser)["state"].clone();
    browser.go(&format!("/auth/callback?state={state}&error=access_denied&error_description=secret%20things")).await;
    assert!(told(&browser, Failed::Refused) && !browser.html().contains("secret things"));
    assert_eq!(failure(&world).await, ("provider-refused".into(), "access_denied".into()));

    let fake = Fake::start().await;
    let mut world = World::new().await;
    let oidc = crate::config::Oidc { issuer: "http://127.0.0.1:9".to_owned(), ..fake.oidc() };
    world.reload(|snapshot| snapshot.oidc = Some(oidc.into()));
    let mut browser = at_login(&world).await;
    browser.federate().await;
    assert!(told(&browser, Failed::Unavailable), "{}", browser.html());
    browser.log_in("amy", crate::auth::testing::PASSWORD).await;
    assert!(browser.path.starts_with("/auth/consent?id="), "local users still log in");
}

#[tokio::test]
async fn who_it_is_here_is_one_person_or_nobody() {
    let search = FhirUser::Search {
        of: crate::fhir::ResourceType::parse(crate::fhir::FhirVersion::R4, "Practitioner").unwrap(),
        parameters: vec![("identifier".to_owned(), "urn:staff|{employee}".to_owned())],
    };
    for (employee, passes) in [
        (json!("77"), true),
        (json!(77), true),
        (json!("twins"), false),
        (json!("78"), false),
        (json!("77,78"), false),
        (json!(""), false),
        (Value::Null, false),
    ] {
        let fake = Fake::start().await;
        fake.say("employee", employee.clone());
        let mut world = World::new().await;
        let oidc = crate::config::Oidc { fhir_user: Some(search.clone()), ..fake.oidc() };
        world.reload(|snapshot| snapshot.oidc = Some(oidc.into()));
        let mut browser = at_login(&world).await;
        comes_back(&mut browser, &fake, "").await;
        assert_eq!(browser.path.starts_with("/auth/patient?id="), passes, "{employee}: {}", browser.html());
        assert_eq!(told(&browser, Failed::Nobody), !passes, "{employee}");
    }
    for value in [Value::Null, json!("Observation/x"), json!("https://other.example.org/Patient/amy"), json!(7)] {
        let fake = Fake::start().await;
        fake.say("fhirUser", value.clone());
        let world = world(&fake).await;
        let mut browser = at_login(&world).await;
        comes_back(&mut browser, &fake, "").await;
        assert!(told(&browser, Failed::Nobody), "{value}");
        assert_eq!(failure(&world).await.0, "provider-nobody");
    }
}

#[tokio::test]
async fn a_claim_says_whom_a_person_may_choose() {
    for (listed, page) in
        [(json!(["kid1", "Patient/bob"]), "patient"), (json!("bob"), "consent"), (json!(["a b"]), "login")]
    {
        let fake = Fake::start().await;
        fake.say("kids", listed.clone());
        let mut world = World::new().await;
        let oidc = crate::config::Oidc { patients: Some("kids".to_owned()), ..fake.oidc() };
        world.reload(|snapshot| snapshot.oidc = Some(oidc.into()));
        let mut browser = at_login(&world).await;
        comes_back(&mut browser, &fake, "").await;
        assert!(browser.path.starts_with(&format!("/auth/{page}?id=")), "{listed}: {}", browser.path);
        assert!(!browser.html().contains("Amy Shaw"), "{listed}");
    }
}

#[tokio::test]
async fn people_of_the_provider_manage_their_apps() {
    let fake = Fake::start().await;
    let world = world(&fake).await;
    let mut browser = Browser::new(&world);
    browser.go("/auth/manage").await;
    assert!(browser.html().contains("Log in with the clinic"));
    browser.go("/auth/federate").await;
    let callback = fake.callback(&sent(&browser));
    browser.go(&callback).await;
    assert!(browser.path == "/auth/manage" && browser.html().contains("Logged in as Dr"), "{}", browser.html());
    browser.go(&callback).await;
    assert!(browser.html().contains("no longer valid"));
}
