use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::auth::testing::{BASE, Browser, PASSWORD, SECRET, World, basic, json as body, request, set, text};
use crate::config::{Consent, LaunchBinding};

const SCOPE: &str = "launch openid fhirUser patient/*.rs";
const CONTEXT: &str = r#"[{"reference":"ImagingStudy/1"}]"#;

fn asked(launch: &str) -> Vec<(&'static str, String)> {
    let mut asked = request();
    set(&mut asked, "scope", SCOPE);
    set(&mut asked, "launch", launch);
    asked
}

async fn post(world: &World, form: &[(&str, &str)]) -> http::Response<bytes::Bytes> {
    world.post("/auth/launch", form, &[("authorization", &basic("ehr", SECRET))]).await
}

async fn launch(world: &World, form: &[(&str, &str)]) -> Value {
    let answer = post(world, form).await;
    assert_eq!(answer.status(), StatusCode::OK, "{}", text(&answer));
    body(&answer)
}

/// Opens the launch's `start_url` and follows the browser to the app, which sends it to the gate.
async fn start<'a>(world: &'a World, launched: &Value) -> Browser<'a> {
    let mut browser = Browser::new(world);
    browser.go(launched["start_url"].as_str().unwrap()).await;
    let location = browser.answer.headers()[header::LOCATION].to_str().unwrap();
    let app = url::Url::parse(location).unwrap();
    assert_eq!((app.host_str(), app.path()), (Some("app.example.org"), "/launch"));
    let told: Vec<_> = app.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    let launch = launched["launch"].as_str().unwrap();
    assert_eq!(told, [("kept", "1"), ("iss", BASE), ("launch", launch)].map(|(n, v)| (n.to_owned(), v.to_owned())));
    browser
}

/// AL-10.
#[tokio::test]
async fn sc_25_the_ehrs_user_is_not_asked_to_log_in_again_and_the_app_is_told_the_context() {
    let world = World::new().await;
    let launched = launch(
        &world,
        &[
            ("app", "app"),
            ("user", "carter"),
            ("patient", "bob"),
            ("encounter", "e1"),
            ("fhirContext", CONTEXT),
            ("intent", "reconcile"),
            ("need_patient_banner", "false"),
            ("tenant", "t"),
        ],
    )
    .await;
    assert_eq!(launched["expires_in"], 300);
    let mut browser = start(&world, &launched).await;
    browser.open(&asked(launched["launch"].as_str().unwrap())).await;
    assert!(browser.path.starts_with("/auth/consent?id="), "{}", browser.path);
    assert!(browser.html().contains("Bob Shaw") && browser.html().contains("carter"));
    let policy = browser.answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("frame-ancestors https://ehr.example.org;"), "{policy}");
    assert!(!browser.answer.headers().contains_key(header::X_FRAME_OPTIONS));
    browser.submit(&[("do", "allow"), ("patient", "bob")]).await;
    let tokens = body(&world.redeem(&browser.landed()["code"]).await);
    let context = json!({
        "patient": "bob", "encounter": "e1", "fhirContext": [{"reference": "ImagingStudy/1"}], "intent": "reconcile",
        "need_patient_banner": false, "tenant": "t",
    });
    for (name, value) in context.as_object().unwrap() {
        assert_eq!(&tokens[name], value, "{name}");
    }
    let token = tokens["access_token"].as_str().unwrap();
    let bearer = format!("Bearer {token}");
    let answer = world.post("/auth/introspect", &[("token", token)], &[("authorization", &bearer)]).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN, "only who may introspect");

    let audited = world.audited().await;
    let line = audited.iter().find(|line| line["event"] == "launch").unwrap();
    assert_eq!((&line["client"], &line["subject"], &line["patient"]), (&"ehr".into(), &"carter".into(), &"bob".into()));
    assert!(!audited.iter().any(|line| line.to_string().contains(launched["launch"].as_str().unwrap())));
}

