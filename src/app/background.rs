//! What goes on beside the requests: revocations, keys, issuers' keys, the CapabilityStatement and the sweeping of the store.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::ambient::Ambient;
use crate::auth::{Throttle, follow_registered};
use crate::config::Snapshot;
use crate::decide::reporting;
use crate::guard::{Capabilities, Pins};
use crate::ops::{Readiness, Watched};
use crate::store::{SharedStore, StoreError};
use crate::telemetry::{AuditLog, Metrics};
use crate::token::{Fetcher, GateKeys, Revocations};
use crate::upstream::UpstreamClient;

/// How often is looked for what other replicas revoked, which apps registered themselves there or were removed, and who tried secrets
/// there and is held back: without a word from the store it counts here within a second.
const NEWS_EVERY: Duration = Duration::from_millis(500);

/// How often the keys are: a rotation by another process is seen within this time.
const KEYS_EVERY: Duration = Duration::from_secs(10);

/// How often the issuers' key sets are looked at whether they are due: with every token in the cache nobody else asks for them.
const ISSUERS_EVERY: Duration = Duration::from_secs(10);

/// How often is looked whether another process has found out what the FHIR server obeys.
const PINS_EVERY: Duration = Duration::from_secs(60);

/// How often is looked whether report mode is on: its day may come, or another configuration; and what may be held in memory.
const MODE_EVERY: Duration = Duration::from_secs(1);

/// How often is looked whether an address of the FHIR server is in use, and whether a check of them is due.
const UPSTREAM_EVERY: Duration = Duration::from_secs(1);

/// How often expired rows are deleted.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// How often the CapabilityStatement is fetched again, and how often while there is none.
const CAPABILITIES_EVERY: Duration = Duration::from_secs(300);
const CAPABILITIES_RETRY: Duration = Duration::from_secs(2);

/// What the background works on.
#[derive(Clone)]
pub(super) struct Background {
    pub(super) config: Arc<ArcSwap<Snapshot>>,
    pub(super) store: SharedStore,
    pub(super) keys: Arc<GateKeys>,
    pub(super) fetcher: Arc<Fetcher>,
    pub(super) revocations: Arc<Revocations>,
    pub(super) secrets: Arc<Throttle>,
    pub(super) upstream: Arc<UpstreamClient>,
    pub(super) capabilities: Arc<Capabilities>,
    pub(super) pins: Arc<Pins>,
    pub(super) metrics: Metrics,
    pub(super) audit: AuditLog,
    pub(super) ambient: Ambient,
}

impl Background {
    /// What the admin listener tells of.
    pub(super) fn watched(&self, readiness: &Arc<Readiness>) -> Watched {
        Watched {
            config: self.config.clone(),
            metrics: self.metrics.clone(),
            audit: self.audit.clone(),
            readiness: readiness.clone(),
            store: self.store.clone(),
            keys: self.keys.clone(),
            fetcher: self.fetcher.clone(),
            capabilities: self.capabilities.clone(),
            upstream: self.upstream.clone(),
            ambient: self.ambient.clone(),
            started: self.ambient.now(),
        }
    }

