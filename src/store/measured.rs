//! A store whose every operation is timed and counted.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{
    Attempt, ClientsVersion, Digest, LiveGrant, News, Redemption, RefreshGrant, RefreshToken, Revocation, Revoked,
    Rotated, Rotation, SharedStore, Store, StoreError, StoredClient, StoredKey, Tried,
};
use crate::ambient::UnixSeconds;
use crate::telemetry::Metrics;

/// Measures what goes through it.
pub struct MeasuredStore {
    inner: SharedStore,
    metrics: Metrics,
}

impl MeasuredStore {
    /// Measures the operations of `inner`.
    pub fn new(inner: SharedStore, metrics: Metrics) -> Self {
        Self { inner, metrics }
    }

    async fn timed<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let started = Instant::now();
        let result = work.await;
        self.metrics.store(operation, started.elapsed(), result.is_ok());
        result
    }
}

#[async_trait]
impl Store for MeasuredStore {
    async fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        self.timed("keys", self.inner.keys()).await
    }

    async fn add_first_key(&self, key: &StoredKey) -> Result<(), StoreError> {
        self.timed("add_first_key", self.inner.add_first_key(key)).await
    }

    async fn rotate_key(&self, key: &StoredKey) -> Result<(), StoreError> {
        self.timed("rotate_key", self.inner.rotate_key(key)).await
    }

    async fn replace_keys(&self, keys: &[StoredKey]) -> Result<(), StoreError> {
        self.timed("replace_keys", self.inner.replace_keys(keys)).await
    }

    async fn forget_keys(&self, before: UnixSeconds) -> Result<(), StoreError> {
        self.timed("forget_keys", self.inner.forget_keys(before)).await
    }

    async fn put_pending(&self, handle: &Digest, state: &str, expires: UnixSeconds) -> Result<(), StoreError> {
        self.timed("put_pending", self.inner.put_pending(handle, state, expires)).await
    }

    async fn pending(&self, handle: &Digest, now: UnixSeconds) -> Result<Option<String>, StoreError> {
        self.timed("pending", self.inner.pending(handle, now)).await
    }

    async fn take_pending(&self, handle: &Digest, now: UnixSeconds) -> Result<Option<String>, StoreError> {
        self.timed("take_pending", self.inner.take_pending(handle, now)).await
    }

    async fn put_code(
        &self,
        code: &Digest,
        grant: &str,
        payload: &str,
        expires: UnixSeconds,
    ) -> Result<(), StoreError> {
        self.timed("put_code", self.inner.put_code(code, grant, payload, expires)).await
    }

    async fn redeem_code(
        &self,
        code: &Digest,
        now: UnixSeconds,
        remember_until: UnixSeconds,
    ) -> Result<Redemption, StoreError> {
        self.timed("redeem_code", self.inner.redeem_code(code, now, remember_until)).await
    }

    async fn put_refresh(
        &self,
        token: &Digest,
        grant: &RefreshGrant,
        now: UnixSeconds,
        expires: UnixSeconds,
    ) -> Result<bool, StoreError> {
        self.timed("put_refresh", self.inner.put_refresh(token, grant, now, expires)).await
    }

    async fn refresh(&self, token: &Digest, now: UnixSeconds) -> Result<Option<RefreshToken>, StoreError> {
        self.timed("refresh", self.inner.refresh(token, now)).await
    }

    async fn grants_of(&self, username: &str, now: UnixSeconds) -> Result<Vec<LiveGrant>, StoreError> {
        self.timed("grants_of", self.inner.grants_of(username, now)).await
    }

    async fn rotate_refresh(&self, rotation: &Rotation) -> Result<Rotated, StoreError> {
        self.timed("rotate_refresh", self.inner.rotate_refresh(rotation)).await
    }

    async fn first_use(
        &self,
        issuer: &str,
        id: &str,
        now: UnixSeconds,
        expires: UnixSeconds,
    ) -> Result<bool, StoreError> {
        self.timed("first_use", self.inner.first_use(issuer, id, now, expires)).await
    }

    async fn revoke(&self, revoked: &Revoked, expires: UnixSeconds) -> Result<(), StoreError> {
        self.timed("revoke", self.inner.revoke(revoked, expires)).await
    }

    async fn last_revocation(&self) -> Result<i64, StoreError> {
        self.timed("last_revocation", self.inner.last_revocation()).await
    }

    async fn revocations_after(&self, sequence: i64, now: UnixSeconds) -> Result<Vec<Revocation>, StoreError> {
        self.timed("revocations_after", self.inner.revocations_after(sequence, now)).await
    }

    async fn add_client(&self, client: &StoredClient, max: usize) -> Result<bool, StoreError> {
        self.timed("add_client", self.inner.add_client(client, max)).await
    }

    async fn clients_version(&self) -> Result<ClientsVersion, StoreError> {
        self.timed("clients_version", self.inner.clients_version()).await
    }

    async fn clients(&self) -> Result<Vec<StoredClient>, StoreError> {
        self.timed("clients", self.inner.clients()).await
    }

    async fn remove_client(&self, id: &str) -> Result<bool, StoreError> {
        self.timed("remove_client", self.inner.remove_client(id)).await
    }

    async fn probe(&self, upstream: &str) -> Result<Option<String>, StoreError> {
        self.timed("probe", self.inner.probe(upstream)).await
    }

    async fn put_probe(&self, upstream: &str, found: &str) -> Result<(), StoreError> {
        self.timed("put_probe", self.inner.put_probe(upstream, found)).await
    }

    async fn attempt(
        &self,
        tried: Tried,
        name: &Digest,
        now: UnixSeconds,
        longest: UnixSeconds,
    ) -> Result<Attempt, StoreError> {
        self.timed("attempt", self.inner.attempt(tried, name, now, longest)).await
    }

    async fn forgive(&self, name: &Digest) -> Result<(), StoreError> {
        self.timed("forgive", self.inner.forgive(name)).await
    }

    async fn pauses(&self, now: UnixSeconds) -> Result<Vec<(Digest, UnixSeconds)>, StoreError> {
        self.timed("pauses", self.inner.pauses(now)).await
    }

    async fn sweep(&self, now: UnixSeconds, over: UnixSeconds) -> Result<usize, StoreError> {
        self.timed("sweep", self.inner.sweep(now, over)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.timed("ping", self.inner.ping()).await
    }

    fn news(&self) -> Arc<News> {
        self.inner.news()
    }
}
