//! A world to test the authorization server in: its configuration, a store in memory, a few patients, a browser.

mod browser;
pub(in crate::auth) mod store;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use argon2::password_hash::PasswordHasher as _;
use argon2::{Algorithm, Argon2, Params, Version};
use async_trait::async_trait;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response, StatusCode, header};
use parking_lot::Mutex;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use url::Url;

use super::throttle::Throttle;
use super::{
    AuthParts, AuthServer, DirectoryError, EncounterSummary, PatientDirectory, PatientQuery, PatientSummary,
    hash_secret,
};
use crate::address::ClientAddress;
use crate::ambient::{Ambient, Clock, Entropy, UnixSeconds};
use crate::config::{self, Snapshot};
use crate::fhir::ResourceType;
use crate::store::{Store as _, StoredKey};
use crate::telemetry::{AuditLog, AuditSink, Metrics, OnFull};
pub(super) use browser::Browser;
pub(super) use store::MemoryStore;

use crate::token::{Assertions, Fetcher, GateKeys, Revocations, Verifier};

pub(super) const NOW: UnixSeconds = 1_800_000_000;
pub(super) const PASSWORD: &str = "correct horse";
pub(super) const SECRET: &str = "a+secret%20of=at&least:32 random characters";
pub(super) const GATE: &str = "https://gate.example.org";
pub(super) const BASE: &str = "https://gate.example.org/fhir";
pub(super) const CALLBACK: &str = "https://app.example.org/callback?kept=1";
pub(super) const VERIFIER: &str = "a-verifier-of-forty-three-characters-or-more.";

/// The configuration of the tests.
pub(super) fn snapshot() -> Arc<Snapshot> {
    configured(GATE)
}

pub(super) fn configured(public_url: &str) -> Arc<Snapshot> {
    let folder = tempfile::tempdir().unwrap();
    Arc::new(config::load_str(&configuration(public_url, folder.path()), folder.path()).unwrap().snapshot)
}

fn configuration(public_url: &str, folder: &Path) -> String {
    let password = quick_hash();
    let secret = hash_secret(SECRET);
    std::fs::write(folder.join("jwks.json"), SERVICE_KEY.jwks.as_str()).unwrap();
    format!(
        r#"
        [server]
        listen = ["127.0.0.1:0"]
        public_url = "{public_url}"
        [admin]
        listen = ["127.0.0.1:0"]
        [fhir]
        base_path = "/fhir"
        version = "R4"
        upstream = "http://127.0.0.1:9/fhir"
        [store]
        url = "sqlite:state.db"

        [[clients]]
        id = "app"
        name = "Growth <Chart>"
        kind = "public"
        redirect_uris = ["{CALLBACK}", "org.example.app:/callback"]
        launch_uris = ["https://app.example.org/launch?kept=1"]
        scopes = ["openid", "fhirUser", "launch", "launch/patient", "launch/encounter", "patient/*.rs", "user/*.rs", "offline_access", "online_access"]
        [[clients]]
        id = "trusted"
        kind = "confidential-symmetric"
        secret_hash = "{secret}"
        redirect_uris = ["{CALLBACK}"]
        scopes = ["openid", "launch/patient", "patient/*.rs", "system/Patient.rs", "offline_access"]
        grant_types = ["authorization_code", "refresh_token", "client_credentials"]
        consent = "granted"
        origins = ["https://trusted.example.org"]
        [[clients]]
        id = "service"
        kind = "confidential-asymmetric"
        jwks_file = "jwks.json"
        grant_types = ["client_credentials"]
        scopes = ["system/*.rs"]
        may_introspect = true
        [[clients]]
        id = "retired"
        kind = "public"
        redirect_uris = ["{CALLBACK}"]
        scopes = ["patient/*.rs"]
        enabled = false

        [[clients]]
        id = "ehr"
        kind = "confidential-symmetric"
        secret_hash = "{secret}"
        may_launch = true
        launch_users = ["amy", "carter", "gone"]
        frame_ancestors = ["https://ehr.example.org"]

        [[users]]
        username = "amy"
        password_hash = "{password}"
        fhir_user = "Patient/amy"
        [[users]]
        username = "carter"
        password_hash = "{password}"
        fhir_user = "Practitioner/carter"
        [[users]]
        username = "mum"
        password_hash = "{password}"
        fhir_user = "RelatedPerson/mum"
        [[users]]
        username = "stranger"
        password_hash = "{password}"
        [[users]]
        username = "gone"
        password_hash = "{password}"
        fhir_user = "Patient/amy"
        enabled = false
        [[links]]
        person = "RelatedPerson/mum"
        patients = ["kid1", "kid2"]
        "#
    )
}

