//! Objects that are like one that was read before: the entries of a Bundle, a coding as the coding before it. As far as the bytes
//! are the same, they mean the same; what differs between them may be texts and numbers, which are read. Where anything else
//! differs, the object is read on by itself.

use std::ops::Range;
use std::sync::OnceLock;

use super::keys::Name;
use super::node::{Kind, Node, short};
use super::scan::{Place, Scanner, in_range, scalar};
use super::text::{alike, escapes, plain};
use super::{Document, Json};

/// How many bytes at the beginning of an object tell at once that another one is not like it.
const FIRST: usize = 4;

/// How many nodes of a sample are taken at a time: what is compared costs no more than what is the same, however long the sample is.
const STEP: usize = 256;

/// Where a value is in an object; in every object that has the same nodes it is the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offset(u32);

impl<'d> Json<'d> {
    /// Whether this and the object `before` it have the same nodes: the same names in the same order, and under each the same kind
    /// of value, all the way down. Not every object that has is known to.
    pub fn has_nodes_of(self, before: Self) -> bool {
        let (Some(node), Some(of_before)) = (self.node(), before.node()) else { return false };
        let long = |node: &Node, at: usize| (node.next as usize).wrapping_sub(at);
        node.kind == Kind::SameObject
            && of_before.is_object()
            && of_before.next as usize == self.at
            && long(node, self.at) == long(of_before, before.at)
    }

    /// Where in `object` this is.
    pub fn offset_in(self, object: Self) -> Offset {
        Offset(short(self.at.wrapping_sub(object.at)))
    }

    /// The value that is there in this object.
    #[must_use]
    pub fn inside(self, offset: Offset) -> Self {
        Self { at: self.at + offset.0 as usize, ..self }
    }

    /// Whether both are the same value of the same document.
    pub fn is(self, other: Self) -> bool {
        self.at == other.at && std::ptr::eq(self.document, other.document)
    }
}

impl Scanner<'_> {
    /// Reads the object at `at` as far as it is like the last one under its name: up to behind a value in it, or to its end. Whether
    /// anything was read.
    #[inline]
    pub(super) fn like(&mut self, place: &mut Place, at: &mut usize) -> bool {
        match self.samples.get(usize::from(place.like)) {
            Some(sample) if *sample > 0 => self.as_sample(*sample as usize, place, at),
            _ => false,
        }
    }

    fn as_sample(&mut self, number: usize, place: &mut Place, at: &mut usize) -> bool {
        let Some(sample) = self.document.nodes.get(number) else { return false };
        let begins = |at: usize| self.bytes.get(at..at + FIRST);
        let fits = usize::from(sample.depth) >= self.around.len() && self.document.flaws.is_empty();
        if !fits || begins(*at) != begins(sample.start as usize) {
            return false;
        }
        let (sample, is_next) = (number..sample.next as usize, sample.next as usize == self.document.nodes.len());
        if self.make_room(sample.len()).is_err() {
            return false;
        }
        let object = self.document.nodes.len();
        let (read, end, whole) = self.fill(sample, *at);
        if read == 0 {
            self.document.nodes.truncate(object);
            return false;
        }
        *at = end;
        if let Some(node) = self.document.nodes.get_mut(object) {
            (node.name, node.long) = (place.name.at, place.name.long);
            node.kind = if whole && is_next { Kind::SameObject } else { Kind::Object };
        }
        if whole {
            // What comes next has the same nodes as what is right before it.
            if let Some(sample) = self.samples.get_mut(usize::from(place.like)) {
                *sample = short(object);
            }
        } else {
            self.document.nodes.truncate(object + read);
            self.reopen(place, object);
        }
        true
    }

    /// Adds the nodes of the sample once more, as those of the object at `start`: how many of them are its nodes, where it was read
    /// up to, and whether that is all of it.
    #[inline(never)]
    fn fill(&mut self, sample: Range<usize>, start: usize) -> (usize, usize, bool) {
        let (bytes, Document { nodes, escaped, .. }) = (self.bytes, &mut self.document);
        let (from, to, nothing) = (sample.start, nodes.len(), (0, start, false));
        let Some(whole) = nodes.get(from).copied() else { return nothing };
        let further = short(to - from);
        let mut both = Both::of(bytes, whole.start as usize..whole.end as usize, start);
        let (mut unlike, mut taken) = (None, 0);
        while unlike.is_none() && taken < sample.len() {
            let part = from + taken..sample.end.min(from + taken + STEP);
            nodes.extend_from_within(part.clone());
            let Some((before, object)) = nodes.split_at_mut_checked(to) else { return nothing };
            let (Some(old), Some(new)) = (before.get(part.clone()), object.get_mut(taken..)) else { return nothing };
            unlike = both.take(old, new, further, escaped);
            taken += part.len();
            // Of containers alone nothing was compared.
            let behind = |last: &Node| both.same < both.end && last.start as usize >= both.same;
            unlike = unlike.or_else(|| old.last().is_some_and(behind).then(|| short(both.same)));
        }
        let Some((before, object)) = nodes.split_at_mut_checked(to) else { return nothing };
        let Some(sample) = before.get(from..from + taken) else { return nothing };
        if both.same == both.end {
            if both.grown {
                ends(sample, object, from, usize::MAX);
            }
            return (taken, both.at + (both.end - both.read), true);
        }
        let stop = sample.partition_point(|node| node.start < unlike.unwrap_or(u32::MAX));
        let Some(last) = sample.iter().take(stop).rposition(|node| !node.is_container()) else { return nothing };
        let behind = object.get(last).map_or(start, |last| last.end as usize + usize::from(last.is_text()));
        ends(sample.get(..=last).unwrap_or_default(), object, from, from + last + 1);
        (last + 1, behind, false)
    }

    /// Opens again what is still open in the object at the node `object`, which was read up to behind the last node.
    fn reopen(&mut self, place: &mut Place, object: usize) {
        let (mut number, behind) = (object, self.document.nodes.len());
        while let Some(node) = self.document.nodes.get(number).copied() {
            if place.object && number > object {
                place.note(Name { at: node.name, long: node.long }, self.document.name(&node).as_bytes());
            }
            let next = node.behind(number);
            if !node.is_container() || next < behind {
                number = next;
                continue;
            }
            // The depth of the sample is not that of what differs from it.
            if let (Some(node), [depth, ..]) = (self.document.nodes.get_mut(number), self.around.len().to_le_bytes()) {
                node.depth = depth;
                // Nor will its nodes be.
                node.kind = if node.is_object() { Kind::Object } else { node.kind };
            }
            self.around.push(*place);
            *place = Place::of(number, node.is_object(), place.like);
            number += 1;
        }
    }
}

