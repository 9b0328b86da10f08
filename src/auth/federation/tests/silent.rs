//! Launches by an EHR for people of the provider, and apps that want no page.

use super::*;
use crate::auth::testing::{BASE, GATE, NOW, SECRET, basic, identity};
use crate::config::{Consent, LaunchUsers, Snapshot};

/// A world before `fake` whose EHR launches for anybody.
async fn launching(fake: &Fake, change: impl FnOnce(&mut Snapshot)) -> World {
    let mut world = World::new().await;
    let oidc = fake.oidc();
    world.reload(|snapshot| {
        snapshot.oidc = Some(oidc.into());
        let ehr = std::sync::Arc::get_mut(snapshot.clients.configured.get_mut("ehr").unwrap()).unwrap();
        ehr.launcher.as_mut().unwrap().users = LaunchUsers::Any;
        change(snapshot);
    });
    world
}

fn granted(snapshot: &mut Snapshot) {
    std::sync::Arc::get_mut(snapshot.clients.configured.get_mut("app").unwrap()).unwrap().consent = Consent::Granted;
}

async fn post(world: &World, user: &str, patient: &str) -> http::Response<bytes::Bytes> {
    let form = [("app", "app"), ("user", user), ("patient", patient)];
    world.post("/auth/launch", &form, &[("authorization", &basic("ehr", SECRET))]).await
}

