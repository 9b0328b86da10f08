//! Who tries secrets: failures are counted in the store, so that they count at every replica and outlive a restart, and after too
//! many there is a pause that grows (`store::Store::attempt`).
//!
//! Names that do not exist are counted like those that do, so that the pause tells nothing: docs/security.md, "Guessing".

use std::collections::HashMap;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::ambient::UnixSeconds;
use crate::store::{Attempt, Digest, SharedStore, StoreError, Tried};

/// The longest pause after wrong secrets of a client, in seconds: enough that a secret that is made by a machine cannot be guessed.
const LONGEST_PAUSE: UnixSeconds = 60;

/// So many seconds the store remembers a failure, at most.
const MEMORY: UnixSeconds = 60 * 60;

/// Names known to have failed; beyond it the one whose failure is longest ago is forgotten here, not in the store.
const MAX_NAMES: usize = 10_000;

/// The name that failures are counted under, of one `kind` of who may fail.
pub(super) fn digest(kind: &str, name: &str) -> Digest {
    Sha256::digest(format!("{kind} {name}")).into()
}

/// Wrong secrets of clients. Checking a secret takes no time worth counting, and a service asks for tokens often: so the store is only
/// asked about names that have failed here or are paused anywhere. A first wrong secret is counted after it was looked at, every
/// other one before.
pub struct Throttle {
    store: SharedStore,
    /// Until when the store is asked, by name.
    failing: Mutex<HashMap<Digest, UnixSeconds>>,
}

/// Why a secret is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    Wrong,
    /// It may be right or wrong; so many seconds are to be waited.
    Paused(UnixSeconds),
    /// The store cannot say whether it may be looked at.
    Unavailable,
}

impl Throttle {
    /// One that knows of no failures yet.
    pub fn new(store: SharedStore) -> Self {
        Self { store, failing: Mutex::default() }
    }

    /// Takes over the pauses that were brought about anywhere. What follows a pause is counted first, too.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn follow(&self, now: UnixSeconds) -> Result<(), StoreError> {
        for (name, until) in self.store.pauses(now).await? {
            self.remember(name, until.saturating_add(MEMORY), now);
        }
        Ok(())
    }

    /// What `check` gives for a secret under `name`, if it may be looked at.
    pub(super) async fn checked<T>(
        &self,
        tried: Tried,
        name: &Digest,
        now: UnixSeconds,
        check: impl Fn() -> Option<T> + Send,
    ) -> Result<T, Refusal>
    where
        T: Send,
    {
        let known = self.failing.lock().get(name).is_some_and(|until| now < *until);
        if !known {
            if let Some(right) = check() {
                return Ok(right);
            }
            self.remember(*name, now.saturating_add(MEMORY), now);
            let paused = self.count(tried, name, now).await.err().filter(|refusal| *refusal != Refusal::Unavailable);
            return Err(paused.unwrap_or(Refusal::Wrong));
        }
        self.count(tried, name, now).await?;
        let right = check().ok_or(Refusal::Wrong)?;
        self.failing.lock().remove(name);
        if let Err(error) = self.store.forgive(name).await {
            tracing::warn!(%error, "the failures of a client that has proved itself still count");
        }
        Ok(right)
    }

    async fn count(&self, tried: Tried, name: &Digest, now: UnixSeconds) -> Result<(), Refusal> {
        match self.store.attempt(tried, name, now, LONGEST_PAUSE).await {
            Ok(Attempt::Counted) => Ok(()),
            Ok(Attempt::Paused { until }) => Err(Refusal::Paused(until.saturating_sub(now))),
            Err(error) => {
                tracing::error!(%error, "a wrong secret could not be counted");
                Err(Refusal::Unavailable)
            }
        }
    }

    fn remember(&self, name: Digest, until: UnixSeconds, now: UnixSeconds) {
        let mut failing = self.failing.lock();
        if failing.len() >= MAX_NAMES && !failing.contains_key(&name) {
            failing.retain(|_, until| now < *until);
            if failing.len() >= MAX_NAMES {
                let first = failing.iter().min_by_key(|(_, until)| **until).map(|(name, _)| *name);
                first.map(|name| failing.remove(&name));
            }
        }
        let known = failing.entry(name).or_insert(until);
        *known = until.max(*known);
    }
}

#[cfg(test)]
#[path = "throttle_tests.rs"]
mod tests;