/// The key pair of the client `service`.
struct ServiceKey {
    private: Vec<u8>,
    jwks: String,
}

static SERVICE_KEY: LazyLock<ServiceKey> = LazyLock::new(|| {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let (x, y) = point[1..].split_at(48);
    let key = serde_json::json!({
        "kty": "EC", "crv": "P-384", "kid": "k1", "alg": "ES384", "use": "sig",
        "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
    });
    ServiceKey {
        private: pair.to_pkcs8v1().unwrap().as_ref().to_vec(),
        jwks: serde_json::json!({ "keys": [key] }).to_string(),
    }
});

/// The public keys of `service`.
pub(super) fn service_jwks() -> &'static str {
    &SERVICE_KEY.jwks
}

/// A client assertion signed with the key of `service`.
pub(super) fn assertion(client: &str, audience: &str, id: &str) -> String {
    crate::token::install_crypto();
    let header = jsonwebtoken::Header {
        kid: Some("k1".to_owned()),
        ..jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES384)
    };
    let claims = serde_json::json!({ "iss": client, "sub": client, "aud": audience, "exp": NOW + 200, "jti": id });
    let key = jsonwebtoken::EncodingKey::from_ec_der(&SERVICE_KEY.private);
    jsonwebtoken::encode(&header, &claims, &key).unwrap()
}

/// The gate's keys, the same in every test: making them takes longer than most tests.
async fn signing_keys() -> Vec<StoredKey> {
    static KEYS: OnceCell<Vec<StoredKey>> = OnceCell::const_new();
    let make = async || {
        let store = MemoryStore::default();
        let ambient = Ambient { clock: Arc::new(StoppedClock(AtomicI64::new(NOW))), ..Ambient::system() };
        GateKeys::open(&store, &ambient, &snapshot().tokens).await.unwrap();
        store.keys().await.unwrap()
    };
    KEYS.get_or_init(make).await.clone()
}

/// A real hash that costs nothing.
fn quick_hash() -> String {
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
    hasher.hash_password_with_salt(PASSWORD.as_bytes(), b"sixteen bytes ok").unwrap().to_string()
}

struct StoppedClock(AtomicI64);

impl Clock for StoppedClock {
    fn now(&self) -> UnixSeconds {
        self.0.load(Ordering::SeqCst)
    }
}

/// Every value once, and the same in every run.
struct Counted(AtomicU64);

impl Entropy for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        let block = Sha256::digest(number.to_be_bytes());
        for (byte, random) in bytes.iter_mut().zip(block.iter().cycle()) {
            *byte = *random;
        }
    }
}

/// Three patients, found by any part of their names.
#[derive(Default)]
pub(super) struct Patients {
    pub(super) down: AtomicBool,
    pub(super) asked: Mutex<Vec<PatientQuery>>,
}

#[async_trait]
impl PatientDirectory for Patients {
    async fn find(&self, _: &Snapshot, query: &PatientQuery) -> Result<Vec<PatientSummary>, DirectoryError> {
        self.asked.lock().push(query.clone());
        if self.down.load(Ordering::SeqCst) {
            return Err(DirectoryError("down".to_owned()));
        }
        let all = [
            ("amy", "Amy Shaw", "1987-02-20"),
            ("kid1", "Ben <b>Shaw</b>", "2015-05-01"),
            ("bob", "Bob Shaw", "1950-01-01"),
        ];
        let fits = |(id, name, born): &(&str, &str, &str)| {
            (query.ids.is_empty() || query.ids.iter().any(|wanted| wanted == id))
                && query.name.as_ref().is_none_or(|wanted| name.contains(wanted.as_str()))
                && query.birth_date.as_ref().is_none_or(|wanted| wanted == born)
                && query.identifier.is_none()
        };
        Ok(all
            .into_iter()
            .filter(fits)
            .map(|(id, name, born)| PatientSummary {
                id: id.to_owned(),
                name: name.to_owned(),
                birth_date: Some(born.to_owned()),
                gender: None,
            })
            .collect())
    }

