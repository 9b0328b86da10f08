use crate::auth::testing::{Browser, PASSWORD, World, json, request, set};

async fn at_consent<'a>(world: &'a World, scope: &str) -> Browser<'a> {
    let mut asked = request();
    set(&mut asked, "scope", scope);
    let mut browser = Browser::new(world);
    browser.open(&asked).await;
    browser.log_in("amy", PASSWORD).await;
    assert!(browser.path.starts_with("/auth/consent?id="), "{}", browser.path);
    browser
}

/// ONC limited access.
#[tokio::test]
async fn row_227_what_is_unticked_is_not_granted() {
    let world = World::new().await;
    let scope = "openid launch/patient patient/Observation.rs?category=a|b patient/Condition.read offline_access";
    let mut browser = at_consent(&world, scope).await;
    for fixed in ["openid", "launch/patient"] {
        assert!(!browser.html().contains(&format!("value=\"{fixed}\"")), "{fixed} is no choice");
    }
    browser.unticked = vec!["patient/Condition.read", "offline_access"];
    browser.submit(&[("do", "allow"), ("patient", "amy")]).await;
    let tokens = json(&world.redeem(&browser.landed()["code"]).await);
    assert_eq!(tokens["scope"], "openid launch/patient patient/Observation.rs?category=a|b");
    assert_eq!(tokens.get("refresh_token"), None);
}

#[tokio::test]
async fn row_227_a_box_that_was_not_on_the_page_adds_nothing() {
    let world = World::new().await;
    let mut browser = at_consent(&world, "launch/patient patient/Observation.rs").await;
    browser.unticked = vec!["patient/Observation.rs"];
    browser.submit(&[("do", "allow"), ("patient", "amy"), ("grant.1", "patient/*.rs"), ("grant.2", "user/*.rs")]).await;
    let tokens = json(&world.redeem(&browser.landed()["code"]).await);
    assert_eq!(tokens["scope"], "launch/patient");
}

#[tokio::test]
async fn nothing_ticked_is_a_no() {
    let world = World::new().await;
    let mut browser = at_consent(&world, "user/Observation.rs").await;
    browser.unticked = vec!["user/Observation.rs"];
    browser.submit(&[("do", "allow")]).await;
    assert_eq!(browser.landed()["error"], "access_denied");
}
