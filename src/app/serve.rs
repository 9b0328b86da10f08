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
use crate::gate::{ANSWER_CUT_OFF, Ending, Entrance, FirstBytes, Gate, Inherited, LAST_CALL, Listeners, Parts};
use crate::guard::{Capabilities, Guard, Pins, UpstreamPatients};
use crate::ops::{AdminApp, Exporter, Readiness};
use crate::store::{MeasuredStore, SharedStore};
use crate::telemetry::{AuditLog, Metrics, Spool, Tracer};
use crate::token::{Assertions, Fetcher, GateKeys, Revocations, TokenCache, Verifier};
use crate::upstream::UpstreamClient;

/// How often draining looks whether the last request is done.
const DRAIN_STEP: Duration = Duration::from_millis(20);

/// Longest wait for the audit log and the spans at the very end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// A gate that serves; it stops with [`Running::stop`], or at once when it is dropped.
pub struct Running {
    config: Arc<ArcSwap<Snapshot>>,
    metrics: Metrics,
    audit: AuditLog,
    tracer: Tracer,
    readiness: Arc<Readiness>,
    addresses: Vec<SocketAddr>,
    admin_addresses: Vec<SocketAddr>,
    draining: watch::Sender<bool>,
    closing: watch::Sender<bool>,
    admin_shutdown: watch::Sender<bool>,
    _serving: JoinSet<()>,
    _background: JoinSet<()>,
}

/// Puts a gate together and serves it in the present runtime.
///
/// # Errors
/// A port is taken, the store or the audit log cannot be opened, a key cannot be used.
pub async fn start(config: Arc<ArcSwap<Snapshot>>, metrics: Metrics, ambient: Ambient) -> Result<Running, Failure> {
    start_on(Inherited::default(), config, metrics, ambient).await
}

/// The same, on sockets that are open already where they are for its addresses.
///
/// # Errors
/// Those of [`start`], and a socket that is for none of the addresses: nobody would answer there.
pub(super) async fn start_on(
    mut inherited: Inherited,
    config: Arc<ArcSwap<Snapshot>>,
    metrics: Metrics,
    ambient: Ambient,
) -> Result<Running, Failure> {
    let snapshot = config.load_full();
    // Bound first: a port that is taken is found before anything else is touched.
    let listeners = Listeners::bind(&snapshot.server.listen, &mut inherited).map_err(Failure::new)?;
    let admin_listeners = Listeners::bind(&snapshot.admin.listen, &mut inherited).map_err(Failure::new)?;
    if let Some(address) = inherited.left() {
        return Err(Failure::new(format!("the process was given a socket for {address}, which is in no `listen`")));
    }
    let mut audit =
        AuditLog::open(&snapshot.audit.sink, snapshot.audit.on_full, metrics.clone()).map_err(Failure::new)?;
    let spool = open_spool(&snapshot)?;
    if let Some(spool) = &spool {
        audit = audit.spooled(spool).map_err(Failure::new)?;
    }
    let store = open_store(&snapshot.store.url).await.map_err(Failure::new)?;
    let store = Arc::new(MeasuredStore::new(store, metrics.clone()));
    all_rules().map(|rule| rule.name).chain([ANSWER_CUT_OFF]).for_each(|rule| metrics.declare_rule(rule));
    let (draining, drains) = watch::channel(false);
    let (closing, closes) = watch::channel(false);
    let ending = Ending { draining: drains, closing: closes };
    let (tracer, spans) = Tracer::new(ambient.clone(), metrics.clone());
    let core = Core::open(&config, &metrics, &audit, &tracer, store, &ambient, ending.clone()).await?;
    let readiness = Arc::new(Readiness::default());
    let admin = AdminApp::new(core.background.watched(&readiness));
    let entrance = Arc::new(Entrance::new(config.clone(), metrics.clone()));
    let (admin_shutdown, admin_closes) = watch::channel(false);
    let (addresses, admin_addresses) = (listeners.addresses(), admin_listeners.addresses());
    let mut serving = JoinSet::new();
    serving.spawn(listeners.serve(FirstBytes::of(core.gate), Some(entrance), ending));
    serving.spawn(admin_listeners.serve(admin, None, admin_closes.into()));
    let mut background = core.background.start();
    if let Some(spool) = spool {
        background.spawn(Exporter::new(config.clone(), spool, metrics.clone(), ambient).run());
    }
    #[cfg(feature = "otel")]
    background.spawn(crate::ops::SpanExporter::new(config.clone(), spans, metrics.clone()).run());
    #[cfg(not(feature = "otel"))]
    drop(spans);
    readiness.set(true);
    Ok(Running {
        config,
        metrics,
        audit,
        tracer,
        readiness,
        addresses,
        admin_addresses,
        draining,
        closing,
        admin_shutdown,
        _serving: serving,
        _background: background,
    })
}

