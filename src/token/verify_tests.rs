use serde_json::{Value, json};

use super::*;
use crate::config::KeySource;
use crate::telemetry::Metrics;
use crate::token::testing::{
    AUDIENCE, HandClock, ISSUER, NOW, Server, ambient, es256, es384, gate_keys, jwks, rs256, snapshot, snapshot_with,
    stranger,
};
use crate::token::{AccessToken, LaunchContext};

const OWN: &str = "https://gate.example.org";

struct World {
    verifier: Verifier,
    clock: Arc<HandClock>,
}

impl World {
    fn new() -> Self {
        let (ambient, clock) = ambient();
        let (keys, fetcher) =
            (gate_keys(&ambient), Arc::new(Fetcher::new(ambient.clone(), Metrics::new().unwrap()).unwrap()));
        Self { verifier: Verifier { keys, fetcher, ambient }, clock }
    }

    /// The claims, or the rule that refused the token.
    async fn verify(&self, token: &str, snapshot: &Snapshot) -> Result<Claims, &'static str> {
        self.verifier.verify(token, snapshot).await.map_err(|error| error.rule())
    }
}

/// Right claims with a few changed; `null` takes one away.
fn claims(changed: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "amy", "exp": NOW + 600, "iat": NOW, "client_id": "app", "jti": "1",
        "scope": "patient/*.rs openid", "patient": "A", "fhirUser": "Patient/A"
    });
    for (name, value) in changed.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    claims
}

/// The rule that refuses a token with these changes.
async fn rule(changed: Value) -> Option<&'static str> {
    World::new().verify(&es256().token(&claims(changed)), &snapshot()).await.err()
}

async fn rules(of: &str, values: &[Value], expected: &str) {
    let (world, snapshot) = (World::new(), snapshot());
    for value in values {
        let token = es256().token(&claims(json!({ of: value })));
        assert_eq!(world.verify(&token, &snapshot).await.err(), Some(expected), "{of}: {value}");
    }
}

#[tokio::test]
async fn what_a_good_token_says() {
    let world = World::new();
    let expected = Claims {
        issuer: ISSUER.into(),
        own: false,
        subject: "amy".into(),
        client: Some("app".into()),
        scope: vec!["patient/*.rs".to_owned(), "openid".to_owned()],
        patient: Some("A".into()),
        encounter: None,
        fhir_user: Some("Patient/A".into()),
        expires: NOW + 600,
        token_id: Some("1".into()),
        grant: None,
    };
    for key in [es256(), es384(), rs256()] {
        assert_eq!(world.verify(&key.token(&claims(json!({ "grant": "x" }))), &snapshot()).await, Ok(expected.clone()));
    }
}

#[tokio::test]
async fn own_tokens_are_verified_with_own_keys_as_they_were_signed() {
    let world = World::new();
    let token = AccessToken {
        iss: OWN,
        aud: AUDIENCE,
        sub: "amy",
        client_id: "app",
        iat: NOW,
        exp: NOW + 600,
        jti: "1",
        scope: "",
        patient: Some("A"),
        context: Some(&LaunchContext { encounter: Some("E".to_owned()), ..LaunchContext::default() }),
        fhir_user: None,
        grant: Some("g"),
    };
    let signed = world.verifier.keys.sign_access(&token, NOW).unwrap();
    let claims = world.verify(&signed, &snapshot()).await.unwrap();
    assert!(claims.own);
    assert_eq!((claims.grant.as_deref(), claims.encounter.as_deref()), (Some("g"), Some("E")));
    assert_eq!(claims.scope, [""; 0]);
    world.clock.set(NOW - OWN_LEEWAY);
    assert!(world.verify(&signed, &snapshot()).await.is_ok(), "a replica's clock may be behind");
    world.clock.set(NOW + 600);
    assert_eq!(world.verify(&signed, &snapshot()).await, Err("token-expired"));
    world.clock.set(NOW);

    let elsewhere =
        world.verifier.keys.sign_access(&AccessToken { aud: "https://elsewhere/fhir", ..token }, NOW).unwrap();
    assert_eq!(world.verify(&elsewhere, &snapshot()).await, Err("token-audience"));
    let own_claims = json!({ "iss": OWN, "aud": AUDIENCE, "sub": "amy", "exp": NOW + 60, "client_id": "app" });
    assert_eq!(world.verify(&es256().token(&own_claims), &snapshot()).await, Err("token-type"), "always at+jwt");
    let header = json!({ "typ": "at+jwt", "alg": "ES384", "kid": "es384" });
    assert_eq!(
        world.verify(&es384().signed(&header, &own_claims), &snapshot()).await,
        Err("token-key"),
        "an issuer's key"
    );
    let header = json!({ "typ": "at+jwt", "alg": "RS256", "kid": "identity" });
    assert_eq!(
        world.verify(&rs256().signed(&header, &own_claims), &snapshot()).await,
        Err("token-key"),
        "the identity key"
    );
    let header = json!({ "typ": "at+jwt", "alg": "ES256", "kid": "es256" });
    assert_eq!(world.verify(&stranger().signed(&header, &own_claims), &snapshot()).await, Err("token-signature"));
}

