//! The tables, made and brought up to date step by step, by one replica at a time.
//!
//! Table for table and column for column they are those of SQLite (`../sqlite/schema.rs`), with these differences:
//!
//! - Numbers are `BIGINT`, secrets and digests `BYTEA`.
//! - `AUTOINCREMENT` is not enough where writers are many: a sequence that is drawn first may be committed last, and who reads on
//!   from the largest would never see it. So `counters` has a row for each, which its writer holds until the commit.
//! - `seen` keeps a digest of issuer and id: PostgreSQL indexes no long texts, and its texts have no NUL.

use tokio_postgres::Error;

use super::super::StoreError;
use super::attempts::explained;
use super::{Transaction, execute};

/// Each step leads to the version before it, in order; `smartgate_schema` says which was the last.
const MIGRATIONS: &[(i64, &str)] = &[
    (
        1,
        "
    CREATE TABLE counters (
        name TEXT PRIMARY KEY,
        last BIGINT NOT NULL
    );
    INSERT INTO counters (name, last) VALUES ('keys', 0), ('revocations', 0), ('clients', 0);
    CREATE TABLE keys (
        id TEXT PRIMARY KEY,
        purpose BIGINT NOT NULL,
        algorithm TEXT NOT NULL,
        secret BYTEA NOT NULL,
        created BIGINT NOT NULL,
        active_from BIGINT NOT NULL,
        retired BIGINT
    );
    CREATE TABLE pending (
        handle BYTEA PRIMARY KEY,
        state TEXT NOT NULL,
        expires BIGINT NOT NULL
    );
    CREATE INDEX pending_expires ON pending (expires);
    CREATE TABLE codes (
        code BYTEA PRIMARY KEY,
        grant_id TEXT NOT NULL,
        payload TEXT NOT NULL,
        expires BIGINT NOT NULL,
        spent BIGINT,
        kept_until BIGINT NOT NULL
    );
    CREATE INDEX codes_kept_until ON codes (kept_until);
    CREATE TABLE seen (
        id BYTEA PRIMARY KEY,
        expires BIGINT NOT NULL
    );
    CREATE INDEX seen_expires ON seen (expires);
    CREATE TABLE revocations (
        sequence BIGINT PRIMARY KEY,
        kind BIGINT NOT NULL,
        issuer TEXT NOT NULL,
        id TEXT NOT NULL,
        expires BIGINT NOT NULL,
        UNIQUE (kind, issuer, id)
    );
    CREATE INDEX revocations_expires ON revocations (expires);
    CREATE TABLE grants (
        id TEXT PRIMARY KEY,
        client TEXT NOT NULL,
        username TEXT NOT NULL,
        payload TEXT NOT NULL,
        used BIGINT NOT NULL,
        expires BIGINT NOT NULL
    );
    CREATE INDEX grants_username ON grants (username);
    CREATE INDEX grants_expires ON grants (expires);
    CREATE TABLE refresh_tokens (
        token BYTEA PRIMARY KEY,
        grant_id TEXT NOT NULL,
        expires BIGINT NOT NULL,
        exchanged BIGINT,
        successor BYTEA
    );
    CREATE INDEX refresh_tokens_grant ON refresh_tokens (grant_id);
    CREATE INDEX refresh_tokens_expires ON refresh_tokens (expires);
    -- A grant with two live tokens would be two grants.
    CREATE UNIQUE INDEX refresh_tokens_live ON refresh_tokens (grant_id) WHERE exchanged IS NULL;
    CREATE TABLE probes (
        upstream TEXT PRIMARY KEY,
        found TEXT NOT NULL
    );
    CREATE TABLE clients (
        sequence BIGINT PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        payload TEXT NOT NULL
    );
    ",
    ),
    (
        2,
        "
    CREATE TABLE failures (
        name BYTEA PRIMARY KEY,
        count BIGINT NOT NULL,
        last BIGINT NOT NULL,
        pause_until BIGINT NOT NULL
    );
    CREATE INDEX failures_last ON failures (last);
    CREATE INDEX failures_pause ON failures (pause_until);
    ",
    ),
    (3, "ALTER TABLE failures ADD COLUMN tried BIGINT NOT NULL DEFAULT 0;"),
];

/// The version that this program writes.
const LATEST: i64 = 3;

#[cfg(test)]
pub(super) const STEPS: usize = MIGRATIONS.len();

/// Makes or updates the tables as needed. Nothing is written where they are up to date, so that a role that may only use them
/// can run the gate when another one has brought them up to date.
pub(super) async fn prepare(client: &mut deadpool_postgres::Client) -> Result<(), StoreError> {
    let failed = |error: Error| StoreError(format!("its tables cannot be made or updated: {}", explained(&error)));
    let transaction = client.transaction().await.map_err(failed)?;
    let mut found = version(&transaction).await.map_err(failed)?;
    if found < LATEST {
        found = update(&transaction).await.map_err(failed)?;
    }
    if found > LATEST {
        return Err(StoreError(format!(
            "its tables were made by a later version of Smartgate (their version is {found}, this one's {LATEST})"
        )));
    }
    transaction.commit().await.map_err(failed)
}

/// The version of the tables; 0 where there are none.
async fn version(transaction: &Transaction<'_>) -> Result<i64, Error> {
    // Read from the catalogue: `to_regclass` would remember from before the lock that there is none.
    let there = "SELECT EXISTS (SELECT 1 FROM pg_tables
                 WHERE schemaname = ANY (current_schemas(false)) AND tablename = 'smartgate_schema')";
    let there = transaction.query_one(there, &[]).await?;
    if !there.try_get::<_, bool>(0)? {
        return Ok(0);
    }
    let row = transaction.query_one("SELECT coalesce(max(version), 0) FROM smartgate_schema", &[]).await?;
    row.try_get(0)
}

/// Brings the tables up to date, and says which version they have then.
async fn update(transaction: &Transaction<'_>) -> Result<i64, Error> {
    // Replicas that start together wait here for the first; it may have more to do than an operation.
    transaction.batch_execute("SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '60s'").await?;
    execute(transaction, "SELECT pg_advisory_xact_lock($1, 0)", &[&super::LOCKS]).await?;
    let done = version(transaction).await?;
    if done == 0 {
        transaction.batch_execute("CREATE TABLE smartgate_schema (version BIGINT PRIMARY KEY)").await?;
    }
    for (step, migration) in MIGRATIONS.iter().filter(|(step, _)| *step > done) {
        transaction.batch_execute(migration).await?;
        execute(transaction, "INSERT INTO smartgate_schema (version) VALUES ($1)", &[step]).await?;
    }
    version(transaction).await
}