    async fn people(
        &self,
        _: &Snapshot,
        of: ResourceType,
        asked: &[(String, String)],
    ) -> Result<Vec<String>, DirectoryError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(DirectoryError("down".to_owned()));
        }
        let known = [("urn:staff|77", "carter"), ("urn:staff|twins", "a"), ("urn:staff|twins", "b")];
        let fits = |value: &str| asked == [("identifier".to_owned(), value.to_owned())] && of.name() == "Practitioner";
        Ok(known.into_iter().filter(|(value, _)| fits(value)).map(|(_, id)| id.to_owned()).collect())
    }

    async fn encounters(&self, _: &Snapshot, patient: &str) -> Result<Vec<EncounterSummary>, DirectoryError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(DirectoryError("down".to_owned()));
        }
        let ids: &[&str] = if patient == "amy" { &["e1", "e2"] } else { &[] };
        let summary = |id: &&str| EncounterSummary {
            id: (*id).to_owned(),
            what: Some("Check-up <x>".to_owned()),
            began: Some("2026-01-02".to_owned()),
            status: None,
        };
        Ok(ids.iter().map(summary).collect())
    }
}

/// One authorization server and what it works with.
pub(super) struct World {
    pub(super) server: AuthServer,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) store: Arc<MemoryStore>,
    pub(super) patients: Arc<Patients>,
    pub(super) revocations: Arc<Revocations>,
    pub(super) verifier: Arc<Verifier>,
    /// Where requests come from.
    pub(super) from: Mutex<IpAddr>,
    clock: Arc<StoppedClock>,
    audit: AuditLog,
    folder: TempDir,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::at(GATE).await
    }

    pub(super) async fn at(public_url: &str) -> Self {
        crate::token::install_crypto();
        let snapshot = configured(public_url);
        let store = Arc::new(MemoryStore::with_keys(signing_keys().await));
        let patients = Arc::new(Patients::default());
        let clock = Arc::new(StoppedClock(AtomicI64::new(NOW)));
        let ambient = Ambient { clock: clock.clone(), entropy: Arc::new(Counted(AtomicU64::new(0))) };
        let keys = Arc::new(GateKeys::open(&*store, &ambient, &snapshot.tokens).await.unwrap());
        let fetcher = Arc::new(Fetcher::new(ambient.clone(), Metrics::new().unwrap()).unwrap());
        let verifier = Arc::new(Verifier { keys: keys.clone(), fetcher: fetcher.clone(), ambient: ambient.clone() });
        let revocations = Arc::new(Revocations::new());
        let metrics = Metrics::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let sink = AuditSink::File(folder.path().join("audit.jsonl"));
        let audit = AuditLog::open(&sink, OnFull::Block, metrics.clone()).unwrap();
        let server = AuthServer::new(AuthParts {
            keys,
            verifier: verifier.clone(),
            assertions: Assertions { fetcher, store: store.clone(), ambient: ambient.clone() },
            revocations: revocations.clone(),
            secrets: Arc::new(Throttle::new(store.clone())),
            store: store.clone(),
            directory: patients.clone(),
            metrics,
            audit: audit.clone(),
            ambient,
        });
        let from = Mutex::new(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let world = Self { server, snapshot, store, patients, revocations, verifier, from, clock, audit, folder };
        world.synchronise();
        world
    }

    pub(super) fn wait(&self, seconds: UnixSeconds) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
        self.synchronise();
    }

    /// Does what goes on in the background; where the store is down, nothing.
    fn synchronise(&self) {
        let ambient = Ambient { clock: self.clock.clone(), ..Ambient::system() };
        let _ = self.revocations.sync(&*self.store, &ambient).now_or_never();
    }

    /// Changes the configuration as a reload would.
    pub(super) fn reload(&mut self, change: impl FnOnce(&mut Snapshot)) {
        let mut snapshot = Arc::into_inner(configured(&self.snapshot.server.public_url)).unwrap();
        change(&mut snapshot);
        self.snapshot = Arc::new(snapshot);
    }

    pub(super) async fn send(&self, request: Request<Bytes>) -> Response<Bytes> {
        let from = *self.from.lock();
        self.server.handle(request, "request-1", Some(ClientAddress::new(from)), &self.snapshot).await
    }

    pub(super) async fn get(&self, path: &str) -> Response<Bytes> {
        self.send(Request::get(path).body(Bytes::new()).unwrap()).await
    }

    /// Posts a form with further headers.
    pub(super) async fn post(&self, path: &str, form: &[(&str, &str)], headers: &[(&str, &str)]) -> Response<Bytes> {
        let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Bytes::from(encode(form))).unwrap()).await
    }

    /// The audit lines so far.
    pub(super) async fn audited(&self) -> Vec<Value> {
        self.audit.flush().await;
        let text = std::fs::read_to_string(self.folder.path().join("audit.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The whole way of `username` through `app`, to the answer with the tokens.
    pub(super) async fn launch(&self, username: &str, scope: &str) -> Value {
        let mut browser = Browser::new(self);
        let mut asked = request();
        set(&mut asked, "scope", scope);
        browser.open(&asked).await;
        browser.log_in(username, PASSWORD).await;
        browser.submit(&[("do", "allow"), ("patient", browser.hidden("patient").as_deref().unwrap_or_default())]).await;
        let answer = self.redeem(&browser.landed()["code"]).await;
        assert_eq!(answer.status(), StatusCode::OK, "{answer:?}");
        json(&answer)
    }

    /// Amy's whole way through `trusted`, which has a secret and asks nobody.
    pub(super) async fn launch_trusted(&self) -> Value {
        let mut browser = Browser::new(self);
        let mut asked = request();
        set(&mut asked, "client_id", "trusted");
        set(&mut asked, "scope", "launch/patient patient/*.rs offline_access");
        browser.open(&asked).await;
        browser.log_in("amy", PASSWORD).await;
        let code = browser.landed()["code"].clone();
        let form: Vec<_> = redemption(&code).into_iter().filter(|(name, _)| *name != "client_id").collect();
        json(&self.post("/auth/token", &form, &[("authorization", &basic("trusted", SECRET))]).await)
    }

    pub(super) async fn redeem(&self, code: &str) -> Response<Bytes> {
        self.post("/auth/token", &redemption(code), &[]).await
    }
}

/// The parameters of a right authorization request.
pub(super) fn request() -> Vec<(&'static str, String)> {
    [
        ("response_type", "code"),
        ("client_id", "app"),
        ("redirect_uri", CALLBACK),
        ("scope", "openid fhirUser launch/patient patient/*.read"),
        ("state", "a&error=x\u{e9} \"'<"),
        ("aud", BASE),
        ("code_challenge_method", "S256"),
        ("nonce", "n-0S6"),
    ]
    .into_iter()
    .map(|(name, value)| (name, value.to_owned()))
    .chain([("code_challenge", URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER)))])
    .collect()
}

