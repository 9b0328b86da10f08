//! What the fuzzers run: plain functions of bytes that assert what must hold for any bytes, so that `cargo fuzz` (in `fuzz/`),
//! the property tests and the replay of the committed seeds run the same.

#![expect(clippy::panic, reason = "what does not hold ends the run")]

mod alike;
mod decision;
mod document;
mod grammar;
mod seal;

/// A function that fuzzers run.
pub type Target = fn(&[u8]);

/// Every target by its name in `fuzz/`, and in `fuzz/seeds/`.
pub const TARGETS: [(&str, Target); 11] = [
    ("target", grammar::target),
    ("query", grammar::query),
    ("search_key", grammar::search_key),
    ("reference", grammar::reference),
    ("scope", grammar::scope),
    ("json", document::json),
    ("patch", document::patch),
    ("rewriter", document::rewriter),
    ("decision", decision::decision),
    ("bundle", decision::bundle),
    ("seal", seal::seal),
];

/// Runs the target of this name.
///
/// # Panics
/// What the target asserts does not hold, or there is no such target.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| target);
    assert!(target.is_some(), "no target {name}");
    target.into_iter().for_each(|target| target(bytes));
}

#[cfg(test)]
mod tests;
