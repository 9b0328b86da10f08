//! One reading of a configuration: every file it took in, and everything found wrong.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::document::Place;
use super::errors::{ConfigErrors, Problem};
use crate::ambient::UnixSeconds;

/// Largest file that a configuration may consist of.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// The bytes of every file that was read, in one value: equal fingerprints are equal configurations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fingerprint([u8; 32]);

/// What belongs to a configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Taken {
    /// Also one that could not be read.
    File(PathBuf),
    /// In which a new file would belong to it.
    Folder(PathBuf),
}

/// What one reading has taken in so far.
pub(super) struct Reading {
    /// When it was read.
    pub(super) now: UnixSeconds,
    taken: RefCell<Vec<Taken>>,
    warnings: RefCell<Vec<(String, String)>>,
    digest: RefCell<Digest>,
    problems: RefCell<Vec<Problem>>,
}

/// What a configuration is read from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sources {
    /// In the order of reading.
    taken: Vec<Taken>,
    /// What is right and should yet be known, each with its place.
    pub warnings: Vec<(String, String)>,
    pub fingerprint: Fingerprint,
}

impl Reading {
    /// A reading at the moment `now`.
    pub(super) fn at(now: UnixSeconds) -> Self {
        Self {
            now,
            taken: RefCell::default(),
            warnings: RefCell::default(),
            digest: RefCell::default(),
            problems: RefCell::default(),
        }
    }

    /// The bytes of a file; whatever comes of it, the file belongs to this configuration from now on.
    pub(super) fn bytes(&self, path: &Path) -> Result<Vec<u8>, String> {
        let read = read_bounded(path);
        self.digest.borrow_mut().file(path, read.as_deref().ok());
        self.taken.borrow_mut().push(Taken::File(path.to_owned()));
        read
    }

    /// Notes a file with a secret, named at `place`, if everybody can read it.
    pub(super) fn secret(&self, path: &Path, place: &Place<'_>) {
        if is_exposed(path) {
            place.warn(format!("every user of this machine can read `{0}`; try chmod o= {0}", path.display()));
        }
    }

    /// Notes what is right at `place` and should yet be known.
    pub(super) fn warn(&self, place: String, text: String) {
        self.warnings.borrow_mut().push((place, text));
    }

    /// The text of a file.
    pub(super) fn text(&self, path: &Path) -> Result<String, String> {
        String::from_utf8(self.bytes(path)?).map_err(|error| {
            let good = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
            let line = 1 + good.filter(|byte| **byte == b'\n').count();
            format!("line {line} of `{}` is not UTF-8", path.display())
        })
    }

    /// The `*.toml` files of a drop-in folder in the order of their names; none where there is no such folder.
    pub(super) fn drop_ins(&self, folder: &Path) -> Vec<PathBuf> {
        let listed = list(folder);
        self.digest.borrow_mut().folder(folder, listed.as_deref().ok());
        self.taken.borrow_mut().push(Taken::Folder(folder.to_owned()));
        listed.unwrap_or_else(|error| {
            self.problem(folder, None, format!("the folder cannot be read ({error})"));
            Vec::new()
        })
    }

    pub(super) fn problem(&self, file: &Path, line: Option<usize>, text: String) {
        self.problems.borrow_mut().push(Problem::new(file, line, text));
    }

    /// Ends the reading: the value stands only if nothing was found wrong.
    pub(super) fn finish<T>(self, value: Option<T>) -> (Sources, Result<T, ConfigErrors>) {
        let problems = self.problems.into_inner();
        let fingerprint = self.digest.into_inner().fingerprint();
        let result = match value {
            Some(value) if problems.is_empty() => Ok(value),
            _ => Err(ConfigErrors::new(problems)),
        };
        (Sources { taken: self.taken.into_inner(), warnings: self.warnings.into_inner(), fingerprint }, result)
    }
}

impl Sources {
    /// Whether reading again would find the same bytes, which costs little where a configuration is large.
    pub(super) fn are_as_read(&self) -> bool {
        let mut digest = Digest::default();
        for taken in &self.taken {
            match taken {
                Taken::File(path) => digest.file(path, read_bounded(path).as_deref().ok()),
                Taken::Folder(path) => digest.folder(path, list(path).as_deref().ok()),
            }
        }
        digest.fingerprint() == self.fingerprint
    }

    /// Every file, also those that could not be read.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.taken.iter().filter_map(|taken| match taken {
            Taken::File(path) => Some(path.as_path()),
            Taken::Folder(_) => None,
        })
    }

    /// Folders in which a new file would belong to the configuration.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.taken.iter().filter_map(|taken| match taken {
            Taken::Folder(path) => Some(path.as_path()),
            Taken::File(_) => None,
        })
    }
}

/// What a fingerprint is made of. Lengths keep what follows what apart.
#[derive(Default)]
struct Digest(Sha256);

impl Digest {
    fn file(&mut self, path: &Path, bytes: Option<&[u8]>) {
        self.part(Some(path.as_os_str().as_encoded_bytes()));
        self.part(bytes);
    }

    fn folder(&mut self, path: &Path, files: Option<&[PathBuf]>) {
        self.part(Some(path.as_os_str().as_encoded_bytes()));
        self.0.update(files.map_or(u64::MAX, |files| files.len() as u64).to_be_bytes());
        for file in files.unwrap_or_default() {
            self.part(Some(file.as_os_str().as_encoded_bytes()));
        }
    }

    fn part(&mut self, bytes: Option<&[u8]>) {
        self.0.update(bytes.map_or(u64::MAX, |bytes| bytes.len() as u64).to_be_bytes());
        self.0.update(bytes.unwrap_or_default());
    }

    fn fingerprint(self) -> Fingerprint {
        Fingerprint(self.0.finalize().into())
    }
}

/// The drop-ins of a folder; names that begin with a dot are editors' and Kubernetes' own.
fn list(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            (name.ends_with(".toml") && !name.starts_with('.')).then(|| folder.join(name))
        })
        .collect();
    files.sort();
    Ok(files)
}

/// Whether every user may read the file, and enter each folder on the way to it.
fn is_exposed(path: &Path) -> bool {
    let lets = |path: &Path, bit: u32| std::fs::metadata(path).is_ok_and(|it| it.permissions().mode() & bit != 0);
    let Ok(path) = path.canonicalize() else { return false };
    lets(&path, 0o004) && path.ancestors().skip(1).all(|folder| lets(folder, 0o001))
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("`{}` cannot be read ({error})", path.display());
    // Asked before it is opened: opening a pipe would wait for its other end.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(format!("`{}` is not a file", path.display()));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("`{}` is larger than {MAX_FILE_BYTES} bytes", path.display()));
    }
    Ok(bytes)
}