/// The app's request after the EHR launched it for `user` and `patient`; `more` are further parameters.
async fn launched<'a>(world: &'a World, user: &str, patient: &str, more: &[(&'static str, &str)]) -> Browser<'a> {
    let launched = body(&post(world, user, patient).await);
    let mut browser = Browser::new(world);
    browser.go(launched["start_url"].as_str().unwrap_or_else(|| panic!("{launched}"))).await;
    let mut asked = request();
    set(&mut asked, "scope", "launch openid fhirUser patient/*.rs");
    set(&mut asked, "launch", launched["launch"].as_str().unwrap());
    more.iter().for_each(|(name, value)| set(&mut asked, name, value));
    browser.open(&asked).await;
    browser
}

/// As [`launched`], by somebody of the provider, which `fake` is.
async fn launched_there<'a>(world: &'a World, fake: &Fake, more: &[(&'static str, &str)]) -> Browser<'a> {
    launched(world, &format!("{}#248", fake.url), "bob", more).await
}

/// The app's request that wants no page.
async fn quietly<'a>(world: &'a World, scope: &str) -> Browser<'a> {
    let mut asked = request();
    set(&mut asked, "scope", scope);
    set(&mut asked, "prompt", "none");
    let mut browser = Browser::new(world);
    browser.open(&asked).await;
    browser
}

/// The provider answers with an error.
async fn refuses(browser: &mut Browser<'_>, error: &str) {
    let state = sent(browser)["state"].clone();
    browser.go(&format!("/auth/callback?state={state}&error={error}")).await;
}

/// What the app is told, with its state and by whom.
fn told_app(browser: &Browser<'_>) -> String {
    let landed = browser.landed();
    assert_eq!((landed["iss"].as_str(), landed["state"].as_str()), (GATE, "a&error=x\u{e9} \"'<"));
    assert!(!landed.contains_key("code"));
    landed["error"].clone()
}

#[tokio::test]
async fn al_11_row_225_who_is_logged_in_at_the_provider_goes_on_without_a_page() {
    let fake = Fake::start().await;
    let world = launching(&fake, |_| ()).await;
    let mut browser = launched_there(&world, &fake, &[]).await;
    assert_eq!(sent(&browser)["prompt"], "none");
    let cookie = browser.answer.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(
        cookie.contains("SameSite=None") && cookie.contains("Partitioned"),
        "it may be in the EHR's frame: {cookie}"
    );
    let callback = fake.callback(&sent(&browser));
    browser.go(&callback).await;
    assert!(browser.path.starts_with("/auth/consent?id=") && browser.html().contains("Bob Shaw"), "{}", browser.html());
    browser.submit(&[("do", "allow"), ("patient", "bob")]).await;
    let tokens = body(&world.redeem(&browser.landed()["code"]).await);
    let claims = world.verifier.verify(tokens["access_token"].as_str().unwrap(), &world.snapshot).await.unwrap();
    assert_eq!((claims.subject.as_str(), tokens["patient"].as_str()), (&*format!("{}#248", fake.url), Some("bob")));
    assert_eq!(claims.fhir_user.as_deref(), Some(format!("{BASE}/Practitioner/carter").as_str()));
}

#[tokio::test]
async fn who_is_not_logs_in_there_and_is_asked_silently_once() {
    for error in ["login_required", "interaction_required", "consent_required", "account_selection_required"] {
        let fake = Fake::start().await;
        let world = launching(&fake, |_| ()).await;
        let mut browser = launched_there(&world, &fake, &[]).await;
        refuses(&mut browser, error).await;
        assert!(browser.path.starts_with("/auth/login?id=") && !browser.path.contains("notice"), "{}", browser.path);
        assert!(browser.html().contains("Log in with the clinic") && !browser.html().contains("name=\"password\""));
        assert!(!world.audited().await.iter().any(|line| line["event"] == "login"), "nobody has tried to log in");
        browser.federate().await;
        assert!(!sent(&browser).contains_key("prompt"), "not silently again");
        let callback = fake.callback(&sent(&browser));
        browser.go(&callback).await;
        assert!(browser.path.starts_with("/auth/consent?id=") && browser.html().contains("Bob Shaw"));
    }
    let fake = Fake::start().await;
    let world = launching(&fake, |_| ()).await;
    let mut browser = launched_there(&world, &fake, &[]).await;
    refuses(&mut browser, "server_error").await;
    assert!(told(&browser, Failed::Refused), "anything else is told");
}

/// A launch is for one person; nobody else goes on with it, and nothing tells for whom it is.
#[tokio::test]
async fn row_225_another_person_of_the_provider_is_refused() {
    let fake = Fake::start().await;
    // No sealed text can hold these by chance: it has no dot.
    let (meant, other) = ("person.of.the.launch", "another.person");
    fake.say("sub", json!(other));
    let world = launching(&fake, granted).await;
    let user = format!("{}#{meant}", fake.url);
    let mut browser = launched(&world, &user, "bob", &[]).await;
    let callback = fake.callback(&sent(&browser));
    browser.go(&callback).await;
    assert_eq!(told_app(&browser), "access_denied");
    let location = browser.answer.headers()[header::LOCATION].to_str().unwrap();
    assert!(!location.contains(meant) && !location.contains(other) && browser.cookies.len() <= 1, "{location}");
    // Nor a local user, who posts the form that the page does not show.
    let mut browser = launched(&world, &user, "bob", &[("prompt", "login")]).await;
    assert!(!browser.html().contains("name=\"password\"") && !browser.html().contains(meant), "{}", browser.html());
    browser.log_in("carter", crate::auth::testing::PASSWORD).await;
    assert_eq!(told_app(&browser), "access_denied");
}

#[tokio::test]
async fn the_patient_of_a_launch_is_one_whom_the_person_may_choose() {
    let fake = Fake::start().await;
    fake.say("fhirUser", json!("Patient/amy"));
    let world = launching(&fake, granted).await;
    let mut browser = launched_there(&world, &fake, &[]).await;
    let callback = fake.callback(&sent(&browser));
    browser.go(&callback).await;
    assert_eq!(told_app(&browser), "access_denied");
}

#[tokio::test]
async fn an_ehr_names_people_of_the_provider_by_issuer_and_subject() {
    let fake = Fake::start().await;
    let mut world = launching(&fake, |_| ()).await;
    let name = format!("{}#248", fake.url);
    assert_eq!(post(&world, &name, "bob").await.status(), StatusCode::OK);
    for (user, patient) in [
        ("248".to_owned(), "bob"),
        (format!("{}#", fake.url), "bob"),
        (format!("{}#2\u{e9}", fake.url), "bob"),
        (format!("{}#{}", fake.url, "8".repeat(255)), "bob"),
        ("https://idp.example.org#248".to_owned(), "bob"),
        (name.clone(), "../bob"),
    ] {
        assert_eq!(post(&world, &user, patient).await.status(), StatusCode::BAD_REQUEST, "{user} {patient}");
    }
    let oidc = fake.oidc();
    world.reload(|snapshot| snapshot.oidc = Some(oidc.into()));
    let answer = post(&world, &name, "bob").await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "the EHR may launch for some, and this is none of them");
}

#[tokio::test]
async fn a_launch_for_a_local_user_is_not_for_the_provider() {
    let fake = Fake::start().await;
    let world = launching(&fake, |_| ()).await;
    let launched = body(&post(&world, "carter", "bob").await);
    let mut asked = request();
    set(&mut asked, "scope", "launch patient/*.rs");
    set(&mut asked, "launch", launched["launch"].as_str().unwrap());
    let mut browser = Browser::new(&world);
    browser.open(&asked).await;
    assert!(
        browser.path.starts_with("/auth/login?id=") && !browser.html().contains("href=\"federate"),
        "{}",
        browser.html()
    );
    browser.go(&browser.path.replace("/auth/login", "/auth/federate")).await;
    assert!(browser.path.starts_with("/auth/login?id="), "{}", browser.path);
}

/// OpenID Connect Core §3.1.2.1, `prompt=none`: the provider's session is enough, and what it cannot do is told the app.
#[tokio::test]
async fn an_app_that_wants_no_page_gets_none() {
    const PATIENT: &str = "openid launch/patient patient/*.rs";
    let fake = Fake::start().await;
    fake.say("fhirUser", json!("Patient/amy"));
    let world = launching(&fake, granted).await;
    let mut browser = quietly(&world, PATIENT).await;
    assert_eq!(sent(&browser)["prompt"], "none");
    let callback = fake.callback(&sent(&browser));
    browser.go(&callback).await;
    assert!(browser.landed().contains_key("code"));
    for error in ["login_required", "consent_required", "access_denied"] {
        let mut browser = quietly(&world, PATIENT).await;
        refuses(&mut browser, error).await;
        assert_eq!(told_app(&browser), "login_required", "{error}");
    }

    fake.say("fhirUser", json!("Practitioner/carter"));
    let mut browser = quietly(&world, PATIENT).await;
    let callback = fake.callback(&sent(&browser));
    browser.go(&callback).await;
    assert_eq!(told_app(&browser), "interaction_required", "a clinician chooses a patient");
    let asks = launching(&fake, |_| ()).await;
    let mut browser = quietly(&asks, "openid user/*.rs").await;
    let callback = fake.callback(&sent(&browser));
    browser.go(&callback).await;
    assert_eq!(told_app(&browser), "consent_required");

    let down = crate::config::Oidc { issuer: "http://127.0.0.1:9".to_owned(), ..fake.oidc() };
    let world = launching(&fake, |snapshot| snapshot.oidc = Some(down.into())).await;
    assert_eq!(told_app(&quietly(&world, PATIENT).await), "temporarily_unavailable");
}

#[tokio::test]
async fn an_app_that_wants_a_login_gets_a_recent_one() {
    let fake = Fake::start().await;
    let world = launching(&fake, |_| ()).await;
    for (prompt, asked) in [("login", "login"), ("select_account", "select_account"), ("login consent", "login")] {
        let mut browser = launched_there(&world, &fake, &[("prompt", prompt)]).await;
        assert!(browser.path.starts_with("/auth/login?id="), "{prompt}: {}", browser.path);
        browser.federate().await;
        assert_eq!(sent(&browser)["prompt"], asked);
        assert_eq!(sent(&browser).contains_key("max_age"), asked == "login", "{prompt}");
    }
    for (auth_time, passes) in
        [(json!(NOW - 3600), true), (json!(NOW - 3700), false), (Value::Null, false), (json!("now"), false)]
    {
        fake.say("auth_time", auth_time.clone());
        let mut browser = launched_there(&world, &fake, &[("max_age", "3600")]).await;
        assert_eq!((sent(&browser)["prompt"].as_str(), sent(&browser)["max_age"].as_str()), ("none", "3600"));
        let callback = fake.callback(&sent(&browser));
        browser.go(&callback).await;
        assert_eq!(browser.path.starts_with("/auth/consent"), passes, "{auth_time}: {}", browser.path);
        assert_eq!(told(&browser, Failed::Answer), !passes, "{auth_time}");
        if passes {
            browser.submit(&[("do", "allow"), ("patient", "bob")]).await;
            let tokens = body(&world.redeem(&browser.landed()["code"]).await);
            assert_eq!(identity(&tokens)["auth_time"], auth_time, "the login there is the one that counts");
        }
    }
}

/// A provider that does not say when somebody logged in is taken at its word, and then nobody else says it either.
#[tokio::test]
async fn a_login_at_an_unknown_time_has_no_auth_time() {
    let fake = Fake::start().await;
    let world = launching(&fake, granted).await;
    for (auth_time, passes) in [(Value::Null, true), (json!(NOW - 20), true), (json!(NOW - 31), false)] {
        fake.say("auth_time", auth_time.clone());
        let mut browser = launched_there(&world, &fake, &[("prompt", "login")]).await;
        browser.federate().await;
        let callback = fake.callback(&sent(&browser));
        browser.go(&callback).await;
        assert_eq!(told(&browser, Failed::Answer), !passes, "{auth_time}");
        if passes {
            let tokens = body(&world.redeem(&browser.landed()["code"]).await);
            assert_eq!(identity(&tokens)["auth_time"], auth_time);
            assert_eq!(identity(&tokens).get("auth_time").is_some(), auth_time.is_number());
        }
    }
}
