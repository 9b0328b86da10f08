//! Whether the FHIR server applies a write to the version that was checked and no other: known in memory, kept in the store, and
//! found out once, with a resource of the gate's own, when the first write asks (enforcement.md §2.7).

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::probe::Probe;
use crate::config::{Snapshot, Upstream};
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
    known: ArcSwapOption<Known>,
    /// Held by the one who finds out; the last time it failed.
    probing: Mutex<Option<Failed>>,
}

struct Known {
    base: String,
    obeyed: Obeyed,
}

struct Failed {
    base: String,
    until: Instant,
    why: String,
}

impl Pins {
    /// Nothing is known.
    pub fn new(upstream: Arc<UpstreamClient>, store: SharedStore) -> Self {
        Self { upstream, store, known: ArcSwapOption::empty(), probing: Mutex::new(None) }
    }

    /// What the FHIR server of `snapshot` obeys.
    ///
    /// # Errors
    /// It is not known, and cannot be found out now.
    pub(super) async fn of(self: &Arc<Self>, snapshot: &Snapshot) -> Result<Obeyed, Refusal> {
        let upstream = &snapshot.fhir.upstream;
        if let Some(obeyed) = self.known(&upstream.base) {
            return Ok(obeyed);
        }
        let (pins, upstream) = (self.clone(), upstream.clone());
        // It goes on when the client leaves or loses patience: what it made must be deleted again.
        let found = tokio::spawn(async move { pins.find_out(&upstream).await });
        let why = match timeout(PATIENCE, found).await {
            Ok(Ok(Ok(obeyed))) => return Ok(obeyed),
            Ok(Ok(Err(why))) => why,
            Ok(Err(_)) | Err(_) => "the probe takes long".to_owned(),
        };
        Err(WRITE_UNPROBED
            .refuse()
            .because(format!("{why}; `smartgate check --upstream` says more, [fhir] unpinned_writes does without")))
    }

    /// Takes over what another process has found out.
    pub async fn follow(&self, snapshot: &Snapshot) {
        let base = &snapshot.fhir.upstream.base;
        if let Some(obeyed) = self.recorded(base).await
            && self.known(base) != Some(obeyed)
        {
            self.remember(base, obeyed);
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
        self.known.load().as_ref().filter(|known| known.base == base).map(|known| known.obeyed)
    }

    fn remember(&self, base: &str, obeyed: Obeyed) {
        tracing::info!(?obeyed, "what the FHIR server obeys of the conditions of a write");
        self.known.store(Some(Arc::new(Known { base: base.to_owned(), obeyed })));
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

    async fn find_out(&self, upstream: &Upstream) -> Result<Obeyed, String> {
        let base = &upstream.base;
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
        match (Probe { client: &self.upstream, upstream }).conditions().await {
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
