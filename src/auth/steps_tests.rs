use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{StatusCode, header};
use sha2::{Digest as _, Sha256};

use crate::auth::testing::{Browser, PASSWORD, World, json, request, set};
use crate::config::Consent;

/// At the login page of `client`.
async fn at_login<'a>(world: &'a World, client: &str, scope: &str) -> Browser<'a> {
    let mut asked = request();
    set(&mut asked, "client_id", client);
    set(&mut asked, "scope", scope);
    let mut browser = Browser::new(world);
    browser.open(&asked).await;
    assert!(browser.path.starts_with("/auth/login?id="), "{}", browser.path);
    browser
}

#[tokio::test]
async fn a_patient_logs_in_agrees_and_the_app_has_a_code() {
    let world = World::new().await;
    let mut browser = at_login(&world, "app", "openid fhirUser launch/patient patient/*.read").await;
    assert!(browser.html().contains("Growth &#60;Chart&#62;") && browser.html().contains("app.example.org"));
    browser.log_in("amy", PASSWORD).await;
    assert!(browser.path.starts_with("/auth/consent?id="), "a patient with only self has nothing to choose");
    for words in [
        "Amy Shaw",
        "born 20 February 1987",
        "See all data in your record",
        "Know which record here is your own",
        "10 minutes",
    ] {
        assert!(browser.html().contains(words), "{words}");
    }
    browser.submit(&[("do", "allow"), ("patient", "amy")]).await;
    let landed = browser.landed();
    assert_eq!(
        (landed["state"].as_str(), landed["iss"].as_str()),
        ("a&error=x\u{e9} \"'<", "https://gate.example.org")
    );
    assert!(browser.cookies.is_empty(), "nothing is left behind");
    assert!(world.store.in_progress().is_empty());
    let tokens = json(&world.redeem(&landed["code"]).await);
    assert_eq!((&tokens["patient"], &tokens["need_patient_banner"]), (&"amy".into(), &true.into()));

    let audited = world.audited().await;
    let events: Vec<_> =
        audited.iter().map(|line| (line["event"].as_str().unwrap(), line["outcome"].as_str().unwrap())).collect();
    assert_eq!(events, ["authorize", "login", "consent", "token"].map(|event| (event, "success")));
}

#[tokio::test]
async fn row_231_pages_are_closed_to_frames_scripts_caches_and_foreign_forms() {
    let world = World::new().await;
    let browser = at_login(&world, "app", "openid").await;
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("content-type", "text/html; charset=utf-8"),
    ] {
        assert_eq!(browser.answer.headers()[name], value);
    }
    let policy = browser.answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("form-action 'self' https://app.example.org;"), "{policy}");
    let style = browser.html().split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let digest = STANDARD.encode(Sha256::digest(style.as_bytes()));
    assert!(policy.contains(&format!("style-src 'sha256-{digest}';")), "{policy}");
    assert!(!browser.html().contains("<script") && !browser.html().contains(" style="));
}

#[tokio::test]
async fn a_wrong_password_is_told_as_an_unknown_name_is() {
    let world = World::new().await;
    let mut pages = Vec::new();
    for name in ["amy", "nobody", "gone"] {
        let mut browser = at_login(&world, "app", "openid").await;
        browser.log_in(name, "wrong").await;
        assert!(browser.path.ends_with("&notice=failed"));
        assert!(browser.html().contains("role=\"alert\""));
        let (id, begun) = (browser.hidden("id").unwrap(), browser.hidden("begun").unwrap());
        pages.push(
            browser.html().replace(&id, "ID").replace(&begun, "BEGUN").replace(&format!("value=\"{name}\""), "NAME"),
        );
        browser.log_in("amy", PASSWORD).await;
        assert!(browser.path.starts_with("/auth/consent"), "and may try again");
    }
    assert!(pages.iter().all(|page| page.contains("NAME") && *page == pages[0]));
    let audited = world.audited().await;
    let failure = audited.iter().find(|line| line["event"] == "login" && line["outcome"] == "failure").unwrap();
    assert_eq!(failure["subject"], "amy");
    assert!(!audited.iter().any(|line| line.to_string().contains("nobody")), "it may be a password in the wrong field");
}

