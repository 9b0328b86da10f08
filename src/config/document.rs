//! One TOML file, and where in it a value stands.

use std::cell::Cell;
use std::fmt::Display;
use std::path::Path;

use super::reading::Reading;

/// One TOML file.
pub(super) struct Document<'a> {
    pub(super) reading: &'a Reading,
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
    /// An offset and its line: entries are read in order, and a file may have a hundred thousand.
    pub(super) counted: Cell<(usize, usize)>,
}

/// Where a value stands, and what it is called.
#[derive(Clone)]
pub(super) struct Place<'a> {
    pub(super) document: &'a Document<'a>,
    pub(super) offset: usize,
    pub(super) label: String,
}

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct Found<'a, T> {
    pub(super) it: T,
    pub(super) place: Place<'a>,
}

impl Document<'_> {
    pub(super) fn line(&self, offset: usize) -> usize {
        let (from, before) = Some(self.counted.get()).filter(|(from, _)| *from <= offset).unwrap_or((0, 1));
        let line = before + self.text.bytes().skip(from).take(offset - from).filter(|byte| *byte == b'\n').count();
        self.counted.set((offset, line));
        line
    }

    /// The folder that relative paths in this file start from.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}

impl Place<'_> {
    /// Reports what is wrong here and what would be right.
    pub(super) fn wrong(&self, what: impl Display) {
        let line = self.document.line(self.offset);
        self.document.reading.problem(self.document.path, Some(line), format!("{}: {what}", self.label));
    }

    /// Notes what is right and should yet be known.
    pub(super) fn warn(&self, text: String) {
        self.document.reading.warn(self.name(), text);
    }

    /// File and line, for messages about something elsewhere.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.document.path.display(), self.document.line(self.offset))
    }
}

impl<'a, T> Found<'a, T> {
    /// Converts the value; what the conversion says is wrong is reported here.
    pub(super) fn parse<U>(self, convert: impl FnOnce(T) -> Result<U, String>) -> Option<U> {
        convert(self.it).map_err(|what| self.place.wrong(what)).ok()
    }
}
