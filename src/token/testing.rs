//! Keys, tokens, clocks and a server of key sets, for tests.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::keys::signing::{SigningKey, generate, name};
use super::{GateKeys, install_crypto};
use crate::ambient::{Ambient, Clock};
use crate::config::{SigningAlgorithm, Snapshot, load_str};
use crate::store::{KeyPurpose, SharedStore, SqliteStore, StoredKey};

/// When tests happen.
pub(crate) const NOW: i64 = 1_800_000_000;

pub(crate) const ISSUER: &str = "https://idp.example";
pub(crate) const AUDIENCE: &str = "https://gate.example.org/fhir";

/// A clock that is set by hand.
pub(crate) struct HandClock {
    now: AtomicI64,
    stepped: AtomicI64,
}

impl HandClock {
    pub(crate) fn set(&self, now: i64) {
        self.now.store(now, Ordering::SeqCst);
    }

    /// Sets the wall clock forwards or back, while no time passes.
    pub(crate) fn step(&self, seconds: i64) {
        self.now.fetch_add(seconds, Ordering::SeqCst);
        self.stepped.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> i64 {
        self.now.load(Ordering::SeqCst)
    }

    fn steady(&self) -> Duration {
        Duration::from_secs((self.now() - self.stepped.load(Ordering::SeqCst)).try_into().unwrap())
    }
}

/// A clock at [`NOW`] and real randomness.
pub(crate) fn ambient() -> (Ambient, Arc<HandClock>) {
    install_crypto();
    let clock = Arc::new(HandClock { now: AtomicI64::new(NOW), stepped: AtomicI64::new(0) });
    (Ambient { clock: clock.clone(), ..Ambient::system() }, clock)
}

/// An empty store; it is gone with the folder.
pub(crate) fn store() -> (TempDir, SharedStore) {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(&folder.path().join("gate.db")).unwrap();
    (folder, Arc::new(store))
}

/// A configuration with one foreign issuer, [`ISSUER`], whose keys are those of `es256`, `es384` and `rs256`.
pub(crate) fn snapshot() -> Snapshot {
    snapshot_with("token_type = \"jwt\"")
}

/// As [`snapshot`], with more lines for the issuer.
pub(crate) fn snapshot_with(lines: &str) -> Snapshot {
    install_crypto();
    let folder = TempDir::new().unwrap();
    let keys = [es256(), es384(), rs256()];
    std::fs::write(folder.path().join("jwks.json"), jwks(&keys)).unwrap();
    std::fs::write(folder.path().join("secret"), "a b+c").unwrap();
    std::fs::write(folder.path().join("key.pem"), es256().pem()).unwrap();
    let text = format!(
        r#"
        [server]
        listen = ["127.0.0.1:8080"]
        public_url = "https://gate.example.org"
        [admin]
        listen = ["127.0.0.1:9090"]
        [fhir]
        upstream = "http://127.0.0.1:8090/fhir"
        [[issuers]]
        issuer = "{ISSUER}"
        audience = ["{AUDIENCE}"]
        jwks_file = "jwks.json"
        algorithms = ["ES256", "ES384", "RS256"]
        scopes = ["patient/*.rs"]
        {lines}
        "#
    );
    load_str(&text, folder.path()).unwrap_or_else(|errors| panic!("{errors}")).snapshot
}

/// A key pair of somebody.
pub(crate) struct TestKey {
    pub(crate) id: &'static str,
    pub(crate) algorithm: SigningAlgorithm,
    stored: StoredKey,
    key: SigningKey,
}

impl TestKey {
    fn new(id: &'static str, algorithm: SigningAlgorithm) -> Self {
        let stored = stored(id, KeyPurpose::Access, algorithm);
        let key = SigningKey::read(&stored).unwrap();
        Self { id, algorithm, stored, key }
    }

    /// The public key as a JWK.
    pub(crate) fn jwk(&self) -> Value {
        self.key.jwk.clone()
    }

    /// The private key in PEM.
    pub(crate) fn pem(&self) -> String {
        let lines: Vec<String> = STANDARD
            .encode(&self.stored.secret)
            .chars()
            .collect::<Vec<_>>()
            .chunks(64)
            .map(String::from_iter)
            .collect();
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
    }

