//! Whether the FHIR server applies a write to the version that was checked and no other: known in memory, kept in the store, and
//! found out once, with a resource of the gate's own, when the first write asks (enforcement.md §2.7). Of several addresses each is
//! tried by itself, and what counts is what all obey that are in use.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::probe::Probe;
use crate::config::{Address, Snapshot, Upstream};
use crate::decide::{Obeyed, Refusal, WRITE_UNPROBED};
use crate::store::SharedStore;
use crate::upstream::UpstreamClient;

/// How long nothing is tried after a probe that told nothing.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// How long a write waits for a probe.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is known of the FHIR server.
pub struct Pins {
    upstream: Arc<UpstreamClient>,
    store: SharedStore,
    known: ArcSwap<HashMap<String, Obeyed>>,
    /// Held by the one who finds out; the last time it failed.
    probing: Mutex<Option<Failed>>,
}

struct Failed {
    base: String,
    until: Instant,
    why: String,
}

impl Pins {
    /// Nothing is known.
    pub fn new(upstream: Arc<UpstreamClient>, store: SharedStore) -> Self {
        Self { upstream, store, known: ArcSwap::default(), probing: Mutex::new(None) }
    }

    /// What the FHIR server of `snapshot` obeys.
    ///
    /// # Errors
    /// It is not known, and cannot be found out now.
    pub(super) async fn of(self: &Arc<Self>, snapshot: &Snapshot) -> Result<Obeyed, Refusal> {
        let upstream = &snapshot.fhir.upstream;
        let in_use = self.upstream.in_use(upstream);
        let mut of_all: Option<Obeyed> = None;
        for address in upstream.addresses.iter().filter(|address| in_use.contains(&address.key)) {
            let obeyed = match self.known(&address.base) {
                Some(obeyed) => obeyed,
                None => self.tried(upstream, address).await?,
            };
            of_all = Some(of_all.map_or(obeyed, |others| others.and(obeyed)));
        }
        of_all.ok_or_else(|| unprobed("no address is in use"))
    }

    /// Finds out what one address obeys.
    async fn tried(self: &Arc<Self>, upstream: &Arc<Upstream>, address: &Address) -> Result<Obeyed, Refusal> {
        let (pins, upstream, address) = (self.clone(), upstream.clone(), address.clone());
        // It goes on when the client leaves or loses patience: what it made must be deleted again.
        let found = tokio::spawn(async move { pins.find_out(&upstream, &address).await });
        match timeout(PATIENCE, found).await {
            Ok(Ok(Ok(obeyed))) => Ok(obeyed),
            Ok(Ok(Err(why))) => Err(unprobed(&why)),
            Ok(Err(_)) | Err(_) => Err(unprobed("the probe takes long")),
        }
    }

    /// Takes over what another process has found out.
    pub async fn follow(&self, snapshot: &Snapshot) {
        for Address { base, .. } in snapshot.fhir.upstream.addresses.iter() {
            if let Some(obeyed) = self.recorded(base).await
                && self.known(base) != Some(obeyed)
            {
                self.remember(base, obeyed);
            }
        }
    }

    /// Keeps what was found out of the FHIR server with this base.
    ///
    /// # Errors
    /// The store cannot keep it.
    pub(crate) async fn record(&self, base: &str, obeyed: Obeyed) -> Result<(), String> {
        self.remember(base, obeyed);
        let found = serde_json::to_string(&obeyed).map_err(|error| error.to_string())?;
        self.store.put_probe(base, &found).await.map_err(|error| error.to_string())
    }

    fn known(&self, base: &str) -> Option<Obeyed> {
        self.known.load().get(base).copied()
    }

    fn remember(&self, base: &str, obeyed: Obeyed) {
        let Obeyed { put, delete, absent, transaction } = obeyed;
        tracing::info!(
            upstream = base,
            put,
            delete,
            absent,
            transaction.put,
            transaction.delete,
            transaction.absent,
            "what the FHIR server obeys of the conditions of a write"
        );
        self.known.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.insert(base.to_owned(), obeyed);
            known
        });
    }

    async fn recorded(&self, base: &str) -> Option<Obeyed> {
        match self.store.probe(base).await {
            Ok(found) => serde_json::from_str(&found?).ok(),
            Err(error) => {
                tracing::error!(%error, "what the FHIR server obeys cannot be read from the store");
                None
            }
        }
    }

    async fn find_out(&self, upstream: &Arc<Upstream>, address: &Address) -> Result<Obeyed, String> {
        let base = &address.base;
        let mut failed = self.probing.lock().await;
        if let Some(obeyed) = self.known(base) {
            return Ok(obeyed);
        }
        if let Some(obeyed) = self.recorded(base).await {
            self.remember(base, obeyed);
            return Ok(obeyed);
        }
        if let Some(failed) = failed.as_ref().filter(|failed| failed.base == *base && Instant::now() < failed.until) {
            return Err(failed.why.clone());
        }
        match (Probe { client: &self.upstream, upstream, at: address.key }).conditions().await {
            Ok(obeyed) => {
                if let Err(error) = self.record(base, obeyed).await {
                    tracing::error!(error, "what the FHIR server obeys cannot be kept");
                }
                Ok(obeyed)
            }
            Err(why) => {
                tracing::warn!(why, "whether the FHIR server obeys If-Match cannot be found out");
                *failed = Some(Failed { base: base.clone(), until: Instant::now() + RETRY_AFTER, why: why.clone() });
                Err(why)
            }
        }
    }
}

fn unprobed(why: &str) -> Refusal {
    let more = "`smartgate check --upstream` says more, [fhir] unpinned_writes does without";
    WRITE_UNPROBED.refuse().because(format!("{why}; {more}"))
}
