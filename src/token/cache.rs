//! The verified-token cache: compares whole tokens, holds a bounded number of bytes, and each no longer than it was to live when it
//! was verified, whatever is done to the wall clock since.

use std::time::Duration;

use foldhash::quality::RandomState;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

/// What an entry is taken to weigh besides its token: the claims and the compiled grant, in bytes.
const VALUE_BYTES: usize = 1024;

/// What a token and its value are expected to weigh; tokens that are longer make the cache hold fewer.
const ENTRY_BYTES: usize = 2 * VALUE_BYTES;

/// What an entry was made under; under another stamp it is not found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// [`crate::config::Snapshot::generation`].
    pub configuration: u64,
    /// [`crate::config::Clients::generation`].
    pub clients: u64,
    /// [`super::Verifier::key_generation`].
    pub keys: u64,
}

#[derive(Clone)]
struct Entry<V> {
    stamp: Stamp,
    /// By the steady clock.
    until: Duration,
    value: V,
}

#[derive(Clone)]
struct ByBytes;

impl<V> Weighter<Box<str>, Entry<V>> for ByBytes {
    fn weight(&self, token: &Box<str>, _: &Entry<V>) -> u64 {
        (token.len() + VALUE_BYTES) as u64
    }
}

/// Values by verified token.
pub struct TokenCache<V> {
    values: Cache<Box<str>, Entry<V>, ByBytes, RandomState>,
}

impl<V: Clone> TokenCache<V> {
    /// A cache of about `capacity` tokens.
    pub fn new(capacity: usize) -> Self {
        let bytes = (capacity as u64).saturating_mul(ENTRY_BYTES as u64);
        // The hash is keyed at random, and a hit is a hit only when the whole token is the same.
        Self { values: Cache::with(capacity, bytes, ByBytes, RandomState::default(), DefaultLifecycle::default()) }
    }

    /// The value of `token`, unless it was made under another stamp or its time is over at `now` of the steady clock.
    pub fn get(&self, token: &str, stamp: Stamp, now: Duration) -> Option<V> {
        self.values.get(token).filter(|entry| entry.stamp == stamp && now < entry.until).map(|entry| entry.value)
    }

    /// Keeps the value of a token that was verified, until that moment of the steady clock.
    pub fn insert(&self, token: &str, stamp: Stamp, until: Duration, value: V) {
        self.values.insert(token.into(), Entry { stamp, until, value });
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
