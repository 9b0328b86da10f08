//! What was found out about FHIR servers, and the sweeping of what has expired.

use deadpool_postgres::Client;
use tokio_postgres::Error;

use super::{execute, failures, query_opt};
use crate::ambient::UnixSeconds;

pub(super) async fn get(client: &Client, upstream: &str) -> Result<Option<String>, Error> {
    let read = "SELECT found FROM probes WHERE upstream = $1";
    query_opt(client, read, &[&upstream]).await?.map(|row| row.try_get(0)).transpose()
}

pub(super) async fn put(client: &Client, upstream: &str, found: &str) -> Result<(), Error> {
    let put = "WITH put AS (INSERT INTO probes (upstream, found) VALUES ($1, $2)
                            ON CONFLICT (upstream) DO UPDATE SET found = excluded.found)
               SELECT pg_notify('smartgate', 'probes')";
    query_opt(client, put, &[&upstream, &found]).await.map(|_| ())
}

pub(super) async fn sweep(client: &Client, now: UnixSeconds, over: UnixSeconds) -> Result<usize, Error> {
    let mut rows = execute(client, "DELETE FROM pending WHERE expires <= $1", &[&now]).await?;
    for expired in [
        "DELETE FROM codes WHERE kept_until <= $1",
        "DELETE FROM seen WHERE expires <= $1",
        "DELETE FROM revocations WHERE expires <= $1",
        "DELETE FROM refresh_tokens WHERE expires <= $1",
        "DELETE FROM grants WHERE expires <= $1",
    ] {
        rows += execute(client, expired, &[&over]).await?;
    }
    rows += failures::sweep(client, now).await?;
    Ok(usize::try_from(rows).unwrap_or(usize::MAX))
}
