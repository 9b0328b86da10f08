use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Request, StatusCode, header};
use serde_json::{Value, json};

use crate::auth::testing::{
    BASE, Browser, GATE, NOW, PASSWORD, SECRET, World, assertion, basic, json as body, redemption, request, text,
};
use crate::store::Revoked;

async fn code(world: &World) -> String {
    let mut browser = Browser::new(world);
    browser.open(&request()).await;
    browser.log_in("amy", PASSWORD).await;
    browser.submit(&[("do", "allow"), ("patient", "amy")]).await;
    browser.landed()["code"].clone()
}

fn claims(token: &Value) -> Value {
    let payload = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn a_code_becomes_a_token_with_its_context() {
    let world = World::new().await;
    let code = code(&world).await;
    world.wait(10);
    let answer = world.redeem(&code).await;
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!(answer.headers()[header::PRAGMA], "no-cache");
    let tokens = body(&answer);
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(600)));
    assert_eq!(tokens["scope"], "openid fhirUser launch/patient patient/*.read");
    assert_eq!((&tokens["patient"], &tokens["need_patient_banner"]), (&json!("amy"), &json!(true)));
    assert_eq!(tokens.get("refresh_token"), None);

    let access = claims(&tokens["access_token"]);
    let fhir_user = format!("{BASE}/Patient/amy");
    for (name, value) in [
        ("iss", json!(GATE)),
        ("aud", json!(BASE)),
        ("sub", json!("amy")),
        ("client_id", json!("app")),
        ("exp", json!(NOW + 610)),
        ("patient", json!("amy")),
        ("fhirUser", json!(fhir_user)),
    ] {
        assert_eq!(access[name], value, "{name}");
    }
    assert!(access["grant"].is_string() && access["jti"].is_string());

    let identity = claims(&tokens["id_token"]);
    assert_eq!(
        identity,
        json!({
            "iss": GATE, "sub": "amy", "aud": "app", "iat": NOW + 10, "exp": NOW + 610,
            "auth_time": NOW, "nonce": "n-0S6", "fhirUser": fhir_user,
        })
    );
}

#[tokio::test]
async fn sc_31_without_openid_there_is_no_id_token() {
    let world = World::new().await;
    let tokens = world.launch("amy", "fhirUser patient/*.rs").await;
    assert_eq!((tokens.get("id_token"), &tokens["scope"]), (None, &json!("patient/*.rs")));
    assert_eq!(tokens["patient"], "amy", "a patient scope means a patient, asked for or not");
    let tokens = world.launch("amy", "openid").await;
    assert_eq!(claims(&tokens["id_token"]).get("fhirUser"), None);
    assert_eq!((tokens.get("patient"), tokens.get("need_patient_banner")), (None, None));
}

#[tokio::test]
async fn al_20_al_21_row_218_a_code_fits_only_its_client_its_place_and_its_verifier() {
    let world = World::new().await;
    let other_verifier = "another-verifier-of-forty-three-characters-or-more";
    let authorization = basic("trusted", SECRET);
    for (name, value) in [
        ("client_id", "trusted"),
        ("redirect_uri", "https://app.example.org/callback"),
        ("redirect_uri", "org.example.app:/callback"),
        ("code_verifier", other_verifier),
        ("code_verifier", "short"),
        ("code", "unknown"),
    ] {
        let code = code(&world).await;
        let form: Vec<(&str, &str)> = redemption(&code)
            .into_iter()
            .map(|(known, old)| (known, if known == name { value } else { old }))
            .collect();
        let headers = if value == "trusted" { vec![("authorization", authorization.as_str())] } else { vec![] };
        let answer = world.post("/auth/token", &form, &headers).await;
        assert_eq!(
            (answer.status(), &body(&answer)["error"]),
            (StatusCode::BAD_REQUEST, &json!("invalid_grant")),
            "{name}={value}"
        );
        if name != "code" {
            assert_eq!(body(&world.redeem(&code).await)["error"], "invalid_grant", "an attempt spends the code");
        }
    }
    for missing in ["code", "redirect_uri", "code_verifier"] {
        let code = code(&world).await;
        let form: Vec<(&str, &str)> = redemption(&code).into_iter().filter(|(name, _)| *name != missing).collect();
        let answer = world.post("/auth/token", &form, &[]).await;
        assert_eq!(body(&answer)["error"], "invalid_request", "{missing}");
    }
}

