//! One gate before one FHIR server whose data is exchanged between sequences; clock and randomness stand still.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use serde_json::{Map, Value, json};
use smartgate::ambient::{Ambient, Clock, Entropy, UnixSeconds};
use smartgate::app::{Running, start};
use smartgate::config::load_str;
use smartgate::store::{SqliteStore, Store as _};
use smartgate::telemetry::Metrics;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::grants::{Grant, LINKED, RELATED};
use crate::server::listen::{self, Listening};
use crate::tokens::{ISSUER, Issuer, NOW, Signature};
use crate::wire::{Reply, head_end, header_lines};

/// What the FHIR server obeys, as the gate would have found out.
const OBEYED: &str =
    r#"{"put":true,"delete":true,"absent":true,"transaction":{"put":true,"delete":true,"absent":true}}"#;

struct StandingClock;

impl Clock for StandingClock {
    fn now(&self) -> UnixSeconds {
        NOW
    }
}

/// Real randomness while keys are made, and then always the same: request ids and the nonces of seals.
struct StandingEntropy(AtomicBool);

impl Entropy for StandingEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        if self.0.load(Ordering::Relaxed) { bytes.fill(7) } else { aws_lc_rs::rand::fill(bytes).unwrap() }
    }
}

pub(crate) struct Gate {
    pub upstream: Listening,
    address: SocketAddr,
    issuer: Issuer,
    connection: Option<TcpStream>,
    _running: Running,
    _folder: TempDir,
}

impl Gate {
    /// A gate that narrows searches in this way (`[fhir] narrowing`).
    pub(crate) async fn start(narrowing: &str) -> Self {
        smartgate::token::install_crypto();
        let folder = tempfile::tempdir().unwrap();
        let upstream = listen::start().await;
        let issuer = Issuer::new("k1");
        std::fs::write(folder.path().join("idp.json"), issuer.jwks()).unwrap();
        let loaded = load_str(&configuration(&upstream.base, narrowing), folder.path())
            .unwrap_or_else(|errors| panic!("{errors}"));
        let store = SqliteStore::open(&folder.path().join("gate.db")).unwrap();
        store.put_probe(&upstream.base, OBEYED).await.unwrap();
        let entropy = Arc::new(StandingEntropy(AtomicBool::new(false)));
        let ambient = Ambient { clock: Arc::new(StandingClock), entropy: entropy.clone() };
        let config = Arc::new(ArcSwap::from_pointee(loaded.snapshot));
        let running = start(config, Metrics::new().unwrap(), ambient).await.unwrap_or_else(|why| panic!("{why}"));
        entropy.0.store(true, Ordering::Relaxed);
        let address = running.addresses()[0];
        Self { upstream, address, issuer, connection: None, _running: running, _folder: folder }
    }

    pub(crate) fn token(&self, grant: &Grant) -> String {
        let usual = json!({
            "iss": ISSUER, "aud": "https://p/fhir", "sub": "someone", "client_id": "app", "iat": NOW - 10,
            "exp": NOW + 300, "jti": "t1",
        });
        let mut claims: Map<String, Value> = usual.as_object().cloned().unwrap();
        claims.extend(grant.claims.clone());
        self.issuer.token(&claims, &Map::new(), Signature::Good)
    }

    /// Asks on a connection that is kept.
    pub(crate) async fn ask(
        &mut self,
        token: &str,
        method: &str,
        target: &str,
        headers: &[(&'static str, String)],
        body: &str,
    ) -> Reply {
        let mut request = format!("{method} /fhir{target} HTTP/1.1\r\nHost: p\r\nAuthorization: Bearer {token}\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !matches!(method, "GET" | "HEAD" | "DELETE") {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        request.push_str(body);
        for _ in 0..2 {
            let mut stream = match self.connection.take() {
                Some(stream) => stream,
                None => connect(self.address).await,
            };
            if let Some((reply, kept)) = exchange(&mut stream, request.as_bytes(), method == "HEAD").await {
                self.connection = kept.then_some(stream);
                return reply;
            }
        }
        panic!("no answer to {method} {target}")
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// One answer, and whether the connection goes on; none if the gate closed it before answering.
async fn exchange(stream: &mut TcpStream, request: &[u8], bodyless: bool) -> Option<(Reply, bool)> {
    stream.write_all(request).await.ok()?;
    let mut answer = Vec::new();
    loop {
        if stream.read_buf(&mut answer).await.ok()? == 0 {
            return None;
        }
        let Some(end) = head_end(&answer) else { continue };
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let headers = header_lines(&head);
        let value = |name: &str| headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
        let status = head.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok())?;
        let complete = match (value("content-length"), value("transfer-encoding")) {
            _ if bodyless || matches!(status, 204 | 304) => true,
            (Some(length), _) => answer.len() >= end + length.parse::<usize>().ok()?,
            (None, Some(_)) => answer.ends_with(b"0\r\n\r\n"),
            (None, None) => true,
        };
        if complete {
            let kept = value("connection") != Some("close");
            return Reply::parse(&answer).map(|reply| (reply, kept));
        }
    }
}

fn configuration(upstream: &str, narrowing: &str) -> String {
    format!(
        r#"
[server]
listen = ["127.0.0.1:0"]
public_url = "https://p"

[admin]
listen = ["127.0.0.1:0"]

[fhir]
upstream = "{upstream}"
narrowing = "{narrowing}"

[limits]
scan_pages = 1000

[store]
url = "sqlite:gate.db"

[audit]
file = "audit.jsonl"

[[issuers]]
issuer = "{ISSUER}"
audience = ["https://p/fhir"]
jwks_file = "idp.json"
algorithms = ["ES256"]
scopes = ["patient/*.cruds", "user/*.cruds", "openid", "fhirUser"]

[[links]]
person = "{RELATED}"
patients = {LINKED:?}
"#
    )
}
