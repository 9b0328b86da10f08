//! One answer, read as it comes and compared on the way: nothing of a body is kept.

use anyhow::{bail, ensure};

const MAX_HEADERS: usize = 64;

/// Longest head, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// What every answer must be.
pub struct Expected {
    pub status: u16,
    pub body: Vec<u8>,
    /// How much of the body must be the same.
    pub same: usize,
}

/// How far the answer has been read.
enum Place {
    Head,
    /// So much of a body of known length is still to come.
    Body(usize),
    /// In a line that says how long the next chunk is.
    Size,
    /// So much of a chunk is still to come, its line end included.
    Chunk(usize),
    /// In the line that ends the last chunk.
    Last,
}

/// An answer that is being read.
pub struct Response {
    place: Place,
    /// The head, or a line of the chunked encoding, as far as it has come.
    line: Vec<u8>,
    status: u16,
    /// Bytes of the body so far.
    read: usize,
}

impl Response {
    pub fn new() -> Self {
        Self { place: Place::Head, line: Vec::new(), status: 0, read: 0 }
    }

    /// Whether nothing of it has come yet.
    pub fn is_untouched(&self) -> bool {
        matches!(self.place, Place::Head) && self.line.is_empty()
    }

    /// Takes bytes in; true when the answer is complete. There must be nothing behind it.
    pub fn take(&mut self, mut bytes: &[u8], expected: Option<&Expected>) -> anyhow::Result<bool> {
        loop {
            match self.place {
                Place::Head => match self.head(bytes)? {
                    Some(rest) => bytes = rest,
                    None => return Ok(false),
                },
                Place::Body(left) => {
                    ensure!(bytes.len() <= left, "more came than was announced");
                    self.body(bytes, expected)?;
                    self.place = Place::Body(left - bytes.len());
                    return if bytes.len() == left { self.end(expected) } else { Ok(false) };
                }
                Place::Chunk(left) => {
                    let now = bytes.len().min(left);
                    self.body(&bytes[..now.min(left.saturating_sub(2))], expected)?;
                    bytes = &bytes[now..];
                    if now < left {
                        self.place = Place::Chunk(left - now);
                        return Ok(false);
                    }
                    self.place = Place::Size;
                }
                Place::Size | Place::Last => {
                    let Some(end) = bytes.iter().position(|b| *b == b'\n') else {
                        self.line.extend_from_slice(bytes);
                        return Ok(false);
                    };
                    self.line.extend_from_slice(&bytes[..end]);
                    bytes = &bytes[end + 1..];
                    let line = std::mem::take(&mut self.line);
                    if matches!(self.place, Place::Last) {
                        ensure!(bytes.is_empty(), "something comes after the last chunk");
                        return self.end(expected);
                    }
                    let size = usize::from_str_radix(std::str::from_utf8(&line)?.trim(), 16)?;
                    self.place = if size == 0 { Place::Last } else { Place::Chunk(size + 2) };
                }
            }
        }
    }

    /// What is behind the head, once it is there.
    fn head<'b>(&mut self, bytes: &'b [u8]) -> anyhow::Result<Option<&'b [u8]>> {
        let before = self.line.len();
        self.line.extend_from_slice(&bytes[..bytes.len().min(MAX_HEAD)]);
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(length) = head.parse(&self.line)? else {
            ensure!(self.line.len() < MAX_HEAD, "a head without an end");
            return Ok(None);
        };
        self.status = head.code.unwrap_or_default();
        let value = |name: &str| head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        self.place = match (value("transfer-encoding"), value("content-length")) {
            (Some(_), _) => Place::Size,
            (None, Some(length)) => Place::Body(std::str::from_utf8(length.value)?.parse()?),
            (None, None) => bail!("an answer without a length: {}", self.line.escape_ascii()),
        };
        self.line.clear();
        Ok(Some(&bytes[length - before..]))
    }

    fn body(&mut self, bytes: &[u8], expected: Option<&Expected>) -> anyhow::Result<()> {
        let at = self.read;
        self.read += bytes.len();
        let Some(expected) = expected else { return Ok(()) };
        ensure!(
            self.status == expected.status,
            "{} instead of {}: {}",
            self.status,
            expected.status,
            bytes[..bytes.len().min(400)].escape_ascii()
        );
        let compared = bytes.len().min(expected.same.saturating_sub(at));
        let same = expected.body.get(at..at + compared).is_some_and(|wanted| wanted == &bytes[..compared]);
        ensure!(same, "another body from byte {at} on: {}", bytes[..bytes.len().min(400)].escape_ascii());
        Ok(())
    }

    fn end(&mut self, expected: Option<&Expected>) -> anyhow::Result<bool> {
        if let Some(expected) = expected {
            ensure!(self.status == expected.status, "{} instead of {}", self.status, expected.status);
            ensure!(self.read == expected.body.len(), "{} bytes instead of {}", self.read, expected.body.len());
        }
        *self = Self::new();
        Ok(true)
    }
}