#[tokio::test]
async fn the_issuer_is_one_string_that_is_known() {
    rules("iss", &[json!("https://evil"), json!(null), json!(""), json!(format!("{ISSUER}/"))], "token-issuer").await;
    rules("iss", &[json!(123), json!(["evil", ISSUER]), json!([ISSUER])], "token-malformed").await;
}

#[tokio::test]
async fn al_32_the_audience_is_there_and_ours() {
    assert_eq!(rule(json!({ "aud": ["https://other/fhir", AUDIENCE] })).await, None);
    let others = [json!(null), json!([]), json!("https://other/fhir"), json!(format!("{AUDIENCE}/")), json!([""])];
    rules("aud", &others, "token-audience").await;
    rules("aud", &[json!(5), json!([AUDIENCE, 5]), json!({ "a": AUDIENCE })], "token-malformed").await;
}

#[tokio::test]
async fn al_25_times_are_whole_numbers_and_expiry_has_no_leeway() {
    assert_eq!(rule(json!({ "exp": NOW + 1 })).await, None);
    rules("exp", &[json!(NOW), json!(NOW - 1), json!(0), json!(-1)], "token-expired").await;
    rules("exp", &[json!(null)], "token-expiry").await;
    let (text, float) = (json!((NOW + 60).to_string()), json!(1_900_000_000.5));
    rules("exp", &[text.clone(), float.clone(), json!(1e300), json!(u64::MAX), json!([NOW + 60])], "token-malformed")
        .await;
    for (name, later) in [("nbf", "token-not-yet-valid"), ("iat", "token-issued-later")] {
        assert_eq!(rule(json!({ name: null })).await, None);
        assert_eq!(rule(json!({ name: NOW + 30 })).await, None, "the issuer's leeway");
        rules(name, &[json!(NOW + 31), json!(i64::MAX)], later).await;
        rules(name, &[text.clone(), float.clone()], "token-malformed").await;
    }
    let strict = snapshot_with("token_type = \"jwt\"\nleeway = \"0s\"");
    let token = es256().token(&claims(json!({ "nbf": NOW + 1 })));
    assert_eq!(World::new().verify(&token, &strict).await, Err("token-not-yet-valid"));
}

#[tokio::test]
async fn the_type_tells_an_access_token() {
    let world = World::new();
    let (strict, lax) = (snapshot_with("token_type = \"at+jwt\""), snapshot());
    let typed = |typ: Value| {
        let mut header = json!({ "alg": "ES256", "kid": "es256" });
        if !typ.is_null() {
            header["typ"] = typ;
        }
        es256().signed(&header, &claims(json!({})))
    };
    for typ in ["at+jwt", "application/at+jwt", "AT+JWT"] {
        assert!(world.verify(&typed(json!(typ)), &strict).await.is_ok(), "{typ}");
        assert!(world.verify(&typed(json!(typ)), &lax).await.is_ok(), "{typ}");
    }
    for typ in [json!("JWT"), json!(null)] {
        assert_eq!(world.verify(&typed(typ.clone()), &strict).await, Err("token-type"), "{typ}");
        assert!(world.verify(&typed(typ), &lax).await.is_ok());
    }
    for typ in ["logout+jwt", "dpop+jwt", "JOSE", "", "at+jwt2"] {
        assert_eq!(world.verify(&typed(json!(typ)), &lax).await, Err("token-type"), "{typ}");
    }
}

