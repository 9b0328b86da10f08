//! A gate, the FHIR server behind it, and the issuer of its tokens.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::{Map, Value};
use smartgate::ambient::{Ambient, Clock, UnixSeconds};
use smartgate::app::{Running, start};
use smartgate::config::{Snapshot, load_str_at};
use smartgate::store::{SqliteStore, Store as _};
use smartgate::telemetry::Metrics;
use tempfile::TempDir;

use crate::double::Double;
use crate::tokens::{Issuer, NOW, Signature};
use crate::wire::{self, Reply};

/// Secret of the client `backend`, which asks the gate for tokens of its own.
pub(crate) const BACKEND_SECRET: &str = "a-secret-of-the-backend-client-01";

/// What is recorded of a FHIR server that obeys every condition.
pub(crate) const OBEDIENT: &str =
    r#"{"put":true,"delete":true,"absent":true,"transaction":{"put":true,"delete":true,"absent":true}}"#;

/// A clock that moves when it is told to.
pub(crate) struct StandingClock {
    now: AtomicI64,
    stepped: AtomicI64,
}

impl Clock for StandingClock {
    fn now(&self) -> UnixSeconds {
        self.now.load(Ordering::Relaxed)
    }

    fn steady(&self) -> Duration {
        Duration::from_secs((self.now() - self.stepped.load(Ordering::Relaxed)).try_into().unwrap())
    }
}

pub(crate) struct World {
    gate: Running,
    pub upstream: Double,
    pub issuer: Issuer,
    pub config: Arc<ArcSwap<Snapshot>>,
    clock: Arc<StandingClock>,
    folder: TempDir,
}

impl World {
    /// A gate as operators run it; `fhir` and `rest` are lines for `[fhir]` and for the end of the configuration.
    pub(crate) async fn start(fhir: &str, rest: &str) -> Self {
        Self::start_with(fhir, rest, Some(OBEDIENT)).await
    }

