//! Refresh tokens, as in SQLite. Whoever changes anything of a grant holds its lock until the commit, also where the grant has no
//! row: one that is revoked while its first token is kept.

use deadpool_postgres::Client;
use tokio_postgres::Error;

use super::super::{
    Digest, LiveGrant, MOST_GRANTS, RefreshGrant, RefreshToken, Revoked, RevokedKind, Rotated, Rotation,
};
use super::{LOCKS, Transaction, execute, query, query_opt, revocations};
use crate::ambient::UnixSeconds;

pub(super) async fn put(
    client: &mut Client,
    token: &Digest,
    grant: &RefreshGrant,
    now: UnixSeconds,
    expires: UnixSeconds,
) -> Result<bool, Error> {
    let transaction = client.transaction().await?;
    lock(&transaction, &grant.id).await?;
    let kept = execute(
        &transaction,
        "INSERT INTO grants (id, client, username, payload, used, expires)
         SELECT $1::TEXT, $2::TEXT, $3::TEXT, $4::TEXT, $5::BIGINT, $6::BIGINT
         WHERE NOT EXISTS (SELECT 1 FROM revocations WHERE kind = $7 AND issuer = '' AND id = $1)",
        &[&grant.id, &grant.client, &grant.username, &grant.payload, &now, &expires, &RevokedKind::Grant.number()],
    )
    .await?;
    if kept == 0 {
        return Ok(false);
    }
    insert(&transaction, token, &grant.id, expires).await?;
    transaction.commit().await.map(|()| true)
}

pub(super) async fn get(client: &Client, token: &Digest, now: UnixSeconds) -> Result<Option<RefreshToken>, Error> {
    let read = "SELECT grants.id, client, username, payload, refresh_tokens.expires, exchanged IS NULL
                FROM refresh_tokens JOIN grants ON grants.id = grant_id
                WHERE token = $1 AND refresh_tokens.expires > $2";
    let Some(row) = query_opt(client, read, &[&token.as_slice(), &now]).await? else {
        return Ok(None);
    };
    Ok(Some(RefreshToken { grant: grant(&row)?, expires: row.try_get(4)?, live: row.try_get(5)? }))
}

pub(super) async fn grants_of(client: &Client, username: &str, now: UnixSeconds) -> Result<Vec<LiveGrant>, Error> {
    let read = "SELECT id, client, username, payload, used, expires FROM grants
                WHERE username = $1 AND expires > $2 ORDER BY used DESC, id LIMIT $3";
    let rows = query(client, read, &[&username, &now, &MOST_GRANTS]).await?;
    rows.iter()
        .map(|row| Ok(LiveGrant { grant: grant(row)?, used: row.try_get(4)?, expires: row.try_get(5)? }))
        .collect()
}

pub(super) async fn rotate(client: &mut Client, rotation: &Rotation) -> Result<Rotated, Error> {
    let Rotation { token, successor, now, expires, .. } = rotation;
    let transaction = client.transaction().await?;
    let known = "SELECT grant_id FROM refresh_tokens WHERE token = $1 AND expires > $2";
    let Some(row) = query_opt(&transaction, known, &[&token.as_slice(), now]).await? else {
        return Ok(Rotated::Unknown);
    };
    let grant: String = row.try_get(0)?;
    lock(&transaction, &grant).await?;
    let exchange = "UPDATE refresh_tokens SET exchanged = $2, successor = $3 WHERE token = $1 AND exchanged IS NULL";
    let rotated = match execute(&transaction, exchange, &[&token.as_slice(), now, &successor.as_slice()]).await? {
        0 => exchanged(&transaction, rotation).await?,
        _ => {
            insert(&transaction, successor, &grant, *expires).await?;
            let used = "UPDATE grants SET used = $2, expires = $3 WHERE id = $1";
            execute(&transaction, used, &[&grant, now, expires]).await?;
            Rotated::Fresh
        }
    };
    transaction.commit().await.map(|()| rotated)
}

/// What a token that is not live is: shown again by somebody who did not get the answer, or by somebody who should not have it.
async fn exchanged(transaction: &Transaction<'_>, rotation: &Rotation) -> Result<Rotated, Error> {
    let found = "SELECT old.grant_id, new.token FROM refresh_tokens AS old
                 LEFT JOIN refresh_tokens AS new
                     ON new.token = old.successor AND new.exchanged IS NULL AND new.expires > $2
                     AND old.exchanged > $3 AND old.exchanged < $4
                 WHERE old.token = $1 AND old.exchanged IS NOT NULL";
    let Rotation { token, now, repeat_after, repeat_before, revoke_until, .. } = rotation;
    let Some(row) = query_opt(transaction, found, &[&token.as_slice(), now, repeat_after, repeat_before]).await? else {
        return Ok(Rotated::Unknown);
    };
    let successor: Option<Vec<u8>> = row.try_get(1)?;
    if let Some(successor) = successor.and_then(|successor| Digest::try_from(successor).ok()) {
        return Ok(Rotated::Repeated { successor });
    }
    revocations::revoke(transaction, &Revoked::Grant(row.try_get(0)?), *revoke_until).await?;
    Ok(Rotated::Reused)
}

/// Forgets a grant with its tokens.
pub(super) async fn forget(transaction: &Transaction<'_>, grant: &str) -> Result<(), Error> {
    lock(transaction, grant).await?;
    execute(transaction, "DELETE FROM refresh_tokens WHERE grant_id = $1", &[&grant]).await?;
    execute(transaction, "DELETE FROM grants WHERE id = $1", &[&grant]).await.map(|_| ())
}

/// Held until the end of the transaction. Two grants of one hash wait for each other, no more.
async fn lock(transaction: &Transaction<'_>, grant: &str) -> Result<(), Error> {
    execute(transaction, "SELECT pg_advisory_xact_lock($1, hashtext($2))", &[&LOCKS, &grant]).await.map(|_| ())
}

async fn insert(transaction: &Transaction<'_>, token: &Digest, grant: &str, expires: UnixSeconds) -> Result<(), Error> {
    let insert = "INSERT INTO refresh_tokens (token, grant_id, expires) VALUES ($1, $2, $3)";
    execute(transaction, insert, &[&token.as_slice(), &grant, &expires]).await.map(|_| ())
}

fn grant(row: &tokio_postgres::Row) -> Result<RefreshGrant, Error> {
    Ok(RefreshGrant {
        id: row.try_get(0)?,
        client: row.try_get(1)?,
        username: row.try_get(2)?,
        payload: row.try_get(3)?,
    })
}
