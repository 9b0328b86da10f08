//! Clients that registered themselves.

use rusqlite::{Connection, params};

use super::super::{ClientsVersion, StoredClient};

pub(super) fn add(connection: &Connection, client: &StoredClient, max: usize) -> rusqlite::Result<bool> {
    let rows = connection.execute(
        "INSERT INTO clients (id, payload) SELECT ?1, ?2 WHERE (SELECT count(*) FROM clients) < ?3",
        params![client.id, client.payload, i64::try_from(max).unwrap_or(i64::MAX)],
    )?;
    Ok(rows == 1)
}

pub(super) fn version(connection: &Connection) -> rusqlite::Result<ClientsVersion> {
    connection
        .prepare_cached("SELECT count(*), coalesce(max(sequence), 0) FROM clients")?
        .query_row([], |row| Ok(ClientsVersion { count: row.get(0)?, last: row.get(1)? }))
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<StoredClient>> {
    let mut clients = connection.prepare_cached("SELECT id, payload FROM clients ORDER BY sequence")?;
    clients.query_map([], |row| Ok(StoredClient { id: row.get(0)?, payload: row.get(1)? }))?.collect()
}

pub(super) fn remove(connection: &Connection, id: &str) -> rusqlite::Result<bool> {
    connection.execute("DELETE FROM clients WHERE id = ?1", [id]).map(|rows| rows == 1)
}
