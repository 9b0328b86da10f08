//! Keys: what they say, and that none comes twice in an object.

use std::collections::HashSet;

use smallvec::SmallVec;

use super::node::{Kind, Node, short};
use super::scan::{LONE, NO_COLON, NO_KEY, Place, Scanner, TWICE, token};
use super::text::{decoded, escapes, plain};
use super::{Document, Json, JsonError};

/// From this many keys on, duplicates are looked for in a hash set.
const MANY_KEYS: u32 = 32;

/// The length of a name that does not stand in the document as it is, or is too long for its length to have room.
const SPELLED: u16 = u16::MAX;

/// Texts of some names that a resource has.
const TEXTS_EXPECTED: usize = 16;

/// What a member is called: where that stands and how long it is, or its number among those that are spelled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub(super) at: u32,
    pub(super) long: u16,
}

impl Name {
    /// Of what is no member; before a name stand a brace and a quotation mark.
    pub(super) const NONE: Self = Self { at: 0, long: 0 };
}

impl Document<'_> {
    /// What the member is called that a node is.
    #[inline]
    pub(super) fn name(&self, node: &Node) -> &str {
        let at = node.name as usize;
        match node.long {
            SPELLED => self.names.get(at).map(|name| &**name).unwrap_or_default(),
            long => self.text.get(at..at + usize::from(long)).unwrap_or_default(),
        }
    }

    /// Whether a node is a member of this name.
    #[inline]
    pub(super) fn is_called(&self, node: &Node, name: &str) -> bool {
        let (at, long) = (node.name as usize, usize::from(node.long));
        if long != name.len() || node.long == SPELLED {
            return node.long == SPELLED && self.name(node) == name;
        }
        at > 0 && self.text.as_bytes().get(at..at + long) == Some(name.as_bytes())
    }

    /// Calls `visit` with every text that is a member with one of these names, in order.
    pub fn texts_called<'d>(&'d self, names: &[&str], mut visit: impl FnMut(Json<'d>)) {
        let (lengths, mut at) = (Lengths::of(names), 0);
        let mut found: SmallVec<[usize; TEXTS_EXPECTED]> = SmallVec::new();
        while let Some(node) = self.nodes.get(at) {
            if node.kind == Kind::SameObject {
                // They are where they are in the object before it.
                let (end, known) = (node.next as usize, found.len());
                let long = end.saturating_sub(at);
                let before = found.iter().rev().take_while(|found| **found + long >= at).count();
                found.resize(known + before, 0);
                if let Some((known, new)) = found.split_at_mut_checked(known) {
                    let known = known.iter().rev().take(before);
                    new.iter_mut().rev().zip(known).for_each(|(new, known)| *new = known + long);
                }
                at = end;
                continue;
            }
            if lengths.may_have(node) && node.is_text() && names.iter().any(|name| self.is_called(node, name)) {
                found.push(at);
            }
            at += 1;
        }
        found.iter().for_each(|at| visit(Json { document: self, at: *at }));
    }
}

/// The names of some lengths, and those that are spelled.
#[derive(Clone, Copy)]
pub(super) struct Lengths(u64);

impl Lengths {
    pub(super) fn of(names: &[&str]) -> Self {
        let bit = |long: usize| 1 << (long % 64);
        Self(names.iter().fold(bit(usize::from(SPELLED)), |bits, name| bits | bit(name.len())))
    }

    /// Whether a node may have a name of one of these lengths.
    #[inline]
    pub(super) fn may_have(self, node: &Node) -> bool {
        self.0 >> (node.long % 64) & 1 != 0
    }
}

/// The number of the bit of a name, by its length and its ends.
#[inline]
fn bit_of(name: &[u8]) -> u8 {
    match name {
        [first, .., last] => {
            let [long, ..] = name.len().to_le_bytes();
            (first.wrapping_mul(29) ^ last.wrapping_mul(5) ^ long) % 64
        }
        _ => 0,
    }
}

impl Place {
    /// Notes a member of what is open here, by its name and what that says; whether an earlier one may be called the same.
    #[inline]
    pub(super) fn note(&mut self, name: Name, says: &[u8]) -> bool {
        (self.name, self.like) = (name, bit_of(says));
        let bit = 1 << self.like;
        let may_repeat = self.seen & bit != 0 && self.keys < MANY_KEYS;
        self.seen |= bit;
        self.keys += 1;
        may_repeat
    }
}

impl Scanner<'_> {
    /// Reads a key and its colon; where they end.
    #[inline]
    pub(super) fn member(&mut self, place: &mut Place, mut at: usize) -> Result<usize, JsonError> {
        let bytes = self.bytes;
        if token(bytes, &mut at) != b'"' {
            return Err(NO_KEY);
        }
        let start = at + 1;
        let end = plain(bytes, start);
        let says = bytes.get(start..end).unwrap_or_default();
        match u16::try_from(says.len()) {
            Ok(long) if long < SPELLED && bytes.get(end) == Some(&b'"') => {
                at = end + 1;
                if place.note(Name { at: short(start), long }, says) {
                    self.once(place, says)?;
                }
            }
            _ => at = self.spelled(place, start, end)?,
        }
        if token(bytes, &mut at) == b':' { Ok(at + 1) } else { Err(NO_COLON) }
    }

    /// Reads a key that has escapes, or is very long.
    #[cold]
    fn spelled(&mut self, place: &mut Place, start: usize, special: usize) -> Result<usize, JsonError> {
        let (end, whole) = escapes(self.bytes, special)?;
        if !whole {
            self.flaw(place.open, LONE)?;
        }
        let says = decoded(self.document.text.get(start..end).unwrap_or_default());
        if place.note(Name { at: short(self.document.names.len()), long: SPELLED }, says.as_bytes()) {
            self.once(place, says.as_bytes())?;
        }
        self.document.names.push(says);
        Ok(end + 1)
    }

    /// Compares what a key says with those before it in the object that is open.
    #[inline(never)]
    fn once(&mut self, place: &Place, says: &[u8]) -> Result<(), JsonError> {
        let comes = |node| self.document.name(node).as_bytes() == says;
        if self.members(place.open).any(comes) { self.flaw(place.open, TWICE) } else { Ok(()) }
    }

    /// The members of the object that is open, which were read.
    fn members(&self, open: usize) -> impl Iterator<Item = &Node> {
        let mut at = open + 1;
        std::iter::from_fn(move || {
            let node = self.document.nodes.get(at)?;
            at = node.behind(at);
            Some(node)
        })
    }

    /// An object of many members was closed.
    #[inline]
    pub(super) fn closed(&mut self, closed: &Place) -> Result<(), JsonError> {
        if closed.keys >= MANY_KEYS && self.repeats(closed.open) {
            return self.flaw(closed.open, TWICE);
        }
        Ok(())
    }

    /// Whether a key comes twice in the object at `open`, which was just closed.
    #[cold]
    fn repeats(&self, open: usize) -> bool {
        let mut seen = HashSet::new();
        !Json { document: &self.document, at: open }.members().all(|(name, _)| seen.insert(name))
    }
}
