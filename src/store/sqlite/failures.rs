//! Failures under names; the rule is in `../failures.rs`.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::super::failures::{Failures, MAX_NAMES, any_last_pause, forgotten};
use super::super::{Attempt, Digest, Tried};
use crate::ambient::UnixSeconds;

pub(super) fn attempt(
    connection: &Connection,
    tried: Tried,
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
            "INSERT INTO failures (name, count, last, pause_until, tried) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (name) DO UPDATE SET count = excluded.count, last = excluded.last,
             pause_until = excluded.pause_until, tried = excluded.tried",
        )?
        .execute(params![name, next.count, next.last, next.pause_until, tried.number()])?;
    Ok(Attempt::Counted)
}

pub(super) fn pauses(connection: &Connection, now: UnixSeconds) -> rusqlite::Result<Vec<(Digest, UnixSeconds)>> {
    connection
        .prepare_cached(
            "SELECT name, pause_until FROM failures WHERE pause_until > ?1 AND tried = ?3
             ORDER BY pause_until DESC LIMIT ?2",
        )?
        .query_map([now, MAX_NAMES, Tried::Client.number()], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

pub(super) fn sweep(connection: &Connection, now: UnixSeconds) -> rusqlite::Result<usize> {
    let old = connection.prepare_cached("DELETE FROM failures WHERE last <= ?1")?.execute([forgotten(now)])?;
    let many = "DELETE FROM failures WHERE NOT (pause_until > ?2 AND pause_until <= ?3) AND name IN (
                    SELECT name FROM (
                        SELECT name, row_number() OVER (PARTITION BY tried ORDER BY count DESC, last DESC) AS place
                        FROM failures
                    ) WHERE place > ?1
                )";
    Ok(old + connection.prepare_cached(many)?.execute([MAX_NAMES, now, any_last_pause(now)])?)
}
