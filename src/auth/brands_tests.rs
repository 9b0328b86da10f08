use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::auth::testing::{World, json as body};
use crate::config::{BrandIdentifier, Brands};

const PATH: &str = "/.well-known/user-access-brands.json";
const TAG: &str = "W/\"abc\"";

async fn world(identifier: Option<BrandIdentifier>) -> World {
    let mut world = World::new().await;
    let bundle = Bytes::from_static(br#"{"resourceType":"Bundle"}"#);
    let brands = Brands { bundle, tag: TAG.to_owned(), identifier, names_this_server: true };
    world.reload(|snapshot| snapshot.brands = Some(Arc::new(brands)));
    world
}

async fn ask(world: &World, method: Method, headers: &[(&str, &str)]) -> Response<Bytes> {
    let mut request = Request::builder().method(method).uri(PATH);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.send(request.body(Bytes::new()).unwrap()).await
}

async fn smart_configuration(world: &World) -> Value {
    body(&world.get("/fhir/.well-known/smart-configuration").await)
}

/// BR-4: for pages of any origin, under a weak entity tag.
#[tokio::test]
async fn anybody_reads_the_bundle_from_anywhere() {
    let world = world(None).await;
    let answer = ask(&world, Method::GET, &[("origin", "https://any.example")]).await;
    assert_eq!((answer.status(), answer.body().as_ref()), (StatusCode::OK, &br#"{"resourceType":"Bundle"}"#[..]));
    for (name, value) in [
        (header::CONTENT_TYPE, "application/fhir+json"),
        (header::ETAG, TAG),
        (header::CACHE_CONTROL, "public, max-age=600"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ] {
        assert_eq!(answer.headers()[&name], value, "{name}");
    }
    assert!(answer.headers()[header::ACCESS_CONTROL_EXPOSE_HEADERS].to_str().unwrap().contains("ETag"));
    assert_eq!(ask(&world, Method::HEAD, &[]).await.headers()[header::ETAG], TAG);
    let answer = ask(&world, Method::OPTIONS, &[("origin", "https://any.example")]).await;
    assert_eq!(
        (answer.status(), &answer.headers()[header::ALLOW]),
        (StatusCode::NO_CONTENT, &"GET, HEAD, OPTIONS".parse().unwrap())
    );
    assert!(answer.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap().contains("If-None-Match"));
    assert_eq!(ask(&world, Method::POST, &[]).await.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn who_has_it_does_not_get_it_again() {
    let world = world(None).await;
    for (tags, known) in [
        (TAG, true),
        ("\"abc\"", true),
        ("\"x\", W/\"abc\"", true),
        ("*", true),
        ("\"abcd\"", false),
        ("abc", false),
        ("", false),
    ] {
        let answer = ask(&world, Method::GET, &[("if-none-match", tags), ("origin", "https://any.example")]).await;
        assert_eq!(answer.status() == StatusCode::NOT_MODIFIED, known, "{tags}");
        assert_eq!(answer.body().is_empty(), known, "{tags}");
        assert_eq!(answer.headers()[header::ETAG], TAG);
        assert_eq!(answer.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*", "BR-4: a 304 is read from a page, too");
    }
}

/// BR-1, CF-12.
#[tokio::test]
async fn discovery_names_the_bundle_only_where_there_is_one() {
    let identifier = BrandIdentifier { system: Some("urn:x".to_owned()), value: "clinic".to_owned() };
    let told = smart_configuration(&world(Some(identifier)).await).await;
    assert_eq!(told["user_access_brand_bundle"], format!("https://gate.example.org{PATH}"));
    assert_eq!(told["user_access_brand_identifier"], json!({ "system": "urn:x", "value": "clinic" }));
    let told = smart_configuration(&world(None).await).await;
    assert!(told.get("user_access_brand_bundle").is_some() && told.get("user_access_brand_identifier").is_none());
    let without = World::new().await;
    let told = smart_configuration(&without).await;
    assert!(told.get("user_access_brand_bundle").is_none() && told.get("user_access_brand_identifier").is_none());
    assert_eq!(ask(&without, Method::GET, &[]).await.status(), StatusCode::NOT_FOUND);
    assert!(crate::auth::AuthServer::endpoint(PATH, &without.snapshot).is_none());
}
