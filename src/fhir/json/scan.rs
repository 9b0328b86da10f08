//! The one pass over a document's bytes (RFC 8259). UTF-8 is looked at once for all; after that nothing in a text matters but its
//! end, escapes and control characters, which are looked for many bytes at a time.

use std::collections::HashSet;

use serde::de::IgnoredAny;
use wide::u8x16;

use super::{BYTES_A_VALUE, Document, Escaped, JsonError, MAX_VALUES};
use crate::fhir::scalar::Scalar;

const ENDS: JsonError = JsonError("it ends too early");
const FOLLOWS: JsonError = JsonError("something follows it");
const NO_COLON: JsonError = JsonError("a colon is missing");
const NO_COMMA: JsonError = JsonError("a comma or an end is missing");
const NO_ESCAPE: JsonError = JsonError("a text has an escape that is none");
const NO_KEY: JsonError = JsonError("a key is missing");
const NO_UTF8: JsonError = JsonError("it is not UTF-8");
const NO_VALUE: JsonError = JsonError("a value is missing, or is none");
const CONTROL: JsonError = JsonError("a text has a control character");
const TOO_LONG: JsonError = JsonError("it is too long");
const TOO_MANY: JsonError = JsonError("it has too many values");

// What any parser may take, and not every one in the same way.
const LONE: JsonError = JsonError("a text has half a surrogate pair");
const RANGE: JsonError = JsonError("a number is out of range");
const TOO_DEEP: JsonError = JsonError("it is nested too deep");
const TWICE: JsonError = JsonError("an object has the same key twice");

/// From this many keys on, duplicates are looked for in a hash set.
const MANY_KEYS: usize = 16;

/// Bytes that a value of FHIR takes, and its key.
const BYTES_EXPECTED: usize = 6;

/// From this many digits on a number may be out of range without an exponent.
const MANY_DIGITS: usize = 300;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Key,
    EscapedKey,
    Text,
    EscapedText,
    Null,
    True,
    False,
    Number,
    Array,
    Object,
}

/// A key or a value: from where to where it stands in the document, texts without their quotation marks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) start: u32,
    pub(super) end: u32,
    /// Of an array or object the node behind it, of what has escapes the number of its text.
    pub(super) next: u32,
}

impl Node {
    pub(super) fn is_key(&self) -> bool {
        matches!(self.kind, Kind::Key | Kind::EscapedKey)
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self.kind, Kind::Key | Kind::EscapedKey | Kind::Text | Kind::EscapedText)
    }

    pub(super) fn is_escaped(&self) -> bool {
        matches!(self.kind, Kind::EscapedKey | Kind::EscapedText)
    }

    pub(super) fn is_container(&self) -> bool {
        matches!(self.kind, Kind::Array | Kind::Object)
    }
}

/// The lower half of a number; that there is nothing in the upper was seen before anything was read.
fn short(number: usize) -> u32 {
    let [a, b, c, d, ..] = number.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

pub(super) struct Scanner<'a> {
    document: Document<'a>,
    bytes: &'a [u8],
    at: usize,
    /// Most nodes.
    most: usize,
    /// Whether it goes on where there is a second reading.
    flawed: bool,
}

impl<'a> Scanner<'a> {
    pub(super) fn read(bytes: &'a [u8], depth: usize, flawed: bool) -> Result<Document<'a>, JsonError> {
        if u32::try_from(bytes.len()).is_err() {
            return Err(TOO_LONG);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| NO_UTF8)?;
        // A little more than FHIR has.
        let nodes = Vec::with_capacity(bytes.len() / BYTES_EXPECTED + 1);
        let document = Document { text, nodes, decoded: String::new(), escaped: Vec::new(), flaws: Vec::new() };
        let most = MAX_VALUES.max(bytes.len() / BYTES_A_VALUE);
        let mut scanner = Self { document, bytes, at: 0, most, flawed };
        scanner.value(depth)?;
        scanner.token();
        if scanner.at < bytes.len() {
            return Err(FOLLOWS);
        }
        let mut document = scanner.document;
        document.flaws.sort_unstable();
        Ok(document)
    }

    /// The next byte that is no white space; zero, which begins nothing, at the end.
    #[inline]
    fn token(&mut self) -> u8 {
        loop {
            let byte = self.bytes.get(self.at).copied().unwrap_or_default();
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return byte;
            }
            self.at += 1;
        }
    }

    #[inline]
    fn push(&mut self, kind: Kind, start: usize, end: usize, next: usize) -> Result<(), JsonError> {
        if self.document.nodes.len() >= self.most {
            return Err(TOO_MANY);
        }
        self.document.nodes.push(Node { kind, start: short(start), end: short(end), next: short(next) });
        Ok(())
    }

    /// There is a second reading at the node of this number.
    #[cold]
    fn flaw(&mut self, node: usize, what: JsonError) -> Result<(), JsonError> {
        if !self.flawed {
            return Err(what);
        }
        self.document.flaws.push(short(node));
        Ok(())
    }

