//! The last lines of the audit log, held in memory: what an operator asks by request id when somebody is on the phone.
//!
//! The writer fills it, so that no request pays for it; as long as the sink takes nothing, nothing new is held either.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Rows of each table of [`Refusals`].
const ROWS: usize = 20;

/// Lines up to a number of bytes; the oldest make room.
#[derive(Debug)]
pub struct Recent {
    limit: AtomicUsize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
}

impl Held {
    fn shrink(&mut self, limit: usize) {
        while self.bytes > limit
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(oldest.len());
        }
    }
}

/// Refusals among the lines that are held, the most frequent first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Refusals {
    pub by_rule: Vec<(String, usize)>,
    pub by_client: Vec<(String, usize)>,
    /// The newest first.
    pub latest: Vec<Refused>,
    /// When the oldest line that is held was written, of whatever kind.
    pub since: Option<String>,
}

/// One refused request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    pub time: String,
    pub request_id: String,
    pub rule: String,
    pub client: Option<String>,
}

/// What is looked for in a line.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    request_id: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    decision: Option<Cow<'a, str>>,
    #[serde(borrow)]
    rule: Option<Cow<'a, str>>,
    #[serde(borrow)]
    client: Option<Cow<'a, str>>,
    entry: Option<usize>,
}

impl Recent {
    /// Holds at most `limit` bytes of lines; with 0 nothing.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: AtomicUsize::new(limit), held: Mutex::default() }
    }

    /// Takes a line that is written.
    pub(super) fn keep(&self, line: Vec<u8>) {
        let limit = self.limit.load(Ordering::Relaxed);
        if line.len() > limit {
            return;
        }
        let mut held = self.held.lock();
        held.bytes = held.bytes.saturating_add(line.len());
        held.lines.push_back(line.into_boxed_slice());
        held.shrink(limit);
    }

    /// Holds at most `limit` bytes from now on.
    pub fn hold(&self, limit: usize) {
        if self.limit.swap(limit, Ordering::Relaxed) != limit {
            self.held.lock().shrink(limit);
        }
    }

    /// The lines of one request as they were written, the line of the whole before those of its entries.
    pub fn of_request(&self, id: &str) -> Vec<Box<RawValue>> {
        let mut found = Vec::new();
        for line in &self.held.lock().lines {
            if serde_json::from_slice::<Line<'_>>(line).is_ok_and(|line| line.request_id == id)
                && let Ok(line) = serde_json::from_slice(line)
            {
                found.push(line);
            }
        }
        found
    }

    /// How many lines are held.
    pub fn held(&self) -> usize {
        self.held.lock().lines.len()
    }

    /// Counts the refused requests that are held; the entries of a Bundle are no requests of their own.
    pub fn refusals(&self) -> Refusals {
        let (mut by_rule, mut by_client) = (Counts::default(), Counts::default());
        let held = self.held.lock();
        let (mut since, mut latest) = (None, VecDeque::new());
        for line in held.lines.iter().filter_map(|line| serde_json::from_slice::<Line<'_>>(line).ok()) {
            since.get_or_insert_with(|| line.time.to_string());
            if line.decision.as_deref() == Some("refuse") && line.entry.is_none() {
                by_rule.add(line.rule.as_deref().unwrap_or_default());
                by_client.add(line.client.as_deref().unwrap_or_default());
                latest.truncate(ROWS - 1);
                latest.push_front(Refused {
                    time: line.time.into_owned(),
                    request_id: line.request_id.into_owned(),
                    rule: line.rule.unwrap_or_default().into_owned(),
                    client: line.client.map(Cow::into_owned),
                });
            }
        }
        Refusals { by_rule: by_rule.most(), by_client: by_client.most(), latest: latest.into(), since }
    }
}

#[derive(Default)]
struct Counts(HashMap<String, usize>);

impl Counts {
    fn add(&mut self, name: &str) {
        match self.0.get_mut(name) {
            Some(count) => *count += 1,
            None => drop(self.0.insert(name.to_owned(), 1)),
        }
    }

    fn most(self) -> Vec<(String, usize)> {
        let mut counts: Vec<_> = self.0.into_iter().collect();
        counts.sort_by(|(name, count), (other, of_other)| of_other.cmp(count).then_with(|| name.cmp(other)));
        counts.truncate(ROWS);
        counts
    }
}

#[cfg(test)]
#[path = "recent_tests.rs"]
mod tests;
