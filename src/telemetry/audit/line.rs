//! One line of the audit log: a JSON object, printed member by member.
//!
//! Each request prints one. Keys are known here and most values need no escape, which a general printer finds out byte by byte
//! for both.

use std::fmt::Display;
use std::io::Write as _;

use crate::ambient::UnixSeconds;

/// Bytes that the line of a request seldom exceeds.
const USUAL_LINE: usize = 768;

/// An object that is not yet closed. Keys need no escape.
pub(super) struct Line(Vec<u8>);

impl Line {
    pub(super) fn new(kind: &'static str, time: UnixSeconds) -> Self {
        let mut line = Self(Vec::with_capacity(USUAL_LINE));
        line.0.extend_from_slice(b"{\"kind\":");
        line.string(kind);
        match jiff::Timestamp::from_second(time) {
            Ok(time) => line.shown("time", Some(time)),
            Err(_) => line.number("time", Some(time)),
        };
        line
    }

    pub(super) fn text<'v>(&mut self, key: &'static str, value: impl Into<Option<&'v str>>) -> &mut Self {
        if let Some(value) = value.into() {
            self.key(key);
            self.string(value);
        }
        self
    }

    pub(super) fn number(&mut self, key: &'static str, value: Option<impl itoa::Integer>) -> &mut Self {
        if let Some(value) = value {
            self.key(key);
            self.0.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        }
        self
    }

    /// A value whose text needs no escape.
    pub(super) fn shown(&mut self, key: &'static str, value: Option<impl Display>) -> &mut Self {
        if let Some(value) = value {
            self.key(key);
            // Memory takes everything.
            let _ = write!(self.0, "\"{value}\"");
        }
        self
    }

    /// A list; nothing where it is empty.
    pub(super) fn texts(&mut self, key: &'static str, values: &[String]) -> &mut Self {
        let mut separator = b'[';
        for value in values {
            if separator == b'[' {
                self.key(key);
            }
            self.0.push(separator);
            self.string(value);
            separator = b',';
        }
        if separator == b',' {
            self.0.push(b']');
        }
        self
    }

    /// The line, with its end.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"}\n");
        self.0
    }

    fn key(&mut self, key: &str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(key.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    fn string(&mut self, value: &str) {
        // Without an early end, so that the compiler looks at many bytes at once.
        if value.bytes().fold(true, |plain, byte| plain & (byte >= b' ') & (byte != b'"') & (byte != b'\\')) {
            self.0.push(b'"');
            self.0.extend_from_slice(value.as_bytes());
            self.0.push(b'"');
        } else {
            let _ = serde_json::to_writer(&mut self.0, value);
        }
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
