//! What is wrong with a configuration, collected so that all of it can be said at once.

use std::fmt;
use std::path::{Path, PathBuf};

/// Everything that is wrong with a configuration, each with file and line.
#[derive(Debug, thiserror::Error)]
pub struct ConfigErrors {
    problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Problem {
    file: PathBuf,
    /// None where the file as a whole is meant.
    line: Option<usize>,
    text: String,
}

impl Problem {
    pub(super) fn new(file: &Path, line: Option<usize>, text: String) -> Self {
        Self { file: file.to_owned(), line, text }
    }
}

impl ConfigErrors {
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup();
        Self { problems }
    }

    /// One line each: `conf/smartgate.toml:12: [fhir] upstream: …`.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.problems.iter().map(ToString::to_string)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => writeln!(f, "the configuration has an error")?,
            count => writeln!(f, "the configuration has {count} errors")?,
        }
        let lines: Vec<String> = self.lines().collect();
        f.write_str(&lines.join("\n"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.line {
            Some(line) => write!(f, "{file}:{line}: {}", self.text),
            None => write!(f, "{file}: {}", self.text),
        }
    }
}
