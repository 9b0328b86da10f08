//! One line of the audit log: a JSON object, printed member by member.
//!
//! Each request prints one. Keys are known here and most values need no escape, which a general printer finds out byte by byte
//! for both.

use std::fmt::{Display, Write as _};

use crate::ambient::UnixSeconds;
use crate::fhir::json::{ObjectWriter, quote};

/// Bytes that the line of a request seldom exceeds.
const USUAL_LINE: usize = 768;

/// A line with its end; `members` come behind its kind and time.
pub(super) fn printed(kind: &'static str, time: UnixSeconds, members: impl FnOnce(&mut Line<'_>)) -> Vec<u8> {
    let mut out = String::with_capacity(USUAL_LINE);
    let mut line = Line(ObjectWriter::new(&mut out));
    line.text("kind", kind);
    match jiff::Timestamp::from_second(time) {
        Ok(time) => line.shown("time", Some(time)),
        Err(_) => line.number("time", Some(time)),
    };
    members(&mut line);
    line.0.end();
    out.push('\n');
    out.into_bytes()
}

/// The members of a line; what is none is left out. Keys need no escape.
pub(super) struct Line<'o>(ObjectWriter<'o>);

impl Line<'_> {
    pub(super) fn text<'v>(&mut self, key: &'static str, value: impl Into<Option<&'v str>>) -> &mut Self {
        if let Some(value) = value.into() {
            self.0.text(key, value);
        }
        self
    }

    pub(super) fn number(&mut self, key: &'static str, value: Option<impl itoa::Integer>) -> &mut Self {
        if let Some(value) = value {
            self.0.member(key).push_str(itoa::Buffer::new().format(value));
        }
        self
    }

    /// A value whose text needs no escape.
    pub(super) fn shown(&mut self, key: &'static str, value: Option<impl Display>) -> &mut Self {
        if let Some(value) = value {
            // Memory takes everything.
            let _ = write!(self.0.member(key), "\"{value}\"");
        }
        self
    }

    /// A list; nothing where it is empty.
    pub(super) fn texts(&mut self, key: &'static str, values: &[String]) -> &mut Self {
        if values.is_empty() {
            return self;
        }
        let out = self.0.member(key);
        for (index, value) in values.iter().enumerate() {
            out.push(if index == 0 { '[' } else { ',' });
            quote(value, out);
        }
        out.push(']');
        self
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