#[tokio::test]
async fn id_tokens_and_refresh_tokens_are_told_apart() {
    for changed in [
        json!({ "nonce": "n" }),
        json!({ "at_hash": "h" }),
        json!({ "c_hash": "h" }),
        json!({ "typ": "ID" }),
        json!({ "typ": "Refresh" }),
        json!({ "aud": "app" }),
        json!({ "aud": ["app"] }),
        json!({ "aud": "app", "client_id": null, "azp": "app" }),
    ] {
        assert_eq!(rule(changed.clone()).await, Some("token-type"), "{changed}");
    }
    assert_eq!(rule(json!({ "typ": "Bearer" })).await, None);
    let client_is_audience = json!({ "client_id": AUDIENCE });
    assert_eq!(
        rule(client_is_audience).await,
        Some("token-type"),
        "even where the client's id is configured as audience"
    );
}

#[tokio::test]
async fn the_key_says_how_it_verifies_and_not_the_token() {
    let world = World::new();
    let forged = |header: Value| {
        let mut all = json!({ "typ": "JWT", "alg": "ES256", "kid": "es256" });
        all.as_object_mut().unwrap().extend(header.as_object().unwrap().clone());
        stranger().signed(&all, &claims(json!({})))
    };
    for (header, expected) in [
        (json!({}), "token-signature"),
        (json!({ "jwk": stranger().jwk() }), "token-signature"),
        (json!({ "jku": "https://evil/jwks", "x5u": "https://evil/x5u" }), "token-signature"),
        (json!({ "kid": "stranger" }), "token-key"),
        (json!({ "kid": null }), "token-key"),
        (json!({ "kid": "../../dev/null" }), "token-key"),
        (json!({ "alg": "none" }), "token-algorithm"),
        (json!({ "alg": "HS256", "kid": "rs256" }), "token-algorithm"),
        (json!({ "alg": "RS384", "kid": "rs256" }), "token-algorithm"),
        (json!({ "alg": "RS256" }), "token-algorithm"),
        (json!({ "alg": "ES384" }), "token-algorithm"),
        (json!({ "crit": ["b64"], "b64": false }), "token-critical"),
    ] {
        assert_eq!(world.verify(&forged(header.clone()), &snapshot()).await, Err(expected), "{header}");
    }
    let token = es256().token(&claims(json!({})));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    assert_eq!(world.verify(&format!("{signed}."), &snapshot()).await, Err("token-signature"));
    let other = es256().token(&claims(json!({ "sub": "eve" })));
    let swapped = format!("{}.{signature}", other.rsplit_once('.').unwrap().0);
    assert_eq!(world.verify(&swapped, &snapshot()).await, Err("token-signature"));
}

#[tokio::test]
async fn a_bound_token_is_no_bearer_token() {
    for cnf in [json!({ "jkt": "x" }), json!({ "x5t#S256": "x" }), json!({}), json!("x")] {
        assert_eq!(rule(json!({ "cnf": cnf })).await, Some("token-bound"));
    }
}

