//! The one pass over a document's bytes (RFC 8259). UTF-8 is looked at once for all; after that nothing in a text matters but its
//! end, escapes and control characters.

use std::sync::OnceLock;

use serde::de::IgnoredAny;

use super::keys::Key;
use super::text::{escapes, plain};
use super::{BYTES_A_VALUE, Document, JsonError, MAX_VALUES};
use crate::fhir::scalar::Scalar;

pub(super) const ENDS: JsonError = JsonError("it ends too early");
pub(super) const FOLLOWS: JsonError = JsonError("something follows it");
pub(super) const NO_COLON: JsonError = JsonError("a colon is missing");
pub(super) const NO_COMMA: JsonError = JsonError("a comma or an end is missing");
pub(super) const NO_ESCAPE: JsonError = JsonError("a text has an escape that is none");
pub(super) const NO_KEY: JsonError = JsonError("a key is missing");
pub(super) const NO_UTF8: JsonError = JsonError("it is not UTF-8");
pub(super) const NO_VALUE: JsonError = JsonError("a value is missing, or is none");
pub(super) const CONTROL: JsonError = JsonError("a text has a control character");
pub(super) const TOO_LONG: JsonError = JsonError("it is too long");
pub(super) const TOO_MANY: JsonError = JsonError("it has too many values");

// What any parser may take, and not every one in the same way.
pub(super) const LONE: JsonError = JsonError("a text has half a surrogate pair");
pub(super) const RANGE: JsonError = JsonError("a number is out of range");
pub(super) const TOO_DEEP: JsonError = JsonError("it is nested too deep");
pub(super) const TWICE: JsonError = JsonError("an object has the same key twice");

/// Bytes that a value of FHIR takes with its key.
const BYTES_EXPECTED: usize = 16;

/// Different keys of a document, or hardly more.
const KEYS_EXPECTED: usize = 64;

/// From this many digits on a number may be out of range without an exponent.
const MANY_DIGITS: usize = 300;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Text,
    EscapedText,
    Null,
    True,
    False,
    Number,
    Array,
    Object,
}

/// A value: from where to where it stands in the document, texts without their quotation marks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// The number of its key, which is [`NO_KEY_AT_ALL`] where it is no member.
    pub(super) key: u32,
    pub(super) start: u32,
    pub(super) end: u32,
    /// Of an array or object the node behind it, of what has escapes the number of its text.
    pub(super) next: u32,
}

/// The number of the key that what is no member has.
pub(super) const NO_KEY_AT_ALL: u32 = 0;

impl Node {
    pub(super) fn is_text(&self) -> bool {
        matches!(self.kind, Kind::Text | Kind::EscapedText)
    }

    pub(super) fn is_escaped(&self) -> bool {
        self.kind == Kind::EscapedText
    }

    pub(super) fn is_container(&self) -> bool {
        matches!(self.kind, Kind::Array | Kind::Object)
    }
}

/// The lower half of a number; that there is nothing in the upper was seen before anything was read.
pub(super) fn short(number: usize) -> u32 {
    let [a, b, c, d, ..] = number.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

pub(super) struct Scanner<'a> {
    pub(super) document: Document<'a>,
    pub(super) bytes: &'a [u8],
    /// Most values, and most keys.
    pub(super) most: usize,
    /// Whether it goes on where there is a second reading.
    flawed: bool,
    /// The last key with each bit.
    pub(super) called: [u32; 64],
}

/// Where a value stands. What is open keeps in its node where it stands itself until it is closed: there is no other stack.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The array or object that is open, or [`NOWHERE`].
    pub(super) open: usize,
    /// Whether that is an object.
    pub(super) object: bool,
    /// The key that was read last, or in an array the one that it stands below.
    pub(super) last: u32,
    /// How many may be open in it.
    pub(super) room: usize,
}

/// The place of a document as a whole.
const NOWHERE: usize = u32::MAX as usize;