/// What the EHR said of a launch belongs together: no form changes the patient and keeps the rest.
#[tokio::test]
async fn row_225_the_patient_of_a_launch_stays_whatever_is_posted() {
    let world = World::new().await;
    let form = [("app", "app"), ("user", "carter"), ("patient", "bob"), ("encounter", "e1"), ("fhirContext", CONTEXT)];
    let launched = launch(&world, &form).await;
    let mut browser = start(&world, &launched).await;
    browser.open(&asked(launched["launch"].as_str().unwrap())).await;
    browser.path = "/auth/patient".to_owned();
    browser.submit(&[("do", "choose"), ("patient", "amy")]).await;
    assert!(browser.path.starts_with("/auth/consent?id=") && browser.html().contains("Bob Shaw"), "{}", browser.html());
    browser.submit(&[("do", "allow"), ("patient", "bob")]).await;
    let tokens = body(&world.redeem(&browser.landed()["code"]).await);
    assert_eq!((&tokens["patient"], &tokens["encounter"]), (&"bob".into(), &"e1".into()));
}

#[tokio::test]
async fn ti_3_introspection_echoes_the_context() {
    let mut world = World::new().await;
    world.reload(|snapshot| {
        let app = snapshot.clients.configured.get_mut("app").unwrap();
        std::sync::Arc::get_mut(app).unwrap().may_introspect = true;
    });
    let launched = launch(&world, &[("app", "app"), ("user", "carter"), ("patient", "bob"), ("intent", "x")]).await;
    let mut browser = start(&world, &launched).await;
    browser.open(&asked(launched["launch"].as_str().unwrap())).await;
    browser.submit(&[("do", "allow"), ("patient", "bob")]).await;
    let tokens = body(&world.redeem(&browser.landed()["code"]).await);
    let token = tokens["access_token"].as_str().unwrap();
    let bearer = format!("Bearer {token}");
    let told = body(&world.post("/auth/introspect", &[("token", token)], &[("authorization", &bearer)]).await);
    for name in ["patient", "intent", "need_patient_banner"] {
        assert_eq!(told[name], tokens[name], "{name}");
    }
    assert_eq!((&told["intent"], &told["need_patient_banner"]), (&"x".into(), &true.into()));
}

/// A launch works once, in its browser, for its app and its user.
#[tokio::test]
async fn al_11_row_225_another_browser_logs_in_and_only_as_the_same_user() {
    let world = World::new().await;
    let launched = launch(&world, &[("app", "app"), ("user", "carter"), ("patient", "bob")]).await;
    let value = launched["launch"].as_str().unwrap();
    let mut other = Browser::new(&world);
    other.open(&asked(value)).await;
    assert!(other.path.starts_with("/auth/login?id="), "{}", other.path);
    assert!(!other.html().contains("carter"), "nothing tells for whom it is");
    other.log_in("amy", PASSWORD).await;
    assert_eq!(other.landed()["error"], "access_denied");
    assert!(other.cookies.is_empty());

    let mut other = Browser::new(&world);
    other.open(&asked(value)).await;
    other.log_in("carter", PASSWORD).await;
    assert!(other.path.starts_with("/auth/consent?id=") && other.html().contains("Bob Shaw"), "the launch's patient");

    let mut request = asked(value);
    set(&mut request, "prompt", "login");
    let mut own = start(&world, &launched).await;
    own.open(&request).await;
    assert!(own.html().contains("value=\"carter\""), "the browser that the EHR sent");
}

#[tokio::test]
async fn al_11_row_225_a_launch_is_spent_with_the_first_code_and_a_reload_before_works() {
    let world = World::new().await;
    let launched = launch(&world, &[("app", "app"), ("user", "carter"), ("patient", "bob")]).await;
    let value = launched["launch"].as_str().unwrap();
    let mut first = start(&world, &launched).await;
    first.open(&asked(value)).await;
    let mut second = start(&world, &launched).await;
    second.open(&asked(value)).await;
    for browser in [&mut first, &mut second] {
        assert!(browser.path.starts_with("/auth/consent"));
    }
    first.submit(&[("do", "allow"), ("patient", "bob")]).await;
    assert!(first.landed().contains_key("code"));
    second.submit(&[("do", "allow"), ("patient", "bob")]).await;
    assert_eq!(second.landed()["error"], "invalid_request", "of two codes one is made");
    let mut third = Browser::new(&world);
    third.open(&asked(value)).await;
    assert_eq!(third.landed()["error"], "invalid_request");
    let mut again = Browser::new(&world);
    again.go(launched["start_url"].as_str().unwrap()).await;
    assert_eq!(again.answer.status(), StatusCode::BAD_REQUEST);
}

