//! Whether the store's file is still the one that was opened.
//!
//! SQLite goes on with a file that was removed or that another one took the place of, as by a backup that is restored while the gate runs:
//! what it writes is lost at the next start, and a rotation of keys by `smartgate keys` is never heard of here.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A path, and the file that it led to when it was opened.
#[derive(Clone)]
pub(super) struct OpenedAt {
    path: PathBuf,
    file: (u64, u64),
}

impl OpenedAt {
    /// # Errors
    /// There is no file at the path.
    pub(super) fn now(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: identity(&fs::metadata(path)?) })
    }

    /// # Errors
    /// The path leads to another file, or to none.
    pub(super) fn still(&self) -> Result<(), String> {
        match fs::metadata(&self.path) {
            Ok(found) if identity(&found) == self.file => Ok(()),
            Ok(_) => {
                Err(format!("`{}` is another file than the one that was opened; restart the gate", self.path.display()))
            }
            Err(error) => Err(format!("`{}` was taken away ({error}); restart the gate", self.path.display())),
        }
    }
}

/// An open file keeps its number, so that no other one has it.
fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}
