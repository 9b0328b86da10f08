//! The verified-token cache: compares whole tokens, holds a bounded number of bytes.

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
struct ByBytes;

impl<V> Weighter<Box<str>, (Stamp, V)> for ByBytes {
    fn weight(&self, token: &Box<str>, _: &(Stamp, V)) -> u64 {
        (token.len() + VALUE_BYTES) as u64
    }
}

/// Values by verified token.
pub struct TokenCache<V> {
    values: Cache<Box<str>, (Stamp, V), ByBytes, RandomState>,
}

impl<V: Clone> TokenCache<V> {
    /// A cache of about `capacity` tokens.
    pub fn new(capacity: usize) -> Self {
        let bytes = (capacity as u64).saturating_mul(ENTRY_BYTES as u64);
        // The hash is keyed at random, and a hit is a hit only when the whole token is the same.
        Self { values: Cache::with(capacity, bytes, ByBytes, RandomState::default(), DefaultLifecycle::default()) }
    }

    /// The value of `token`, unless it was made under another stamp.
    pub fn get(&self, token: &str, stamp: Stamp) -> Option<V> {
        self.values.get(token).filter(|(made_under, _)| *made_under == stamp).map(|(_, value)| value)
    }

    /// Keeps the value of a token that was verified.
    pub fn insert(&self, token: &str, stamp: Stamp, value: V) {
        self.values.insert(token.into(), (stamp, value));
    }
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