    fn value(&mut self, room: usize) -> Result<(), JsonError> {
        match self.token() {
            b'"' => self.text(Kind::Text),
            b'{' | b'[' if room == 0 => self.too_deep(),
            b'{' => self.object(room - 1),
            b'[' => self.array(room - 1),
            byte => self.scalar(byte),
        }
    }

    fn object(&mut self, room: usize) -> Result<(), JsonError> {
        let open = self.open(Kind::Object)?;
        if self.token() == b'}' {
            return self.close(open);
        }
        let mut keys = Keys { open, count: 0, seen: 0 };
        loop {
            if self.token() != b'"' {
                return Err(NO_KEY);
            }
            let start = self.at + 1;
            self.text(Kind::Key)?;
            self.count(&mut keys, start)?;
            if self.token() != b':' {
                return Err(NO_COLON);
            }
            self.at += 1;
            self.value(room)?;
            match self.token() {
                b',' => self.at += 1,
                b'}' => break,
                _ => return Err(NO_COMMA),
            }
        }
        self.close(open)?;
        if keys.count >= MANY_KEYS && self.repeats(open) { self.flaw(open, TWICE) } else { Ok(()) }
    }

    fn array(&mut self, room: usize) -> Result<(), JsonError> {
        let open = self.open(Kind::Array)?;
        if self.token() == b']' {
            return self.close(open);
        }
        loop {
            self.value(room)?;
            match self.token() {
                b',' => self.at += 1,
                b']' => return self.close(open),
                _ => return Err(NO_COMMA),
            }
        }
    }

    fn open(&mut self, kind: Kind) -> Result<usize, JsonError> {
        let open = self.document.nodes.len();
        self.push(kind, self.at, self.at, 0)?;
        self.at += 1;
        Ok(open)
    }

    fn close(&mut self, open: usize) -> Result<(), JsonError> {
        self.at += 1;
        let next = short(self.document.nodes.len());
        if let Some(node) = self.document.nodes.get_mut(open) {
            node.end = short(self.at);
            node.next = next;
        }
        Ok(())
    }

    /// What is nested too deep is passed over by a reader that does not mind.
    fn too_deep(&mut self) -> Result<(), JsonError> {
        self.flaw(self.document.nodes.len(), TOO_DEEP)?;
        let rest = self.document.text.get(self.at..).unwrap_or_default();
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        if !matches!(values.next(), Some(Ok(_))) {
            return Err(NO_VALUE);
        }
        let start = self.at;
        self.at += values.byte_offset();
        self.push(Kind::Null, start, self.at, 0)
    }

    fn scalar(&mut self, first: u8) -> Result<(), JsonError> {
        let start = self.at;
        let mut scalar = Scalar::begin(first).ok_or(NO_VALUE)?;
        self.at += 1;
        while let Some(next) = self.bytes.get(self.at).and_then(|byte| scalar.then(*byte)) {
            scalar = next;
            self.at += 1;
        }
        if !scalar.is_whole() {
            return Err(NO_VALUE);
        }
        let kind = match first {
            b'n' => Kind::Null,
            b't' => Kind::True,
            b'f' => Kind::False,
            _ => Kind::Number,
        };
        if kind == Kind::Number && (matches!(scalar, Scalar::Exponent) || self.at - start >= MANY_DIGITS) {
            let number = self.document.text.get(start..self.at).unwrap_or_default();
            if !number.parse().is_ok_and(f64::is_finite) {
                self.flaw(self.document.nodes.len(), RANGE)?;
            }
        }
        self.push(kind, start, self.at, 0)
    }

    /// Reads a text from its first quotation mark on.
    #[inline]
    fn text(&mut self, kind: Kind) -> Result<(), JsonError> {
        let start = self.at + 1;
        let end = plain(self.bytes, start);
        if self.bytes.get(end) != Some(&b'"') {
            return self.escaped(kind, start, end);
        }
        self.at = end + 1;
        self.push(kind, start, end, 0)
    }

    /// Reads on in a text from what does not stand for itself.
    fn escaped(&mut self, kind: Kind, start: usize, mut end: usize) -> Result<(), JsonError> {
        let (decoded, mut copied) = (self.document.decoded.len(), start);
        loop {
            let byte = *self.bytes.get(end).ok_or(ENDS)?;
            let plain_part = self.document.text.get(copied..end).unwrap_or_default();
            self.document.decoded.push_str(plain_part);
            match byte {
                b'"' => break,
                b'\\' => {
                    self.at = end + 1;
                    let character = self.escape()?;
                    self.document.decoded.push(character);
                }
                _ => return Err(CONTROL),
            }
            copied = self.at;
            end = plain(self.bytes, copied);
        }
        self.at = end + 1;
        let kind = if kind == Kind::Key { Kind::EscapedKey } else { Kind::EscapedText };
        let (number, node) = (self.document.escaped.len(), self.document.nodes.len());
        let span = Escaped { node: short(node), start: short(decoded), end: short(self.document.decoded.len()) };
        self.document.escaped.push(span);
        self.push(kind, start, end, number)
    }

