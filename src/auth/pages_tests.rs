use super::*;
use crate::auth::testing::{Browser, PASSWORD, World, request, set};
use crate::auth::texts;
use crate::config::{Language, Link, Logo, Snapshot};

#[test]
fn a_person_sees_where_the_answer_goes() {
    let t = texts::of(Language::English);
    let place = |uri| place(uri, t);
    assert_eq!(place("https://app.example.org/callback"), "app.example.org");
    assert_eq!(place("http://127.0.0.1:9000/callback"), "127.0.0.1:9000");
    assert_eq!(place("org.example.app:/callback"), "an app on this device, org.example.app");
}

const SVG: &[u8] = b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>";

fn brand(snapshot: &mut Snapshot) {
    let logo = Logo { bytes: Bytes::from_static(SVG), media_type: "image/svg+xml", tag: "\"v1\"".to_owned() };
    let link = Link { text: "Imprint".to_owned(), url: "https://clinic.example.org/imprint".to_owned() };
    snapshot.pages.name = Some("Clinic <North>".to_owned());
    snapshot.pages.support = Some("Call 100".to_owned());
    snapshot.pages.logo = Some(logo);
    snapshot.pages.links = vec![link];
}

async fn branded() -> World {
    let mut world = World::new().await;
    world.reload(brand);
    world
}

fn header<'a>(answer: &'a Response<Bytes>, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn every_page_shows_whose_it_is() {
    let mut world = branded().await;
    let mut browser = Browser::new(&world);
    browser.open(&request()).await;
    for part in [
        "Log in – Growth &#60;Chart&#62; – Clinic &#60;North&#62;</title>",
        "<img src=\"/auth/logo\" alt=\"\">",
        "<p>Clinic &#60;North&#62;</p>",
        "Questions? Call 100",
        "<a href=\"https://clinic.example.org/imprint\" target=\"_blank\">Imprint</a>",
    ] {
        assert!(browser.html().contains(part), "{part}: {}", browser.html());
    }
    assert!(header(&browser.answer, "content-security-policy").contains("; img-src 'self'; form-action "));
    browser.go("/auth/login").await;
    assert!(browser.html().contains("no longer valid") && browser.html().contains("/auth/logo"));
    world.reload(|snapshot| {
        brand(snapshot);
        snapshot.pages.name_in_logo = true;
    });
    let mut browser = Browser::new(&world);
    browser.go("/auth/manage").await;
    assert!(browser.html().contains("<img src=\"/auth/logo\" alt=\"Clinic &#60;North&#62;\">"));
    assert!(!browser.html().contains("<p>Clinic"));
}

#[tokio::test]
async fn without_a_brand_there_is_none() {
    let world = World::new().await;
    let mut browser = Browser::new(&world);
    browser.open(&request()).await;
    for part in ["<header>", "<footer>", "<img"] {
        assert!(!browser.html().contains(part), "{part}");
    }
    assert!(browser.html().contains("<title>Log in – Growth &#60;Chart&#62;</title>"));
    assert!(!header(&browser.answer, "content-security-policy").contains("img-src"));
    browser.go("/auth/logo").await;
    assert_eq!(browser.answer.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_logo_is_kept_and_can_do_nothing() {
    let world = branded().await;
    let get = |known: &'static str| {
        let asked = http::Request::get("/auth/logo").header(header::IF_NONE_MATCH, known).body(Bytes::new());
        world.send(asked.unwrap())
    };
    let answer = get("\"v0\"").await;
    assert_eq!((answer.status(), answer.body().as_ref()), (StatusCode::OK, SVG));
    assert_eq!(header(&answer, "content-type"), "image/svg+xml");
    for known in ["\"v1\"", "W/\"v1\"", "\"v0\", \"v1\"", "*"] {
        let answer = get(known).await;
        assert!(answer.status() == StatusCode::NOT_MODIFIED && answer.body().is_empty(), "{known}");
    }
    for answer in [answer, get("\"v1\"").await] {
        assert_eq!(header(&answer, "etag"), "\"v1\"");
        assert_eq!(header(&answer, "cache-control"), "public, max-age=600");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
        assert_eq!(
            header(&answer, "content-security-policy"),
            "default-src 'none'; style-src 'unsafe-inline'; sandbox"
        );
    }
}

async fn at_login<'a>(world: &'a World, ui_locales: &str, accept: &'static str) -> Browser<'a> {
    let mut asked = request();
    set(&mut asked, "ui_locales", ui_locales);
    let mut browser = Browser::new(world);
    browser.languages = accept;
    browser.open(&asked).await;
    browser
}

fn is_german(browser: &Browser<'_>) -> bool {
    let german = browser.html().contains("<html lang=\"de\">");
    assert_eq!(header(&browser.answer, "content-language"), if german { "de" } else { "en" });
    assert_eq!(header(&browser.answer, "vary"), "Accept-Language");
    german
}

#[tokio::test]
async fn the_app_chooses_the_language_then_the_browser_then_the_operator() {
    let mut world = World::new().await;
    for (ui_locales, accept, german) in [
        ("", "", false),
        ("", "de-AT,de;q=0.9,en;q=0.5", true),
        ("de", "en", true),
        ("fr-CA de-CH en", "en", true),
        ("fr", "de", true),
        ("en", "de", false),
        ("", "fr", false),
    ] {
        assert_eq!(is_german(&at_login(&world, ui_locales, accept).await), german, "{ui_locales} {accept}");
    }
    world.reload(|snapshot| snapshot.pages.languages = vec![Language::German]);
    assert!(is_german(&at_login(&world, "en", "en").await));
}

#[tokio::test]
async fn the_language_holds_from_the_first_page_to_the_last() {
    let world = World::new().await;
    let mut browser = at_login(&world, "de", "en").await;
    assert!(browser.html().contains("Benutzername"));
    browser.log_in("amy", "wrong").await;
    assert!(is_german(&browser) && browser.html().contains("passen nicht zusammen"));
    browser.log_in("amy", PASSWORD).await;
    assert!(is_german(&browser) && browser.path.starts_with("/auth/consent"));
    for part in ["Zugriff für", "geb. 20.02.1987", "Alle Daten Ihrer Akte", "10 Minuten lang", "Nicht erlauben"] {
        assert!(browser.html().contains(part), "{part}: {}", browser.html());
    }
    browser.submit(&[("do", "deny")]).await;
    let landed = browser.landed();
    assert_eq!((landed["error"].as_str(), landed["error_description"].as_str()), ("access_denied", "the user refused"));
}

#[tokio::test]
async fn an_error_before_the_app_is_known_is_in_the_language_asked_for() {
    let world = World::new().await;
    let mut asked = request();
    set(&mut asked, "ui_locales", "de");
    set(&mut asked, "client_id", "stranger");
    let mut browser = Browser::new(&world);
    browser.open(&asked).await;
    assert!(is_german(&browser) && browser.html().contains("Diese App ist hier nicht bekannt"));
}