    /// A token with this key's own `alg` and `kid`, and `typ: JWT`.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.signed(&json!({ "typ": "JWT", "alg": name(self.algorithm), "kid": self.id }), claims)
    }

    /// A token with any header.
    pub(crate) fn signed(&self, header: &Value, claims: &Value) -> String {
        self.signed_text(&header.to_string(), &claims.to_string())
    }

    /// A token of these very texts.
    pub(crate) fn signed_text(&self, header: &str, claims: &str) -> String {
        self.key.sign_parts(header.as_bytes(), claims.as_bytes()).unwrap()
    }
}

/// A fresh private key as the store keeps it.
pub(crate) fn stored(id: &str, purpose: KeyPurpose, algorithm: SigningAlgorithm) -> StoredKey {
    StoredKey {
        id: id.to_owned(),
        purpose,
        algorithm: name(algorithm).to_owned(),
        secret: generate(algorithm).unwrap(),
        created: NOW,
        active_from: NOW,
        retired: None,
    }
}

macro_rules! shared_keys {
    ($($name:ident: $algorithm:ident),* $(,)?) => {$(
        pub(crate) fn $name() -> &'static TestKey {
            static KEY: LazyLock<TestKey> =
                LazyLock::new(|| TestKey::new(stringify!($name), SigningAlgorithm::$algorithm));
            &KEY
        }
    )*};
}

shared_keys!(es256: Es256, es384: Es384, rs256: Rs256, rs384: Rs384, stranger: Es256);

/// A JWK set of these keys.
pub(crate) fn jwks(keys: &[&TestKey]) -> String {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() }).to_string()
}

/// A key for id_tokens; the key pair of `rs256`.
pub(crate) fn identity_key() -> StoredKey {
    StoredKey { id: "identity".to_owned(), purpose: KeyPurpose::Identity, ..rs256().stored.clone() }
}

/// The gate's keys without a store: `es256` for access tokens, [`identity_key`] for id_tokens, and one seal key.
pub(crate) fn gate_keys(ambient: &Ambient) -> Arc<GateKeys> {
    let mut secret = vec![0; 32];
    ambient.entropy.fill(&mut secret);
    let seal = StoredKey {
        id: "seal".to_owned(),
        purpose: KeyPurpose::Seal,
        algorithm: "A256GCM".to_owned(),
        secret,
        ..es256().stored.clone()
    };
    Arc::new(GateKeys::of(&[es256().stored.clone(), identity_key(), seal], ambient).unwrap())
}

/// A server on a free port of this machine that answers every request with what it was last told to.
pub(crate) struct Server {
    pub(crate) url: String,
    answer: Arc<Mutex<String>>,
    seen: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Self { url, answer: Arc::default(), seen: Arc::default(), requests: Arc::default() };
        let (answer, seen, requests) = (server.answer.clone(), server.seen.clone(), server.requests.clone());
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    match connection.read_u8().await {
                        Ok(byte) => request.push(byte),
                        Err(_) => break,
                    }
                }
                let mut request = String::from_utf8(request).unwrap();
                let head = request.to_ascii_lowercase();
                let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.split_once("\r\n"));
                let mut body = vec![0; length.map_or(0, |(length, _)| length.parse().unwrap())];
                connection.read_exact(&mut body).await.unwrap();
                seen.fetch_add(1, Ordering::SeqCst);
                request.push_str(&String::from_utf8(body).unwrap());
                requests.lock().unwrap().push(request);
                let answer = answer.lock().unwrap().clone();
                let _ = connection.write_all(answer.as_bytes()).await;
            }
        });
        server
    }

    /// From now on answers 200 with these header lines and this body.
    pub(crate) fn answers(&self, headers: &str, body: &str) {
        self.answers_raw(&format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
            body.len()
        ));
    }

    /// From now on answers with these very bytes and closes.
    pub(crate) fn answers_raw(&self, answer: &str) {
        answer.clone_into(&mut self.answer.lock().unwrap());
    }

    /// How many requests came.
    pub(crate) fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }

    /// The requests that came.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}