    /// A gate that knows this of what the FHIR server obeys; see [`World::start`].
    pub(crate) async fn start_with(fhir: &str, rest: &str, obeyed: Option<&str>) -> Self {
        smartgate::token::install_crypto();
        let folder = tempfile::tempdir().unwrap();
        let upstream = Double::start().await;
        let issuer = Issuer::new("k1");
        std::fs::write(folder.path().join("idp.json"), issuer.jwks()).unwrap();
        let text = configuration(upstream.base(), fhir, &format!("{}{rest}", backend()));
        let config = Arc::new(ArcSwap::from_pointee(snapshot(&text, &folder)));
        if let Some(obeyed) = obeyed {
            let store = SqliteStore::open(&folder.path().join("gate.db")).unwrap();
            store.put_probe(upstream.base(), obeyed).await.unwrap();
        }
        let clock = Arc::new(StandingClock { now: AtomicI64::new(NOW), stepped: AtomicI64::new(0) });
        let ambient = Ambient { clock: clock.clone(), ..Ambient::system() };
        let gate = start(config.clone(), Metrics::new().unwrap(), ambient).await.unwrap_or_else(|why| panic!("{why}"));
        Self { gate, upstream, issuer, config, clock, folder }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.gate.addresses()[0]
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.now.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Sets the wall clock forwards or back, while no time passes.
    pub(crate) fn step(&self, seconds: i64) {
        self.clock.stepped.fetch_add(seconds, Ordering::Relaxed);
        self.advance(seconds);
    }

    /// What the store has of what the FHIR server obeys.
    pub(crate) async fn recorded(&self) -> Option<String> {
        let store = SqliteStore::open(&self.folder.path().join("gate.db")).unwrap();
        store.probe(self.upstream.base()).await.unwrap()
    }

    /// Puts another configuration in effect: without the client `backend`.
    pub(crate) fn reload(&self, fhir: &str, rest: &str) {
        let mut next = snapshot(&configuration(self.upstream.base(), fhir, rest), &self.folder);
        next.generation = self.config.load().generation + 1;
        self.config.store(Arc::new(next));
    }

    /// Puts a configuration in effect that has these lines in `[server]`.
    pub(crate) fn reload_serving(&self, server: &str) {
        let text = configuration(self.upstream.base(), "", "").replace("[admin]", &format!("{server}\n[admin]"));
        let mut next = snapshot(&text, &self.folder);
        next.generation = self.config.load().generation + 1;
        self.config.store(Arc::new(next));
    }

    /// Puts another FHIR server behind the gate.
    pub(crate) fn reload_to(&self, upstream: &str) {
        let mut next = snapshot(&configuration(upstream, "", ""), &self.folder);
        next.generation = self.config.load().generation + 1;
        self.config.store(Arc::new(next));
    }

    /// Puts another FHIR server behind the gate, which waits long for its answers.
    pub(crate) fn reload_patient(&self, upstream: &str) {
        let text = configuration(upstream, "", "").replace("read_timeout = \"1s\"", "read_timeout = \"60s\"");
        let mut next = snapshot(&text, &self.folder);
        next.generation = self.config.load().generation + 1;
        self.config.store(Arc::new(next));
    }

    /// Puts several addresses of a FHIR server behind the gate, with these lines in `[fhir]`.
    pub(crate) fn reload_to_all(&self, upstreams: &[&str], fhir: &str) {
        let text = configuration("{}", fhir, "").replace("\"{}\"", &format!("{upstreams:?}"));
        let mut next = snapshot(&text, &self.folder);
        next.generation = self.config.load().generation + 1;
        self.config.store(Arc::new(next));
    }

    /// Publishes other keys of the issuer; they count from the next [`World::reload`] on.
    pub(crate) fn publish(&self, keys: &[&Issuer]) {
        let keys: Vec<Value> = keys.iter().map(|issuer| issuer.jwk()).collect();
        std::fs::write(self.folder.path().join("idp.json"), serde_json::json!({ "keys": keys }).to_string()).unwrap();
    }

    /// A token of the issuer that is right in every way, with these claims.
    pub(crate) fn token(&self, claims: &Map<String, Value>) -> String {
        let mut all = usual_claims();
        all.extend(claims.clone());
        self.issuer.token(&all, &Map::new(), Signature::Good)
    }

    /// A patient's token.
    pub(crate) fn patient_token(&self, scope: &str, patient: &str) -> String {
        let mut claims = Map::new();
        claims.insert("scope".to_owned(), scope.into());
        claims.insert("patient".to_owned(), patient.into());
        self.token(&claims)
    }

    /// Asks with a token.
    pub(crate) async fn ask(&self, token: &str, method: &str, target: &str) -> Reply {
        let headers = [("Authorization".to_owned(), format!("Bearer {token}"))];
        wire::send(self.address(), method, target, &headers, b"").await
    }

    pub(crate) async fn get(&self, token: &str, target: &str) -> Reply {
        self.ask(token, "GET", target).await
    }

    /// What Prometheus is told.
    pub(crate) fn metrics(&self) -> String {
        self.gate.metrics().render()
    }

    /// The audit lines so far.
    pub(crate) async fn audit(&self) -> Vec<Value> {
        self.gate.audit().flush().await;
        let text = std::fs::read_to_string(self.folder.path().join("audit.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until the gate has its copy of the CapabilityStatement.
    pub(crate) async fn capabilities_known(&self) {
        while wire::send(self.address(), "GET", "/fhir/metadata", &[], b"").await.status != 200 {
            tokio::task::yield_now().await;
        }
    }
}

/// What every token of the issuer says unless a test says otherwise.
pub(crate) fn usual_claims() -> Map<String, Value> {
    let claims = serde_json::json!({
        "iss": crate::tokens::ISSUER,
        "aud": "https://p/fhir",
        "sub": "someone",
        "client_id": "app",
        "iat": NOW - 10,
        "exp": NOW + 300,
        "jti": "t1",
    });
    claims.as_object().cloned().unwrap()
}

fn snapshot(text: &str, folder: &TempDir) -> Snapshot {
    load_str_at(text, folder.path(), NOW).unwrap_or_else(|errors| panic!("{errors}")).snapshot
}

fn backend() -> String {
    let secret_hash = smartgate::auth::hash_secret(BACKEND_SECRET);
    format!(
        r#"
[[clients]]
id = "backend"
kind = "confidential-symmetric"
secret_hash = "{secret_hash}"
grant_types = ["client_credentials"]
scopes = ["system/Observation.rs"]
"#
    )
}

fn configuration(upstream: &str, fhir: &str, rest: &str) -> String {
    format!(
        r#"
[server]
listen = ["127.0.0.1:0"]
public_url = "https://p"

[admin]
listen = ["127.0.0.1:0"]

[fhir]
upstream = "{upstream}"
read_timeout = "1s"
{fhir}

[store]
url = "sqlite:gate.db"

[audit]
file = "audit.jsonl"

[[issuers]]
issuer = "{issuer}"
audience = ["https://p/fhir"]
jwks_file = "idp.json"
algorithms = ["ES256"]
scopes = ["patient/*.cruds", "user/*.cruds", "system/*.cruds", "openid", "fhirUser"]
origins = ["https://app.example.org"]

{rest}
"#,
        issuer = crate::tokens::ISSUER,
    )
}
