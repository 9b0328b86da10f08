//! SQLite: one file, one writer.

use std::path::Path;

use async_trait::async_trait;

use super::{Digest, Redemption, Revocation, Revoked, Store, StoreError, StoredKey};
use crate::ambient::UnixSeconds;

/// A store in a SQLite file.
pub struct SqliteStore {}

impl SqliteStore {
    /// Opens the file, makes it and its folder where they are missing, and brings its tables up to date.
    ///
    /// # Errors
    /// The file cannot be opened or is no database of this program.
    pub fn open(_path: &Path) -> Result<Self, StoreError> {
        todo!()
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        todo!()
    }
    async fn add_first_key(&self, _key: &StoredKey) -> Result<(), StoreError> {
        todo!()
    }
    async fn rotate_key(&self, _key: &StoredKey) -> Result<(), StoreError> {
        todo!()
    }
    async fn forget_keys(&self, _before: UnixSeconds) -> Result<(), StoreError> {
        todo!()
    }
    async fn put_pending(&self, _handle: &Digest, _state: &str, _expires: UnixSeconds) -> Result<(), StoreError> {
        todo!()
    }
    async fn pending(&self, _handle: &Digest, _now: UnixSeconds) -> Result<Option<String>, StoreError> {
        todo!()
    }
    async fn take_pending(&self, _handle: &Digest, _now: UnixSeconds) -> Result<Option<String>, StoreError> {
        todo!()
    }
    async fn put_code(&self, _c: &Digest, _g: &str, _p: &str, _e: UnixSeconds) -> Result<(), StoreError> {
        todo!()
    }
    async fn redeem_code(&self, _c: &Digest, _n: UnixSeconds, _r: UnixSeconds) -> Result<Redemption, StoreError> {
        todo!()
    }
    async fn first_use(&self, _i: &str, _id: &str, _n: UnixSeconds, _e: UnixSeconds) -> Result<bool, StoreError> {
        todo!()
    }
    async fn revoke(&self, _revoked: &Revoked, _expires: UnixSeconds) -> Result<(), StoreError> {
        todo!()
    }
    async fn revocations_after(&self, _sequence: i64, _now: UnixSeconds) -> Result<Vec<Revocation>, StoreError> {
        todo!()
    }
    async fn sweep(&self, _now: UnixSeconds) -> Result<usize, StoreError> {
        todo!()
    }
    async fn ping(&self) -> Result<(), StoreError> {
        todo!()
    }
}
