//! Audit lines on their way to another server, in files that outlive the process: one writer at their end, one reader at their
//! beginning.
//!
//! A folder of numbered segments. The writer only appends, and begins another segment with each start; the reader remembers how
//! far it is and deletes what it is through with. A line whose end is missing in a segment that is finished was written whole to
//! the next one, or its process died over it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use super::sink::{MODE, Sink};

/// Bytes after which another segment is begun.
const SEGMENT: u64 = 4 * 1024 * 1024;

/// Bytes that are read at once; a line is shorter.
const READ: u64 = 256 * 1024;

const POSITION: &str = "position";
const REJECTED: &str = "rejected.jsonl";

/// The folder, and how much of it is not yet sent.
pub struct Spool {
    folder: PathBuf,
    /// Bytes that may wait.
    limit: u64,
    waiting: AtomicU64,
    /// Told when there is something to read.
    pub arrived: Notify,
    /// Held so that no second process takes the same folder.
    _lock: File,
}

/// How far the reader is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    segment: u64,
    offset: u64,
}

/// Whole lines, and where what follows begins.
#[derive(Debug, Default)]
pub struct Batch {
    pub lines: Vec<Vec<u8>>,
    pub next: Position,
}

impl Spool {
    /// Takes the folder, which is made where it is not there; `limit` bytes may wait in it.
    ///
    /// # Errors
    /// It cannot be written, or another process has it.
    pub fn open(folder: &Path, limit: u64) -> io::Result<Arc<Self>> {
        fs::create_dir_all(folder)?;
        let lock = OpenOptions::new().append(true).create(true).mode(MODE).open(folder.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other("another process has it"),
            TryLockError::Error(error) => error,
        })?;
        let spool =
            Self { folder: folder.to_owned(), limit, waiting: AtomicU64::new(0), arrived: Notify::new(), _lock: lock };
        spool.waiting.store(spool.measure()?, Ordering::Relaxed);
        Ok(Arc::new(spool))
    }

    /// Bytes that are not yet sent, or were refused.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Where to go on reading.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn position(&self) -> io::Result<Position> {
        let first = self.segments()?.first().copied().unwrap_or_default();
        let text = fs::read_to_string(self.folder.join(POSITION)).unwrap_or_default();
        let numbers: Vec<u64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        Ok(match numbers.as_slice() {
            [segment, offset] if *segment >= first => Position { segment: *segment, offset: *offset },
            _ => Position { segment: first, offset: 0 },
        })
    }

    /// The lines from `from` on, `most` of them; none when all is read.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub fn read(&self, from: Position, most: usize) -> io::Result<Batch> {
        let segments = self.segments()?;
        let mut at = from;
        loop {
            let mut chunk = Vec::new();
            match File::open(self.segment(at.segment)) {
                Ok(mut file) => {
                    file.seek(SeekFrom::Start(at.offset))?;
                    file.take(READ).read_to_end(&mut chunk)?;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            let lines: Vec<Vec<u8>> = chunk
                .split_inclusive(|byte| *byte == b'\n')
                .filter(|line| line.ends_with(b"\n"))
                .take(most)
                .map(<[u8]>::to_vec)
                .collect();
            if !lines.is_empty() {
                let read: usize = lines.iter().map(Vec::len).sum();
                let offset = at.offset.saturating_add(read as u64);
                return Ok(Batch { lines, next: Position { offset, ..at } });
            }
            // Nothing whole is left here; a segment that is followed by another is finished.
            match segments.iter().find(|segment| **segment > at.segment) {
                Some(next) => at = Position { segment: *next, offset: 0 },
                None => return Ok(Batch { lines, next: at }),
            }
        }
    }

    /// Remembers that everything before `position` is sent, and deletes the segments before it.
    ///
    /// # Errors
    /// The folder cannot be written; what was sent will then be sent again after a restart.
    pub fn sent(&self, position: Position) -> io::Result<()> {
        let beside = self.folder.join("position.new");
        fs::write(&beside, format!("{} {}\n", position.segment, position.offset))?;
        fs::rename(beside, self.folder.join(POSITION))?;
        for segment in self.segments()?.into_iter().filter(|segment| *segment < position.segment) {
            fs::remove_file(self.segment(segment))?;
        }
        self.look()
    }

    /// Keeps a line that the other server will never take, for whoever looks after it; until then it counts for the limit.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn reject(&self, line: &[u8]) -> io::Result<()> {
        OpenOptions::new().append(true).create(true).mode(MODE).open(self.folder.join(REJECTED))?.write_all(line)?;
        self.look()
    }

    /// Looks how much there is: what somebody took away no longer counts.
    fn look(&self) -> io::Result<()> {
        self.waiting.store(self.measure()?, Ordering::Relaxed);
        Ok(())
    }

    fn segment(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:012}.jsonl"))
    }

    /// The numbers of all segments, in order.
    fn segments(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let number: Option<u64> = name.to_str().and_then(|name| name.strip_suffix(".jsonl")?.parse().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn measure(&self) -> io::Result<u64> {
        let position = self.position()?;
        let mut bytes = fs::metadata(self.folder.join(REJECTED)).map_or(0, |rejected| rejected.len());
        for segment in self.segments()? {
            let length = fs::metadata(self.segment(segment))?.len();
            let read = if segment == position.segment { position.offset } else { 0 };
            bytes = bytes.saturating_add(length.saturating_sub(read));
        }
        Ok(bytes)
    }
}

/// The end of the spool that is written.
pub(super) struct Segments {
    spool: Arc<Spool>,
    number: u64,
    file: File,
    size: u64,
}

impl Segments {
    pub(super) fn open(spool: Arc<Spool>) -> io::Result<Self> {
        let last = spool.segments()?.last().copied().unwrap_or_default().max(spool.position()?.segment);
        Self::begin(spool, last.saturating_add(1))
    }

    fn begin(spool: Arc<Spool>, number: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(MODE).open(spool.segment(number))?;
        Ok(Self { spool, number, file, size: 0 })
    }
}

impl Sink for Segments {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.file.write(bytes)?;
        self.size = self.size.saturating_add(taken as u64);
        self.spool.waiting.fetch_add(taken as u64, Ordering::Relaxed);
        self.spool.arrived.notify_one();
        Ok(taken)
    }

    fn renew(&mut self) -> io::Result<bool> {
        if self.spool.waiting() >= self.spool.limit {
            self.spool.look()?;
        }
        if self.spool.waiting() >= self.spool.limit {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "as much waits for the FHIR endpoint as may"));
        }
        let full = self.size >= SEGMENT;
        if full {
            *self = Self::begin(self.spool.clone(), self.number.saturating_add(1))?;
        }
        Ok(full)
    }
}

#[cfg(test)]
#[path = "spool_tests.rs"]
mod tests;
