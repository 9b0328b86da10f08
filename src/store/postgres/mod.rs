//! PostgreSQL: what several replicas share.
//!
//! Every method is one statement or one transaction (read committed), within `[store] timeout`. Where two callers could get in each
//! other's way one waits for the other: on the row that both change, on the counter of what both add to, or on the lock of the
//! grant (`refresh.rs`). Nothing is left to which of them is faster.

mod attempts;
mod clients;
mod connect;
mod failures;
mod keys;
mod news;
mod once;
mod probes;
mod refresh;
mod revocations;
mod schema;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{GenericClient, Manager, ManagerConfig, Pool, RecyclingMethod, Transaction};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::types::{FromSql, ToSql, Type, accepts};
use tokio_postgres::{Error, Row};

use super::{
    Attempt, ClientsVersion, Digest, KeyPurpose, LiveGrant, News, PAGE, Redemption, RefreshGrant, RefreshToken,
    Revocation, Revoked, RevokedKind, Rotated, Rotation, Store, StoreError, StoredClient, StoredKey, Tried,
};
use crate::ambient::UnixSeconds;
use crate::config::Postgres;
use attempts::{Attempts, Lost};

/// `SmGt`; the first half of every advisory lock of this program.
const LOCKS: i32 = 0x536D_4774;

/// How long the tables may take at the start.
const PREPARE_LIMIT: Duration = Duration::from_secs(90);

/// A store in a PostgreSQL database.
pub struct PostgresStore {
    pool: Pool,
    limit: Duration,
    news: Arc<News>,
    listening: JoinHandle<()>,
}