/// Sets a parameter, or leaves it out where `value` is empty.
pub(super) fn set(form: &mut Vec<(&'static str, String)>, name: &'static str, value: &str) {
    form.retain(|(known, _)| *known != name);
    if !value.is_empty() {
        form.push((name, value.to_owned()));
    }
}

/// The form that redeems a code of `app`.
pub(super) fn redemption(code: &str) -> Vec<(&str, &str)> {
    vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("client_id", "app"),
        ("code_verifier", VERIFIER),
    ]
}

pub(super) fn encode<N: AsRef<str>, V: AsRef<str>>(form: &[(N, V)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()
}

pub(super) fn json(response: &Response<Bytes>) -> Value {
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    serde_json::from_slice(response.body()).unwrap()
}

/// The claims of the id_token among `tokens`.
pub(super) fn identity(tokens: &Value) -> Value {
    let payload = tokens["id_token"].as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

pub(super) fn text(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}

/// `Authorization` of a client with a secret, encoded as RFC 6749 §2.3.1 wants it.
pub(super) fn basic(id: &str, secret: &str) -> String {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret))))
}

/// The parameters of a redirect to the app.
pub(super) fn landed(response: &Response<Bytes>) -> HashMap<String, String> {
    assert_eq!(response.status(), StatusCode::SEE_OTHER, "{}", text(response));
    let location = response.headers()[header::LOCATION].to_str().unwrap();
    assert!(location.starts_with("https://app.example.org/callback?kept=1&"), "{location}");
    Url::parse(location).unwrap().query_pairs().into_owned().collect()
}
