use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::ambient::UnixSeconds;
use crate::gate::{Inherited, Listeners};
use crate::store::{
    Attempt, ClientsVersion, Digest, LiveGrant, Redemption, RefreshGrant, RefreshToken, Revocation, Revoked, Rotated,
    Rotation, Store, StoreError, StoredClient, StoredKey, Tried,
};
use crate::telemetry::{AuditSink, OnFull};
use crate::token::install_crypto;

fn asked(method: &Method, path: &str, host: &str) -> Asked {
    Asked::read(method, path, Some(host), &["smartgate.internal".to_owned()])
}

#[test]
fn the_paths_that_there_are() {
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(asked(&method, "/metrics", "127.0.0.1:9090"), Asked::Metrics);
        assert_eq!(asked(&method, "/healthz", "127.0.0.1:9090"), Asked::Health);
        assert_eq!(asked(&method, "/readyz", "127.0.0.1:9090"), Asked::Readiness);
        assert_eq!(asked(&method, "/", "localhost"), Asked::Page);
        assert_eq!(asked(&method, "/decisions", "localhost"), Asked::Decisions);
        for path in ["/metrics/", "/metrics/..", "//metrics", "/fhir/metadata", "/debug"] {
            assert_eq!(asked(&method, path, "localhost"), Asked::Refused(StatusCode::NOT_FOUND), "{path}");
        }
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE] {
        assert_eq!(asked(&method, "/metrics", "localhost"), Asked::Refused(StatusCode::METHOD_NOT_ALLOWED));
    }
}

#[test]
fn a_name_that_was_made_to_point_here_is_refused() {
    for host in
        ["127.0.0.1", "10.1.2.3:9090", "[::1]:9090", "LOCALHOST:1", "Smartgate.Internal", "smartgate.internal:9090"]
    {
        assert_eq!(asked(&Method::GET, "/metrics", host), Asked::Metrics, "{host}");
    }
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "smartgate.internal.evil",
        "",
        "::1",
        "a b",
    ] {
        assert_eq!(asked(&Method::GET, "/metrics", host), Asked::Refused(StatusCode::FORBIDDEN), "{host}");
    }
    assert_eq!(Asked::read(&Method::GET, "/metrics", None, &[]), Asked::Refused(StatusCode::FORBIDDEN));
}

#[test]
fn head_tells_the_length_of_what_it_does_not_send() {
    let whole = answer(StatusCode::OK, JSON, "{}".into(), false);
    let head = answer(StatusCode::OK, JSON, "{}".into(), true);
    assert_eq!(whole.headers(), head.headers());
    assert_eq!((whole.body().len(), head.body().len()), (2, 0));
    assert_eq!(answer(StatusCode::METHOD_NOT_ALLOWED, JSON, String::new(), false).headers()["allow"], "GET, HEAD");
}

/// A store that counts how often it is asked whether it is there.
#[derive(Default)]
struct Pinged {
    pings: AtomicUsize,
    down: AtomicBool,
}

fn unused<T>() -> Result<T, StoreError> {
    Err(StoreError("only ping".into()))
}

#[async_trait]
impl Store for Pinged {
    async fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        unused()
    }

    async fn add_first_key(&self, _: &StoredKey) -> Result<(), StoreError> {
        unused()
    }

    async fn rotate_key(&self, _: &StoredKey) -> Result<(), StoreError> {
        unused()
    }

    async fn replace_keys(&self, _: &[StoredKey]) -> Result<(), StoreError> {
        unused()
    }

    async fn forget_keys(&self, _: UnixSeconds) -> Result<(), StoreError> {
        unused()
    }

    async fn put_pending(&self, _: &Digest, _: &str, _: UnixSeconds) -> Result<(), StoreError> {
        unused()
    }

    async fn pending(&self, _: &Digest, _: UnixSeconds) -> Result<Option<String>, StoreError> {
        unused()
    }

    async fn take_pending(&self, _: &Digest, _: UnixSeconds) -> Result<Option<String>, StoreError> {
        unused()
    }

    async fn put_code(&self, _: &Digest, _: &str, _: &str, _: UnixSeconds) -> Result<(), StoreError> {
        unused()
    }

    async fn redeem_code(&self, _: &Digest, _: UnixSeconds, _: UnixSeconds) -> Result<Redemption, StoreError> {
        unused()
    }

    async fn put_refresh(
        &self,
        _: &Digest,
        _: &RefreshGrant,
        _: UnixSeconds,
        _: UnixSeconds,
    ) -> Result<bool, StoreError> {
        unused()
    }

    async fn refresh(&self, _: &Digest, _: UnixSeconds) -> Result<Option<RefreshToken>, StoreError> {
        unused()
    }

    async fn grants_of(&self, _: &str, _: UnixSeconds) -> Result<Vec<LiveGrant>, StoreError> {
        unused()
    }

    async fn rotate_refresh(&self, _: &Rotation) -> Result<Rotated, StoreError> {
        unused()
    }

    async fn first_use(&self, _: &str, _: &str, _: UnixSeconds, _: UnixSeconds) -> Result<bool, StoreError> {
        unused()
    }

    async fn revoke(&self, _: &Revoked, _: UnixSeconds) -> Result<(), StoreError> {
        unused()
    }

    async fn last_revocation(&self) -> Result<i64, StoreError> {
        unused()
    }

    async fn revocations_after(&self, _: i64, _: UnixSeconds) -> Result<Vec<Revocation>, StoreError> {
        unused()
    }

    async fn add_client(&self, _: &StoredClient, _: usize) -> Result<bool, StoreError> {
        unused()
    }

    async fn clients_version(&self) -> Result<ClientsVersion, StoreError> {
        unused()
    }

    async fn clients(&self) -> Result<Vec<StoredClient>, StoreError> {
        unused()
    }

    async fn remove_client(&self, _: &str) -> Result<bool, StoreError> {
        unused()
    }

    async fn probe(&self, _: &str) -> Result<Option<String>, StoreError> {
        unused()
    }
    async fn put_probe(&self, _: &str, _: &str) -> Result<(), StoreError> {
        unused()
    }
    async fn attempt(&self, _: Tried, _: &Digest, _: UnixSeconds, _: UnixSeconds) -> Result<Attempt, StoreError> {
        unused()
    }

    async fn forgive(&self, _: &Digest) -> Result<(), StoreError> {
        unused()
    }

    async fn pauses(&self, _: UnixSeconds) -> Result<Vec<(Digest, UnixSeconds)>, StoreError> {
        unused()
    }

    async fn sweep(&self, _: UnixSeconds, _: UnixSeconds) -> Result<usize, StoreError> {
        unused()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.pings.fetch_add(1, Ordering::Relaxed);
        if self.down.load(Ordering::Relaxed) { unused() } else { Ok(()) }
    }
}

