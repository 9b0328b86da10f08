//! Refresh tokens: each row is one token by its digest; the live one of a grant is the one without `exchanged`.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::super::{
    Digest, LiveGrant, MOST_GRANTS, RefreshGrant, RefreshToken, Revoked, RevokedKind, Rotated, Rotation,
};
use super::revoke;
use crate::ambient::UnixSeconds;

pub(super) fn put(
    connection: &Connection,
    token: &Digest,
    grant: &RefreshGrant,
    now: UnixSeconds,
    expires: UnixSeconds,
) -> rusqlite::Result<bool> {
    let kept = connection
        .prepare_cached(
            "INSERT INTO grants (id, client, username, payload, used, expires)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6
             WHERE NOT EXISTS (SELECT 1 FROM revocations WHERE kind = ?7 AND issuer = '' AND id = ?1)",
        )?
        .execute(params![grant.id, grant.client, grant.username, grant.payload, now, expires, RevokedKind::Grant])?;
    if kept == 0 {
        return Ok(false);
    }
    insert(connection, token, &grant.id, expires)?;
    Ok(true)
}

pub(super) fn get(connection: &Connection, token: &Digest, now: UnixSeconds) -> rusqlite::Result<Option<RefreshToken>> {
    connection
        .prepare_cached(
            "SELECT grants.id, client, username, payload, refresh_tokens.expires, exchanged IS NULL
             FROM refresh_tokens JOIN grants ON grants.id = grant_id
             WHERE token = ?1 AND refresh_tokens.expires > ?2",
        )?
        .query_row(params![token, now], refresh_token)
        .optional()
}

pub(super) fn grants_of(connection: &Connection, username: &str, now: UnixSeconds) -> rusqlite::Result<Vec<LiveGrant>> {
    connection
        .prepare_cached(
            "SELECT id, client, username, payload, used, expires FROM grants
             WHERE username = ?1 AND expires > ?2 ORDER BY used DESC, id LIMIT ?3",
        )?
        .query_map(params![username, now, MOST_GRANTS], |row| {
            let grant =
                RefreshGrant { id: row.get(0)?, client: row.get(1)?, username: row.get(2)?, payload: row.get(3)? };
            Ok(LiveGrant { grant, used: row.get(4)?, expires: row.get(5)? })
        })?
        .collect()
}

pub(super) fn rotate(connection: &Connection, rotation: &Rotation) -> rusqlite::Result<Rotated> {
    let Rotation { token, successor, now, expires, .. } = rotation;
    let grant: Option<String> = connection
        .prepare_cached(
            "UPDATE refresh_tokens SET exchanged = ?2, successor = ?3
             WHERE token = ?1 AND exchanged IS NULL AND expires > ?2 RETURNING grant_id",
        )?
        .query_row(params![token, now, successor], |row| row.get(0))
        .optional()?;
    let Some(grant) = grant else {
        return exchanged(connection, rotation);
    };
    insert(connection, successor, &grant, *expires)?;
    connection
        .prepare_cached("UPDATE grants SET used = ?2, expires = ?3 WHERE id = ?1")?
        .execute(params![grant, now, expires])?;
    Ok(Rotated::Fresh)
}

/// What a token that is not live is: shown again by somebody who did not get the answer, or by somebody who should not have it.
fn exchanged(connection: &Connection, rotation: &Rotation) -> rusqlite::Result<Rotated> {
    let Rotation { token, now, repeat_after, repeat_before, .. } = rotation;
    let found: Option<(String, Option<Digest>)> = connection
        .prepare_cached(
            "SELECT old.grant_id, new.token FROM refresh_tokens AS old
             LEFT JOIN refresh_tokens AS new
                 ON new.token = old.successor AND new.exchanged IS NULL AND new.expires > ?2
                 AND old.exchanged > ?3 AND old.exchanged < ?4
             WHERE old.token = ?1 AND old.exchanged IS NOT NULL AND old.expires > ?2",
        )?
        .query_row(params![token, now, repeat_after, repeat_before], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match found {
        None => Ok(Rotated::Unknown),
        Some((_, Some(successor))) => Ok(Rotated::Repeated { successor }),
        Some((grant, None)) => {
            revoke(connection, &Revoked::Grant(grant), rotation.revoke_until)?;
            Ok(Rotated::Reused)
        }
    }
}

/// Forgets a grant with its tokens.
pub(super) fn forget(connection: &Connection, grant: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM refresh_tokens WHERE grant_id = ?1")?.execute([grant])?;
    connection.prepare_cached("DELETE FROM grants WHERE id = ?1")?.execute([grant])?;
    Ok(())
}

fn insert(connection: &Connection, token: &Digest, grant: &str, expires: UnixSeconds) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO refresh_tokens (token, grant_id, expires) VALUES (?1, ?2, ?3)")?
        .execute(params![token, grant, expires])
        .map(|_| ())
}

fn refresh_token(row: &Row<'_>) -> rusqlite::Result<RefreshToken> {
    Ok(RefreshToken {
        grant: RefreshGrant { id: row.get(0)?, client: row.get(1)?, username: row.get(2)?, payload: row.get(3)? },
        expires: row.get(4)?,
        live: row.get(5)?,
    })
}
