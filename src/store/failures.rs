//! Failures under one name, of a user or a client, and the pauses they bring: the rule, which is the same in every database.

use crate::ambient::UnixSeconds;

/// Failures in a row that are let through without a pause.
const FREE_FAILURES: i64 = 10;

/// The first pause in seconds; each further failure doubles it.
const FIRST_PAUSE: UnixSeconds = 60;

/// How far the clocks of replicas may differ, in seconds, that count failures together.
const REPLICAS: UnixSeconds = 60;

/// Seconds without a failure after which a name starts afresh.
const MEMORY: UnixSeconds = 60 * 60;

/// Names remembered of each [`Tried`]. Of those beyond it the next [`super::Store::sweep`] forgets the ones that failed least, and
/// of these the ones that have been quiet longest, but none whose pause still runs: to have a name forgotten, whoever tries must
/// fail under as many others as often. Tests fill it, so it is small there.
pub(super) const MAX_NAMES: i64 = if cfg!(test) { 200 } else { 10_000 };

/// Under what kind of name a secret was tried. Each has a room of its own, so that names that cost nothing to make up, or less to try,
/// crowd out no others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Tried {
    /// A user's.
    User,
    /// One that no user has.
    NoUser,
    /// A client's, which has a secret.
    Client,
    /// One that no client with a secret has.
    NoClient,
}

impl Tried {
    /// What stands for it in a table.
    pub(super) fn number(self) -> i64 {
        match self {
            Self::User => 0,
            Self::NoUser => 1,
            Self::Client => 2,
            Self::NoClient => 3,
        }
    }
}

/// What came of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attempt {
    /// It counts as failed until it is forgiven.
    Counted,
    /// There is a pause; it was not counted.
    Paused { until: UnixSeconds },
}

/// The row of a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Failures {
    pub(crate) count: i64,
    pub(crate) last: UnixSeconds,
    pub(crate) pause_until: UnixSeconds,
}

impl Failures {
    /// Of a name that never failed.
    pub(crate) fn none(now: UnixSeconds) -> Self {
        Self { count: 0, last: now, pause_until: 0 }
    }

    /// What the row becomes by one more attempt; its pauses grow to `longest` seconds.
    ///
    /// # Errors
    /// There is a pause until then.
    pub(crate) fn attempt(self, now: UnixSeconds, longest: UnixSeconds) -> Result<Self, UnixSeconds> {
        if self.pause_until > now && self.pause_until <= last_pause(now, longest) {
            return Err(self.pause_until);
        }
        let before = if now.saturating_sub(self.last) > MEMORY { 0 } else { self.count };
        let count = before.saturating_add(1);
        let pause_until = match count - FREE_FAILURES {
            beyond @ 0.. => now.saturating_add(pause(beyond, longest)),
            _ => 0,
        };
        Ok(Self { count, last: now, pause_until })
    }
}

/// When a pause that is under way at `now` ends at the latest. One that would end later was made before the clock was set back: it is
/// over, so that nobody is held back for hours, and the next failure makes another.
pub(super) fn last_pause(now: UnixSeconds, longest: UnixSeconds) -> UnixSeconds {
    now.saturating_add(longest).saturating_add(REPLICAS)
}

/// When a pause that is under way at `now` ends at the latest, whatever its longest is.
pub(super) fn any_last_pause(now: UnixSeconds) -> UnixSeconds {
    last_pause(now, MEMORY)
}

/// Rows whose last failure is not later than this are forgotten.
pub(super) fn forgotten(now: UnixSeconds) -> UnixSeconds {
    now.saturating_sub(MEMORY + 1)
}

fn pause(beyond: i64, longest: UnixSeconds) -> UnixSeconds {
    (FIRST_PAUSE << beyond.clamp(0, 8)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_have_an_end() {
        assert_eq!((0..6).map(|n| pause(n, 900)).collect::<Vec<_>>(), [60, 120, 240, 480, 900, 900]);
        assert_eq!((pause(i64::MAX, 900), pause(i64::MAX, 60)), (900, 60));
    }
}