    /// Starts everything; it stops when the set is dropped.
    pub(super) fn start(self) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().follow_revocations());
        tasks.spawn(self.clone().follow_clients());
        tasks.spawn(self.clone().follow_pauses());
        tasks.spawn(self.clone().follow_keys());
        tasks.spawn(self.clone().follow_issuers());
        tasks.spawn(self.clone().sweep());
        tasks.spawn(self.clone().follow_pins());
        tasks.spawn(self.clone().follow_mode());
        tasks.spawn(self.clone().follow_upstream());
        tasks.spawn(self.follow_capabilities());
        tasks
    }

    async fn follow_revocations(self) {
        let (mut every, news) = (ticks(NEWS_EVERY), self.store.news());
        let mut failing = false;
        loop {
            turn(&mut every, &news.revocations).await;
            let outcome = self.revocations.sync(&*self.store, &self.ambient).await;
            match &outcome {
                Ok(()) if failing => tracing::info!("revocations are in step with the store again"),
                Err(error) if !failing => {
                    tracing::error!(%error, "revocations cannot be read; own tokens are refused before long");
                }
                Ok(()) | Err(_) => {}
            }
            failing = outcome.is_err();
        }
    }

    async fn follow_clients(self) {
        let (mut every, news) = (ticks(NEWS_EVERY), self.store.news());
        let mut known = None;
        let mut failing = false;
        loop {
            turn(&mut every, &news.clients).await;
            let snapshot = self.config.load_full();
            if snapshot.registration.is_none() {
                continue;
            }
            let follow = async {
                let version = self.store.clients_version().await?;
                if known != Some((version, snapshot.generation)) {
                    follow_registered(&*self.store, &snapshot).await?;
                    known = Some((version, snapshot.generation));
                }
                Ok::<_, StoreError>(())
            };
            let outcome = follow.await;
            if let Err(error) = &outcome
                && !failing
            {
                tracing::error!(%error, "apps that registered themselves cannot be read");
            }
            failing = outcome.is_err();
        }
    }

    async fn follow_pauses(self) {
        let (mut every, news) = (ticks(NEWS_EVERY), self.store.news());
        loop {
            turn(&mut every, &news.pauses).await;
            if let Err(error) = self.secrets.follow(self.ambient.now()).await {
                tracing::debug!(%error, "pauses that other replicas made cannot be read");
            }
        }
    }

    async fn follow_keys(self) {
        let (mut every, news) = (ticks(KEYS_EVERY), self.store.news());
        loop {
            turn(&mut every, &news.keys).await;
            let snapshot = self.config.load_full();
            match self.keys.refresh(&*self.store, &self.ambient, &snapshot.tokens).await {
                Ok(true) => tracing::info!("the gate's keys changed"),
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "the gate's keys cannot be read again"),
            }
        }
    }

    async fn follow_issuers(self) {
        let mut every = ticks(ISSUERS_EVERY);
        loop {
            every.tick().await;
            self.fetcher.refresh(&self.config.load_full()).await;
        }
    }

    async fn sweep(self) {
        let mut every = ticks(SWEEP_EVERY);
        loop {
            every.tick().await;
            match self.store.sweep(self.ambient.now(), self.ambient.forgettable()).await {
                Ok(rows) => tracing::debug!(rows, "swept the store"),
                Err(error) => tracing::error!(%error, "the store cannot be swept"),
            }
        }
    }

    /// Shows which mode is on and when certificates end; says the mode at the start and whenever it changes: report mode ends by itself.
    async fn follow_mode(self) {
        let mut every = ticks(MODE_EVERY);
        let mut told = None;
        loop {
            every.tick().await;
            let snapshot = self.config.load_full();
            let report = reporting(&snapshot, self.ambient.now()).cloned();
            self.metrics.enforcement(report.is_some());
            let client = snapshot.fhir.upstream.tls.client.as_ref();
            self.metrics.certificates(
                snapshot.server.tls.as_ref().and_then(|tls| tls.not_after),
                client.and_then(|client| client.not_after),
            );
            self.audit.recent().hold(if snapshot.admin.token.is_some() { snapshot.admin.recent } else { 0 });
            match (&report, &told) {
                (Some(report), told) if told.as_ref() != Some(&Some(report.clone())) => tracing::warn!(
                    until = report.day,
                    "REPORT MODE: scope, patient and filter rules are NOT enforced; what they would refuse is let pass and audited"
                ),
                (None, Some(Some(_))) => tracing::warn!("report mode has ended: every rule is enforced"),
                _ => {}
            }
            told = Some(report);
        }
    }

    async fn follow_pins(self) {
        let (mut every, news) = (ticks(PINS_EVERY), self.store.news());
        loop {
            turn(&mut every, &news.probes).await;
            self.pins.follow(&self.config.load_full()).await;
        }
    }

    /// Checks the FHIR server's addresses, and shows what is known of them and how many requests they have.
    async fn follow_upstream(self) {
        let mut every = ticks(UPSTREAM_EVERY);
        let mut due = Instant::now();
        let mut checked = None;
        loop {
            every.tick().await;
            let upstream = self.config.load_full().fhir.upstream.clone();
            let (requests, waiting) = self.upstream.load();
            self.metrics.upstream_load(requests, waiting);
            let addresses = if Instant::now() >= due || checked.as_ref() != Some(&upstream.addresses) {
                due = Instant::now() + upstream.health.interval;
                checked = Some(upstream.addresses.clone());
                self.upstream.check(&upstream).await
            } else {
                self.upstream.addresses(&upstream)
            };
            self.metrics
                .upstream_addresses(addresses.iter().map(|address| (address.base.as_str(), address.standing as i64)));
        }
    }

    async fn follow_capabilities(self) {
        let mut every = ticks(CAPABILITIES_RETRY);
        let mut due = Instant::now();
        let mut failing = false;
        loop {
            every.tick().await;
            let snapshot = self.config.load_full();
            if self.capabilities.is_known(&snapshot) && Instant::now() < due {
                continue;
            }
            match self.capabilities.refresh(&self.upstream, &snapshot).await {
                Ok(()) => {
                    due = Instant::now() + CAPABILITIES_EVERY;
                    failing = false;
                }
                Err(refusal) => {
                    if !failing {
                        let detail = refusal.detail.as_deref();
                        tracing::warn!(rule = refusal.rule.name, detail, "the CapabilityStatement cannot be fetched");
                    }
                    failing = true;
                }
            }
        }
    }
}

/// Waits for the next turn, or for news.
async fn turn(every: &mut Interval, news: &Notify) {
    tokio::select! {
        _ = every.tick() => {}
        () = news.notified() => {}
    }
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
