//! SQLite: one file; one thread writes, one reads.

mod clients;
mod failures;
mod place;
mod refresh;
mod schema;
mod worker;

use std::path::Path;

use async_trait::async_trait;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    Attempt, ClientsVersion, Digest, KeyPurpose, LiveGrant, PAGE, Redemption, RefreshGrant, RefreshToken, Revocation,
    Revoked, RevokedKind, Rotated, Rotation, Store, StoreError, StoredClient, StoredKey, Tried,
};
use crate::ambient::UnixSeconds;
use place::OpenedAt;
use worker::{Access, Worker};

/// A store in a SQLite file.
pub struct SqliteStore {
    writer: Worker,
    reader: Worker,
}

impl SqliteStore {
    /// Opens the file, makes it and its folder where they are missing, and brings its tables up to date.
    ///
    /// # Errors
    /// The file cannot be opened or is no database of this program.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let writer = schema::open(path)?;
        let place = OpenedAt::now(path).map_err(|error| StoreError(format!("`{}`: {error}", path.display())))?;
        let reader = schema::open_reader(path)?;
        let writer = Worker::start(writer, Access::Write, place.clone())?;
        Ok(Self { writer, reader: Worker::start(reader, Access::Read, place)? })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        self.reader
            .run(|connection| {
                let mut keys = connection.prepare_cached(
                    "SELECT id, purpose, algorithm, secret, created, active_from, retired FROM keys
                     ORDER BY created, active_from, id",
                )?;
                keys.query_map([], stored_key)?.collect()
            })
            .await
    }

    async fn add_first_key(&self, key: &StoredKey) -> Result<(), StoreError> {
        let key = key.clone();
        self.writer
            .run(move |connection| {
                connection.execute(
                    "INSERT INTO keys (id, purpose, algorithm, secret, created, active_from, retired)
                     SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
                     WHERE NOT EXISTS (SELECT 1 FROM keys WHERE purpose = ?2 AND retired IS NULL)",
                    params![key.id, key.purpose, key.algorithm, key.secret, key.created, key.active_from, key.retired],
                )?;
                Ok(())
            })
            .await
    }

    async fn rotate_key(&self, key: &StoredKey) -> Result<(), StoreError> {
        let key = key.clone();
        self.writer
            .run(move |connection| {
                connection.execute(
                    "UPDATE keys SET retired = ?2 WHERE purpose = ?1 AND (retired IS NULL OR retired > ?2)",
                    params![key.purpose, key.active_from],
                )?;
                insert_key(connection, &key)
            })
            .await
    }

    async fn replace_keys(&self, keys: &[StoredKey]) -> Result<(), StoreError> {
        let keys = keys.to_vec();
        self.writer
            .run(move |connection| {
                for table in ["keys", "grants", "refresh_tokens", "codes", "pending"] {
                    connection.execute(&format!("DELETE FROM {table}"), [])?;
                }
                keys.iter().try_for_each(|key| insert_key(connection, key))
            })
            .await
    }

    async fn forget_keys(&self, before: UnixSeconds) -> Result<(), StoreError> {
        self.writer
            .run(move |connection| connection.execute("DELETE FROM keys WHERE retired < ?1", [before]).map(|_| ()))
            .await
    }

    async fn put_pending(&self, handle: &Digest, state: &str, expires: UnixSeconds) -> Result<(), StoreError> {
        let (handle, state) = (*handle, state.to_owned());
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "INSERT INTO pending (handle, state, expires) VALUES (?1, ?2, ?3)
                         ON CONFLICT (handle) DO UPDATE SET state = excluded.state, expires = excluded.expires",
                    )?
                    .execute(params![handle, state, expires])
                    .map(|_| ())
            })
            .await
    }

    async fn pending(&self, handle: &Digest, now: UnixSeconds) -> Result<Option<String>, StoreError> {
        let handle = *handle;
        self.reader
            .run(move |connection| {
                connection
                    .prepare_cached("SELECT state FROM pending WHERE handle = ?1 AND expires > ?2")?
                    .query_row(params![handle, now], |row| row.get(0))
                    .optional()
            })
            .await
    }

    async fn take_pending(&self, handle: &Digest, now: UnixSeconds) -> Result<Option<String>, StoreError> {
        let handle = *handle;
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached("DELETE FROM pending WHERE handle = ?1 AND expires > ?2 RETURNING state")?
                    .query_row(params![handle, now], |row| row.get(0))
                    .optional()
            })
            .await
    }

    async fn put_code(
        &self,
        code: &Digest,
        grant: &str,
        payload: &str,
        expires: UnixSeconds,
    ) -> Result<(), StoreError> {
        let (code, grant, payload) = (*code, grant.to_owned(), payload.to_owned());
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "INSERT INTO codes (code, grant_id, payload, expires, kept_until) VALUES (?1, ?2, ?3, ?4, ?4)",
                    )?
                    .execute(params![code, grant, payload, expires])
                    .map(|_| ())
            })
            .await
    }

    async fn redeem_code(
        &self,
        code: &Digest,
        now: UnixSeconds,
        remember_until: UnixSeconds,
    ) -> Result<Redemption, StoreError> {
        let code = *code;
        self.writer.run(move |connection| redeem(connection, &code, now, remember_until)).await
    }

    async fn put_refresh(
        &self,
        token: &Digest,
        grant: &RefreshGrant,
        now: UnixSeconds,
        expires: UnixSeconds,
    ) -> Result<bool, StoreError> {
        let (token, grant) = (*token, grant.clone());
        self.writer.run(move |connection| refresh::put(connection, &token, &grant, now, expires)).await
    }

    async fn refresh(&self, token: &Digest, now: UnixSeconds) -> Result<Option<RefreshToken>, StoreError> {
        let token = *token;
        self.reader.run(move |connection| refresh::get(connection, &token, now)).await
    }

    async fn grants_of(&self, username: &str, now: UnixSeconds) -> Result<Vec<LiveGrant>, StoreError> {
        let username = username.to_owned();
        self.reader.run(move |connection| refresh::grants_of(connection, &username, now)).await
    }

    async fn rotate_refresh(&self, rotation: &Rotation) -> Result<Rotated, StoreError> {
        let rotation = rotation.clone();
        self.writer.run(move |connection| refresh::rotate(connection, &rotation)).await
    }

    async fn first_use(
        &self,
        issuer: &str,
        id: &str,
        now: UnixSeconds,
        expires: UnixSeconds,
    ) -> Result<bool, StoreError> {
        let (issuer, id) = (issuer.to_owned(), id.to_owned());
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "INSERT INTO seen (issuer, id, expires) VALUES (?1, ?2, ?4)
                         ON CONFLICT (issuer, id) DO UPDATE SET expires = excluded.expires WHERE seen.expires <= ?3",
                    )?
                    .execute(params![issuer, id, now, expires])
                    .map(|rows| rows == 1)
            })
            .await
    }

    async fn revoke(&self, revoked: &Revoked, expires: UnixSeconds) -> Result<(), StoreError> {
        let revoked = revoked.clone();
        self.writer.run(move |connection| revoke(connection, &revoked, expires)).await
    }

    async fn last_revocation(&self) -> Result<i64, StoreError> {
        let last = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'revocations'";
        self.reader.run(move |connection| connection.prepare_cached(last)?.query_row([], |row| row.get(0))).await
    }

    async fn revocations_after(&self, sequence: i64, now: UnixSeconds) -> Result<Vec<Revocation>, StoreError> {
        self.reader
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "SELECT sequence, kind, issuer, id, expires FROM revocations
                         WHERE sequence > ?1 AND expires > ?2 ORDER BY sequence LIMIT ?3",
                    )?
                    .query_map(params![sequence, now, PAGE], revocation)?
                    .collect()
            })
            .await
    }

    async fn add_client(&self, client: &StoredClient, max: usize) -> Result<bool, StoreError> {
        let client = client.clone();
        self.writer.run(move |connection| clients::add(connection, &client, max)).await
    }

    async fn clients_version(&self) -> Result<ClientsVersion, StoreError> {
        self.reader.run(clients::version).await
    }

    async fn clients(&self) -> Result<Vec<StoredClient>, StoreError> {
        self.reader.run(clients::all).await
    }

    async fn remove_client(&self, id: &str) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.writer.run(move |connection| clients::remove(connection, &id)).await
    }

    async fn probe(&self, upstream: &str) -> Result<Option<String>, StoreError> {
        let upstream = upstream.to_owned();
        self.reader
            .run(move |connection| {
                let found = "SELECT found FROM probes WHERE upstream = ?1";
                connection.query_row(found, [upstream], |row| row.get(0)).optional()
            })
            .await
    }

    async fn put_probe(&self, upstream: &str, found: &str) -> Result<(), StoreError> {
        let (upstream, found) = (upstream.to_owned(), found.to_owned());
        let put = "INSERT INTO probes (upstream, found) VALUES (?1, ?2)
                   ON CONFLICT (upstream) DO UPDATE SET found = excluded.found";
        self.writer.run(move |connection| connection.execute(put, params![upstream, found]).map(|_| ())).await
    }

    async fn attempt(
        &self,
        tried: Tried,
        name: &Digest,
        now: UnixSeconds,
        longest: UnixSeconds,
    ) -> Result<Attempt, StoreError> {
        let name = *name;
        self.writer.run(move |connection| failures::attempt(connection, tried, &name, now, longest)).await
    }

    async fn forgive(&self, name: &Digest) -> Result<(), StoreError> {
        let name = *name;
        let forgive = "DELETE FROM failures WHERE name = ?1";
        self.writer.run(move |connection| connection.prepare_cached(forgive)?.execute([name]).map(|_| ())).await
    }

    async fn pauses(&self, now: UnixSeconds) -> Result<Vec<(Digest, UnixSeconds)>, StoreError> {
        self.reader.run(move |connection| failures::pauses(connection, now)).await
    }

    async fn sweep(&self, now: UnixSeconds, over: UnixSeconds) -> Result<usize, StoreError> {
        self.writer
            .run(move |connection| {
                let mut rows = connection.prepare_cached("DELETE FROM pending WHERE expires <= ?1")?.execute([now])?;
                for expired in [
                    "DELETE FROM codes WHERE kept_until <= ?1",
                    "DELETE FROM seen WHERE expires <= ?1",
                    "DELETE FROM revocations WHERE expires <= ?1",
                    "DELETE FROM refresh_tokens WHERE expires <= ?1",
                    "DELETE FROM grants WHERE expires <= ?1",
                ] {
                    rows += connection.prepare_cached(expired)?.execute([over])?;
                }
                Ok(rows + failures::sweep(connection, now)?)
            })
            .await
    }

    /// Asks the writer, who takes the write lock for it: a file that can only be read is not enough to log anyone in.
    async fn ping(&self) -> Result<(), StoreError> {
        self.writer.run(|connection| connection.query_row("SELECT 1", [], |_| Ok(()))).await
    }
}

