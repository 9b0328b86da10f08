//! The configuration in effect, and how a new one takes its place: whole or not at all.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, broadcast};

use super::restart::needing_restart;
use super::{ConfigErrors, Loaded, Snapshot, Sources, attempt};
use crate::ambient::Ambient;
use crate::telemetry::{Metrics, Reload, ReloadOutcome};

/// Outcomes that a slow subscriber may lag behind.
const OUTCOMES: usize = 16;

/// Keeps the configuration in effect.
pub struct Reloader {
    path: PathBuf,
    current: Arc<ArcSwap<Snapshot>>,
    metrics: Metrics,
    /// Held while a configuration is read, so that two reloads do not cross.
    state: Mutex<State>,
    outcomes: broadcast::Sender<ReloadOutcome>,
}

struct State {
    /// What the configuration in effect was read from.
    in_effect: Sources,
    /// What was read last, and perhaps refused.
    seen: Sources,
}

impl Reloader {
    /// Takes over a configuration that was loaded from `path`.
    pub fn new(path: PathBuf, loaded: Loaded, metrics: Metrics) -> Self {
        let Loaded { snapshot, sources } = loaded;
        Self {
            path,
            current: Arc::new(ArcSwap::from_pointee(snapshot)),
            metrics,
            state: Mutex::new(State { in_effect: sources.clone(), seen: sources }),
            outcomes: broadcast::channel(OUTCOMES).0,
        }
    }

    /// Where the configuration in effect is found, now and after every reload.
    pub fn current(&self) -> Arc<ArcSwap<Snapshot>> {
        self.current.clone()
    }

    /// Every outcome from now on.
    pub fn outcomes(&self) -> broadcast::Receiver<ReloadOutcome> {
        self.outcomes.subscribe()
    }

    /// Reads the files and puts what they say in effect, if it is right and can change while running.
    pub async fn reload(&self) -> ReloadOutcome {
        self.read(false).await.unwrap_or(ReloadOutcome::Unchanged)
    }

    /// As [`reload`](Self::reload), but says and counts nothing where the files are as they were when last read.
    pub(super) async fn reload_if_changed(&self) {
        self.read(true).await;
    }

    /// What was read last.
    pub(super) async fn sources(&self) -> Sources {
        self.state.lock().await.seen.clone()
    }

    async fn read(&self, only_if_changed: bool) -> Option<ReloadOutcome> {
        let mut state = self.state.lock().await;
        if only_if_changed {
            let seen = state.seen.clone();
            // Where it cannot be told, all is read.
            if tokio::task::spawn_blocking(move || seen.are_as_read()).await.unwrap_or(false) {
                return None;
            }
        }
        let path = self.path.clone();
        let (sources, result) = match tokio::task::spawn_blocking(move || attempt(&path)).await {
            Ok(attempt) => attempt,
            Err(error) => {
                tracing::error!(%error, "the configuration could not be read; the last good one stays in effect");
                return Some(self.tell(ReloadOutcome::Rejected, vec![error.to_string()]));
            }
        };
        state.seen = sources.clone();
        if state.in_effect.fingerprint == sources.fingerprint {
            tracing::info!("configuration unchanged");
            return Some(self.tell(ReloadOutcome::Unchanged, Vec::new()));
        }
        let (outcome, errors) = self.put_in_effect(result);
        if outcome == ReloadOutcome::Applied {
            state.in_effect = sources;
        }
        Some(self.tell(outcome, errors))
    }

    /// Also returns what stands against it.
    fn put_in_effect(&self, result: Result<Snapshot, ConfigErrors>) -> (ReloadOutcome, Vec<String>) {
        let old = self.current.load_full();
        let new = match result {
            Ok(new) => new,
            Err(errors) => {
                tracing::error!(%errors, "configuration rejected; the last good one stays in effect");
                return (ReloadOutcome::Rejected, errors.lines().collect());
            }
        };
        let keys = needing_restart(&old, &new);
        if !keys.is_empty() {
            let named = keys.join(", ");
            tracing::error!(
                keys = named,
                "these keys cannot change while running; the last configuration stays in effect until a restart"
            );
            return (ReloadOutcome::NeedsRestart, keys.into_iter().map(str::to_owned).collect());
        }
        let generation = old.generation + 1;
        new.keep_registered(&old);
        self.current.store(Arc::new(Snapshot { generation, ..new }));
        tracing::info!(generation, "configuration applied");
        (ReloadOutcome::Applied, Vec::new())
    }

    fn tell(&self, outcome: ReloadOutcome, errors: Vec<String>) -> ReloadOutcome {
        let (at, generation) = (Ambient::system().now(), self.current.load().generation);
        self.metrics.reload(Reload { outcome: outcome.clone(), at, generation, errors });
        // Nobody listening is fine.
        let _ = self.outcomes.send(outcome.clone());
        outcome
    }
}

#[cfg(test)]
#[path = "reload_tests.rs"]
mod tests;
