//! The rewriter's way through the structure of a document (RFC 8259 §2 to §5).

use super::chunk::Chunk;
use super::decided::PageLink;
use super::place::{Frame, Kind, Role};
use super::text::TextCheck;
use super::{LinkSink, MAX_DEPTH, RewriteError};
use crate::fhir::scalar::Scalar;
use RewriteError::{Malformed, Refused};

/// The rewriter.
pub struct Rewriter<S> {
    pub(super) sink: S,
    pub(super) state: State,
    /// The objects and arrays that are open, outermost first.
    pub(super) frames: Vec<Frame>,
    /// What the next value is.
    pub(super) role: Role,
    /// A string that did not end in its chunk, from its first quote on, as far as it is kept.
    pub(super) token: Vec<u8>,
    pub(super) held: Vec<u8>,
    /// For how many reasons output is held.
    pub(super) holds: usize,
    pub(super) link: PageLink,
    broken: bool,
}

/// What comes next.
#[derive(Clone, Copy)]
pub(super) enum State {
    Value,
    /// A value, or the end of an array that has none.
    FirstElement,
    /// A key, or the end of an object that has none.
    FirstKey,
    Key,
    Colon,
    /// A comma, or the end of what is open.
    AfterValue,
    /// Nothing.
    End,
    Text(Reading, TextCheck),
    Scalar(Scalar),
}

/// What the string is that is being read.
#[derive(Clone, Copy)]
pub(super) enum Reading {
    Key,
    /// A key longer than any that something hangs on.
    LongKey,
    /// A value that is passed on as it comes.
    Plain,
    /// A value that is kept until it is whole.
    Decided(Role),
}

impl<S: LinkSink> Rewriter<S> {
    pub fn new(sink: S) -> Self {
        Self {
            sink,
            state: State::Value,
            frames: Vec::new(),
            role: Role::Root,
            token: Vec::new(),
            held: Vec::new(),
            holds: 0,
            link: PageLink::default(),
            broken: false,
        }
    }

    /// Takes the next bytes in and appends what can be passed on to `out`.
    ///
    /// # Errors
    /// Nothing more may be passed on.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), RewriteError> {
        if self.broken {
            return Err(Malformed("it was given up before"));
        }
        let read = self.read(&mut Chunk::new(bytes), out);
        self.broken = read.is_err();
        read
    }

    /// The end of the document.
    ///
    /// # Errors
    /// It was not whole.
    pub fn finish(self, _out: &mut Vec<u8>) -> Result<(), RewriteError> {
        match self.state {
            State::End if !self.broken => Ok(()),
            _ => Err(Malformed("it ends too early")),
        }
    }

    fn read(&mut self, chunk: &mut Chunk<'_>, out: &mut Vec<u8>) -> Result<(), RewriteError> {
        while let Some(byte) = chunk.peek() {
            match self.state {
                State::Text(reading, check) => self.text(reading, check, chunk.at(), chunk, out)?,
                State::Scalar(scalar) => self.scalar(scalar, chunk)?,
                _ if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') => chunk.skip(1),
                State::FirstElement if byte == b']' => self.close(byte, chunk, out)?,
                State::Value | State::FirstElement => self.value(byte, chunk, out)?,
                State::FirstKey if byte == b'}' => self.close(byte, chunk, out)?,
                State::FirstKey | State::Key if byte == b'"' => self.begin_text(Reading::Key, chunk, out)?,
                State::FirstKey | State::Key => return Err(Malformed("a key is missing")),
                State::Colon if byte == b':' => {
                    chunk.skip(1);
                    self.state = State::Value;
                }
                State::Colon => return Err(Malformed("a colon is missing")),
                State::AfterValue if byte == b',' => self.comma(chunk)?,
                State::AfterValue => self.close(byte, chunk, out)?,
                State::End => return Err(Malformed("something follows it")),
            }
        }
        self.pass(chunk.uncopied(), out)
    }

    fn value(&mut self, byte: u8, chunk: &mut Chunk<'_>, out: &mut Vec<u8>) -> Result<(), RewriteError> {
        self.role.admits(byte)?;
        match byte {
            b'{' => self.open(Frame::object(self.role), State::FirstKey, chunk, out),
            b'[' => self.open(Frame::array(self.role), State::FirstElement, chunk, out),
            b'"' if self.role.is_decided() => self.begin_text(Reading::Decided(self.role), chunk, out),
            b'"' => self.begin_text(Reading::Plain, chunk, out),
            _ => {
                self.state = State::Scalar(Scalar::begin(byte).ok_or(Malformed("a value is missing"))?);
                chunk.skip(1);
                Ok(())
            }
        }
    }

    fn scalar(&mut self, mut scalar: Scalar, chunk: &mut Chunk<'_>) -> Result<(), RewriteError> {
        while let Some(byte) = chunk.peek() {
            match scalar.then(byte) {
                Some(next) => scalar = next,
                None if scalar.is_whole() => {
                    self.state = State::AfterValue;
                    return Ok(());
                }
                None => return Err(Malformed("a number or a literal is broken")),
            }
            chunk.skip(1);
        }
        self.state = State::Scalar(scalar);
        Ok(())
    }

    fn open(
        &mut self,
        frame: Frame,
        state: State,
        chunk: &mut Chunk<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), RewriteError> {
        if self.frames.len() == MAX_DEPTH {
            return Err(Malformed("it is nested too deep"));
        }
        match frame.kind {
            Kind::Resource => {
                self.pass(chunk.uncopied(), out)?;
                self.hold();
            }
            Kind::Link => self.link = PageLink::default(),
            _ => {}
        }
        self.role = frame.kind.element();
        self.frames.push(frame);
        self.state = state;
        chunk.skip(1);
        Ok(())
    }

    fn close(&mut self, byte: u8, chunk: &mut Chunk<'_>, out: &mut Vec<u8>) -> Result<(), RewriteError> {
        let end = |frame: &mut Frame| byte == if frame.kind.is_array() { b']' } else { b'}' };
        let frame = self.frames.pop_if(end).ok_or(Malformed("a comma or an end is missing"))?;
        match frame.kind {
            Kind::Resource if !frame.typed => return Err(Refused("a resource in a Bundle has no type")),
            Kind::Link => {
                self.pass(chunk.uncopied(), out)?;
                self.settle_link(out)?;
            }
            _ => {}
        }
        chunk.skip(1);
        self.state = if self.frames.is_empty() { State::End } else { State::AfterValue };
        Ok(())
    }

    fn comma(&mut self, chunk: &mut Chunk<'_>) -> Result<(), RewriteError> {
        let kind = self.frames.last().ok_or(Malformed("something follows it"))?.kind;
        chunk.skip(1);
        self.role = kind.element();
        self.state = if kind.is_array() { State::Value } else { State::Key };
        Ok(())
    }
}
