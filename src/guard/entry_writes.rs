//! The writes of a transaction, each checked by the code of single requests before any goes up (enforcement.md §3, §5).

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::value::RawValue;

use super::alone::{AT_ONCE, Room, boxed};
use super::bundle::unreadable;
use super::checked::{self, Ready};
use super::conditional::{self, Resolved};
use super::entries::{Decided, SentEntry, Single};
use super::{Answer, Exchange, Guard};
use crate::decide::{
    Action, BUNDLE_OVERLAP, CheckedWrite, Entry, NOT_FOUND_OR_NOT_YOURS, Pin, REFERENCES_TOO_MANY, Refusal,
    UpstreamRequest,
};

/// A write that may go up.
pub(super) struct Write<'e> {
    index: usize,
    pub(super) entry: &'e Entry,
    pub(super) request: UpstreamRequest,
    pub(super) kind: Kind<'e>,
}

pub(super) enum Kind<'e> {
    /// Old and new were checked: this goes up.
    Checked { write: CheckedWrite, single: Single, ready: Ready },
    /// What was to be created is there, and this is the answer. It goes up only where others refer to it.
    There { answer: Answer, up: Option<Ready> },
    /// Of a type that is not restricted.
    Free { resource: Option<&'e RawValue>, readable: bool },
}

impl Write<'_> {
    /// What was checked and is still to be sent.
    pub(super) fn ready(&self) -> Option<&Ready> {
        match &self.kind {
            Kind::Checked { ready, .. } => Some(ready),
            Kind::There { up, .. } => up.as_ref(),
            Kind::Free { .. } => None,
        }
    }

    pub(super) fn goes_up(&self) -> bool {
        !matches!(self.kind, Kind::There { up: None, .. })
    }
}

/// Checks every write; the first that does not pass, in the client's order, refuses the whole.
pub(super) async fn check<'e>(
    guard: &Guard,
    exchange: &Exchange<'_>,
    decided: &'e [Decided],
    sent: &[SentEntry<'e>],
) -> Result<Vec<Write<'e>>, Refusal> {
    let room = &Room::of(exchange);
    let mut each = Vec::with_capacity(decided.len());
    for (index, (decided, sent)) in decided.iter().zip(sent).enumerate() {
        let Ok(entry) = decided else { continue };
        if !entry.reads() {
            each.push(boxed(async move {
                let checked = check_one(guard, exchange, entry, sent, room).await;
                let write = checked.map(|(request, kind)| Write { index, entry, request, kind });
                write.map_err(|refusal| refusal.at_entry(index))
            }));
        }
    }
    let writes: Vec<Write<'e>> = stream::iter(each).buffered(AT_ONCE).try_collect().await?;
    check_overlap(&writes)?;
    look_up(guard, exchange, &writes).await?;
    Ok(writes)
}

async fn check_one<'e>(
    guard: &Guard,
    exchange: &Exchange<'_>,
    entry: &'e Entry,
    sent: &SentEntry<'e>,
    room: &Room,
) -> Result<(UpstreamRequest, Kind<'e>), Refusal> {
    match entry.permit.action() {
        Action::Checked(write) => {
            let single = Single::of(exchange, entry, sent)?;
            check_direct(guard, exchange, entry, single, write.clone(), room).await
        }
        Action::Conditional(conditional) => {
            let single = Single::of(exchange, entry, sent)?;
            match conditional::resolve(guard, &single.exchange(exchange, entry), conditional).await? {
                Resolved::Answered(_) => Err(NOT_FOUND_OR_NOT_YOURS.refuse()),
                Resolved::There { id, answer } => {
                    let write = conditional.creation_beside(&id)?;
                    let request = write.send(Pin::New);
                    if entry.full_url.is_none() {
                        return Ok((request, Kind::There { answer, up: None }));
                    }
                    let ready = ready(guard, &single.exchange(exchange, entry), &write, room).await?;
                    Ok((request, Kind::There { answer, up: Some(ready) }))
                }
                // The FHIR server is not asked whether it has more that meets the criteria: what became of the whole would tell.
                Resolved::To { write, body } => {
                    check_direct(guard, exchange, entry, single.with_body(body), write.anyway(), room).await
                }
            }
        }
        Action::Write { request, readable, .. } => {
            Ok((request.clone(), Kind::Free { resource: sent.resource, readable: *readable }))
        }
        _ => Err(unreadable("an entry is neither a read nor a write")),
    }
}

/// Checks a write to an id, or a creation.
async fn check_direct<'e>(
    guard: &Guard,
    exchange: &Exchange<'_>,
    entry: &Entry,
    single: Single,
    write: CheckedWrite,
    room: &Room,
) -> Result<(UpstreamRequest, Kind<'e>), Refusal> {
    let ready = ready(guard, &single.exchange(exchange, entry), &write, room).await?;
    let request = write.send(ready.pin.clone());
    Ok((request, Kind::Checked { write, single, ready }))
}

async fn ready(guard: &Guard, single: &Exchange<'_>, write: &CheckedWrite, room: &Room) -> Result<Ready, Refusal> {
    let ready = checked::check(guard, single, write).await?.ok_or_else(|| NOT_FOUND_OR_NOT_YOURS.refuse())?;
    room.hold(ready.body.as_ref().map_or(0, Bytes::len))?;
    Ok(ready)
}

/// What was found by criteria must not be what another entry writes to: what that leaves is not what was checked.
fn check_overlap(writes: &[Write<'_>]) -> Result<(), Refusal> {
    let mut written = HashSet::new();
    for write in writes {
        if let Kind::Checked { write: checked, .. } = &write.kind
            && let Some(id) = checked.id()
            && !written.insert((checked.of(), id))
        {
            return Err(BUNDLE_OVERLAP.refuse().at_entry(write.index));
        }
    }
    Ok(())
}

/// Looks at everything that the bodies refer to: each once, and of all together no more than of one write.
async fn look_up(guard: &Guard, exchange: &Exchange<'_>, writes: &[Write<'_>]) -> Result<(), Refusal> {
    let mut all = Vec::new();
    for write in writes {
        for look_up in write.ready().into_iter().flat_map(|ready| &ready.look_ups) {
            if all.iter().any(|(_, known)| *known == look_up) {
                continue;
            }
            if all.len() >= exchange.snapshot.limits.write_references {
                return Err(REFERENCES_TOO_MANY.refuse().at_entry(write.index));
            }
            all.push((write.index, look_up));
        }
    }
    let each = all.into_iter().map(|(index, look_up)| {
        boxed(async move {
            let found = checked::look_up(guard, exchange, std::slice::from_ref(look_up)).await;
            found.map_err(|refusal| refusal.at_entry(index))
        })
    });
    stream::iter(each.collect::<Vec<_>>()).buffered(AT_ONCE).try_collect().await
}