#[tokio::test]
async fn a_patient_is_one_id() {
    let world = World::new();
    for (patient, expected) in [("A", "A"), ("Patient/A", "A"), ("a-1.B", "a-1.B")] {
        let token = es256().token(&claims(json!({ "patient": patient })));
        assert_eq!(world.verify(&token, &snapshot()).await.unwrap().patient.as_deref(), Some(expected));
    }
    let wrong = [
        json!("A,B"),
        json!("A B"),
        json!("A&_id=B"),
        json!("../Patient/B"),
        json!("A%2CB"),
        json!("*"),
        json!(""),
        json!(["A", "B"]),
        json!(["A"]),
        json!("Patient/"),
        json!("Patient/Patient/A"),
        json!("Group/A"),
        json!("Patient/A/_history/1"),
        json!("https://gate.example.org/fhir/Patient/A"),
        json!("A\n"),
        json!("Ä"),
        json!(5),
        json!("x".repeat(65)),
        json!({ "id": "A" }),
    ];
    rules("patient", &wrong, "token-patient").await;
    rules("encounter", &wrong[..6], "token-encounter").await;
    rules("encounter", &[json!("Patient/A")], "token-encounter").await;
    assert_eq!(rule(json!({ "patient": null, "encounter": "Encounter/e" })).await, None);
}

#[tokio::test]
async fn other_claims_have_their_type_or_are_refused() {
    rules("scope", &[json!(["patient/*.rs"]), json!(5)], "token-scope").await;
    rules("fhirUser", &[json!(["Patient/A"])], "token-fhir-user").await;
    rules("client_id", &[json!(["app"])], "token-client").await;
    rules("sub", &[json!(null), json!("")], "token-subject").await;
    rules("sub", &[json!(5)], "token-malformed").await;
    rules("jti", &[json!(5)], "token-malformed").await;
    for absent in ["scope", "fhirUser", "jti", "iat", "patient"] {
        assert_eq!(rule(json!({ absent: null })).await, None, "{absent}");
    }
}

#[tokio::test]
async fn without_a_type_a_token_says_for_which_client_it_is() {
    assert_eq!(rule(json!({ "client_id": null })).await, Some("token-type"), "it may be an id_token");
    assert_eq!(rule(json!({ "client_id": null, "azp": "app" })).await, None);
    let header = json!({ "typ": "at+jwt", "alg": "ES256", "kid": "es256" });
    let typed = es256().signed(&header, &claims(json!({ "client_id": null })));
    assert!(World::new().verify(&typed, &snapshot()).await.is_ok());
}

#[tokio::test]
async fn claims_go_by_the_issuers_names() {
    let world = World::new();
    let named = snapshot_with(
        "token_type = \"jwt\"\nclaims = { scope = \"scp\", patient = \"launch_patient\", fhir_user = \"profile\" }",
    );
    let token =
        |scp: Value| es256().token(&claims(json!({ "scp": scp, "launch_patient": "B", "profile": "Practitioner/p" })));
    for scp in [json!("user/*.rs launch"), json!(["user/*.rs", "launch"])] {
        let claims = world.verify(&token(scp), &named).await.unwrap();
        assert_eq!(claims.scope, ["user/*.rs", "launch"]);
        assert_eq!(claims.patient.as_deref(), Some("B"));
        assert_eq!(claims.fhir_user.as_deref(), Some("Practitioner/p"));
    }
    assert_eq!(world.verify(&token(json!(["a", 1])), &named).await, Err("token-malformed"));
    let claims = world.verify(&es256().token(&claims(json!({}))), &named).await.unwrap();
    assert_eq!((claims.scope.len(), claims.patient), (0, None), "the usual names say nothing then");
}

/// The scopes of a token with these claims, under these settings of the issuer.
async fn scopes(settings: &str, changed: Value) -> Result<Vec<String>, &'static str> {
    let named = snapshot_with(&format!("token_type = \"jwt\"\n{settings}"));
    World::new().verify(&es256().token(&claims(changed)), &named).await.map(|claims| claims.scope)
}

#[tokio::test]
async fn scopes_are_in_the_first_claim_that_a_token_has_for_them() {
    let first = "claims = { scope = [\"scp\", \"/realm_access/roles\", \"/a~1b/0/x~0\"] }";
    for (changed, expected) in [
        (json!({ "scp": "a b", "realm_access": { "roles": ["c"] } }), ["a", "b"].as_slice()),
        (json!({ "scp": "", "realm_access": { "roles": ["c"] } }), &[]),
        (json!({ "realm_access": { "roles": ["c", "d"] } }), &["c", "d"]),
        (json!({ "realm_access": "c" }), &[]),
        (json!({ "realm_access": { "roles": null }, "a/b": [{ "x~": "e" }] }), &["e"]),
        (json!({ "realm_access": [] }), &[]),
    ] {
        assert_eq!(scopes(first, changed.clone()).await.unwrap(), expected, "{changed}");
    }
    assert_eq!(scopes(first, json!({ "scp": { "a": 1 } })).await, Err("token-scope"));
    assert_eq!(scopes(first, json!({ "realm_access": { "roles": ["c", ["d"]] } })).await, Err("token-malformed"));
}