#[tokio::test]
async fn ready_means_serving_and_a_store_that_answers() {
    let (readiness, store) = (Readiness::default(), Pinged::default());
    assert_eq!(readiness.missing(&store).await, Some("serving"));
    assert_eq!(store.pings.load(Ordering::Relaxed), 0);
    readiness.set(true);
    assert_eq!(readiness.missing(&store).await, None);
    readiness.set(false);
    assert_eq!(readiness.missing(&store).await, Some("serving"));
    let (readiness, store) = (Readiness::default(), Pinged::default());
    readiness.set(true);
    store.down.store(true, Ordering::Relaxed);
    assert_eq!(readiness.missing(&store).await, Some("store"));
}

#[tokio::test]
async fn probes_ask_the_store_once_a_second() {
    let (readiness, store) = (Readiness::default(), Pinged::default());
    let start = Instant::now();
    for millis in [0, 1, 500, 999] {
        assert!(readiness.store_answers(&store, start + Duration::from_millis(millis)).await);
    }
    assert_eq!(store.pings.load(Ordering::Relaxed), 1);
    store.down.store(true, Ordering::Relaxed);
    assert!(!readiness.store_answers(&store, start + Duration::from_millis(1000)).await);
    assert_eq!(store.pings.load(Ordering::Relaxed), 2);
}

/// What a client reads until the connection is closed.
async fn exchange(address: std::net::SocketAddr, requests: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    answers
}

#[tokio::test]
async fn it_answers_on_the_wire() {
    install_crypto();
    let folder = tempfile::tempdir().unwrap();
    let main = "[server]\nlisten = [\"127.0.0.1:0\"]\npublic_url = \"https://gate.example.org\"\n\
                [admin]\nlisten = [\"127.0.0.1:0\"]\n[fhir]\nupstream = \"http://127.0.0.1:1/fhir\"\n";
    let loaded = crate::config::load_str(main, folder.path()).unwrap_or_else(|errors| panic!("{errors}"));
    let (metrics, ambient) = (Metrics::new().unwrap(), Ambient::system());
    let readiness = Arc::new(Readiness::default());
    let app = AdminApp::new(Watched {
        config: Arc::new(ArcSwap::from_pointee(loaded.snapshot)),
        audit: AuditLog::open(&AuditSink::File(folder.path().join("audit.log")), OnFull::Block, metrics.clone())
            .unwrap(),
        metrics: metrics.clone(),
        readiness: readiness.clone(),
        store: Arc::new(Pinged::default()),
        keys: Arc::new(GateKeys::of(&[], &ambient).unwrap()),
        fetcher: Arc::new(Fetcher::new(ambient.clone(), metrics).unwrap()),
        capabilities: Arc::default(),
        upstream: Arc::default(),
        started: ambient.now(),
        ambient,
    });
    let listeners = Listeners::bind(&["127.0.0.1:0".parse().unwrap()], &mut Inherited::default()).unwrap();
    let address = listeners.addresses()[0];
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let serving = tokio::spawn(listeners.serve(app, None, stopped.into()));

    let metrics = exchange(address, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(metrics.starts_with("HTTP/1.1 200 "), "{metrics}");
    assert!(metrics.contains("smartgate_build_info{"), "{metrics}");
    let head = exchange(address, "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    let starting = exchange(address, "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(starting.starts_with("HTTP/1.1 503 "), "{starting}");
    assert!(starting.ends_with(r#"{"ready":false,"because":"serving"}"#), "{starting}");
    readiness.set(true);
    let ready = exchange(address, "GET /readyz HTTP/1.1\r\nHost: [::1]:9090\r\nConnection: close\r\n\r\n").await;
    assert!(ready.ends_with(r#"{"ready":true}"#), "{ready}");
    let stranger = exchange(address, "GET /metrics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").await;
    assert!(stranger.starts_with("HTTP/1.1 403 "), "{stranger}");
    let posted = "POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx";
    assert!(exchange(address, posted).await.starts_with("HTTP/1.1 405 "));

    stop.send_replace(true);
    serving.await.unwrap();
}