/// AL-11, AL-12, attacks.md 225.
#[tokio::test]
async fn al_11_al_12_row_225_a_launch_that_does_not_fit_opens_nothing() {
    let mut world = World::new().await;
    let launched = launch(&world, &[("app", "app"), ("user", "carter")]).await;
    let value = launched["launch"].as_str().unwrap().to_owned();
    for (name, wrong, error) in [
        ("launch", "guessed", "invalid_request"),
        ("client_id", "trusted", "invalid_request"),
        ("scope", "launch/patient patient/*.rs", "invalid_scope"),
        ("aud", "https://elsewhere.example.org/fhir", "invalid_request"),
    ] {
        let mut request = asked(&value);
        set(&mut request, name, wrong);
        let mut browser = start(&world, &launched).await;
        browser.open(&request).await;
        assert_eq!(browser.landed()["error"], error, "{name}={wrong}");
    }
    let url = launched["start_url"].as_str().unwrap();
    for wrong in [url.replace("ticket=", "ticket=x"), url.split("&ticket").next().unwrap().to_owned()] {
        let mut browser = Browser::new(&world);
        browser.go(&wrong).await;
        assert_eq!(browser.answer.status(), StatusCode::BAD_REQUEST, "{wrong}");
        assert!(browser.cookies.is_empty());
    }
    // What the EHR may do is asked again when the app comes.
    world.reload(|snapshot| {
        std::sync::Arc::get_mut(snapshot.clients.configured.get_mut("ehr").unwrap()).unwrap().launcher = None
    });
    let mut browser = Browser::new(&world);
    browser.open(&asked(&value)).await;
    assert_eq!(browser.landed()["error"], "invalid_request");
}

#[tokio::test]
async fn row_225_a_launch_ends_after_five_minutes() {
    let world = World::new().await;
    let launched = launch(&world, &[("app", "app"), ("user", "carter"), ("patient", "bob")]).await;
    world.wait(299);
    let mut browser = start(&world, &launched).await;
    browser.open(&asked(launched["launch"].as_str().unwrap())).await;
    world.wait(300);
    browser.submit(&[("do", "allow"), ("patient", "bob")]).await;
    assert!(browser.landed().contains_key("code"), "what began in time may take its time");

    let late = launch(&world, &[("app", "app"), ("user", "carter")]).await;
    world.wait(300);
    let mut browser = Browser::new(&world);
    browser.go(late["start_url"].as_str().unwrap()).await;
    assert_eq!(browser.answer.status(), StatusCode::BAD_REQUEST);
    browser.open(&asked(late["launch"].as_str().unwrap())).await;
    assert_eq!(browser.landed()["error"], "invalid_request");
}

