//! Failures under names; the rule is in `../failures.rs`. Who counts one holds the row of the name.

use deadpool_postgres::Client;
use tokio_postgres::Error;

use super::super::failures::{Failures, MAX_NAMES, any_last_pause, forgotten, last_pause};
use super::super::{Attempt, Digest, Tried};
use super::{Topic, execute, query, query_opt, ring};
use crate::ambient::UnixSeconds;

pub(super) async fn attempt(
    client: &mut Client,
    tried: Tried,
    name: &Digest,
    now: UnixSeconds,
    longest: UnixSeconds,
) -> Result<Attempt, Error> {
    let name = name.as_slice();
    // Whoever goes on during a pause writes nothing.
    let paused = "SELECT pause_until FROM failures WHERE name = $1 AND pause_until > $2 AND pause_until <= $3";
    if let Some(row) = query_opt(client, paused, &[&name, &now, &last_pause(now, longest)]).await? {
        return Ok(Attempt::Paused { until: row.try_get(0)? });
    }
    let transaction = client.transaction().await?;
    let Failures { count, last, pause_until } = Failures::none(now);
    let hold = "INSERT INTO failures (name, count, last, pause_until) VALUES ($1, $2, $3, $4)
                ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING count, last, pause_until";
    let kept = query_opt(&transaction, hold, &[&name, &count, &last, &pause_until]).await?;
    let kept = match kept {
        Some(row) => Failures { count: row.try_get(0)?, last: row.try_get(1)?, pause_until: row.try_get(2)? },
        None => Failures::none(now),
    };
    let next = match kept.attempt(now, longest) {
        Ok(next) => next,
        Err(until) => return Ok(Attempt::Paused { until }),
    };
    let count = "UPDATE failures SET count = $2, last = $3, pause_until = $4, tried = $5 WHERE name = $1";
    execute(&transaction, count, &[&name, &next.count, &next.last, &next.pause_until, &tried.number()]).await?;
    if tried == Tried::Client && next.pause_until > now {
        ring(&transaction, Topic::Pauses).await?;
    }
    transaction.commit().await.map(|()| Attempt::Counted)
}

pub(super) async fn forgive(client: &Client, name: &Digest) -> Result<(), Error> {
    execute(client, "DELETE FROM failures WHERE name = $1", &[&name.as_slice()]).await.map(|_| ())
}

pub(super) async fn pauses(client: &Client, now: UnixSeconds) -> Result<Vec<(Digest, UnixSeconds)>, Error> {
    let read = "SELECT name, pause_until FROM failures WHERE pause_until > $1 AND tried = $3
                ORDER BY pause_until DESC LIMIT $2";
    let mut pauses = Vec::new();
    for row in query(client, read, &[&now, &MAX_NAMES, &Tried::Client.number()]).await? {
        if let Ok(name) = Digest::try_from(row.try_get::<_, &[u8]>(0)?) {
            pauses.push((name, row.try_get(1)?));
        }
    }
    Ok(pauses)
}

pub(super) async fn sweep(client: &Client, now: UnixSeconds) -> Result<u64, Error> {
    let old = execute(client, "DELETE FROM failures WHERE last <= $1", &[&forgotten(now)]).await?;
    // The pause is looked at outside of the ranking, so that one that begins meanwhile is seen.
    let many = "DELETE FROM failures WHERE NOT (pause_until > $2 AND pause_until <= $3) AND name IN (
                    SELECT name FROM (
                        SELECT name, row_number() OVER (PARTITION BY tried ORDER BY count DESC, last DESC) AS place
                        FROM failures
                    ) AS ranked WHERE place > $1
                )";
    Ok(old + execute(client, many, &[&MAX_NAMES, &now, &any_last_pause(now)]).await?)
}
