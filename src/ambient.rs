//! Time and randomness, passed in so that every test can fix them.

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Seconds since 1970-01-01T00:00:00Z, as JWT `NumericDate` has them (RFC 7519 §2).
pub type UnixSeconds = i64;

/// So many seconds the wall clock may be stepped, forwards or back, before anything that was used or revoked could be good again:
/// so long it is remembered past its time. The clock of another time zone is not further off.
const STEPS: UnixSeconds = 24 * 60 * 60;

/// The wall clock, by which others say when something expires, and a steady one, by which is measured how long something lasts.
pub trait Clock: Send + Sync {
    /// The present moment in whole seconds. It may be set forwards and back at any time.
    fn now(&self) -> UnixSeconds;

    /// The time since 1970 as finely as the clock knows it.
    fn since_epoch(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.now()).unwrap_or_default())
    }

    /// Time since some moment that stays the same. It never goes back, whatever is done to the wall clock.
    fn steady(&self) -> Duration {
        self.since_epoch()
    }
}

/// A source of cryptographically strong random bytes.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with random bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// The clock and the randomness that a part of the gate is given.
#[derive(Clone)]
pub struct Ambient {
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl Ambient {
    /// The machine's own clock and random generator.
    pub fn system() -> Self {
        Self { clock: Arc::new(SystemClock), entropy: Arc::new(SystemEntropy) }
    }

    /// The present moment.
    pub fn now(&self) -> UnixSeconds {
        self.clock.now()
    }

    /// Time since some moment that stays the same, by the clock that is never stepped.
    pub fn steady(&self) -> Duration {
        self.clock.steady()
    }

    /// What was over at this moment may be forgotten: no step of the wall clock that is to be borne brings its time back.
    pub fn forgettable(&self) -> UnixSeconds {
        self.now().saturating_sub(STEPS)
    }

    /// A fresh unguessable value of 256 bits, base64url without padding (43 characters).
    pub fn secret(&self) -> String {
        let mut bytes = [0u8; 32];
        self.entropy.fill(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// A fresh identifier of 128 bits, base64url without padding (22 characters).
    pub fn id(&self) -> String {
        let mut bytes = [0u8; 16];
        self.entropy.fill(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// What the steady clock counts from, in this process.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixSeconds {
        i64::try_from(self.since_epoch().as_secs()).unwrap_or(i64::MAX)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn since_epoch(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn steady(&self) -> Duration {
        START.elapsed()
    }
}

/// Bytes that are drawn at once: each draw has a cost of its own, and every request needs an id.
const DRAWN: usize = 512;

thread_local! {
    static AHEAD: RefCell<Ahead> = const { RefCell::new(Ahead { bytes: [0; DRAWN], used: DRAWN }) };
}

/// Randomness that was drawn and not given out yet; what was given out is not kept.
struct Ahead {
    bytes: [u8; DRAWN],
    used: usize,
}

impl Ahead {
    /// Fills `bytes` if it is no more than is drawn at once.
    fn fill(&mut self, bytes: &mut [u8]) -> Option<()> {
        if self.bytes.len() - self.used < bytes.len() {
            draw(&mut self.bytes);
            self.used = 0;
        }
        let given = self.bytes.get_mut(self.used..self.used + bytes.len())?;
        bytes.copy_from_slice(given);
        given.fill(0);
        self.used += bytes.len();
        Some(())
    }
}

struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        if AHEAD.with_borrow_mut(|ahead| ahead.fill(bytes)).is_none() {
            draw(bytes);
        }
    }
}

fn draw(bytes: &mut [u8]) {
    // aws-lc aborts the process itself when the kernel gives no randomness; an error here cannot be ignored either.
    if aws_lc_rs::rand::fill(bytes).is_err() {
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nothing_is_given_out_twice() {
        let ambient = Ambient::system();
        let drawn: HashSet<String> = (0..10_000).flat_map(|_| [ambient.id(), ambient.secret()]).collect();
        assert_eq!(drawn.len(), 20_000);
    }

    #[test]
    fn more_than_is_drawn_at_once_is_drawn_for_itself() {
        let mut bytes = [0; 2 * DRAWN];
        Ambient::system().entropy.fill(&mut bytes);
        assert!(bytes.chunks(16).all(|chunk| chunk.iter().any(|byte| *byte != 0)));
    }
}