#[tokio::test]
async fn only_an_ehr_launches_and_only_for_whom_it_may() {
    let world = World::new().await;
    let good = [("app", "app"), ("user", "carter"), ("patient", "bob")];
    for (name, wrong) in [
        ("app", "trusted"),
        ("app", "nobody"),
        ("user", "mum"),
        ("user", "gone"),
        ("user", "nobody"),
        ("patient", "nobody"),
        ("patient", "../bob"),
        ("launch_uri", "https://app.example.org/launch"),
        ("intent", &"x".repeat(300)),
    ] {
        let mut form: Vec<_> = good.into_iter().filter(|(known, _)| *known != name).collect();
        form.push((name, wrong));
        let answer = post(&world, &form).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{name}={wrong}");
        assert_eq!(body(&answer)["error"], "invalid_request");
    }
    // Amy is confined to her own record, whatever the EHR says.
    let form = [("app", "app"), ("user", "amy"), ("patient", "bob")];
    assert_eq!(post(&world, &form).await.status(), StatusCode::BAD_REQUEST);
    let answer = world.post("/auth/launch", &good, &[("authorization", &basic("trusted", SECRET))]).await;
    assert_eq!((answer.status(), &body(&answer)["error"]), (StatusCode::FORBIDDEN, &"unauthorized_client".into()));
    let answer = world.post("/auth/launch", &[("client_id", "app"), ("app", "app"), ("user", "amy")], &[]).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let answer = world.post("/auth/launch", &good, &[("authorization", &basic("ehr", "wrong"))]).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(world.store.in_progress().is_empty());
}

#[tokio::test]
async fn sc_22_without_a_patient_the_user_chooses_and_a_trusted_app_asks_nothing_more() {
    let mut world = World::new().await;
    world.reload(|snapshot| {
        std::sync::Arc::get_mut(snapshot.clients.configured.get_mut("app").unwrap()).unwrap().consent = Consent::Granted
    });
    let launched = launch(&world, &[("app", "app"), ("user", "carter")]).await;
    let mut browser = start(&world, &launched).await;
    browser.open(&asked(launched["launch"].as_str().unwrap())).await;
    assert!(browser.path.starts_with("/auth/patient?id="), "{}", browser.path);

    let launched = launch(&world, &[("app", "app"), ("user", "carter"), ("patient", "bob")]).await;
    let mut browser = start(&world, &launched).await;
    browser.open(&asked(launched["launch"].as_str().unwrap())).await;
    assert!(browser.landed().contains_key("code"));
}

#[tokio::test]
async fn an_ehr_that_cannot_send_the_browser_through_may_be_trusted_without() {
    let mut world = World::new().await;
    world.reload(|snapshot| {
        let ehr = std::sync::Arc::get_mut(snapshot.clients.configured.get_mut("ehr").unwrap()).unwrap();
        ehr.launcher.as_mut().unwrap().binding = LaunchBinding::None;
    });
    let launched = launch(&world, &[("app", "app"), ("user", "carter"), ("patient", "bob")]).await;
    let mut browser = Browser::new(&world);
    browser.open(&asked(launched["launch"].as_str().unwrap())).await;
    assert!(browser.path.starts_with("/auth/consent?id="), "{}", browser.path);
}

#[tokio::test]
async fn the_cookie_is_for_frames_of_the_ehr_and_for_this_host_only() {
    let world = World::new().await;
    let launched = launch(&world, &[("app", "app"), ("user", "carter"), ("patient", "bob")]).await;
    let mut browser = Browser::new(&world);
    browser.go(launched["start_url"].as_str().unwrap()).await;
    let cookie = browser.answer.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("__Host-smartgate-"), "{cookie}");
    for attribute in ["HttpOnly", "Secure", "SameSite=None", "Partitioned", "Path=/", "Max-Age=300"] {
        assert!(cookie.contains(attribute), "{attribute}: {cookie}");
    }
    browser.open(&asked(launched["launch"].as_str().unwrap())).await;
    // The page after the launch sets no cookie itself: its redirect did.
    let plain = World::at("http://127.0.0.1:8080").await;
    let answer = post(&plain, &[("app", "app"), ("user", "carter")]).await;
    let mut browser = Browser::new(&plain);
    browser.go(body(&answer)["start_url"].as_str().unwrap()).await;
    let cookie = browser.answer.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.contains("SameSite=Lax") && !cookie.contains("Secure"), "{cookie}");
}

#[tokio::test]
async fn a_standalone_launch_gets_no_launch_scope() {
    let world = World::new().await;
    let tokens = world.launch("amy", "launch launch/patient patient/*.rs").await;
    assert_eq!(tokens["scope"], "launch/patient patient/*.rs");
}