fn redeem(
    connection: &Connection,
    code: &Digest,
    now: UnixSeconds,
    remember_until: UnixSeconds,
) -> rusqlite::Result<Redemption> {
    let fresh = connection
        .prepare_cached(
            "UPDATE codes SET spent = ?2, kept_until = max(expires, ?3)
             WHERE code = ?1 AND spent IS NULL AND expires > ?2 RETURNING payload",
        )?
        .query_row(params![code, now, remember_until], |row| row.get(0))
        .optional()?;
    if let Some(payload) = fresh {
        return Ok(Redemption::Fresh(payload));
    }
    let grant = connection
        .prepare_cached("SELECT grant_id FROM codes WHERE code = ?1 AND spent IS NOT NULL")?
        .query_row([code], |row| row.get(0))
        .optional()?;
    Ok(grant.map_or(Redemption::Unknown, |grant| Redemption::Replayed { grant }))
}

/// A revocation that lasts longer than the one there is replaces it, under a new sequence: everybody must hear of it.
fn revoke(connection: &Connection, revoked: &Revoked, expires: UnixSeconds) -> rusqlite::Result<()> {
    if let Revoked::Grant(grant) = revoked {
        refresh::forget(connection, grant)?;
    }
    let (kind, issuer, id) = revoked.columns();
    connection
        .prepare_cached("DELETE FROM revocations WHERE kind = ?1 AND issuer = ?2 AND id = ?3 AND expires < ?4")?
        .execute(params![kind, issuer, id, expires])?;
    connection
        .prepare_cached(
            "INSERT INTO revocations (kind, issuer, id, expires) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (kind, issuer, id) DO NOTHING",
        )?
        .execute(params![kind, issuer, id, expires])?;
    Ok(())
}

