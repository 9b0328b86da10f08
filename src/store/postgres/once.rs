//! What is used once: authorizations in progress, codes, ids of assertions.

use deadpool_postgres::Client;
use sha2::{Digest as _, Sha256};
use tokio_postgres::Error;

use super::super::{Digest, Redemption};
use super::{execute, query_opt};
use crate::ambient::UnixSeconds;

pub(super) async fn put_pending(
    client: &Client,
    handle: &Digest,
    state: &str,
    expires: UnixSeconds,
) -> Result<(), Error> {
    let put = "INSERT INTO pending (handle, state, expires) VALUES ($1, $2, $3)
               ON CONFLICT (handle) DO UPDATE SET state = excluded.state, expires = excluded.expires";
    execute(client, put, &[&handle.as_slice(), &state, &expires]).await.map(|_| ())
}

pub(super) async fn pending(client: &Client, handle: &Digest, now: UnixSeconds) -> Result<Option<String>, Error> {
    let read = "SELECT state FROM pending WHERE handle = $1 AND expires > $2";
    query_opt(client, read, &[&handle.as_slice(), &now]).await?.map(|row| row.try_get(0)).transpose()
}

pub(super) async fn take_pending(client: &Client, handle: &Digest, now: UnixSeconds) -> Result<Option<String>, Error> {
    let take = "DELETE FROM pending WHERE handle = $1 AND expires > $2 RETURNING state";
    query_opt(client, take, &[&handle.as_slice(), &now]).await?.map(|row| row.try_get(0)).transpose()
}

pub(super) async fn put_code(
    client: &Client,
    code: &Digest,
    grant: &str,
    payload: &str,
    expires: UnixSeconds,
) -> Result<(), Error> {
    let put = "INSERT INTO codes (code, grant_id, payload, expires, kept_until) VALUES ($1, $2, $3, $4, $4)";
    execute(client, put, &[&code.as_slice(), &grant, &payload, &expires]).await.map(|_| ())
}

/// The update is the redemption; who finds nothing to update looks whether somebody else was first, which stays so.
pub(super) async fn redeem_code(
    client: &Client,
    code: &Digest,
    now: UnixSeconds,
    remember_until: UnixSeconds,
) -> Result<Redemption, Error> {
    let redeem = "UPDATE codes SET spent = $2, kept_until = greatest(expires, $3)
                  WHERE code = $1 AND spent IS NULL AND expires > $2 RETURNING payload";
    if let Some(row) = query_opt(client, redeem, &[&code.as_slice(), &now, &remember_until]).await? {
        return Ok(Redemption::Fresh(row.try_get(0)?));
    }
    let spent = "SELECT grant_id FROM codes WHERE code = $1 AND spent IS NOT NULL";
    match query_opt(client, spent, &[&code.as_slice()]).await? {
        Some(row) => Ok(Redemption::Replayed { grant: row.try_get(0)? }),
        None => Ok(Redemption::Unknown),
    }
}

pub(super) async fn first_use(
    client: &Client,
    issuer: &str,
    id: &str,
    now: UnixSeconds,
    expires: UnixSeconds,
) -> Result<bool, Error> {
    let mut both = Sha256::new();
    both.update(issuer.len().to_be_bytes());
    both.update(issuer);
    both.update(id);
    let used = "INSERT INTO seen (id, expires) VALUES ($1, $3)
                ON CONFLICT (id) DO UPDATE SET expires = excluded.expires WHERE seen.expires <= $2";
    execute(client, used, &[&both.finalize().as_slice(), &now, &expires]).await.map(|rows| rows == 1)
}
