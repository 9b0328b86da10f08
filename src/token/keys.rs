//! The gate's own keys: made on first start, kept in the store, published, rotated with overlap.

use crate::ambient::{Ambient, UnixSeconds};
use crate::config::Tokens;
use crate::store::{Store, StoreError};

use super::{AccessToken, IdToken};

/// A key could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("key trouble: {0}")]
    Key(String),
}

/// The gate's keys in memory; [`GateKeys::refresh`] brings them in step with the store.
pub struct GateKeys {}

impl GateKeys {
    /// Reads the keys, and makes those that are missing for `tokens`.
    ///
    /// # Errors
    /// The store does not answer, or a key in it cannot be used.
    pub async fn open(_store: &dyn Store, _ambient: &Ambient, _tokens: &Tokens) -> Result<Self, KeyError> {
        todo!()
    }

    /// Reads the keys again, makes those that `tokens` asks for and are missing, and forgets those that are past use.
    /// Returns whether anything changed.
    ///
    /// # Errors
    /// As [`GateKeys::open`]; what was in memory stays.
    pub async fn refresh(&self, _store: &dyn Store, _ambient: &Ambient, _tokens: &Tokens) -> Result<bool, KeyError> {
        todo!()
    }

    /// Makes new signing and seal keys; they are published at once and used after `tokens.key_overlap`.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn rotate(_store: &dyn Store, _ambient: &Ambient, _tokens: &Tokens) -> Result<(), KeyError> {
        todo!()
    }

    /// The published JWK set (RFC 7517 §5) of every key that is not past use.
    pub fn jwks(&self) -> std::sync::Arc<str> {
        todo!()
    }

    /// Signs an access token (RFC 9068: `typ` is `at+jwt`).
    ///
    /// # Errors
    /// There is no key in use at `now`.
    pub fn sign_access(&self, _token: &AccessToken<'_>, _now: UnixSeconds) -> Result<String, KeyError> {
        todo!()
    }

    /// Signs an id_token, always RS256.
    ///
    /// # Errors
    /// There is no key in use at `now`.
    pub fn sign_identity(&self, _token: &IdToken<'_>, _now: UnixSeconds) -> Result<String, KeyError> {
        todo!()
    }

    /// Encrypts and authenticates `plain` together with `binding` (AES-256-GCM); base64url, padded in steps.
    ///
    /// # Errors
    /// There is no seal key.
    pub fn seal(&self, _plain: &[u8], _binding: &[u8]) -> Result<String, KeyError> {
        todo!()
    }

    /// Opens a seal made with the same `binding`.
    pub fn open_seal(&self, _seal: &str, _binding: &[u8]) -> Option<Vec<u8>> {
        todo!()
    }
}
