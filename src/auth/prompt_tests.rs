use super::*;
use crate::auth::testing::{Browser, GATE, NOW, PASSWORD, SECRET, World, basic, identity, json, request, set};
use crate::config::Consent;

fn read(query: &str) -> Result<Prompt, AuthorizeError> {
    Prompt::read(&Form::parse(query.as_bytes()).unwrap())
}

fn at_provider(query: &str, silent: bool) -> String {
    let parameters: Vec<_> =
        read(query).unwrap().at_provider(silent).map(|(name, it)| format!("{name}={it}")).collect();
    parameters.join("&")
}

#[test]
fn values_are_known_and_none_stands_alone() {
    assert_eq!(read(""), Ok(Prompt::default()));
    assert!(read("prompt=none").unwrap().none);
    assert!(read("prompt=login+consent").unwrap().consent);
    for (query, error) in [
        ("prompt=none+login", AuthorizeError::PromptWithNone),
        ("prompt=consent+none", AuthorizeError::PromptWithNone),
        ("prompt=select_account+none", AuthorizeError::PromptWithNone),
        ("prompt=create", AuthorizeError::Prompt),
        ("prompt=None", AuthorizeError::Prompt),
        ("max_age=-1", AuthorizeError::MaxAge),
        ("max_age=%2B1", AuthorizeError::MaxAge),
        ("max_age=1h", AuthorizeError::MaxAge),
        ("max_age=99999999999999999999", AuthorizeError::MaxAge),
    ] {
        assert_eq!(read(query), Err(error), "{query}");
    }
}

#[test]
fn whose_word_is_taken() {
    for (query, ehr, sessions) in [
        ("", true, true),
        ("prompt=none", true, true),
        ("prompt=consent", true, true),
        ("prompt=login", false, false),
        ("prompt=select_account", false, false),
        ("max_age=3600", false, true),
    ] {
        let prompt = read(query).unwrap();
        assert_eq!((prompt.trusts_the_ehr(), prompt.takes_sessions()), (ehr, sessions), "{query}");
    }
}

#[test]
fn the_provider_is_asked_for_the_same() {
    assert_eq!(at_provider("", false), "");
    assert_eq!(at_provider("prompt=consent", false), "");
    assert_eq!(at_provider("max_age=60", true), "prompt=none&max_age=60");
    assert_eq!(at_provider("prompt=select_account+login&max_age=0", false), "prompt=login select_account&max_age=0");
    assert_eq!(at_provider("prompt=login&max_age=3600", false), "prompt=login&max_age=0");
    assert_eq!(at_provider("prompt=login", false), "prompt=login&max_age=0");
}

#[test]
fn the_login_there_must_be_recent_enough() {
    for (query, auth_time, met) in [
        ("", Some(1), true),
        ("", None, true),
        ("max_age=60", Some(940), true),
        ("max_age=60", Some(930), true),
        ("max_age=60", Some(929), false),
        ("max_age=60", None, false),
        ("prompt=login", Some(1000), true),
        ("prompt=login", Some(989), false),
        ("prompt=login", None, true),
        ("prompt=login&max_age=3600", Some(989), false),
        ("max_age=9223372036854775807", Some(1), true),
    ] {
        assert_eq!(read(query).unwrap().is_met_by(auth_time, 1000, 10), met, "{query} {auth_time:?}");
    }
}

/// What an app is launched with: a launch of Carter's with `patient`, in the browser that the EHR sent if `sent`.
async fn launched<'a>(world: &'a World, patient: &str, sent: bool, more: &[(&'static str, &str)]) -> Browser<'a> {
    let form = [("app", "app"), ("user", "carter"), ("patient", patient)];
    let form: Vec<_> = form.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let launched = json(&world.post("/auth/launch", &form, &[("authorization", &basic("ehr", SECRET))]).await);
    let mut browser = Browser::new(world);
    if sent {
        browser.go(launched["start_url"].as_str().unwrap()).await;
    }
    let mut asked = request();
    set(&mut asked, "scope", "launch openid patient/*.rs");
    set(&mut asked, "launch", launched["launch"].as_str().unwrap());
    more.iter().for_each(|(name, value)| set(&mut asked, name, value));
    browser.open(&asked).await;
    browser
}

async fn trusting() -> World {
    let mut world = World::new().await;
    world.reload(|snapshot| {
        std::sync::Arc::get_mut(snapshot.clients.configured.get_mut("app").unwrap()).unwrap().consent =
            Consent::Granted;
    });
    world
}

#[tokio::test]
async fn a_launch_that_needs_no_page_shows_none_and_else_the_app_is_told_what_is_missing() {
    const NONE: (&str, &str) = ("prompt", "none");
    let (asking, trusting) = (World::new().await, trusting().await);
    assert!(launched(&trusting, "bob", true, &[NONE]).await.landed().contains_key("code"));
    for (world, patient, sent, more, error) in [
        (&trusting, "bob", false, &[NONE][..], "login_required"),
        (&trusting, "bob", true, &[NONE, ("max_age", "3600")], "login_required"),
        (&trusting, "", true, &[NONE], "interaction_required"),
        (&asking, "bob", true, &[NONE], "consent_required"),
    ] {
        let browser = launched(world, patient, sent, more).await;
        let landed = browser.landed();
        assert_eq!((landed["error"].as_str(), landed.get("code")), (error, None));
        assert_eq!((landed["iss"].as_str(), landed["state"].as_str()), (GATE, "a&error=x\u{e9} \"'<"), "{error}");
    }
    let mut alone = request();
    set(&mut alone, "prompt", "none");
    let mut browser = Browser::new(&trusting);
    browser.open(&alone).await;
    assert_eq!(browser.landed()["error"], "login_required");
}

/// OpenID Connect Core §2: `auth_time` is when the person logged in, which an EHR does not say.
#[tokio::test]
async fn a_launch_without_a_login_has_no_auth_time() {
    let world = trusting().await;
    let browser = launched(&world, "bob", true, &[]).await;
    let tokens = json(&world.redeem(&browser.landed()["code"]).await);
    assert_eq!((&identity(&tokens)["sub"], identity(&tokens).get("auth_time")), (&"carter".into(), None));
}

#[tokio::test]
async fn a_login_and_consent_are_asked_for_where_the_app_wants_them() {
    let world = trusting().await;
    for (name, value) in [("prompt", "login"), ("prompt", "select_account"), ("max_age", "0")] {
        let mut browser = launched(&world, "bob", true, &[(name, value)]).await;
        assert!(browser.path.starts_with("/auth/login?id="), "{value}: {}", browser.path);
        browser.log_in("carter", PASSWORD).await;
        let tokens = json(&world.redeem(&browser.landed()["code"]).await);
        assert_eq!(identity(&tokens)["auth_time"], NOW, "{value}");
    }
    let mut browser = launched(&world, "bob", true, &[("prompt", "consent")]).await;
    assert!(browser.path.starts_with("/auth/consent?id="), "{}", browser.path);
    browser.submit(&[("do", "allow"), ("patient", "bob")]).await;
    assert!(browser.landed().contains_key("code"));
}
