use std::sync::atomic::Ordering;

use crate::auth::testing::{Browser, PASSWORD, World, json, request, set};

const SCOPE: &str = "launch/encounter patient/*.rs";

async fn at_choice(world: &World) -> Browser<'_> {
    let mut asked = request();
    set(&mut asked, "scope", SCOPE);
    let mut browser = Browser::new(world);
    browser.open(&asked).await;
    browser.log_in("amy", PASSWORD).await;
    assert!(browser.path.starts_with("/auth/encounter?id="), "{}", browser.path);
    browser
}

#[tokio::test]
async fn a_chosen_visit_is_in_context() {
    let world = World::new().await;
    let mut browser = at_choice(&world).await;
    assert!(browser.html().contains("Check-up &#60;x&#62;") && browser.html().contains("2 January 2026 · Visit e2"));
    for wrong in ["e3", "", "../e1"] {
        browser.submit(&[("do", "choose"), ("encounter", wrong)]).await;
        assert!(browser.path.ends_with("&notice=choose"), "{}", browser.path);
        assert!(browser.html().contains("role=\"alert\""));
    }
    browser.submit(&[("do", "choose"), ("encounter", "e2")]).await;
    assert!(browser.html().contains("Visit e2"));
    browser.submit(&[("do", "allow"), ("patient", "amy")]).await;
    let tokens = json(&world.redeem(&browser.landed()["code"]).await);
    assert_eq!((&tokens["encounter"], &tokens["patient"]), (&"e2".into(), &"amy".into()));
    assert_eq!(tokens["scope"], SCOPE);
}

#[tokio::test]
async fn another_patient_has_another_visit() {
    let world = World::new().await;
    let mut asked = request();
    set(&mut asked, "scope", SCOPE);
    let mut browser = Browser::new(&world);
    browser.open(&asked).await;
    browser.log_in("carter", PASSWORD).await;
    browser.submit(&[("do", "search"), ("name", "Shaw")]).await;
    browser.submit(&[("do", "choose"), ("patient", "amy")]).await;
    browser.submit(&[("do", "choose"), ("encounter", "e2")]).await;
    browser.path = "/auth/patient".to_owned();
    browser.submit(&[("do", "choose"), ("patient", "bob")]).await;
    assert!(browser.path.starts_with("/auth/encounter") && !browser.html().contains("e2"), "{}", browser.html());
}

#[tokio::test]
async fn an_app_goes_on_without_a_visit_where_there_is_none() {
    let world = World::new().await;
    let mut browser = at_choice(&world).await;
    world.patients.down.store(true, Ordering::SeqCst);
    let path = browser.path.clone();
    browser.go(&path).await;
    assert!(browser.html().contains("cannot be read at the moment"));
    world.patients.down.store(false, Ordering::SeqCst);
    browser.submit(&[("do", "none")]).await;
    browser.submit(&[("do", "allow"), ("patient", "amy")]).await;
    let tokens = json(&world.redeem(&browser.landed()["code"]).await);
    assert_eq!((tokens.get("encounter"), &tokens["scope"]), (None, &"patient/*.rs".into()));

    let mut browser = at_choice(&world).await;
    browser.submit(&[("do", "cancel")]).await;
    assert_eq!(browser.landed()["error"], "access_denied");
}
