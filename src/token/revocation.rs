//! What is revoked, in memory: asked on every request, kept in step with the store.

use crate::ambient::UnixSeconds;
use crate::store::{Revoked, Store, StoreError};

use super::Claims;

/// The set of revocations that are still needed.
pub struct Revocations {}

impl Revocations {
    /// An empty set that was never synchronised.
    pub fn new() -> Self {
        todo!()
    }

    /// Whether the token with these claims, or its grant, is revoked.
    pub fn is_revoked(&self, _claims: &Claims) -> bool {
        todo!()
    }

    /// Takes one in at once; the store is told by the caller, first.
    pub fn insert(&self, _revoked: Revoked, _expires: UnixSeconds) {
        todo!()
    }

    /// Takes in what was revoked since the last time, drops what has expired.
    ///
    /// # Errors
    /// The store does not answer; the set stays as it is.
    pub async fn sync(&self, _store: &dyn Store, _now: UnixSeconds) -> Result<(), StoreError> {
        todo!()
    }

    /// When [`Revocations::sync`] last succeeded; 0 before the first time.
    pub fn last_synced(&self) -> UnixSeconds {
        todo!()
    }
}
