//! Failures per name, of a user or a client: after too many, a pause that grows.
//!
//! Names that do not exist are counted like those that do, so that the pause tells nothing. The counts are this process's own and
//! end with it: docs/security.md says what that means.

use std::collections::HashMap;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::ambient::UnixSeconds;

/// Failures in a row that are let through without a pause.
const FREE_FAILURES: u32 = 10;

/// The first pause in seconds; each further failure doubles it.
const FIRST_PAUSE: UnixSeconds = 60;

/// Seconds without a failure after which a name starts afresh.
const MEMORY: UnixSeconds = 60 * 60;

/// Names remembered; beyond it the one that has been quiet longest is forgotten.
const MAX_NAMES: usize = 10_000;

struct Failures {
    count: u32,
    last: UnixSeconds,
    pause_until: UnixSeconds,
}

/// Failures by the digest of the name.
pub(super) struct Throttle {
    /// The longest pause in seconds.
    longest: UnixSeconds,
    names: Mutex<HashMap<[u8; 32], Failures>>,
}

impl Throttle {
    /// One whose pauses grow to `longest` seconds.
    pub(super) fn new(longest: UnixSeconds) -> Self {
        Self { longest, names: Mutex::default() }
    }

    /// Whether a secret may be tried now. The attempt counts as failed until [`Throttle::forgive`], so that many at once
    /// are not many for the price of one.
    ///
    /// # Errors
    /// How many seconds there are still to wait.
    pub(super) fn attempt(&self, name: &str, now: UnixSeconds) -> Result<(), UnixSeconds> {
        let mut names = self.names.lock();
        let key = key(name);
        if names.len() >= MAX_NAMES && !names.contains_key(&key) {
            make_room(&mut names, now);
        }
        let entry = names.entry(key).or_insert(Failures { count: 0, last: now, pause_until: 0 });
        if now < entry.pause_until {
            return Err(entry.pause_until - now);
        }
        if now - entry.last > MEMORY {
            entry.count = 0;
        }
        entry.count = entry.count.saturating_add(1);
        entry.last = now;
        if let Some(beyond) = entry.count.checked_sub(FREE_FAILURES) {
            entry.pause_until = now + pause(beyond, self.longest);
        }
        Ok(())
    }

    /// The last attempt was right.
    pub(super) fn forgive(&self, name: &str) {
        self.names.lock().remove(&key(name));
    }
}

fn pause(beyond: u32, longest: UnixSeconds) -> UnixSeconds {
    (FIRST_PAUSE << beyond.min(8)).min(longest)
}

fn make_room(names: &mut HashMap<[u8; 32], Failures>, now: UnixSeconds) {
    names.retain(|_, failures| now - failures.last <= MEMORY);
    if names.len() >= MAX_NAMES {
        let quietest = names.iter().min_by_key(|(_, failures)| failures.last).map(|(key, _)| *key);
        quietest.map(|key| names.remove(&key));
    }
}

fn key(name: &str) -> [u8; 32] {
    Sha256::digest(name.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: UnixSeconds = 15 * 60;

    fn passes(throttle: &Throttle, name: &str, now: UnixSeconds) -> bool {
        throttle.attempt(name, now).is_ok()
    }

    #[test]
    fn row_232_after_ten_failures_there_is_a_pause_that_grows() {
        let throttle = Throttle::new(LONGEST);
        assert!((0..10).all(|_| passes(&throttle, "amy", 1000)));
        assert_eq!(throttle.attempt("amy", 1000), Err(60));
        assert_eq!(throttle.attempt("amy", 1059), Err(1));
        assert!(passes(&throttle, "bob", 1059), "another name is not held back");
        assert!(passes(&throttle, "amy", 1060));
        assert_eq!(throttle.attempt("amy", 1179), Err(1));
        assert!(passes(&throttle, "amy", 1180));
        assert!(passes(&throttle, "amy", 1180 + MEMORY + 1));
        assert!(passes(&throttle, "amy", 1180 + MEMORY + 1), "quiet for long is a fresh start");
    }

    #[test]
    fn a_right_password_wipes_the_slate() {
        let throttle = Throttle::new(LONGEST);
        assert!((0..9).all(|_| passes(&throttle, "amy", 0)));
        throttle.forgive("amy");
        assert!((0..10).all(|_| passes(&throttle, "amy", 0)));
        assert!(!passes(&throttle, "amy", 0));
    }

    #[test]
    fn pauses_have_an_end() {
        assert_eq!((0..6).map(|n| pause(n, LONGEST)).collect::<Vec<_>>(), [60, 120, 240, 480, 900, 900]);
        assert_eq!((pause(u32::MAX, LONGEST), pause(u32::MAX, 60)), (LONGEST, 60));
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::new(LONGEST);
        for n in 0..MAX_NAMES + 10 {
            assert!(passes(&throttle, &format!("user-{n}"), 5));
        }
        assert_eq!(throttle.names.lock().len(), MAX_NAMES);
    }
}