/// A sample and what is compared with it: two places that stand for each other, and up to where the same stands behind both.
struct Both<'a> {
    bytes: &'a [u8],
    /// The place in the sample, and the one in what is compared.
    read: usize,
    at: usize,
    /// Up to where in the sample.
    same: usize,
    /// Where the sample ends.
    end: usize,
    /// From a place in the sample to that which stands for it.
    moved: u32,
    /// Whether any text or number was longer or shorter.
    grown: bool,
}

impl<'a> Both<'a> {
    fn of(bytes: &'a [u8], sample: Range<usize>, at: usize) -> Self {
        let (read, end) = (sample.start, sample.end);
        let mut both = Self { bytes, read, at, same: read, end, moved: 0, grown: false };
        both.compare();
        both
    }

    #[inline]
    fn compare(&mut self) {
        self.same = self.read + alike(self.bytes, self.read..self.end, self.at);
        self.moved = short(self.at).wrapping_sub(short(self.read));
    }

    /// Makes nodes of what is compared of those of the sample; where the first one begins that is not like it.
    #[inline]
    fn take(
        &mut self,
        sample: &[Node],
        object: &mut [Node],
        further: u32,
        escaped: &mut Vec<OnceLock<Box<str>>>,
    ) -> Option<u32> {
        let (mut same, mut moved) = (self.same, self.moved);
        for (old, new) in sample.iter().zip(object) {
            new.start = old.start.wrapping_add(moved);
            new.end = old.end.wrapping_add(moved);
            if old.is_container() {
                new.next = old.next.wrapping_add(further);
                continue;
            }
            // It is the same only with the byte behind it.
            if old.end as usize >= same {
                let other = if old.start as usize <= same { again(self.bytes, new) } else { None };
                let Some(end_of_other) = other else { return Some(old.start) };
                (self.at, self.read) = (end_of_other, old.end as usize);
                self.compare();
                self.grown |= self.moved != moved;
                (same, moved) = (self.same, self.moved);
            }
            if new.kind == Kind::EscapedText {
                new.next = short(escaped.len());
                escaped.push(OnceLock::new());
            }
        }
        None
    }
}

/// Reads another text or number in the place of one; where it ends.
#[inline]
fn again(bytes: &[u8], new: &mut Node) -> Option<usize> {
    let start = new.start as usize;
    let (kind, end) = if new.is_text() {
        let end = plain(bytes, start);
        match bytes.get(end) {
            Some(b'"') => (Kind::Text, end),
            _ => (Kind::EscapedText, escapes(bytes, end).ok().filter(|(_, whole)| *whole)?.0),
        }
    } else {
        scalar(bytes, start).filter(|(kind, end)| kind.is_like(new.kind) && in_range(bytes, start..*end))?
    };
    (new.kind, new.end) = (kind, short(end));
    Some(end)
}

/// Says where those arrays and objects end behind which is a node before `behind`: as far behind the last value in them as in the
/// sample.
fn ends(sample: &[Node], object: &mut [Node], from: usize, behind: usize) {
    for (number, old) in sample.iter().enumerate().rev() {
        if !old.is_container() || old.next as usize >= behind {
            continue;
        }
        let last = (old.next as usize).wrapping_sub(from + 1);
        let end = match (sample.get(last), object.get(last)) {
            (Some(was), Some(is)) if last > number => is.end.wrapping_add(old.end.wrapping_sub(was.end)),
            (_, is) => is.map_or(0, |is| is.start).wrapping_add(old.end.wrapping_sub(old.start)),
        };
        if let Some(new) = object.get_mut(number) {
            new.end = end;
        }
    }
}
