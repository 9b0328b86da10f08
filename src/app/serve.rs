//! One gate, put together and serving: what `smartgate run` and the tests start.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::Failure;
use super::background::Background;
use super::keys::open_store;
use crate::ambient::Ambient;
use crate::auth::{AuthParts, AuthServer, Throttle, follow_registered};
use crate::config::Snapshot;
use crate::decide::all_rules;
use crate::gate::{ANSWER_CUT_OFF, Certificates, FirstBytes, Gate, Listeners, Parts};
use crate::guard::{Capabilities, Guard, Pins, UpstreamPatients};
use crate::ops::{AdminApp, Readiness};
use crate::store::{MeasuredStore, SharedStore};
use crate::telemetry::{AuditLog, Metrics};
use crate::token::{Assertions, Fetcher, GateKeys, Revocations, TokenCache, Verifier};
use crate::upstream::UpstreamClient;

/// How often draining looks whether the last request is done.
const DRAIN_STEP: Duration = Duration::from_millis(20);

/// Longest wait for the audit log at the very end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// A gate that serves; it stops with [`Running::stop`], or at once when it is dropped.
pub struct Running {
    config: Arc<ArcSwap<Snapshot>>,
    metrics: Metrics,
    audit: AuditLog,
    readiness: Arc<Readiness>,
    addresses: Vec<SocketAddr>,
    admin_addresses: Vec<SocketAddr>,
    shutdown: watch::Sender<bool>,
    admin_shutdown: watch::Sender<bool>,
    _serving: JoinSet<()>,
    _background: JoinSet<()>,
}

/// Puts a gate together and serves it in the present runtime.
///
/// # Errors
/// A port is taken, the store or the audit log cannot be opened, a key cannot be used.
pub async fn start(config: Arc<ArcSwap<Snapshot>>, metrics: Metrics, ambient: Ambient) -> Result<Running, Failure> {
    let snapshot = config.load_full();
    // Bound first: a port that is taken is found before anything else is touched.
    let listeners = Listeners::bind(&snapshot.server.listen).map_err(Failure::new)?;
    let admin_listeners = Listeners::bind(&snapshot.admin.listen).map_err(Failure::new)?;
    let audit = AuditLog::open(&snapshot.audit.sink, snapshot.audit.on_full, metrics.clone()).map_err(Failure::new)?;
    let store = open_store(&snapshot.store.url).await.map_err(Failure::new)?;
    let store = Arc::new(MeasuredStore::new(store, metrics.clone()));
    all_rules().map(|rule| rule.name).chain([ANSWER_CUT_OFF]).for_each(|rule| metrics.declare_rule(rule));
    let core = Core::open(&config, &metrics, &audit, store, &ambient).await?;
    let readiness = Arc::new(Readiness::default());
    let admin = AdminApp::new(core.background.watched(&readiness));
    let certificates = snapshot.server.tls.is_some().then(|| Arc::new(Certificates::new(config.clone())));
    let (shutdown, closing) = watch::channel(false);
    let (admin_shutdown, admin_closing) = watch::channel(false);
    let (addresses, admin_addresses) = (listeners.addresses(), admin_listeners.addresses());
    let mut serving = JoinSet::new();
    serving.spawn(listeners.serve("gate", FirstBytes::of(core.gate), certificates, closing));
    serving.spawn(admin_listeners.serve("admin", admin, None, admin_closing));
    let background = core.background.start();
    readiness.set(true);
    Ok(Running {
        config,
        metrics,
        audit,
        readiness,
        addresses,
        admin_addresses,
        shutdown,
        admin_shutdown,
        _serving: serving,
        _background: background,
    })
}

/// The parts that answer requests, and those that work beside them.
struct Core {
    gate: Gate,
    background: Background,
}

