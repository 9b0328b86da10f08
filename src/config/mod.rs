//! Configuration: files, checked and compiled as a whole into an immutable snapshot; reload while running.

mod snapshot;

use std::path::{Path, PathBuf};

pub use snapshot::*;

/// A configuration that was read and found right.
pub struct Loaded {
    pub snapshot: Snapshot,
    /// Every file that was read, for the watcher.
    pub files: Vec<PathBuf>,
}

/// Everything that is wrong with a configuration, each with file and line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigErrors(String);

/// Reads, checks and compiles the configuration.
///
/// # Errors
/// All that is wrong, at once.
pub fn load(_path: &Path) -> Result<Loaded, ConfigErrors> {
    todo!()
}