/// Where audit lines wait for the FHIR endpoint, if there is one.
fn open_spool(snapshot: &Snapshot) -> Result<Option<Arc<Spool>>, Failure> {
    let Some(to) = &snapshot.audit.fhir else { return Ok(None) };
    let failed = |why| Failure::new(format!("the audit spool `{}` cannot be used: {why}", to.spool.display()));
    Spool::open(&to.spool, to.spool_bytes).map(Some).map_err(failed)
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
        tracer: &Tracer,
        store: SharedStore,
        ambient: &Ambient,
        ending: Ending,
    ) -> Result<Self, Failure> {
        let snapshot = config.load_full();
        let keys = Arc::new(GateKeys::open(&*store, ambient, &snapshot.tokens).await.map_err(Failure::new)?);
        let revocations = Arc::new(Revocations::new());
        revocations.sync(&*store, ambient).await.map_err(Failure::new)?;
        let secrets = Arc::new(Throttle::new(store.clone()));
        secrets.follow(ambient.now()).await.map_err(Failure::new)?;
        follow_registered(&*store, &snapshot).await.map_err(Failure::new)?;
        let fetcher = Arc::new(Fetcher::new(ambient.clone(), metrics.clone()).map_err(Failure::new)?);
        let verifier = Arc::new(Verifier { keys: keys.clone(), fetcher: fetcher.clone(), ambient: ambient.clone() });
        let upstream = Arc::new(UpstreamClient::counting(metrics.clone(), ambient.clone()));
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
        let parts = Parts {
            config: config.clone(),
            auth,
            guard,
            verifier,
            revocations: revocations.clone(),
            tokens: TokenCache::new(snapshot.limits.token_cache),
            metrics: metrics.clone(),
            audit: audit.clone(),
            tracer: tracer.clone(),
            ambient: ambient.clone(),
        };
        let gate = Gate::new(parts, ending);
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

    /// Drains and stops. `/readyz` turns red, and answers ask clients to come back on another connection (`Connection: close`, GOAWAY);
    /// after `drain_delay` the listeners close; requests in flight get `drain_timeout` to finish. `hurry` cuts every wait short.
    pub async fn stop(self, hurry: impl Future<Output = ()>) {
        let server = &self.config.load_full().server;
        self.readiness.set(false);
        self.draining.send_replace(true);
        let gently = async {
            sleep(server.drain_delay).await;
            self.close();
            let closed = Instant::now();
            let waited_for = || {
                let last_call = self.metrics.open_connections() > 0 && closed.elapsed() < LAST_CALL;
                last_call || self.metrics.requests_in_flight() > 0
            };
            while waited_for() && closed.elapsed() < server.drain_timeout {
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
        let audit = timeout(FLUSH_TIMEOUT, self.audit.flush());
        let spans = timeout(FLUSH_TIMEOUT, self.tracer.flush());
        let (audit, spans) = tokio::join!(audit, spans);
        if audit.is_err() {
            tracing::error!("the last audit lines could not be written");
        }
        if spans.is_err() {
            tracing::warn!("the last spans could not be sent");
        }
        self.admin_shutdown.send_replace(true);
    }

    fn close(&self) {
        self.closing.send_replace(true);
    }
}
