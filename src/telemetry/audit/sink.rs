//! Where the writer's bytes go.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Mode of a new audit file: its group may read it, a log shipper for one.
pub(super) const MODE: u32 = 0o640;

/// How often it is looked whether the file was moved away.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A place that takes bytes.
pub(super) trait Sink: Send {
    /// Takes some of `bytes` and says how many.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Between two writes: whether what comes next goes to another file than what came before.
    fn renew(&mut self) -> io::Result<bool> {
        Ok(false)
    }
}

/// Standard output, without the buffer that Rust puts before it.
pub(super) struct StandardOutput(File);

impl StandardOutput {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self(io::stdout().as_fd().try_clone_to_owned()?.into()))
    }
}

impl Sink for StandardOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
}

/// A file that is appended to, by name: when the name stands for another file than the open one, that one is opened.
pub(super) struct Appended {
    path: PathBuf,
    file: File,
    /// Device and inode.
    identity: (u64, u64),
    looked: Instant,
}

impl Appended {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(MODE).open(path)?;
        let metadata = file.metadata()?;
        let identity = (metadata.dev(), metadata.ino());
        Ok(Self { path: path.to_owned(), file, identity, looked: Instant::now() })
    }

    /// Opens the file again if its name was given to another one, or to none. Where that fails nothing was looked at: the next write
    /// must not go to a file that is nowhere.
    fn reopen(&mut self) -> io::Result<bool> {
        let there = std::fs::metadata(&self.path);
        if there.is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity) {
            self.looked = Instant::now();
            return Ok(false);
        }
        *self = Self::open(&self.path)?;
        Ok(true)
    }
}

impl Sink for Appended {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn renew(&mut self) -> io::Result<bool> {
        if self.looked.elapsed() < LOOK_EVERY { Ok(false) } else { self.reopen() }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_that_was_moved_away_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, rotated) = (folder.path().join("audit.log"), folder.path().join("audit.log.1"));
        let mut sink = Appended::open(&path).unwrap();
        sink.write(b"one\n").unwrap();
        assert!(!sink.reopen().unwrap());
        std::fs::rename(&path, &rotated).unwrap();
        sink.write(b"two\n").unwrap();
        assert!(sink.reopen().unwrap());
        sink.write(b"three\n").unwrap();
        assert_eq!(std::fs::read(&rotated).unwrap(), b"one\ntwo\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"three\n");
    }

    #[test]
    fn without_its_folder_nothing_is_written_to_the_file_that_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs");
        std::fs::create_dir(&logs).unwrap();
        let mut sink = Appended::open(&logs.join("audit.log")).unwrap();
        std::fs::remove_dir_all(&logs).unwrap();
        sink.looked = Instant::now().checked_sub(LOOK_EVERY).unwrap();
        assert!(sink.renew().is_err());
        assert!(sink.renew().is_err(), "the second try comes before it is time to look again");
        std::fs::create_dir(&logs).unwrap();
        assert!(sink.renew().unwrap());
        sink.write(b"one\n").unwrap();
        assert_eq!(std::fs::read(logs.join("audit.log")).unwrap(), b"one\n");
    }

    #[test]
    fn others_cannot_read_it_and_what_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        Appended::open(&path).unwrap().write(b"one\n").unwrap();
        Appended::open(&path).unwrap().write(b"two\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o007, 0);
    }
}