    fn next(&mut self) -> Result<u8, JsonError> {
        let byte = *self.bytes.get(self.at).ok_or(ENDS)?;
        self.at += 1;
        Ok(byte)
    }

    /// What the escape says whose backslash was read.
    fn escape(&mut self) -> Result<char, JsonError> {
        Ok(match self.next()? {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(NO_ESCAPE),
        })
    }

    fn unicode(&mut self) -> Result<char, JsonError> {
        let unit = self.hex()?;
        if let Some(character) = char::from_u32(unit) {
            return Ok(character);
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if (0xd800..0xdc00).contains(&unit) && rest.starts_with(b"\\u") {
            self.at += 2;
            let low = self.hex()?;
            if (0xdc00..0xe000).contains(&low) {
                let character = char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
                return character.ok_or(NO_ESCAPE);
            }
        }
        self.flaw(self.document.nodes.len(), LONE)?;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let mut unit = 0;
        for _ in 0..4 {
            unit = (unit << 4) | char::from(self.next()?).to_digit(16).ok_or(NO_ESCAPE)?;
        }
        Ok(unit)
    }
}

/// The keys of an object that is being read.
struct Keys {
    open: usize,
    count: usize,
    /// A bit for each key, by its length and its ends: only keys with the same bit can be the same.
    seen: u64,
}

impl Scanner<'_> {
    /// Counts the key that was just read from `start` on, and compares it with those before it while they are few.
    #[inline]
    fn count(&mut self, keys: &mut Keys, start: usize) -> Result<(), JsonError> {
        keys.count += 1;
        if keys.count >= MANY_KEYS {
            return Ok(());
        }
        let bit = self.fingerprint(start);
        let may_repeat = keys.seen & bit != 0;
        keys.seen |= bit;
        if may_repeat { self.compare(keys.open) } else { Ok(()) }
    }

    /// The bit of the key that was just read from `start` on.
    #[inline]
    fn fingerprint(&self, start: usize) -> u64 {
        // Its closing quotation mark is the byte before.
        let name = self.bytes.get(start..self.at - 1).unwrap_or_default();
        match name {
            // With an escape it may be any other.
            _ if self.document.nodes.last().is_some_and(Node::is_escaped) => u64::MAX,
            [first, .., last] => {
                let sum = u32::from(*first).wrapping_mul(29) ^ u32::from(*last).wrapping_mul(5) ^ short(name.len());
                1u64.wrapping_shl(sum)
            }
            _ => 1,
        }
    }

    /// The keys in the object at `open`, in order.
    fn keys(&self, open: usize) -> impl Iterator<Item = (usize, &str)> {
        let mut at = open + 1;
        std::iter::from_fn(move || {
            let (key, node) = (at, self.document.nodes.get(at)?);
            at = self.document.next(at + 1);
            Some((key, self.document.text_of(node)))
        })
    }

    /// Compares the last key with those before it in the object at `open`.
    #[cold]
    fn compare(&mut self, open: usize) -> Result<(), JsonError> {
        let at = self.document.nodes.len() - 1;
        let name = self.document.nodes.get(at).map(|node| self.document.text_of(node));
        let is_repeated = self.keys(open).take_while(|(key, _)| *key < at).any(|(_, earlier)| Some(earlier) == name);
        if is_repeated { self.flaw(at, TWICE) } else { Ok(()) }
    }

    /// Whether a key comes twice in the object at `open`, which was just closed.
    fn repeats(&self, open: usize) -> bool {
        let mut seen = HashSet::new();
        !self.keys(open).all(|(_, name)| seen.insert(name))
    }
}

/// The first quotation mark, backslash or control character from `at` on, or the end.
#[inline]
fn plain(bytes: &[u8], mut at: usize) -> usize {
    const QUOTE: u8x16 = u8x16::new([b'"'; 16]);
    const BACKSLASH: u8x16 = u8x16::new([b'\\'; 16]);
    const CONTROL: u8x16 = u8x16::new([0x1f; 16]);
    let mut rest = bytes.get(at..).unwrap_or_default();
    while let Some((block, after)) = rest.split_first_chunk() {
        let block = u8x16::new(*block);
        let found = block.simd_eq(QUOTE) | block.simd_eq(BACKSLASH) | block.min(CONTROL).simd_eq(block);
        let found = found.to_bitmask();
        if found != 0 {
            return at + found.trailing_zeros() as usize;
        }
        at += 16;
        rest = after;
    }
    let is_plain = |byte: &&u8| **byte >= 0x20 && **byte != b'"' && **byte != b'\\';
    at + rest.iter().take_while(is_plain).count()
}
