//! What the generator asked for, and how much of it passed.

use std::collections::BTreeMap;

use crate::requests::Asked;
use crate::run::Exchange;

#[derive(Default)]
pub(crate) struct Coverage {
    pub requests: usize,
    interactions: BTreeMap<&'static str, Row>,
    kinds: BTreeMap<String, Row>,
    refused: BTreeMap<String, usize>,
}

#[derive(Default)]
struct Row {
    asked: usize,
    passed: usize,
    denied: usize,
}

impl Row {
    fn count(&mut self, status: u16) {
        self.asked += 1;
        self.passed += usize::from(status < 400);
        self.denied += usize::from(status == 404);
    }
}

impl Coverage {
    pub(crate) fn count(&mut self, sequence: &[Option<Asked>], done: &[Option<Exchange>]) {
        for (asked, exchange) in sequence.iter().zip(done) {
            let (Some(asked), Some(exchange)) = (asked, exchange) else { continue };
            self.requests += exchange.replies.len();
            let first = &exchange.replies[0];
            self.interactions.entry(asked.interaction).or_default().count(first.status);
            for kind in &asked.kinds {
                self.kinds.entry(kind.clone()).or_default().count(first.status);
            }
            for reply in &exchange.replies[1..] {
                self.interactions.entry("page").or_default().count(reply.status);
            }
            if let Some(rule) = first.rule().filter(|_| first.status >= 400) {
                *self.refused.entry(rule).or_default() += 1;
            }
        }
    }

    /// Requests that passed, of a hundred.
    pub(crate) fn passed(&self) -> usize {
        let sum = |of: fn(&Row) -> usize| self.interactions.values().map(of).sum::<usize>();
        sum(|row| row.passed) * 100 / sum(|row| row.asked).max(1)
    }

    pub(crate) fn print(&self) {
        println!("{} requests, {} of 100 passed", self.requests, self.passed());
        println!("{:<24}{:>8}{:>8}{:>8}", "interaction", "asked", "passed", "404");
        for (name, row) in &self.interactions {
            println!("{name:<24}{:>8}{:>8}{:>8}", row.asked, row.passed, row.denied);
        }
        println!("{:<24}{:>8}{:>8}{:>8}", "parameter", "asked", "passed", "404");
        for (name, row) in &self.kinds {
            println!("{name:<24}{:>8}{:>8}{:>8}", row.asked, row.passed, row.denied);
        }
        println!("{:<32}{:>8}", "refused by", "times");
        for (name, times) in &self.refused {
            println!("{name:<32}{times:>8}");
        }
    }
}
