//! Series that are looked up once.

use std::hash::Hash;

use prometheus::{Histogram, HistogramVec};

use super::PathTaken;

/// Handles by labels, resolved when they are first needed; looking one up again takes no lock and allocates nothing.
pub(super) struct Handles<K, H>(papaya::HashMap<K, H>);

impl<K: Hash + Eq + Copy, H> Handles<K, H> {
    pub(super) fn new() -> Self {
        Self(papaya::HashMap::new())
    }

    pub(super) fn with(&self, labels: K, resolve: impl FnOnce() -> H, act: impl FnOnce(&H)) {
        act(self.0.pin().get_or_insert_with(labels, resolve));
    }
}

/// One histogram for each path that a request can take.
pub(super) struct PerPath {
    stream: Histogram,
    guard: Histogram,
    answer: Histogram,
    auth: Histogram,
}

impl PerPath {
    pub(super) fn of(histograms: &HistogramVec) -> Self {
        let handle = |path: PathTaken| histograms.with_label_values(&[path.label()]);
        Self {
            stream: handle(PathTaken::Stream),
            guard: handle(PathTaken::Guard),
            answer: handle(PathTaken::Answer),
            auth: handle(PathTaken::Auth),
        }
    }

    pub(super) fn get(&self, path: PathTaken) -> &Histogram {
        match path {
            PathTaken::Stream => &self.stream,
            PathTaken::Guard => &self.guard,
            PathTaken::Answer => &self.answer,
            PathTaken::Auth => &self.auth,
        }
    }
}
