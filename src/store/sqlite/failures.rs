//! Failures under names; the rule is in `../failures.rs`.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::super::failures::{Failures, MAX_NAMES, forgotten};
use super::super::{Attempt, Digest};
use crate::ambient::UnixSeconds;

pub(super) fn attempt(
    connection: &Connection,
    name: &Digest,
    now: UnixSeconds,
    longest: UnixSeconds,
) -> rusqlite::Result<Attempt> {
    let kept = connection
        .prepare_cached("SELECT count, last, pause_until FROM failures WHERE name = ?1")?
        .query_row([name], |row| Ok(Failures { count: row.get(0)?, last: row.get(1)?, pause_until: row.get(2)? }))
        .optional()?;
    let next = match kept.unwrap_or(Failures::none(now)).attempt(now, longest) {
        Ok(next) => next,
        Err(until) => return Ok(Attempt::Paused { until }),
    };
    connection
        .prepare_cached(
            "INSERT INTO failures (name, count, last, pause_until) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (name) DO UPDATE
             SET count = excluded.count, last = excluded.last, pause_until = excluded.pause_until",
        )?
        .execute(params![name, next.count, next.last, next.pause_until])?;
    Ok(Attempt::Counted)
}

pub(super) fn pauses(connection: &Connection, now: UnixSeconds) -> rusqlite::Result<Vec<(Digest, UnixSeconds)>> {
    connection
        .prepare_cached(
            "SELECT name, pause_until FROM failures WHERE pause_until > ?1 ORDER BY pause_until DESC LIMIT ?2",
        )?
        .query_map([now, MAX_NAMES], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

pub(super) fn sweep(connection: &Connection, now: UnixSeconds) -> rusqlite::Result<usize> {
    let old = connection.prepare_cached("DELETE FROM failures WHERE last <= ?1")?.execute([forgotten(now)])?;
    let many = "DELETE FROM failures WHERE name IN (SELECT name FROM failures ORDER BY last DESC LIMIT -1 OFFSET ?1)";
    Ok(old + connection.prepare_cached(many)?.execute([MAX_NAMES])?)
}