impl Core {
    async fn open(
        config: &Arc<ArcSwap<Snapshot>>,
        metrics: &Metrics,
        audit: &AuditLog,
        store: SharedStore,
        ambient: &Ambient,
    ) -> Result<Self, Failure> {
        let snapshot = config.load_full();
        let keys = Arc::new(GateKeys::open(&*store, ambient, &snapshot.tokens).await.map_err(Failure::new)?);
        let revocations = Arc::new(Revocations::new());
        revocations.sync(&*store, ambient.now()).await.map_err(Failure::new)?;
        let secrets = Arc::new(Throttle::new(store.clone()));
        secrets.follow(ambient.now()).await.map_err(Failure::new)?;
        follow_registered(&*store, &snapshot).await.map_err(Failure::new)?;
        let fetcher = Arc::new(Fetcher::new(ambient.clone()).map_err(Failure::new)?);
        let verifier = Arc::new(Verifier { keys: keys.clone(), fetcher: fetcher.clone(), ambient: ambient.clone() });
        let upstream = Arc::new(UpstreamClient::new());
        let capabilities = Arc::new(Capabilities::default());
        let pins = Arc::new(Pins::new(upstream.clone(), store.clone()));
        let auth = AuthServer::new(AuthParts {
            keys: keys.clone(),
            verifier: verifier.clone(),
            assertions: Assertions { fetcher: fetcher.clone(), store: store.clone(), ambient: ambient.clone() },
            revocations: revocations.clone(),
            secrets: secrets.clone(),
            store: store.clone(),
            directory: Arc::new(UpstreamPatients { upstream: upstream.clone() }),
            metrics: metrics.clone(),
            audit: audit.clone(),
            ambient: ambient.clone(),
        });
        let guard = Guard {
            elsewhere: UpstreamClient::new(),
            upstream: upstream.clone(),
            keys: keys.clone(),
            capabilities: capabilities.clone(),
            pins: pins.clone(),
            ambient: ambient.clone(),
        };
        let gate = Gate::new(Parts {
            config: config.clone(),
            auth,
            guard,
            verifier,
            revocations: revocations.clone(),
            tokens: TokenCache::new(snapshot.limits.token_cache),
            metrics: metrics.clone(),
            audit: audit.clone(),
            ambient: ambient.clone(),
        });
        let (config, metrics, audit, ambient) = (config.clone(), metrics.clone(), audit.clone(), ambient.clone());
        let background = Background {
            config,
            store,
            keys,
            fetcher,
            revocations,
            secrets,
            upstream,
            capabilities,
            pins,
            metrics,
            audit,
            ambient,
        };
        Ok(Self { gate, background })
    }
}

impl Running {
    /// Where apps connect, as bound.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where Prometheus and the orchestrator connect, as bound.
    pub fn admin_addresses(&self) -> &[SocketAddr] {
        &self.admin_addresses
    }

    /// What the gate counts.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The audit queue.
    pub fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// Drains and stops: `/readyz` turns red, after `drain_delay` the listeners close, requests in flight get `drain_timeout`
    /// to finish. `hurry` cuts every wait short.
    pub async fn stop(self, hurry: impl Future<Output = ()>) {
        let server = &self.config.load_full().server;
        self.readiness.set(false);
        let gently = async {
            sleep(server.drain_delay).await;
            self.close();
            let until = Instant::now() + server.drain_timeout;
            while self.metrics.requests_in_flight() > 0 && Instant::now() < until {
                sleep(DRAIN_STEP).await;
            }
        };
        tokio::select! {
            () = gently => {}
            () = hurry => tracing::warn!("stopping at once"),
        }
        self.close();
        let unfinished = self.metrics.requests_in_flight();
        if unfinished > 0 {
            tracing::warn!(unfinished, "requests were cut off");
        }
        if timeout(FLUSH_TIMEOUT, self.audit.flush()).await.is_err() {
            tracing::error!("the last audit lines could not be written");
        }
        self.admin_shutdown.send_replace(true);
    }

    fn close(&self) {
        self.shutdown.send_replace(true);
    }
}
