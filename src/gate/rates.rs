//! How fast requests may come, from one address and of one client: GCRA, the leaky bucket that remembers one moment a key.
//!
//! Each key has its own bucket, compared in full: nobody waits for what somebody else did, as they would with a sketch. The number of
//! buckets is bounded; one that is forgotten to make room begins again with its whole burst, so that a flood of keys lets more through
//! and holds back nobody.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foldhash::quality::RandomState;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, UnitWeighter};
use tokio::time::Instant;

use crate::address::ClientAddress;
use crate::config::{Rate, Snapshot};
use crate::decide::{Grant, Refusal, request as rules};

/// Buckets of addresses that are remembered, and as many of clients.
const MAX_BUCKETS: usize = 65_536;

/// The buckets of all addresses and clients; they are this process's own.
pub(super) struct Rates {
    since: Instant,
    addresses: Buckets<IpAddr>,
    clients: Buckets<Client>,
}

impl Rates {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), addresses: Buckets::new(), clients: Buckets::new() }
    }

    /// Counts a request of this address at `now`.
    ///
    /// # Errors
    /// They come too fast.
    pub(super) fn of_address(
        &self,
        address: Option<ClientAddress>,
        snapshot: &Snapshot,
        now: Instant,
    ) -> Result<(), Refusal> {
        let (Some(rate), Some(address)) = (snapshot.limits.address_rate, address) else { return Ok(()) };
        let block = address.block();
        let taken = self.addresses.take(&block, || block, rate, now - self.since);
        taken.map_err(|wait| rules::RATE_ADDRESS.refuse().after(wait))
    }

    /// Counts a request of this token's client at `now`; one without a client has none to count for.
    ///
    /// # Errors
    /// They come too fast.
    pub(super) fn of_client(&self, grant: &Grant, snapshot: &Snapshot, now: Instant) -> Result<(), Refusal> {
        let claims = &grant.claims;
        let Some(id) = claims.client.as_deref() else { return Ok(()) };
        let own = *claims.issuer == *snapshot.server.public_url;
        let rate = own.then(|| snapshot.clients.rate(id)).flatten().or(snapshot.limits.client_rate);
        let Some(rate) = rate else { return Ok(()) };
        let key = ClientRef { issuer: &claims.issuer, id };
        let owned = || Client { issuer: claims.issuer.as_ref().into(), id: id.into() };
        let taken = self.clients.take(&key, owned, rate, now - self.since);
        taken.map_err(|wait| rules::RATE_CLIENT.refuse().after(wait))
    }
}

/// A client of an issuer; ids of different issuers may be the same.
#[derive(Clone, PartialEq, Eq)]
struct Client {
    issuer: Box<str>,
    id: Box<str>,
}

#[derive(Hash)]
struct ClientRef<'a> {
    issuer: &'a str,
    id: &'a str,
}

impl Hash for Client {
    fn hash<H: Hasher>(&self, state: &mut H) {
        ClientRef { issuer: &self.issuer, id: &self.id }.hash(state);
    }
}

impl Equivalent<Client> for ClientRef<'_> {
    fn equivalent(&self, client: &Client) -> bool {
        *client.issuer == *self.issuer && *client.id == *self.id
    }
}

struct Buckets<K>(Cache<K, Arc<Bucket>, UnitWeighter, RandomState>);

impl<K: Eq + Hash + Clone> Buckets<K> {
    fn new() -> Self {
        let capacity = MAX_BUCKETS as u64;
        Self(Cache::with(0, capacity, UnitWeighter, RandomState::default(), DefaultLifecycle::default()))
    }

    fn take<Q: Hash + Equivalent<K>>(
        &self,
        key: &Q,
        owned: impl FnOnce() -> K,
        rate: Rate,
        now: Duration,
    ) -> Result<(), Duration> {
        if let Some(bucket) = self.0.get(key) {
            return bucket.take(rate, now);
        }
        // Two that come first at the same moment may each make one: one of them is kept, and one request is not counted.
        let bucket = Arc::new(Bucket::default());
        let taken = bucket.take(rate, now);
        self.0.insert(owned(), bucket);
        taken
    }
}

/// When the next request would come if all came evenly (the theoretical arrival time), in nanoseconds.
#[derive(Default)]
struct Bucket(AtomicU64);

impl Bucket {
    /// Takes one request out at `now`.
    ///
    /// # Errors
    /// How long to wait for the next one.
    fn take(&self, rate: Rate, now: Duration) -> Result<(), Duration> {
        let nanos = |of: Duration| u64::try_from(of.as_nanos()).unwrap_or(u64::MAX);
        let (now, every) = (nanos(now), 1_000_000_000 / u64::from(rate.per_second.get()));
        let burst = every.saturating_mul(u64::from(rate.burst.get()));
        let next = |due: u64| {
            let after = due.max(now).saturating_add(every);
            (after - now <= burst).then_some(after)
        };
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) {
            Ok(_) => Ok(()),
            Err(due) => Err(Duration::from_nanos(due.saturating_add(every).saturating_sub(now.saturating_add(burst)))),
        }
    }
}

#[cfg(test)]
#[path = "rates_tests.rs"]
mod tests;
