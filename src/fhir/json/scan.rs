//! The one pass over a document's bytes (RFC 8259). UTF-8 is looked at once for all; after that nothing in a text matters but its
//! end, escapes and control characters.

use std::sync::OnceLock;

use serde::de::IgnoredAny;
use smallvec::SmallVec;

use super::keys::Name;
use super::node::{Kind, Node, short};
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

/// Arrays and objects that are open at a time, or hardly more.
const OPEN_EXPECTED: usize = 12;

/// From this many digits on a number may be out of range without an exponent.
const MANY_DIGITS: usize = 300;

pub(super) struct Scanner<'a> {
    pub(super) document: Document<'a>,
    pub(super) bytes: &'a [u8],
    /// Most values, and most keys.
    pub(super) most: usize,
    /// Whether it goes on where there is a second reading.
    flawed: bool,
    /// How many may be open.
    depth: usize,
    /// What is open around what is open.
    pub(super) around: SmallVec<[Place; OPEN_EXPECTED]>,
    /// The last object under a name with each bit, or zero.
    pub(super) samples: [u32; 64],
}

/// What is open, and how far it was read.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The node of the array or object.
    pub(super) open: usize,
    /// The name of the member whose value is next, or was last; in an array none.
    pub(super) name: Name,
    /// A bit for the name of each member: only names with the same bit can be the same.
    pub(super) seen: u64,
    /// How many members there are.
    pub(super) keys: u32,
    /// Whether it is an object.
    pub(super) object: bool,
    /// The number of the bit of the name under which the next object stands.
    pub(super) like: u8,
}

impl Place {
    /// What is open there, and was not read yet.
    pub(super) fn of(open: usize, object: bool, like: u8) -> Self {
        Self { open, name: Name::NONE, seen: 0, keys: 0, object, like }
    }
}

impl<'a> Scanner<'a> {
    pub(super) fn read(bytes: &'a [u8], depth: usize, flawed: bool) -> Result<Document<'a>, JsonError> {
        if u32::try_from(bytes.len()).is_err() {
            return Err(TOO_LONG);
        }
        let text = simdutf8::basic::from_utf8(bytes).map_err(|_| NO_UTF8)?;
        let nodes = Vec::with_capacity(bytes.len() / BYTES_EXPECTED + 1);
        let document = Document { text, nodes, names: Vec::new(), escaped: Vec::new(), flaws: Vec::new() };
        let (most, depth) = (MAX_VALUES.max(bytes.len() / BYTES_A_VALUE), depth.min(usize::from(u8::MAX)));
        let mut scanner = Self { document, bytes, most, flawed, depth, around: SmallVec::new(), samples: [0; 64] };
        let end = scanner.values()?;
        if end < bytes.len() {
            return Err(FOLLOWS);
        }
        scanner.document.flaws.sort_unstable();
        Ok(scanner.document)
    }

    /// Reads value after value until all are closed; where what follows begins.
    fn values(&mut self) -> Result<usize, JsonError> {
        let (mut place, mut at) = (Place::of(0, false, 0), 0);
        loop {
            if place.object {
                at = self.member(&mut place, at)?;
            }
            match token(self.bytes, &mut at) {
                b'"' => at = self.text(at + 1, place.name)?,
                b'{' | b'[' if self.around.len() >= self.depth => at = self.too_deep(at, place.name)?,
                b'{' if self.like(&mut place, &mut at) => {}
                open @ (b'{' | b'[') => {
                    let (kind, end) = if open == b'{' { (Kind::Object, b'}') } else { (Kind::Array, b']') };
                    self.open(&mut place, kind, at)?;
                    at += 1;
                    if token(self.bytes, &mut at) != end {
                        continue;
                    }
                }
                _ => at = self.scalar(at, place.name)?,
            }
            // Up to the next value.
            loop {
                let byte = token(self.bytes, &mut at);
                if self.around.is_empty() {
                    return Ok(at);
                }
                at += 1;
                match (byte, place.object) {
                    (b',', _) => break,
                    (b'}', true) | (b']', false) => self.close(&mut place, at)?,
                    _ => return Err(NO_COMMA),
                }
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
    fn open(&mut self, place: &mut Place, kind: Kind, at: usize) -> Result<(), JsonError> {
        let (open, [depth, ..]) = (self.document.nodes.len(), self.around.len().to_le_bytes());
        self.push(Node { depth, ..Node::of(kind, place.name, at..at) })?;
        self.around.push(*place);
        *place = Place::of(open, kind == Kind::Object, place.like);
        Ok(())
    }

    /// Closes what is open and ends at `end`.
    #[inline]
    fn close(&mut self, place: &mut Place, end: usize) -> Result<(), JsonError> {
        let next = short(self.document.nodes.len());
        if let Some(node) = self.document.nodes.get_mut(place.open) {
            (node.end, node.next) = (short(end), next);
        }
        let around = self.around.pop().unwrap_or_else(|| Place::of(0, false, 0));
        let closed = std::mem::replace(place, around);
        if closed.object {
            if let Some(sample) = self.samples.get_mut(usize::from(place.like)) {
                *sample = short(closed.open);
            }
            return self.closed(&closed);
        }
        Ok(())
    }

    /// What is nested too deep is passed over by a reader that does not mind.
    #[cold]
    fn too_deep(&mut self, start: usize, name: Name) -> Result<usize, JsonError> {
        self.flaw(self.document.nodes.len(), TOO_DEEP)?;
        let rest = self.document.text.get(start..).unwrap_or_default();
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        if !matches!(values.next(), Some(Ok(_))) {
            return Err(NO_VALUE);
        }
        let end = start + values.byte_offset();
        self.push(Node::of(Kind::Null, name, start..end))?;
        Ok(end)
    }

    #[inline(never)]
    fn scalar(&mut self, start: usize, name: Name) -> Result<usize, JsonError> {
        let (kind, end) = scalar(self.bytes, start).ok_or(NO_VALUE)?;
        if !in_range(self.bytes, start..end) {
            self.flaw(self.document.nodes.len(), RANGE)?;
        }
        self.push(Node::of(kind, name, start..end))?;
        Ok(end)
    }

    /// Reads a text from behind its first quotation mark on.
    #[inline]
    fn text(&mut self, start: usize, name: Name) -> Result<usize, JsonError> {
        let end = plain(self.bytes, start);
        if self.bytes.get(end) != Some(&b'"') {
            return self.escaped_text(start, end, name);
        }
        self.push(Node::of(Kind::Text, name, start..end))?;
        Ok(end + 1)
    }

    #[inline(never)]
    fn escaped_text(&mut self, start: usize, special: usize, name: Name) -> Result<usize, JsonError> {
        let node = self.document.nodes.len();
        let (end, whole) = escapes(self.bytes, special)?;
        if !whole {
            self.flaw(node, LONE)?;
        }
        let number = short(self.document.escaped.len());
        self.document.escaped.push(OnceLock::new());
        self.push(Node { next: number, ..Node::of(Kind::EscapedText, name, start..end) })?;
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