impl<'a> Scanner<'a> {
    pub(super) fn read(bytes: &'a [u8], depth: usize, flawed: bool) -> Result<Document<'a>, JsonError> {
        if u32::try_from(bytes.len()).is_err() {
            return Err(TOO_LONG);
        }
        let text = simdutf8::basic::from_utf8(bytes).map_err(|_| NO_UTF8)?;
        let nodes = Vec::with_capacity(bytes.len() / BYTES_EXPECTED + 1);
        // The first stands for no key.
        let mut keys = Vec::with_capacity(bytes.len().div_ceil(BYTES_EXPECTED).min(KEYS_EXPECTED));
        keys.push(Key::default());
        let document = Document { text, nodes, keys, names: Vec::new(), escaped: Vec::new(), flaws: Vec::new() };
        let most = MAX_VALUES.max(bytes.len() / BYTES_A_VALUE);
        let mut scanner = Self { document, bytes, most, flawed, called: [NO_KEY_AT_ALL; 64] };
        let end = scanner.values(Place { open: NOWHERE, object: false, last: NO_KEY_AT_ALL, room: depth })?;
        if end < bytes.len() {
            return Err(FOLLOWS);
        }
        scanner.document.flaws.sort_unstable();
        Ok(scanner.document)
    }

    /// Reads value after value until all are closed; where what follows begins.
    fn values(&mut self, mut place: Place) -> Result<usize, JsonError> {
        let mut at = 0;
        loop {
            let byte = token(self.bytes, &mut at);
            let key = if place.object { place.last } else { NO_KEY_AT_ALL };
            match byte {
                b'"' => at = self.text(at + 1, key)?,
                b'{' | b'[' if place.room == 0 => at = self.too_deep(at, key)?,
                b'{' => {
                    let first = self.first(place.last)?;
                    if !self.like(first, &mut place, key, &mut at) {
                        self.open(&mut place, Kind::Object, at, key)?;
                        place.last = first;
                        at += 1;
                        if token(self.bytes, &mut at) != b'}' {
                            self.member(&mut place, &mut at)?;
                            continue;
                        }
                        at += 1;
                        self.close(&mut place, at)?;
                    }
                }
                b'[' => {
                    self.open(&mut place, Kind::Array, at, key)?;
                    at += 1;
                    if token(self.bytes, &mut at) != b']' {
                        continue;
                    }
                    at += 1;
                    self.close(&mut place, at)?;
                }
                _ => at = self.scalar(at, key)?,
            }
            if self.behind(&mut place, &mut at)? {
                return Ok(at);
            }
        }
    }

    /// Reads on behind a value up to the next one; whether there is none, as all are closed.
    #[inline]
    fn behind(&mut self, place: &mut Place, at: &mut usize) -> Result<bool, JsonError> {
        loop {
            let byte = token(self.bytes, at);
            if place.open == NOWHERE {
                return Ok(true);
            }
            *at += 1;
            match (byte, place.object) {
                (b',', true) => return self.member(place, at).map(|()| false),
                (b',', false) => return Ok(false),
                (b'}', true) | (b']', false) => self.close(place, *at)?,
                _ => return Err(NO_COMMA),
            }
        }
    }

    #[inline]
    fn push(&mut self, node: Node) -> Result<(), JsonError> {
        self.make_room(1)?;
        self.document.nodes.push(node);
        Ok(())
    }

    /// Makes room for so many more nodes.
    #[inline]
    pub(super) fn make_room(&mut self, nodes: usize) -> Result<(), JsonError> {
        if self.document.nodes.capacity() - self.document.nodes.len() < nodes { self.grow(nodes) } else { Ok(()) }
    }

    #[cold]
    fn grow(&mut self, by: usize) -> Result<(), JsonError> {
        let nodes = &mut self.document.nodes;
        let room = self.most.saturating_sub(nodes.len());
        if room < by {
            return Err(TOO_MANY);
        }
        nodes.reserve_exact(room.min(by.max(nodes.len())));
        Ok(())
    }

    /// There is a second reading at the node of this number.
    #[cold]
    pub(super) fn flaw(&mut self, node: usize, what: JsonError) -> Result<(), JsonError> {
        if !self.flawed {
            return Err(what);
        }
        self.document.flaws.push(short(node));
        Ok(())
    }

    #[inline]
    fn open(&mut self, place: &mut Place, kind: Kind, at: usize, key: u32) -> Result<(), JsonError> {
        let open = self.document.nodes.len();
        self.push(Node { kind, key, start: short(at), end: place.last, next: short(place.open) })?;
        place.open = open;
        place.object = kind == Kind::Object;
        place.room -= 1;
        Ok(())
    }

    /// Closes what is open and ends at `end`.
    #[inline]
    fn close(&mut self, place: &mut Place, end: usize) -> Result<(), JsonError> {
        let closed = *place;
        let next = short(self.document.nodes.len());
        if let Some(node) = self.document.nodes.get_mut(closed.open) {
            (place.last, place.open) = (node.end, node.next as usize);
            (node.end, node.next) = (short(end), next);
        }
        place.object = self.document.nodes.get(place.open).is_some_and(|node| node.kind == Kind::Object);
        place.room += 1;
        if closed.object { self.closed(&closed, place) } else { Ok(()) }
    }

    /// What is nested too deep is passed over by a reader that does not mind.
    #[cold]
    fn too_deep(&mut self, start: usize, key: u32) -> Result<usize, JsonError> {
        self.flaw(self.document.nodes.len(), TOO_DEEP)?;
        let rest = self.document.text.get(start..).unwrap_or_default();
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        if !matches!(values.next(), Some(Ok(_))) {
            return Err(NO_VALUE);
        }
        let end = start + values.byte_offset();
        self.push(Node { kind: Kind::Null, key, start: short(start), end: short(end), next: 0 })?;
        Ok(end)
    }

    #[inline(never)]
    fn scalar(&mut self, start: usize, key: u32) -> Result<usize, JsonError> {
        let (kind, end) = scalar(self.bytes, start).ok_or(NO_VALUE)?;
        if !in_range(self.bytes, start..end) {
            self.flaw(self.document.nodes.len(), RANGE)?;
        }
        self.push(Node { kind, key, start: short(start), end: short(end), next: 0 })?;
        Ok(end)
    }

    /// Reads a text from behind its first quotation mark on.
    #[inline]
    fn text(&mut self, start: usize, key: u32) -> Result<usize, JsonError> {
        let end = plain(self.bytes, start);
        if self.bytes.get(end) != Some(&b'"') {
            return self.escaped_text(start, end, key);
        }
        self.push(Node { kind: Kind::Text, key, start: short(start), end: short(end), next: 0 })?;
        Ok(end + 1)
    }

    #[inline(never)]
    fn escaped_text(&mut self, start: usize, special: usize, key: u32) -> Result<usize, JsonError> {
        let node = self.document.nodes.len();
        let (end, whole) = escapes(self.bytes, special)?;
        if !whole {
            self.flaw(node, LONE)?;
        }
        let number = short(self.document.escaped.len());
        self.document.escaped.push(OnceLock::new());
        self.push(Node { kind: Kind::EscapedText, key, start: short(start), end: short(end), next: number })?;
        Ok(end + 1)
    }
}

/// The next byte that is no white space, which `at` then points to; zero, which begins nothing, at the end.
#[inline]
pub(super) fn token(bytes: &[u8], at: &mut usize) -> u8 {
    loop {
        let byte = bytes.get(*at).copied().unwrap_or_default();
        if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            return byte;
        }
        *at += 1;
    }
}

/// The number or literal at `start`, and where it ends.
#[inline]
pub(super) fn scalar(bytes: &[u8], start: usize) -> Option<(Kind, usize)> {
    let first = *bytes.get(start)?;
    let mut scalar = Scalar::begin(first)?;
    let mut end = start + 1;
    while let Some(next) = bytes.get(end).and_then(|byte| scalar.then(*byte)) {
        scalar = next;
        end += 1;
    }
    let kind = match first {
        b'n' => Kind::Null,
        b't' => Kind::True,
        b'f' => Kind::False,
        _ => Kind::Number,
    };
    scalar.is_whole().then_some((kind, end))
}

/// Whether every reader can hold what was read, if it is a number.
#[inline]
pub(super) fn in_range(bytes: &[u8], scalar: std::ops::Range<usize>) -> bool {
    let number = bytes.get(scalar).unwrap_or_default();
    let may_exceed = number.len() >= MANY_DIGITS || number.iter().any(|byte| matches!(byte, b'e' | b'E'));
    let value = || std::str::from_utf8(number).ok()?.parse().ok();
    !may_exceed || matches!(number, b"true" | b"false") || value().is_some_and(f64::is_finite)
}
