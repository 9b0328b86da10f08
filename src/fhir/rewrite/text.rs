//! Strings (RFC 8259 §7): plain ASCII is skipped, what lies between its end and the next quote or backslash is checked at
//! once.

use memchr::memchr2;

use super::RewriteError::{self, Malformed};
use super::chunk::Chunk;
use crate::fhir::json::plain_ascii;

const NOT_UTF8: RewriteError = Malformed("a string is not UTF-8");
const NO_ESCAPE: RewriteError = Malformed("a string has an escape that is none");
const LONE: RewriteError = Malformed("a string has half a surrogate pair");

/// How far a string was checked.
#[derive(Clone, Copy, Default)]
pub(super) struct TextCheck {
    escape: Escape,
    cut: Cut,
    /// Whether there was an escape in it.
    pub(super) escaped: bool,
}

/// How far an escape was read.
#[derive(Clone, Copy, Default)]
enum Escape {
    #[default]
    None,
    Backslash,
    /// The digits after `\u`; `low` if a high surrogate came before.
    Hex {
        left: u8,
        value: u16,
        low: bool,
    },
    /// A high surrogate was read: a backslash must follow.
    High,
    /// And here its `u`.
    HighBackslash,
}

/// The beginning of a character that the end of a chunk cut.
#[derive(Clone, Copy, Default)]
struct Cut {
    bytes: [u8; 4],
    len: u8,
}

impl TextCheck {
    /// Reads on, behind the closing quote or to the end of the chunk; true if the string ended.
    pub(super) fn run(&mut self, chunk: &mut Chunk<'_>) -> Result<bool, RewriteError> {
        loop {
            while !matches!(self.escape, Escape::None) {
                let Some(byte) = chunk.next() else {
                    return Ok(false);
                };
                self.escape = self.escape.then(byte)?;
            }
            if self.cut.len == 0 {
                chunk.skip(plain_ascii(chunk.rest()));
            }
            match chunk.peek() {
                None => return Ok(false),
                Some(b'"' | b'\\') if self.cut.len > 0 => return Err(NOT_UTF8),
                Some(b'"') => {
                    chunk.skip(1);
                    return Ok(true);
                }
                Some(b'\\') => {
                    chunk.skip(1);
                    self.escape = Escape::Backslash;
                    self.escaped = true;
                }
                Some(_) => {
                    let rest = chunk.rest();
                    let end = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                    self.plain(rest.get(..end).unwrap_or_default())?;
                    chunk.skip(end);
                }
            }
        }
    }

    fn plain(&mut self, mut run: &[u8]) -> Result<(), RewriteError> {
        // Without a way out of the loop the compiler looks at many bytes at once.
        if run.iter().fold(false, |found, byte| found | (*byte < 0x20)) {
            return Err(Malformed("a string has a control character"));
        }
        while self.cut.len > 0 {
            let Some((byte, rest)) = run.split_first() else {
                return Ok(());
            };
            run = rest;
            self.cut.add(*byte)?;
        }
        match std::str::from_utf8(run) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_none() => {
                run.get(error.valid_up_to()..).unwrap_or_default().iter().try_for_each(|byte| self.cut.add(*byte))
            }
            Err(_) => Err(NOT_UTF8),
        }
    }
}

impl Cut {
    fn add(&mut self, byte: u8) -> Result<(), RewriteError> {
        *self.bytes.get_mut(usize::from(self.len)).ok_or(NOT_UTF8)? = byte;
        self.len += 1;
        match std::str::from_utf8(self.bytes.get(..usize::from(self.len)).unwrap_or_default()) {
            Ok(_) => self.len = 0,
            Err(error) if error.error_len().is_none() => {}
            Err(_) => return Err(NOT_UTF8),
        }
        Ok(())
    }
}

impl Escape {
    fn then(self, byte: u8) -> Result<Self, RewriteError> {
        match (self, byte) {
            (Self::Backslash, b'u') => Ok(Self::Hex { left: 4, value: 0, low: false }),
            (Self::Backslash, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(Self::None),
            (Self::High, b'\\') => Ok(Self::HighBackslash),
            (Self::HighBackslash, b'u') => Ok(Self::Hex { left: 4, value: 0, low: true }),
            (Self::High | Self::HighBackslash, _) => Err(LONE),
            (Self::Hex { left, value, low }, _) => {
                let digit =
                    char::from(byte).to_digit(16).and_then(|digit| u16::try_from(digit).ok()).ok_or(NO_ESCAPE)?;
                let value = (value << 4) | digit;
                match (left, value, low) {
                    (2.., ..) => Ok(Self::Hex { left: left - 1, value, low }),
                    (_, 0xdc00..=0xdfff, true) => Ok(Self::None),
                    (_, 0xd800..=0xdbff, false) => Ok(Self::High),
                    (_, 0xd800..=0xdfff, _) | (_, _, true) => Err(LONE),
                    _ => Ok(Self::None),
                }
            }
            _ => Err(NO_ESCAPE),
        }
    }
}
