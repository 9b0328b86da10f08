//! The verified-token cache: compares whole tokens, holds a bounded number.

/// What an entry was made under; under another stamp it is not found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// [`crate::config::Snapshot::generation`].
    pub configuration: u64,
    /// [`super::Verifier::key_generation`].
    pub keys: u64,
}

/// Values by verified token.
pub struct TokenCache<V> {
    _values: std::marker::PhantomData<fn() -> V>,
}

impl<V: Clone> TokenCache<V> {
    /// A cache of at most `capacity` tokens.
    pub fn new(_capacity: usize) -> Self {
        todo!()
    }

    pub fn get(&self, _token: &str, _stamp: Stamp) -> Option<V> {
        todo!()
    }

    pub fn insert(&self, _token: &str, _stamp: Stamp, _value: V) {
        todo!()
    }
}