impl PostgresStore {
    /// Connects, and brings the tables up to date. Connections live in the present runtime.
    ///
    /// # Errors
    /// The server cannot be reached or refuses, or the tables are not this program's or of a later version.
    pub async fn open(settings: &Postgres) -> Result<Self, StoreError> {
        let (config, tls) = (connect::config(settings), connect::tls(settings)?);
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(config.clone(), tls.clone(), recycling);
        let pool = Pool::builder(manager)
            .max_size(settings.connections)
            .build()
            .map_err(|error| StoreError(error.to_string()))?;
        let mut connection = Attempts::new(&pool, settings.timeout, Lost::Fail).connection().await?;
        timeout(PREPARE_LIMIT, schema::prepare(&mut connection))
            .await
            .map_err(|_| StoreError(format!("its tables were not made or updated within {PREPARE_LIMIT:?}")))??;
        let news = Arc::new(News::default());
        let listening = tokio::spawn(news::follow(config, tls, settings.timeout, news.clone()));
        Ok(Self { pool, limit: settings.timeout, news, listening })
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Carries out `$work` on a connection, and once more on another one where `$lost` allows.
macro_rules! attempt {
    ($store:expr, $lost:ident, |$client:ident| $work:expr) => {{
        let mut attempts = Attempts::new(&$store.pool, $store.limit, Lost::$lost);
        loop {
            let mut connection = attempts.connection().await?;
            let outcome = {
                let $client = &mut connection;
                attempts.within($work).await
            };
            if let Some(answer) = attempts.settle(connection, outcome) {
                break answer;
            }
        }
    }};
}

#[async_trait]
impl Store for PostgresStore {
    async fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        attempt!(self, Repeat, |client| keys::all(client))
    }

    async fn add_first_key(&self, key: &StoredKey) -> Result<(), StoreError> {
        attempt!(self, Repeat, |client| keys::add_first(client, key))
    }

    async fn rotate_key(&self, key: &StoredKey) -> Result<(), StoreError> {
        attempt!(self, Fail, |client| keys::rotate(client, key))
    }

    async fn replace_keys(&self, keys: &[StoredKey]) -> Result<(), StoreError> {
        attempt!(self, Fail, |client| keys::replace(client, keys))
    }

    async fn forget_keys(&self, before: UnixSeconds) -> Result<(), StoreError> {
        attempt!(self, Repeat, |client| keys::forget(client, before))
    }

    async fn put_pending(&self, handle: &Digest, state: &str, expires: UnixSeconds) -> Result<(), StoreError> {
        attempt!(self, Repeat, |client| once::put_pending(client, handle, state, expires))
    }

    async fn pending(&self, handle: &Digest, now: UnixSeconds) -> Result<Option<String>, StoreError> {
        attempt!(self, Repeat, |client| once::pending(client, handle, now))
    }

    async fn take_pending(&self, handle: &Digest, now: UnixSeconds) -> Result<Option<String>, StoreError> {
        attempt!(self, Fail, |client| once::take_pending(client, handle, now))
    }

    async fn put_code(
        &self,
        code: &Digest,
        grant: &str,
        payload: &str,
        expires: UnixSeconds,
    ) -> Result<(), StoreError> {
        attempt!(self, Fail, |client| once::put_code(client, code, grant, payload, expires))
    }

    /// A lost answer is no redemption: the code may be spent, and the app has to ask for a new one.
    async fn redeem_code(
        &self,
        code: &Digest,
        now: UnixSeconds,
        remember_until: UnixSeconds,
    ) -> Result<Redemption, StoreError> {
        attempt!(self, Fail, |client| once::redeem_code(client, code, now, remember_until))
    }

    async fn put_refresh(
        &self,
        token: &Digest,
        grant: &RefreshGrant,
        now: UnixSeconds,
        expires: UnixSeconds,
    ) -> Result<bool, StoreError> {
        attempt!(self, Fail, |client| refresh::put(client, token, grant, now, expires))
    }

    async fn refresh(&self, token: &Digest, now: UnixSeconds) -> Result<Option<RefreshToken>, StoreError> {
        attempt!(self, Repeat, |client| refresh::get(client, token, now))
    }

    async fn grants_of(&self, username: &str, now: UnixSeconds) -> Result<Vec<LiveGrant>, StoreError> {
        attempt!(self, Repeat, |client| refresh::grants_of(client, username, now))
    }

    /// Done again it says [`Rotated::Repeated`], with the successor that the first time gave.
    async fn rotate_refresh(&self, rotation: &Rotation) -> Result<Rotated, StoreError> {
        attempt!(self, Repeat, |client| refresh::rotate(client, rotation))
    }

    async fn first_use(
        &self,
        issuer: &str,
        id: &str,
        now: UnixSeconds,
        expires: UnixSeconds,
    ) -> Result<bool, StoreError> {
        attempt!(self, Fail, |client| once::first_use(client, issuer, id, now, expires))
    }

    async fn revoke(&self, revoked: &Revoked, expires: UnixSeconds) -> Result<(), StoreError> {
        attempt!(self, Repeat, |client| async {
            let transaction = client.transaction().await?;
            revocations::revoke(&transaction, revoked, expires).await?;
            transaction.commit().await
        })
    }

    async fn last_revocation(&self) -> Result<i64, StoreError> {
        attempt!(self, Repeat, |client| revocations::last(client))
    }

    async fn revocations_after(&self, sequence: i64, now: UnixSeconds) -> Result<Vec<Revocation>, StoreError> {
        attempt!(self, Repeat, |client| revocations::after(client, sequence, now))
    }

    async fn add_client(&self, client: &StoredClient, max: usize) -> Result<bool, StoreError> {
        attempt!(self, Fail, |connection| clients::add(connection, client, max))
    }

    async fn clients_version(&self) -> Result<ClientsVersion, StoreError> {
        attempt!(self, Repeat, |client| clients::version(client))
    }

    async fn clients(&self) -> Result<Vec<StoredClient>, StoreError> {
        attempt!(self, Repeat, |client| clients::all(client))
    }

    async fn remove_client(&self, id: &str) -> Result<bool, StoreError> {
        attempt!(self, Fail, |client| clients::remove(client, id))
    }

    async fn probe(&self, upstream: &str) -> Result<Option<String>, StoreError> {
        attempt!(self, Repeat, |client| probes::get(client, upstream))
    }

    async fn put_probe(&self, upstream: &str, found: &str) -> Result<(), StoreError> {
        attempt!(self, Repeat, |client| probes::put(client, upstream, found))
    }

    /// A lost answer is no leave to try.
    async fn attempt(
        &self,
        tried: Tried,
        name: &Digest,
        now: UnixSeconds,
        longest: UnixSeconds,
    ) -> Result<Attempt, StoreError> {
        attempt!(self, Fail, |client| failures::attempt(client, tried, name, now, longest))
    }

    async fn forgive(&self, name: &Digest) -> Result<(), StoreError> {
        attempt!(self, Repeat, |client| failures::forgive(client, name))
    }

    async fn pauses(&self, now: UnixSeconds) -> Result<Vec<(Digest, UnixSeconds)>, StoreError> {
        attempt!(self, Repeat, |client| failures::pauses(client, now))
    }

    async fn sweep(&self, now: UnixSeconds, over: UnixSeconds) -> Result<usize, StoreError> {
        attempt!(self, Repeat, |client| probes::sweep(client, now, over))
    }

    /// A server that takes no writes is not enough to log anyone in.
    async fn ping(&self) -> Result<(), StoreError> {
        attempt!(self, Repeat, |client| async {
            let transaction = client.transaction().await?;
            execute(&transaction, "SELECT 1 FROM counters LIMIT 1 FOR SHARE", &[]).await?;
            transaction.rollback().await
        })
    }

    fn news(&self) -> Arc<News> {
        self.news.clone()
    }
}

/// What others are told of.
#[derive(Clone, Copy)]
enum Topic {
    Revocations,
    Keys,
    Clients,
    Probes,
    Pauses,
}

impl Topic {
    const ALL: [Self; 5] = [Self::Revocations, Self::Keys, Self::Clients, Self::Probes, Self::Pauses];

