use http::{Request, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::auth::follow_registered;
use crate::auth::testing::{
    BASE, Browser, GATE, PASSWORD, SECRET, World, assertion, basic, json as body, redemption, request, service_jwks,
    set, text,
};
use crate::config::RegistrationRules;
use crate::scope::Scopes;
use bytes::Bytes;

pub(in crate::auth) const TOKEN: &str = "an initial access token of thirty-two characters";
pub(in crate::auth) const CALLBACK: &str = "https://other.example.org/callback";
const CEILING: &str = "openid fhirUser launch/patient patient/*.rs user/Observation.rs offline_access";

fn rules() -> RegistrationRules {
    use sha2::Digest as _;
    RegistrationRules {
        tokens: vec![[7; 32], sha2::Sha256::digest(TOKEN).into()],
        scopes: Scopes::parse(crate::fhir::FhirVersion::R4, CEILING.split(' ')),
        max_clients: 5,
    }
}

pub(in crate::auth) async fn world() -> World {
    let mut world = World::new().await;
    world.reload(|snapshot| snapshot.registration = Some(rules()));
    world
}

pub(in crate::auth) async fn post(
    world: &World,
    metadata: impl Into<Bytes>,
    headers: &[(&str, &str)],
) -> Response<Bytes> {
    let mut request = Request::post("/auth/register");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.send(request.body(metadata.into()).unwrap()).await
}

pub(in crate::auth) async fn register(world: &World, metadata: Value) -> Response<Bytes> {
    let authorization = format!("Bearer {TOKEN}");
    post(world, metadata.to_string(), &[("content-type", "application/json"), ("authorization", &authorization)]).await
}

async fn registered(world: &World, metadata: Value) -> Value {
    let answer = register(world, metadata).await;
    assert_eq!(answer.status(), StatusCode::CREATED, "{}", text(&answer));
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    body(&answer)
}

pub(in crate::auth) fn public() -> Value {
    json!({
        "redirect_uris": [CALLBACK], "client_name": "Other", "token_endpoint_auth_method": "none",
        "scope": "openid launch/patient patient/Observation.cruds patient/Condition.rs system/*.rs offline_access",
        "grant_types": ["authorization_code", "refresh_token"],
    })
}

#[tokio::test]
async fn al_9_registration_is_off_by_default() {
    let world = World::new().await;
    let answer = register(&world, public()).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    for path in ["/fhir/.well-known/smart-configuration", "/.well-known/openid-configuration"] {
        assert_eq!(body(&world.get(path).await).get("registration_endpoint"), None, "{path}");
    }
}

#[tokio::test]
async fn cf_11_the_endpoint_is_named_where_it_is() {
    let world = world().await;
    for path in [
        "/fhir/.well-known/smart-configuration",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
    ] {
        assert_eq!(body(&world.get(path).await)["registration_endpoint"], format!("{GATE}/auth/register"), "{path}");
    }
    assert_eq!(world.get("/auth/register").await.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn al_7_a_public_app_registers_and_is_told_what_it_has() {
    let world = world().await;
    let told = registered(&world, public()).await;
    let id = told["client_id"].as_str().unwrap();
    assert!(id.starts_with("app-") && id.len() > 20, "{id}");
    assert_eq!(
        told,
        json!({
            "client_id": id, "client_id_issued_at": crate::auth::testing::NOW, "client_name": "Other", "redirect_uris": [CALLBACK],
            "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "scope": "openid launch/patient patient/Observation.rs patient/Condition.rs offline_access",
        })
    );
    let line = world.audited().await.pop().unwrap();
    assert_eq!(
        (&line["event"], &line["outcome"], &line["client"]),
        (&json!("register"), &json!("success"), &json!(id))
    );
}

#[tokio::test]
async fn defaults_are_those_of_rfc_7591() {
    let world = world().await;
    let told = registered(&world, json!({ "redirect_uris": [CALLBACK], "unknown": [1] })).await;
    assert_eq!(told["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(told["grant_types"], json!(["authorization_code"]));
    assert_eq!(told["client_secret_expires_at"], 0);
    assert_eq!(told["scope"], "patient/*.rs user/Observation.rs openid fhirUser launch/patient", "nothing that lasts");
    let secret = told["client_secret"].as_str().unwrap();
    assert!(secret.len() == 43 && !world.store.clients.lock()[0].payload.contains(secret), "only its hash is kept");
    let lasting = json!({ "redirect_uris": [CALLBACK], "scope": "patient/*.rs", "grant_types": ["authorization_code", "refresh_token"] });
    assert_eq!(
        registered(&world, lasting).await["grant_types"],
        json!(["authorization_code"]),
        "there is nothing to refresh"
    );
}

/// The whole way of amy through a registered app, to the answer of the token endpoint.
async fn launch(world: &World, id: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
    let mut asked = request();
    set(&mut asked, "client_id", id);
    set(&mut asked, "redirect_uri", CALLBACK);
    set(&mut asked, "scope", "openid launch/patient patient/Observation.rs offline_access system/*.rs");
    let mut browser = Browser::new(world);
    browser.open(&asked).await;
    browser.log_in("amy", PASSWORD).await;
    assert!(browser.path.starts_with("/auth/consent"), "{}", browser.path);
    assert!(text(&browser.answer).contains("This app registered itself"), "{}", text(&browser.answer));
    let patient = browser.hidden("patient").unwrap();
    browser.submit(&[("do", "allow"), ("patient", patient.as_str())]).await;
    let location = browser.answer.headers()[header::LOCATION].to_str().unwrap().to_owned();
    let url = url::Url::parse(&location).unwrap();
    assert!(location.starts_with(CALLBACK), "{location}");
    let code = url.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let form = redemption(&code).into_iter().map(|(name, value)| match name {
        "client_id" => (name, id),
        "redirect_uri" => (name, CALLBACK),
        _ => (name, value),
    });
    let form: Vec<_> = form.filter(|(name, _)| headers.is_empty() || *name != "client_id").collect();
    world.post("/auth/token", &form, headers).await
}

#[tokio::test]
async fn al_9_a_registered_app_launches_after_people_were_told_what_it_is() {
    let world = world().await;
    let told = registered(&world, public()).await;
    let answer = launch(&world, told["client_id"].as_str().unwrap(), &[]).await;
    let tokens = body(&answer);
    assert_eq!(answer.status(), StatusCode::OK, "{tokens}");
    assert_eq!(tokens["patient"], "amy");
    assert!(!tokens["scope"].as_str().unwrap().contains("system/"), "{tokens}");
}

#[tokio::test]
async fn al_8_each_way_to_authenticate_works_and_no_other() {
    let world = world().await;
    for method in ["client_secret_basic", "client_secret_post"] {
        let told =
            registered(&world, json!({ "redirect_uris": [CALLBACK], "token_endpoint_auth_method": method })).await;
        let (id, secret) = (told["client_id"].as_str().unwrap(), told["client_secret"].as_str().unwrap());
        let refused = [("grant_type", "client_credentials"), ("scope", "system/*.rs")];
        let answer = world.post("/auth/token", &refused, &[("authorization", &basic(id, secret))]).await;
        assert_eq!(body(&answer)["error"], "unauthorized_client");
        let answer = world.post("/auth/token", &refused, &[("authorization", &basic(id, SECRET))]).await;
        assert_eq!(body(&answer)["error"], "invalid_client");
    }
    let keys: Value = serde_json::from_str(service_jwks()).unwrap();
    let told = registered(
        &world,
        json!({ "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "private_key_jwt", "jwks": keys }),
    )
    .await;
    assert_eq!(told["jwks"], keys);
    assert_eq!(told.get("client_secret"), None);
    let id = told["client_id"].as_str().unwrap();
    let assertion = assertion(id, GATE, "1");
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", "system/*.rs"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", &assertion),
    ];
    assert_eq!(
        body(&world.post("/auth/token", &form, &[]).await)["error"],
        "unauthorized_client",
        "it was believed who it is"
    );
}

#[tokio::test]
async fn al_9_a_registered_app_introspects_nothing_in_no_way() {
    let world = world().await;
    let told = registered(&world, json!({ "redirect_uris": [CALLBACK] })).await;
    let (id, secret) = (told["client_id"].as_str().unwrap(), told["client_secret"].as_str().unwrap());
    let authorization = basic(id, secret);
    let tokens = body(&launch(&world, id, &[("authorization", &authorization)]).await);
    let token = tokens["access_token"].as_str().unwrap();
    for authorization in [authorization, format!("Bearer {token}")] {
        let answer = world.post("/auth/introspect", &[("token", token)], &[("authorization", &authorization)]).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{}", text(&answer));
    }
    let answer =
        world.post("/auth/launch", &[("app", "app"), ("user", "amy")], &[("authorization", &basic(id, secret))]).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_removed_app_is_unknown() {
    let world = world().await;
    let told = registered(&world, public()).await;
    let id = told["client_id"].as_str().unwrap();
    world.store.clients.lock().clear();
    follow_registered(&*world.store, &world.snapshot).await.unwrap();
    let mut asked = request();
    set(&mut asked, "client_id", id);
    set(&mut asked, "redirect_uri", CALLBACK);
    let mut browser = Browser::new(&world);
    browser.open(&asked).await;
    assert_eq!(browser.answer.status(), StatusCode::BAD_REQUEST);
    assert!(text(&browser.answer).contains("not known here"));
    assert!(!text(&browser.answer).contains(BASE));
}

#[tokio::test]
async fn al_9_only_who_has_an_initial_access_token_registers() {
    let world = world().await;
    let metadata = public().to_string();
    let json = ("content-type", "application/json");
    for (authorization, challenge) in [
        (None, "Bearer realm=\"smartgate\""),
        (Some("Bearer another"), "Bearer realm=\"smartgate\", error=\"invalid_token\""),
        (Some("Bearer "), "Bearer realm=\"smartgate\", error=\"invalid_token\""),
        (Some("Basic YTpi"), "Bearer realm=\"smartgate\""),
    ] {
        let headers: Vec<_> = authorization.into_iter().map(|it| ("authorization", it)).chain([json]).collect();
        let answer = post(&world, metadata.clone(), &headers).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{authorization:?}");
        assert_eq!(answer.headers()[header::WWW_AUTHENTICATE], challenge);
        assert_eq!(body(&answer)["error"], "invalid_token");
    }
    assert!(world.store.clients.lock().is_empty());
}

#[tokio::test]
async fn no_more_register_than_there_may_be_and_none_while_the_store_is_down() {
    let world = world().await;
    for _ in 0..5 {
        registered(&world, public()).await;
    }
    assert_eq!(register(&world, public()).await.status(), StatusCode::FORBIDDEN);
    world.store.down.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(register(&world, public()).await.status(), StatusCode::SERVICE_UNAVAILABLE);
}
