//! The gate's own keys. Who adds one holds the counter of keys, so that replicas that start together agree.

use deadpool_postgres::Client;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use super::super::StoredKey;
use super::{Topic, Transaction, execute, next, ring};
use crate::ambient::UnixSeconds;

pub(super) async fn all(client: &Client) -> Result<Vec<StoredKey>, Error> {
    let keys = "SELECT id, purpose, algorithm, secret, created, active_from, retired FROM keys
                ORDER BY created, active_from, id";
    super::query(client, keys, &[]).await?.iter().map(read).collect()
}

pub(super) async fn add_first(client: &mut Client, key: &StoredKey) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    next(&transaction, "keys").await?;
    execute(
        &transaction,
        "INSERT INTO keys (id, purpose, algorithm, secret, created, active_from, retired)
         SELECT $1::TEXT, $2::BIGINT, $3::TEXT, $4::BYTEA, $5::BIGINT, $6::BIGINT, $7::BIGINT
         WHERE NOT EXISTS (SELECT 1 FROM keys WHERE purpose = $2 AND retired IS NULL)",
        &columns(key, &key.purpose.number()),
    )
    .await?;
    ring(&transaction, Topic::Keys).await?;
    transaction.commit().await
}

pub(super) async fn rotate(client: &mut Client, key: &StoredKey) -> Result<(), Error> {
    let purpose = key.purpose.number();
    let transaction = client.transaction().await?;
    next(&transaction, "keys").await?;
    execute(
        &transaction,
        "UPDATE keys SET retired = $2 WHERE purpose = $1 AND (retired IS NULL OR retired > $2)",
        &[&purpose, &key.active_from],
    )
    .await?;
    insert(&transaction, key).await?;
    ring(&transaction, Topic::Keys).await?;
    transaction.commit().await
}

pub(super) async fn replace(client: &mut Client, keys: &[StoredKey]) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    next(&transaction, "keys").await?;
    // Whoever is adding to one of them is waited for, so that it goes with the rest.
    transaction.batch_execute("LOCK TABLE pending, codes, grants, refresh_tokens IN SHARE ROW EXCLUSIVE MODE").await?;
    for table in ["keys", "grants", "refresh_tokens", "codes", "pending"] {
        execute(&transaction, &format!("DELETE FROM {table}"), &[]).await?;
    }
    for key in keys {
        insert(&transaction, key).await?;
    }
    ring(&transaction, Topic::Keys).await?;
    transaction.commit().await
}

pub(super) async fn forget(client: &Client, before: UnixSeconds) -> Result<(), Error> {
    execute(client, "DELETE FROM keys WHERE retired < $1", &[&before]).await.map(|_| ())
}

async fn insert(transaction: &Transaction<'_>, key: &StoredKey) -> Result<(), Error> {
    let insert = "INSERT INTO keys (id, purpose, algorithm, secret, created, active_from, retired)
                  VALUES ($1, $2, $3, $4, $5, $6, $7)";
    execute(transaction, insert, &columns(key, &key.purpose.number())).await.map(|_| ())
}

fn columns<'a>(key: &'a StoredKey, purpose: &'a i64) -> [&'a (dyn ToSql + Sync); 7] {
    [&key.id, purpose, &key.algorithm, &key.secret, &key.created, &key.active_from, &key.retired]
}

fn read(row: &Row) -> Result<StoredKey, Error> {
    Ok(StoredKey {
        id: row.try_get(0)?,
        purpose: row.try_get(1)?,
        algorithm: row.try_get(2)?,
        secret: row.try_get(3)?,
        created: row.try_get(4)?,
        active_from: row.try_get(5)?,
        retired: row.try_get(6)?,
    })
}
