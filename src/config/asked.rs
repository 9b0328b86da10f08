//! What the checks ask for, each with its type and its default: the tables of `docs/configuration.md` are held against it.

use std::cell::RefCell;
use std::path::PathBuf;

thread_local! {
    static ASKED: RefCell<Vec<Asked>> = const { RefCell::new(Vec::new()) };
}

/// A key that was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Asked {
    pub(super) file: PathBuf,
    /// `[fhir]`; empty at the top of a file.
    pub(super) section: String,
    /// With what it is within: `health.interval`.
    pub(super) key: String,
    /// As the documentation writes it; none where the checks alone know.
    pub(super) of: Option<String>,
    pub(super) default: String,
}

pub(super) fn note(asked: Asked) {
    ASKED.with_borrow_mut(|all| all.push(asked));
}

/// What was asked for in this thread since the last time.
pub(super) fn take() -> Vec<Asked> {
    ASKED.take()
}
