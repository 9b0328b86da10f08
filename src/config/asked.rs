//! What the checks ask for, each key with its kind and its default: what the reference is made of.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Section (`[fhir]`), and key with what it is within (`health.interval`).
pub(super) type Name = (String, String);

thread_local! {
    static ASKED: RefCell<BTreeMap<Name, Asked>> = const { RefCell::new(BTreeMap::new()) };
}

/// What is known of a key that was asked for.
#[derive(Clone, Default, Debug)]
pub(super) struct Asked {
    pub(super) shape: Shape,
    /// As it is written in TOML; none where leaving the key out is something else than any value of it.
    pub(super) default: Option<String>,
    pub(super) is_required: bool,
}

/// What a key takes.
#[derive(Clone, Default, Debug)]
pub(super) enum Shape {
    #[default]
    Text,
    Texts {
        /// Whether an empty list is wrong.
        filled: bool,
    },
    OneOrMany,
    Flag,
    Number(RangeInclusive<usize>),
    Time(RangeInclusive<Duration>),
    Choice(Vec<String>),
    /// A list of these.
    Choices(Vec<String>),
    Table,
    /// A table of texts, whose keys are no fixed set.
    OpenTable,
    Tables,
}

/// Adds to what is known of a key.
pub(super) fn note(section: &str, key: String, more: impl FnOnce(&mut Asked)) {
    ASKED.with_borrow_mut(|all| more(all.entry((section.to_owned(), key)).or_default()));
}

/// What was asked for in this thread since the last time.
pub(super) fn take() -> BTreeMap<Name, Asked> {
    ASKED.take()
}
