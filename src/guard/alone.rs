//! A batch of which something is hidden: each entry is carried out as the single request that it stands for, by the code of single
//! requests, and the answers are put together (enforcement.md §3 "batch").

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::bundle::unreadable;
use super::entries::{Decided, Done, SentEntry, Single};
use super::{Answer, Exchange, Guard, Outcome};
use crate::decide::{Entry, Permit, Refusal, request as rules};

/// Entries that are carried out at the same time.
pub(super) const AT_ONCE: usize = 4;

/// Carries out what passes of a batch; an answer for each entry, in order.
pub(super) async fn carry_out(
    guard: &Guard,
    exchange: &Exchange<'_>,
    decided: &[Decided],
    sent: &[SentEntry<'_>],
) -> Result<Vec<Done>, Refusal> {
    let room = &Room::of(exchange);
    let mut each = Vec::with_capacity(decided.len());
    for (decided, sent) in decided.iter().zip(sent) {
        each.push(boxed(async move {
            let answer = match decided {
                Ok(entry) => one(guard, exchange, entry, sent, room).await,
                Err(refused) => Err(refused.refusal.clone()),
            };
            Done::of(decided, answer)
        }));
    }
    stream::iter(each).buffered(AT_ONCE).try_collect().await
}

/// What is left of the limit of one answer: all answers together are held to it.
pub(super) struct Room(AtomicUsize);

impl Room {
    pub(super) fn of(exchange: &Exchange<'_>) -> Self {
        Self(AtomicUsize::new(exchange.snapshot.limits.response_body))
    }

    /// Takes room for so many bytes, if there is.
    pub(super) fn hold(&self, bytes: usize) -> Result<(), Refusal> {
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(bytes));
        taken.map(|_| ()).map_err(|_| rules::TOO_COSTLY.refuse().because("limits.response_body"))
    }

    /// The answer, if there is room for its body; a write that was done is told all the same.
    pub(super) fn take(&self, mut answer: Answer, reads: bool) -> Result<Answer, Refusal> {
        match self.hold(answer.body.len()) {
            Err(refusal) if reads => return Err(refusal),
            Err(_) => answer.body = Bytes::new(),
            Ok(()) => {}
        }
        Ok(answer)
    }
}

/// Carries one entry out by itself.
pub(super) async fn one(
    guard: &Guard,
    exchange: &Exchange<'_>,
    entry: &Entry,
    sent: &SentEntry<'_>,
    room: &Room,
) -> Result<Answer, Refusal> {
    let single = Single::of(exchange, entry, sent)?;
    let single = single.exchange(exchange, entry);
    let answer = match outcome(guard, &entry.permit, &single).await? {
        Outcome::Whole(answer) => answer,
        Outcome::Flowing(mut flowing) => {
            let limit = exchange.snapshot.limits.response_body;
            let mut held = BytesMut::new();
            while let Some(chunk) = flowing.chunk().await.map_err(|why| unreadable(&why.to_string()))? {
                if held.len() + chunk.len() > limit {
                    return Err(rules::UPSTREAM_UNREADABLE.refuse().because("too large to be held"));
                }
                held.extend_from_slice(&chunk);
            }
            let (upstream_status, headers) = (Some(flowing.status), flowing.headers.clone());
            Answer { upstream_status, headers, ..Answer::fhir(flowing.status, held.freeze()) }
        }
    };
    room.take(answer, entry.reads())
}

/// The permit of one entry carried out; behind a pointer, since a batch is a permit that is carried out, too.
fn outcome<'f>(
    guard: &'f Guard,
    permit: &'f Permit,
    exchange: &'f Exchange<'_>,
) -> Pin<Box<dyn Future<Output = Result<Outcome, Refusal>> + Send + 'f>> {
    Box::pin(guard.carry_out(permit, exchange))
}

/// A future by a name that the compiler can write down.
pub(super) fn boxed<'f, T>(
    future: impl Future<Output = T> + Send + 'f,
) -> Pin<Box<dyn Future<Output = T> + Send + 'f>> {
    Box::pin(future)
}