#[tokio::test]
async fn row_231_without_the_cookie_a_form_does_nothing() {
    let world = World::new().await;
    let mut browser = at_login(&world, "app", "openid").await;
    let cookies = std::mem::take(&mut browser.cookies);
    browser.log_in("amy", PASSWORD).await;
    assert_eq!(browser.answer.status(), StatusCode::BAD_REQUEST);

    // The cookie of one authorization does not open another.
    let mut other = at_login(&world, "app", "openid").await;
    let stolen: Vec<String> = other.cookies.keys().cloned().collect();
    for (name, value) in stolen.into_iter().zip(cookies.values()) {
        other.cookies.insert(name, value.clone());
    }
    other.log_in("amy", PASSWORD).await;
    assert_eq!(other.answer.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn row_231_after_the_login_what_was_known_before_is_worth_nothing() {
    let world = World::new().await;
    let mut browser = at_login(&world, "app", "launch/patient patient/*.rs").await;
    let (before, path) = (browser.cookies.clone(), browser.path.clone());
    browser.log_in("amy", PASSWORD).await;
    assert!(browser.cookies.keys().all(|name| !before.contains_key(name)));
    let mut fixed = Browser::new(&world);
    fixed.cookies = before;
    fixed.go(&path.replace("login", "consent")).await;
    assert!(fixed.path.starts_with("/auth/login?id="), "no further than before: {}", fixed.path);
    let id = fixed.hidden("id").unwrap();
    fixed.go(&format!("/auth/consent?id={id}")).await;
    assert_eq!(fixed.answer.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn no_step_can_be_left_out() {
    let world = World::new().await;
    let mut browser = at_login(&world, "app", "launch/patient patient/*.rs").await;
    let (id, begun) = (browser.hidden("id").unwrap(), browser.hidden("begun").unwrap());
    let is_shut = |browser: &Browser<'_>| {
        browser.path.starts_with("/auth/login") || browser.answer.status() == StatusCode::BAD_REQUEST
    };
    for page in ["consent", "patient"] {
        let (path, login) = (browser.path.clone(), browser.answer.clone());
        for begun in ["", &format!("&begun={begun}")] {
            browser.go(&format!("/auth/{page}?id={id}{begun}")).await;
            assert!(is_shut(&browser), "{page} before the login");
        }
        browser.path = format!("/auth/{page}");
        browser.answer = login.clone();
        browser.submit(&[("do", "allow"), ("patient", "amy")]).await;
        assert!(is_shut(&browser), "{page} posted before the login: {}", browser.path);
        (browser.path, browser.answer) = (path, login);
    }
    browser.log_in("carter", PASSWORD).await;
    assert!(browser.path.starts_with("/auth/patient"));
    browser.path = "/auth/consent".to_owned();
    browser.submit(&[("do", "allow"), ("patient", "amy")]).await;
    assert!(browser.path.starts_with("/auth/patient"), "consent before the patient was chosen");
    assert!(!world.store.in_progress().is_empty());
}

#[tokio::test]
async fn a_clinician_searches_without_leaving_names_in_addresses() {
    let world = World::new().await;
    let mut browser = at_login(&world, "app", "patient/*.rs").await;
    browser.log_in("carter", PASSWORD).await;
    assert!(world.patients.asked.lock().is_empty(), "nobody is listed unasked");
    browser.submit(&[("do", "search")]).await;
    assert!(browser.html().contains("Enter a name"));
    browser.submit(&[("do", "search"), ("birth_date", "gt1900")]).await;
    assert!(browser.html().contains("year-month-day"));
    browser.submit(&[("do", "search"), ("name", "Nobody")]).await;
    assert!(browser.html().contains("No patient fits"));
    browser.submit(&[("do", "search"), ("name", "Shaw"), ("birth_date", "2015-05-01")]).await;
    assert!(browser.html().contains("Ben &#60;b&#62;Shaw") && !browser.html().contains("Amy"));
    assert!(!browser.path.contains("Shaw"), "{}", browser.path);
    browser.submit(&[("do", "choose"), ("patient", "kid1")]).await;
    assert!(browser.html().contains("See all data in the patient’s record"));
    browser.submit(&[("do", "allow"), ("patient", "kid1")]).await;
    assert_eq!(json(&world.redeem(&browser.landed()["code"]).await)["patient"], "kid1");
}

#[tokio::test]
async fn a_patient_that_may_not_be_chosen_or_does_not_exist_is_refused() {
    let world = World::new().await;
    for (user, patient) in
        [("mum", "amy"), ("mum", "kid2"), ("mum", ""), ("carter", "ghost"), ("carter", "amy,bob"), ("carter", "../amy")]
    {
        let mut browser = at_login(&world, "app", "launch/patient patient/*.rs").await;
        browser.log_in(user, PASSWORD).await;
        browser.submit(&[("do", "choose"), ("patient", patient)]).await;
        assert!(browser.path.contains("notice=choose"), "{user} {patient}: {}", browser.path);
        assert!(browser.html().contains("role=\"alert\""));
    }
    let mut browser = at_login(&world, "app", "launch/patient patient/*.rs").await;
    browser.log_in("mum", PASSWORD).await;
    assert!(
        browser.html().contains("value=\"kid1\"") && !browser.html().contains("name=\"name\""),
        "listed, not searched"
    );
    browser.submit(&[("do", "choose"), ("patient", "kid1")]).await;
    assert!(browser.path.starts_with("/auth/consent"));
}

#[tokio::test]
async fn agreeing_is_to_the_patient_that_the_page_showed() {
    let world = World::new().await;
    let mut browser = at_login(&world, "app", "launch/patient patient/*.rs").await;
    browser.log_in("carter", PASSWORD).await;
    browser.submit(&[("do", "choose"), ("patient", "amy")]).await;
    browser.path = "/auth/patient".to_owned();
    browser.submit(&[("do", "choose"), ("patient", "bob")]).await;
    browser.submit(&[("do", "allow"), ("patient", "amy")]).await;
    assert!(browser.path.starts_with("/auth/consent") && browser.html().contains("Bob Shaw"), "asked again");
    browser.submit(&[("do", "allow")]).await;
    assert!(browser.path.starts_with("/auth/consent"));
}

#[tokio::test]
async fn no_patient_is_chosen_where_none_is_asked_for() {
    let world = World::new().await;
    let mut browser = at_login(&world, "app", "openid user/*.rs").await;
    browser.log_in("carter", PASSWORD).await;
    browser.path = "/auth/patient".to_owned();
    browser.submit(&[("do", "choose"), ("patient", "bob")]).await;
    assert!(browser.path.starts_with("/auth/consent") && !browser.html().contains("Bob Shaw"), "{}", browser.path);
}

#[tokio::test]
async fn who_logs_in_second_gets_nothing_of_who_was_first() {
    let world = World::new().await;
    let mut browser = at_login(&world, "app", "launch/encounter patient/*.rs").await;
    browser.log_in("carter", PASSWORD).await;
    browser.submit(&[("do", "search"), ("name", "Shaw")]).await;
    browser.submit(&[("do", "choose"), ("patient", "amy")]).await;
    browser.submit(&[("do", "choose"), ("encounter", "e1")]).await;
    assert!(browser.path.starts_with("/auth/consent"), "{}", browser.path);
    for (username, page) in [("carter", "/auth/patient"), ("amy", "/auth/encounter")] {
        browser.path = "/auth/login".to_owned();
        browser.log_in(username, PASSWORD).await;
        assert!(browser.path.starts_with(page), "{username}: {}", browser.path);
        assert!(!browser.html().contains("Amy Shaw"), "{username}: {}", browser.html());
    }
}

#[tokio::test]
async fn whoever_says_no_is_asked_no_more() {
    let world = World::new().await;
    for page in ["login", "patient", "consent"] {
        let mut browser = at_login(&world, "app", "launch/patient patient/*.rs").await;
        if page != "login" {
            browser.log_in("carter", PASSWORD).await;
        }
        if page == "consent" {
            browser.submit(&[("do", "choose"), ("patient", "bob")]).await;
        }
        assert!(browser.path.contains(page));
        browser.submit(&[("do", if page == "consent" { "deny" } else { "cancel" })]).await;
        assert_eq!(browser.landed()["error"], "access_denied", "{page}");
        assert!(browser.cookies.is_empty());
    }
    assert!(world.store.in_progress().is_empty());
}

#[tokio::test]
async fn one_agreement_is_one_code() {
    let world = World::new().await;
    let mut browser = at_login(&world, "app", "openid").await;
    browser.log_in("amy", PASSWORD).await;
    let (cookies, path, page) = (browser.cookies.clone(), browser.path.clone(), browser.answer.clone());
    browser.submit(&[("do", "allow")]).await;
    assert!(browser.landed().contains_key("code"));
    (browser.cookies, browser.path, browser.answer) = (cookies, path, page);
    browser.submit(&[("do", "allow")]).await;
    assert_eq!(browser.answer.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_app_that_the_operator_trusts_asks_nobody() {
    let world = World::new().await;
    let mut browser = at_login(&world, "trusted", "launch/patient patient/*.rs").await;
    browser.log_in("amy", PASSWORD).await;
    assert!(browser.landed().contains_key("code"));
    let mut browser = at_login(&world, "trusted", "launch/patient patient/*.rs").await;
    browser.log_in("carter", PASSWORD).await;
    browser.submit(&[("do", "choose"), ("patient", "bob")]).await;
    assert!(browser.landed().contains_key("code"), "the patient is chosen all the same");
}

#[tokio::test]
async fn row_228_a_user_who_has_nothing_to_give_is_sent_back() {
    let world = World::new().await;
    let mut browser = at_login(&world, "app", "user/*.rs").await;
    browser.log_in("stranger", PASSWORD).await;
    assert_eq!(browser.landed()["error"], "access_denied");
    let launched = world.launch("stranger", "openid fhirUser user/*.rs patient/*.rs launch/patient").await;
    assert_eq!(launched["scope"], "openid");
    assert_eq!(launched.get("patient"), None);
}

#[tokio::test]
async fn ten_minutes_are_enough() {
    let world = World::new().await;
    let mut browser = at_login(&world, "app", "openid").await;
    world.wait(600);
    browser.log_in("amy", PASSWORD).await;
    assert_eq!(browser.answer.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_reload_in_between_counts() {
    let mut world = World::new().await;
    let asked = request();
    let mut browser = Browser::new(&world);
    browser.open(&asked).await;
    browser.log_in("amy", PASSWORD).await;
    let (cookies, path) = (browser.cookies.clone(), browser.path.clone());
    for without in ["user", "client", "redirect"] {
        world.reload(|snapshot| match without {
            "user" => drop(snapshot.users.remove("amy")),
            "client" => drop(snapshot.clients.configured.remove("app")),
            _ => {
                let client = std::sync::Arc::get_mut(snapshot.clients.configured.get_mut("app").unwrap()).unwrap();
                client.redirect_uris.clear();
                client.consent = Consent::Granted;
            }
        });
        let mut browser = Browser::new(&world);
        browser.cookies = cookies.clone();
        browser.go(&path).await;
        match without {
            "user" => assert!(browser.path.starts_with("/auth/login"), "somebody must log in again"),
            _ => assert_eq!(browser.answer.status(), StatusCode::BAD_REQUEST, "{without}"),
        }
    }
}

#[tokio::test]
async fn what_is_out_of_reach_is_a_page_that_can_be_tried_again() {
    use std::sync::atomic::Ordering::SeqCst;
    let world = World::new().await;
    let mut browser = at_login(&world, "app", "launch/patient patient/*.rs").await;
    world.patients.down.store(true, SeqCst);
    browser.log_in("amy", PASSWORD).await;
    assert!(browser.path.starts_with("/auth/patient") && browser.html().contains("cannot be reached"));
    world.patients.down.store(false, SeqCst);
    browser.go(&browser.path.clone()).await;
    browser.submit(&[("do", "choose"), ("patient", "amy")]).await;
    assert!(browser.path.starts_with("/auth/consent"));
    let page = browser.answer.clone();
    world.store.down.store(true, SeqCst);
    browser.submit(&[("do", "allow"), ("patient", "amy")]).await;
    assert_eq!(browser.answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    world.store.down.store(false, SeqCst);
    browser.answer = page;
    browser.submit(&[("do", "allow"), ("patient", "amy")]).await;
    let tokens = json(&world.redeem(&browser.landed()["code"]).await);
    assert!(tokens["access_token"].is_string());
}

#[tokio::test]
async fn the_consent_page_says_when_access_goes_on_while_one_is_away() {
    let world = World::new().await;
    for (scope, said) in [("patient/*.rs offline_access", true), ("patient/*.rs", false)] {
        let mut browser = at_login(&world, "app", scope).await;
        browser.log_in("amy", PASSWORD).await;
        assert_eq!(browser.html().contains("The access goes on while you are away"), said, "{scope}");
    }
}
