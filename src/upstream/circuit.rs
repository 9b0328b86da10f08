//! Whether an address is asked: it is left out after so many failures in a row, or when its checks fail, and comes back by itself.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::config::Health;

/// What is known of an address.
#[derive(Default)]
pub(super) struct Circuit {
    /// False while there is nothing to look at in `state`.
    troubled: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Requests in a row that failed.
    failures: u32,
    /// When the next request may try it, while the circuit is open.
    out_until: Option<Instant>,
    /// Checks in a row that said something else than `ill`.
    contrary: u32,
    ill: bool,
}

/// Whether an address may be asked; as a number, what the metric shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    In,
    /// It is out, and the next request tries it.
    Trial,
    Out,
}

impl Circuit {
    pub(super) fn standing(&self) -> Standing {
        if !self.troubled.load(Ordering::Relaxed) {
            return Standing::In;
        }
        self.state.lock().standing()
    }

    /// Takes the trial, if it is there to be taken: the next one is `out_for` later.
    pub(super) fn take_trial(&self, health: &Health) -> bool {
        let mut state = self.state.lock();
        let trial = state.standing() == Standing::Trial;
        if trial {
            state.out_until = Some(Instant::now() + health.out_for);
        }
        trial
    }

    /// A request was answered; true if the address is in again by it.
    pub(super) fn answered(&self) -> bool {
        if !self.troubled.load(Ordering::Relaxed) {
            return false;
        }
        let mut state = self.state.lock();
        state.failures = 0;
        let back = state.out_until.take().is_some() && !state.ill;
        self.troubled.store(state.ill || state.contrary > 0, Ordering::Relaxed);
        back
    }

    /// A request failed; true if the address is out by it.
    pub(super) fn failed(&self, health: &Health) -> bool {
        let mut state = self.state.lock();
        self.troubled.store(true, Ordering::Relaxed);
        state.failures = state.failures.saturating_add(1);
        let was_in = state.out_until.is_none();
        if !was_in || state.failures >= health.failures {
            state.out_until = Some(Instant::now() + health.out_for);
        }
        was_in && state.out_until.is_some() && !state.ill
    }

    /// A check was passed or not; true if the address is in or out by it.
    pub(super) fn checked(&self, passed: bool, health: &Health) -> bool {
        let mut state = self.state.lock();
        if passed != state.ill {
            state.contrary = 0;
        } else {
            state.contrary += 1;
        }
        let turned = state.contrary >= if state.ill { health.rise } else { health.fall };
        if turned {
            state.ill = !state.ill;
            state.contrary = 0;
        }
        let troubled = state.ill || state.contrary > 0 || state.failures > 0 || state.out_until.is_some();
        self.troubled.store(troubled, Ordering::Relaxed);
        turned && state.out_until.is_none()
    }
}

impl State {
    fn standing(&self) -> Standing {
        match self.out_until {
            _ if self.ill => Standing::Out,
            None => Standing::In,
            Some(until) if Instant::now() < until => Standing::Out,
            Some(_) => Standing::Trial,
        }
    }
}

#[cfg(test)]
#[path = "circuit_tests.rs"]
mod tests;