fn revocation(row: &Row<'_>) -> rusqlite::Result<Revocation> {
    let revoked = Revoked::of(row.get(1)?, row.get(2)?, row.get(3)?);
    Ok(Revocation { sequence: row.get(0)?, revoked, expires: row.get(4)? })
}

fn insert_key(connection: &Connection, key: &StoredKey) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO keys (id, purpose, algorithm, secret, created, active_from, retired)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![key.id, key.purpose, key.algorithm, key.secret, key.created, key.active_from, key.retired])
        .map(|_| ())
}

fn stored_key(row: &Row<'_>) -> rusqlite::Result<StoredKey> {
    Ok(StoredKey {
        id: row.get(0)?,
        purpose: row.get(1)?,
        algorithm: row.get(2)?,
        secret: row.get(3)?,
        created: row.get(4)?,
        active_from: row.get(5)?,
        retired: row.get(6)?,
    })
}

impl ToSql for KeyPurpose {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.number()))
    }
}

impl FromSql for KeyPurpose {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let number = value.as_i64()?;
        Self::numbered(number).ok_or(FromSqlError::OutOfRange(number))
    }
}

impl ToSql for RevokedKind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.number()))
    }
}

impl FromSql for RevokedKind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let number = value.as_i64()?;
        Self::numbered(number).ok_or(FromSqlError::OutOfRange(number))
    }
}

#[cfg(test)]
mod tests;