#[tokio::test]
async fn scopes_may_have_a_prefix_and_dots() {
    let prefixed = "claims = { scope_prefix = \"gate/\" }";
    let given =
        json!({ "scope": "gate/patient/*.rs other/patient/*.cruds user/*.rs openid fhirUser gate/fhirUser gate/" });
    assert_eq!(scopes(prefixed, given).await.unwrap(), ["patient/*.rs", "openid", "fhirUser", ""]);
    let dotted = "claims = { scope_form = \"dotted\" }";
    let given = json!({ "scope": "patient.Observation.rs user.all.read system.all.all launch.patient launch openid \
        patient/Task.rs patient.Observation other.all.rs patient.Observation.rs?category=http://x.y|all launch.a.b" });
    let expected = "patient/Observation.rs user/*.read system/*.* launch/patient launch openid \
        patient/Task.rs patient.Observation other.all.rs patient/Observation.rs?category=http://x.y|all launch.a.b";
    assert_eq!(scopes(dotted, given).await.unwrap().join(" "), expected);
    let both = "claims = { scope_form = \"dotted\", scope_prefix = \"api://gate/\" }";
    let given = json!({ "scope": "api://gate/user.all.rs user.all.cruds api://gate/patient/*.rs" });
    assert_eq!(scopes(both, given).await.unwrap(), ["user/*.rs", "patient/*.rs"]);
}

#[tokio::test]
async fn what_an_issuers_tokens_must_say_they_say() {
    let named = "require = { tid = \"t1\", \"/act/kind\" = \"x\" }";
    assert!(scopes(named, json!({ "tid": "t1", "act": { "kind": "x" } })).await.is_ok());
    for other in [json!({ "tid": "t2" }), json!({ "tid": null }), json!({ "tid": ["t1"] }), json!({ "act": "x" })] {
        let mut changed = json!({ "tid": "t1", "act": { "kind": "x" } });
        other.as_object().unwrap().iter().for_each(|(name, value)| changed[name] = value.clone());
        assert_eq!(scopes(named, changed).await, Err("token-required"), "{other}");
    }
}

#[tokio::test]
async fn a_changed_key_of_an_issuer_is_a_new_generation() {
    let world = World::new();
    let server = Server::start().await;
    server.answers("", &jwks(&[es256()]));
    let mut snapshot = snapshot();
    let mut issuer = Arc::into_inner(snapshot.issuers.remove(ISSUER).unwrap()).unwrap();
    issuer.keys = Some(KeySource::Url(server.url.clone()));
    snapshot.issuers.insert(ISSUER.to_owned(), Arc::new(issuer));
    let (old, new) = (es256().token(&claims(json!({}))), es384().token(&claims(json!({}))));
    assert!(world.verify(&old, &snapshot).await.is_ok());
    let generation = world.verifier.key_generation();
    assert!(world.verify(&old, &snapshot).await.is_ok());
    assert_eq!(world.verifier.key_generation(), generation);
    server.answers("", &jwks(&[es384()]));
    assert!(world.verify(&new, &snapshot).await.is_ok());
    assert!(world.verifier.key_generation() > generation);
    assert_eq!(world.verify(&old, &snapshot).await, Err("token-key"));
    server.answers_raw("");
    world.clock.set(NOW + 24 * 3600);
    let late = es384().token(&claims(json!({ "exp": NOW + 48 * 3600 })));
    let error = world.verifier.verify(&late, &snapshot).await.unwrap_err();
    assert!(error.unavailable(), "{error}");
}