    fn name(self) -> &'static str {
        match self {
            Self::Revocations => "revocations",
            Self::Keys => "keys",
            Self::Clients => "clients",
            Self::Probes => "probes",
            Self::Pauses => "pauses",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.name() == name)
    }

    fn of(self, news: &News) -> &tokio::sync::Notify {
        match self {
            Self::Revocations => &news.revocations,
            Self::Keys => &news.keys,
            Self::Clients => &news.clients,
            Self::Probes => &news.probes,
            Self::Pauses => &news.pauses,
        }
    }
}

/// Tells everybody who listens, once the transaction is committed.
async fn ring(transaction: &Transaction<'_>, topic: Topic) -> Result<(), Error> {
    execute(transaction, "SELECT pg_notify('smartgate', $1)", &[&topic.name()]).await.map(|_| ())
}

/// The next of a counter; whoever else wants one waits until this transaction is over.
async fn next(transaction: &Transaction<'_>, counter: &str) -> Result<i64, Error> {
    let next = "UPDATE counters SET last = last + 1 WHERE name = $1 RETURNING last";
    let statement = transaction.prepare_cached(next).await?;
    transaction.query_one(&statement, &[&counter]).await?.try_get(0)
}

async fn execute(on: &impl GenericClient, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
    let statement = on.prepare_cached(sql).await?;
    on.execute(&statement, parameters).await
}

async fn query(on: &impl GenericClient, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
    let statement = on.prepare_cached(sql).await?;
    on.query(&statement, parameters).await
}

async fn query_opt(
    on: &impl GenericClient,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Option<Row>, Error> {
    let statement = on.prepare_cached(sql).await?;
    on.query_opt(&statement, parameters).await
}

type Unreadable = Box<dyn std::error::Error + Sync + Send>;

impl<'a> FromSql<'a> for KeyPurpose {
    fn from_sql(of: &Type, raw: &'a [u8]) -> Result<Self, Unreadable> {
        Self::numbered(i64::from_sql(of, raw)?).ok_or_else(|| "there is no such purpose of a key".into())
    }

    accepts!(INT8);
}

impl<'a> FromSql<'a> for RevokedKind {
    fn from_sql(of: &Type, raw: &'a [u8]) -> Result<Self, Unreadable> {
        Self::numbered(i64::from_sql(of, raw)?).ok_or_else(|| "there is no such kind of revocation".into())
    }

    accepts!(INT8);
}

#[cfg(test)]
mod tests;