#[tokio::test]
async fn rf_1_row_218_a_code_shown_twice_takes_its_token_back() {
    let world = World::new().await;
    let code = code(&world).await;
    let token = body(&world.redeem(&code).await)["access_token"].as_str().unwrap().to_owned();
    let claims = world.verifier.verify(&token, &world.snapshot).await.unwrap();
    assert!(!world.revocations.is_revoked(&claims));
    let answer = world.redeem(&code).await;
    assert_eq!(body(&answer)["error"], "invalid_grant");
    assert!(world.revocations.is_revoked(&claims));
    let revoked = world.store.revoked.lock().clone();
    assert!(
        matches!(revoked.as_slice(), [(Revoked::Grant(grant), expires)] if claims.grant.as_deref() == Some(grant) && *expires >= NOW + 600)
    );
}

#[tokio::test]
async fn al_19_row_218_a_code_lives_a_minute_and_its_user_must_still_be_there() {
    let mut world = World::new().await;
    let late = code(&world).await;
    world.wait(60);
    assert_eq!(body(&world.redeem(&late).await)["error"], "invalid_grant");
    let code = code(&world).await;
    world.reload(|snapshot| drop(snapshot.users.remove("amy")));
    assert_eq!(body(&world.redeem(&code).await)["error"], "invalid_grant");
}

#[tokio::test]
async fn rf_3_row_219_the_endpoint_takes_forms_only_and_each_parameter_once() {
    let world = World::new().await;
    let send = async |body: &'static str, content_type: &str| {
        let request =
            Request::post("/auth/token?grant_type=client_credentials").header(header::CONTENT_TYPE, content_type);
        world.send(request.body(body.into()).unwrap()).await
    };
    let form = "application/x-www-form-urlencoded";
    for (sent, content_type, error) in [
        ("{\"grant_type\":\"authorization_code\"}", "application/json", "invalid_request"),
        ("grant_type=authorization_code&client_id=app&client_id=app", form, "invalid_request"),
        ("grant_type=password&client_id=app&username=amy&password=x", form, "unsupported_grant_type"),
        ("grant_type=refresh_token&client_id=app&refresh_token=x", form, "invalid_grant"),
        ("grant_type=refresh_token&client_id=app", form, "invalid_request"),
        ("client_id=app", form, "invalid_request"),
        ("grant_type=client_credentials&client_id=app&scope=system/*.rs", form, "unauthorized_client"),
        ("client_id=app&grant_type=%FF", "application/x-www-form-urlencoded; charset=utf-8", "invalid_request"),
    ] {
        let answer = send(sent, content_type).await;
        assert_eq!((answer.status(), &body(&answer)["error"]), (StatusCode::BAD_REQUEST, &json!(error)), "{sent}");
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
        let description = body(&answer)["error_description"].as_str().unwrap().to_owned();
        assert!(description.bytes().all(|b| (0x20..0x7f).contains(&b) && !matches!(b, b'"' | b'\\')), "{description}");
    }
}

#[tokio::test]
async fn bs_10_row_224_a_service_gets_what_it_is_registered_for_and_for_five_minutes() {
    let mut world = World::new().await;
    world.reload(|snapshot| snapshot.tokens.backend_lifetime = std::time::Duration::from_secs(3600));
    for (number, (asked, granted)) in [
        ("system/*.rs", "system/*.rs"),
        ("system/Patient.read", "system/Patient.read"),
        ("system/*.cruds", "system/*.rs"),
        ("system/Patient.rs patient/*.rs openid offline_access", "system/Patient.rs"),
        ("system/Patient.cud", ""),
        ("user/*.rs", ""),
        ("system/Observation.rs?category:in=laboratory", ""),
        ("", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let assertion = assertion("service", GATE, &number.to_string());
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", asked),
            ("client_assertion", &assertion),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ];
        let answer = body(&world.post("/auth/token", &form, &[]).await);
        if granted.is_empty() {
            assert_eq!(answer["error"], "invalid_scope", "{asked}");
            continue;
        }
        assert_eq!((&answer["scope"], &answer["expires_in"]), (&json!(granted), &json!(300)), "{asked}");
        assert_eq!((answer.get("refresh_token"), answer.get("patient"), answer.get("id_token")), (None, None, None));
        let access = claims(&answer["access_token"]);
        assert_eq!((&access["sub"], access.get("grant")), (&json!("service"), None));
    }
}

#[tokio::test]
async fn a_store_that_is_down_issues_nothing() {
    let world = World::new().await;
    let code = code(&world).await;
    world.store.down.store(true, std::sync::atomic::Ordering::SeqCst);
    let answer = world.redeem(&code).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(!text(&answer).contains("down"));
}
