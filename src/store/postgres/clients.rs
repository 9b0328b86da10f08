//! Clients that registered themselves. Who adds one holds the counter, so that there are never more than there may be.

use deadpool_postgres::Client;
use tokio_postgres::Error;

use super::super::{ClientsVersion, StoredClient};
use super::{Topic, execute, next, query, query_opt, ring};

pub(super) async fn add(client: &mut Client, added: &StoredClient, max: usize) -> Result<bool, Error> {
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let transaction = client.transaction().await?;
    let sequence = next(&transaction, "clients").await?;
    let rows = execute(
        &transaction,
        "INSERT INTO clients (sequence, id, payload) SELECT $1::BIGINT, $2::TEXT, $3::TEXT
         WHERE (SELECT count(*) FROM clients) < $4",
        &[&sequence, &added.id, &added.payload, &max],
    )
    .await?;
    if rows == 0 {
        return Ok(false);
    }
    ring(&transaction, Topic::Clients).await?;
    transaction.commit().await.map(|()| true)
}

pub(super) async fn version(client: &Client) -> Result<ClientsVersion, Error> {
    let rows = query(client, "SELECT count(*), coalesce(max(sequence), 0) FROM clients", &[]).await?;
    let of = |column| rows.first().map_or(Ok(0), |row| row.try_get(column));
    Ok(ClientsVersion { count: of(0)?, last: of(1)? })
}

pub(super) async fn all(client: &Client) -> Result<Vec<StoredClient>, Error> {
    let rows = query(client, "SELECT id, payload FROM clients ORDER BY sequence", &[]).await?;
    rows.iter().map(|row| Ok(StoredClient { id: row.try_get(0)?, payload: row.try_get(1)? })).collect()
}

pub(super) async fn remove(client: &Client, id: &str) -> Result<bool, Error> {
    let remove = "WITH gone AS (DELETE FROM clients WHERE id = $1 RETURNING id)
                  SELECT pg_notify('smartgate', 'clients') FROM gone";
    query_opt(client, remove, &[&id]).await.map(|gone| gone.is_some())
}
