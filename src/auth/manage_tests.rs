use http::{StatusCode, header};

use crate::auth::testing::{Browser, PASSWORD, World, text};

const LASTING: &str = "launch/patient patient/*.rs offline_access";

async fn at_overview(world: &World) -> Browser<'_> {
    let mut browser = Browser::new(world);
    browser.go("/auth/manage").await;
    assert!(browser.html().contains("Log in to see"));
    assert_eq!(browser.answer.headers()["cross-origin-opener-policy"], "same-origin");
    browser.post("/auth/manage", &[("username", "amy"), ("password", PASSWORD), ("do", "login")]).await;
    assert!(browser.html().contains("Logged in as amy"), "{}", browser.html());
    browser
}

#[tokio::test]
async fn bp_1_a_person_sees_what_apps_hold_and_ends_it() {
    let world = World::new().await;
    let tokens = world.launch("amy", LASTING).await;
    let mut browser = at_overview(&world).await;
    for words in ["Growth &#60;Chart&#62;", "See all data in your record", "Patient record amy", "15 January 2027"] {
        assert!(browser.html().contains(words), "{words}: {}", browser.html());
    }
    let grant = browser.hidden("grant").unwrap();
    browser.submit(&[("grant", &grant), ("do", "end")]).await;
    assert!(browser.html().contains("The access was ended.") && browser.html().contains("No app has lasting access"));
    let refresh = [
        ("grant_type", "refresh_token"),
        ("client_id", "app"),
        ("refresh_token", tokens["refresh_token"].as_str().unwrap()),
    ];
    assert_eq!(world.post("/auth/token", &refresh, &[]).await.status(), StatusCode::BAD_REQUEST);
    let claims = world.verifier.verify(tokens["access_token"].as_str().unwrap(), &world.snapshot).await.unwrap();
    assert!(world.revocations.is_revoked(&claims), "the access token too");
    let audited = world.audited().await;
    let ended = audited.iter().find(|line| line["event"] == "revoke").unwrap();
    assert_eq!(
        (&ended["client"], &ended["subject"], &ended["detail"]),
        (&"app".into(), &"amy".into(), &"ended by the user".into())
    );
}

#[tokio::test]
async fn nobody_ends_what_another_one_gave() {
    let world = World::new().await;
    world.launch("amy", LASTING).await;
    let grant = at_overview(&world).await.hidden("grant").unwrap();
    let mut other = Browser::new(&world);
    other.go("/auth/manage").await;
    other.post("/auth/manage", &[("username", "carter"), ("password", PASSWORD), ("do", "login")]).await;
    assert!(other.html().contains("No app has lasting access"));
    other.submit(&[("grant", &grant), ("do", "end")]).await;
    assert!(at_overview(&world).await.html().contains("See all data in your record"));
}

#[tokio::test]
async fn a_form_of_another_page_and_a_visit_that_is_over_do_nothing() {
    let world = World::new().await;
    world.launch("amy", LASTING).await;
    let mut browser = at_overview(&world).await;
    let grant = browser.hidden("grant").unwrap();
    let cookies = browser.cookies.clone();
    browser.post("/auth/manage", &[("id", "guessed"), ("grant", &grant), ("do", "end")]).await;
    assert_eq!(browser.answer.status(), StatusCode::BAD_REQUEST);
    browser.go("/auth/manage").await;
    browser.submit(&[("do", "logout")]).await;
    assert!(browser.html().contains("You are logged out.") && browser.cookies.is_empty());
    browser.cookies = cookies;
    browser.go("/auth/manage").await;
    assert!(browser.html().contains("Log in to see"), "the visit is over, whoever has its cookie");

    let mut browser = at_overview(&world).await;
    world.wait(15 * 60);
    browser.go("/auth/manage").await;
    assert!(browser.html().contains("Log in to see"));
}

#[tokio::test]
async fn the_login_fails_as_the_other_one_does() {
    let world = World::new().await;
    let mut pages = Vec::new();
    for name in ["amy", "nobody", "gone"] {
        let form = [("username", name), ("password", "wrong"), ("do", "login")];
        let answer = world.post("/auth/manage", &form, &[]).await;
        assert!(!answer.headers().contains_key(header::SET_COOKIE));
        pages.push(text(&answer).replace(&format!("value=\"{name}\""), "NAME"));
    }
    assert!(pages.iter().all(|page| page.contains("role=\"alert\"") && *page == pages[0]));
}

#[tokio::test]
async fn a_page_of_another_site_logs_nobody_in() {
    let world = World::new().await;
    let form = [("username", "amy"), ("password", PASSWORD), ("do", "login")];
    for (site, status) in [
        ("cross-site", StatusCode::BAD_REQUEST),
        ("same-site", StatusCode::BAD_REQUEST),
        ("same-origin", StatusCode::SEE_OTHER),
        ("none", StatusCode::SEE_OTHER),
    ] {
        let answer = world.post("/auth/manage", &form, &[("sec-fetch-site", site)]).await;
        let cookies = answer.headers().get_all(header::SET_COOKIE).iter().count();
        assert_eq!((answer.status(), cookies), (status, usize::from(status == StatusCode::SEE_OTHER)), "{site}");
    }
}
