//! What is revoked, in the order in which it was committed: who writes holds the counter.

use deadpool_postgres::Client;
use tokio_postgres::{Error, Row};

use super::super::{Revocation, Revoked};
use super::{PAGE, Topic, Transaction, execute, next, query, query_opt, refresh, ring};
use crate::ambient::UnixSeconds;

/// A revocation that lasts longer than the one there is replaces it, under a new sequence: everybody must hear of it.
pub(super) async fn revoke(
    transaction: &Transaction<'_>,
    revoked: &Revoked,
    expires: UnixSeconds,
) -> Result<(), Error> {
    if let Revoked::Grant(grant) = revoked {
        refresh::forget(transaction, grant).await?;
    }
    let (kind, issuer, id) = revoked.columns();
    let sequence = next(transaction, "revocations").await?;
    execute(
        transaction,
        "INSERT INTO revocations (sequence, kind, issuer, id, expires) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (kind, issuer, id) DO UPDATE SET sequence = excluded.sequence, expires = excluded.expires
         WHERE revocations.expires < excluded.expires",
        &[&sequence, &kind.number(), &issuer, &id, &expires],
    )
    .await?;
    ring(transaction, Topic::Revocations).await
}

pub(super) async fn last(client: &Client) -> Result<i64, Error> {
    let last = "SELECT coalesce(max(last), 0) FROM counters WHERE name = 'revocations'";
    query_opt(client, last, &[]).await?.map_or(Ok(0), |row| row.try_get(0))
}

pub(super) async fn after(client: &Client, sequence: i64, now: UnixSeconds) -> Result<Vec<Revocation>, Error> {
    let read = "SELECT sequence, kind, issuer, id, expires FROM revocations
                WHERE sequence > $1 AND expires > $2 ORDER BY sequence LIMIT $3";
    query(client, read, &[&sequence, &now, &PAGE]).await?.iter().map(revocation).collect()
}

fn revocation(row: &Row) -> Result<Revocation, Error> {
    let revoked = Revoked::of(row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
    Ok(Revocation { sequence: row.try_get(0)?, revoked, expires: row.try_get(4)? })
}
