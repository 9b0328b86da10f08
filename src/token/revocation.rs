//! What is revoked, in memory: asked on every request without a lock, kept in step with the store.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use papaya::{Equivalent, HashMap};
use smol_str::SmolStr;

use crate::ambient::{Ambient, UnixSeconds};
use crate::store::{Revoked, Store, StoreError};

use super::Claims;

/// Kept for a day and more, so it is kept small: an id of the gate's own fits into its [`SmolStr`].
#[derive(Hash, PartialEq, Eq)]
struct TokenKey {
    issuer: SmolStr,
    id: SmolStr,
}

/// A [`TokenKey`] to look up by, with the same hash.
#[derive(Hash)]
struct TokenRef<'a> {
    issuer: &'a str,
    id: &'a str,
}

impl Equivalent<TokenKey> for TokenRef<'_> {
    fn equivalent(&self, key: &TokenKey) -> bool {
        self.issuer == key.issuer && self.id == key.id
    }
}

/// Never synchronised.
const NEVER: i64 = i64::MIN;

/// The set of revocations that are still needed, each with its expiry.
pub struct Revocations {
    tokens: HashMap<TokenKey, UnixSeconds>,
    grants: HashMap<SmolStr, UnixSeconds>,
    /// Where to go on reading.
    sequence: AtomicI64,
    /// When it was last in step with the store, in seconds of the steady clock.
    synced: AtomicI64,
}

impl Default for Revocations {
    fn default() -> Self {
        let synced = AtomicI64::new(NEVER);
        Self { tokens: HashMap::default(), grants: HashMap::default(), sequence: AtomicI64::default(), synced }
    }
}

impl Revocations {
    /// An empty set that was never synchronised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the token with these claims, or its grant, is revoked.
    pub fn is_revoked(&self, claims: &Claims) -> bool {
        let token = claims.token_id.as_deref().map(|id| TokenRef { issuer: &claims.issuer, id });
        token.is_some_and(|token| self.tokens.pin().contains_key(&token))
            || claims.grant.as_ref().is_some_and(|grant| self.grants.pin().contains_key(grant.as_str()))
    }

    /// Takes one in at once; the store is told by the caller, first.
    pub fn insert(&self, revoked: Revoked, expires: UnixSeconds) {
        let later = |known: &UnixSeconds| expires.max(*known);
        match revoked {
            Revoked::Token { issuer, id } => {
                self.tokens.pin().update_or_insert(TokenKey { issuer: issuer.into(), id: id.into() }, later, expires);
            }
            Revoked::Grant(grant) => {
                self.grants.pin().update_or_insert(grant.into(), later, expires);
            }
        }
    }

    /// Takes in what was revoked since the last time, drops what may be forgotten. All is read again where the store may be another
    /// one than before: after it did not answer, and where it lost revocations that were read, whose sequences it gives again.
    ///
    /// # Errors
    /// The store does not answer; what was taken in stays.
    pub async fn sync(&self, store: &dyn Store, ambient: &Ambient) -> Result<(), StoreError> {
        let synced = self.take_in(store, ambient).await;
        if synced.is_err() {
            self.sequence.store(0, Ordering::Release);
        }
        synced
    }

    async fn take_in(&self, store: &dyn Store, ambient: &Ambient) -> Result<(), StoreError> {
        let (over, asked) = (ambient.forgettable(), seconds(ambient.steady()));
        // What is held is looked at first: another one may take in more meanwhile.
        let held = self.sequence.load(Ordering::Acquire);
        let last = store.last_revocation().await?;
        if last < held {
            tracing::warn!(held, last, "the store lost revocations, as after a failover; all are read again");
            self.sequence.store(0, Ordering::Release);
        }
        loop {
            let page = store.revocations_after(self.sequence.load(Ordering::Acquire), over).await?;
            let Some(last) = page.last().map(|revocation| revocation.sequence) else { break };
            for revocation in page {
                self.insert(revocation.revoked, revocation.expires);
            }
            self.sequence.fetch_max(last, Ordering::AcqRel);
        }
        self.tokens.pin().retain(|_, expires| *expires > over);
        self.grants.pin().retain(|_, expires| *expires > over);
        self.synced.fetch_max(asked, Ordering::Release);
        Ok(())
    }

    /// Whether [`Revocations::sync`] last succeeded longer than `max` before `now` of the steady clock: what was revoked since is not
    /// known here.
    pub fn is_stale(&self, now: Duration, max: Duration) -> bool {
        seconds(now).saturating_sub(self.synced.load(Ordering::Acquire)) > seconds(max)
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "revocation_tests.rs"]
mod tests;
