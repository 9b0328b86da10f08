//! Objects that are like one that was read before: the entries of a Bundle, a coding as the coding before it. As far as the bytes
//! are the same, they mean the same; what differs between them may be texts and numbers, which are read. Where anything else
//! differs, the object is read on by itself.

use std::sync::OnceLock;

use super::Document;
use super::scan::{Kind, Node, Place, Scanner, in_range, scalar, short};
use super::text::{alike, escapes, plain};

impl Scanner<'_> {
    /// Reads the object at `at` as far as it is like the last one behind `first`, the place before its first key: up to behind a
    /// value in it, or to its end. Whether anything was read.
    #[inline]
    pub(super) fn like(&mut self, first: u32, place: &mut Place, key: u32, at: &mut usize) -> bool {
        let Some(sample) = self.sample(first, place) else { return false };
        if self.make_room(sample.len()).is_err() {
            return false;
        }
        let object = self.document.nodes.len();
        self.document.nodes.extend_from_within(sample.clone());
        let (read, end, whole) = self.fill(sample.start, object, *at);
        if read == 0 {
            self.document.nodes.truncate(object);
            return false;
        }
        *at = end;
        if let Some(node) = self.document.nodes.get_mut(object) {
            node.key = key;
        }
        if !whole {
            self.document.nodes.truncate(object + read);
            self.reopen(place, object);
        }
        true
    }

    /// The nodes of an object that another one in this place may be like.
    #[inline]
    fn sample(&self, first: u32, place: &Place) -> Option<std::ops::Range<usize>> {
        let first = self.document.keys.get(first as usize)?;
        let number = first.sample as usize;
        let sample = self.document.nodes.get(number)?;
        let fits = number > 0 && first.room as usize <= place.room && self.document.flaws.is_empty();
        fits.then_some(number..sample.next as usize)
    }

    /// Makes the nodes from `to` on, which are those from `from` on once more, those of the object at `start`: how many of them
    /// are, where it was read up to, and whether that is all of it.
    #[inline(never)]
    fn fill(&mut self, from: usize, to: usize, start: usize) -> (usize, usize, bool) {
        let (bytes, Document { nodes, escaped, .. }) = (self.bytes, &mut self.document);
        let halves = nodes.split_at_mut_checked(to);
        let halves = halves.and_then(|(before, object)| Some((before.get(from..from + object.len())?, object)));
        let Some((sample @ [whole, ..], object)) = halves else { return (0, start, false) };
        let (further, end) = (short(to - from), whole.end as usize);
        // Two places that stand for each other, and up to where in the sample the same stands behind both.
        let (mut read, mut at) = (whole.start as usize, start);
        let mut same = read + alike(bytes, read..end, at);
        let mut moved = short(at).wrapping_sub(short(read));
        let (mut unlike, mut grown) = (u32::MAX, false);
        for (old, new) in sample.iter().zip(object.iter_mut()) {
            new.start = old.start.wrapping_add(moved);
            new.end = old.end.wrapping_add(moved);
            if old.is_container() {
                new.next = old.next.wrapping_add(further);
                continue;
            }
            // It is the same only with the byte behind it.
            if old.end as usize >= same {
                let other = if old.start as usize <= same { again(bytes, new) } else { None };
                let Some(end_of_other) = other else {
                    unlike = old.start;
                    break;
                };
                (at, read) = (end_of_other, old.end as usize);
                same = read + alike(bytes, read..end, at);
                let before = moved;
                moved = short(at).wrapping_sub(short(read));
                grown |= moved != before;
            }
            if new.kind == Kind::EscapedText {
                new.next = short(escaped.len());
                escaped.push(OnceLock::new());
            }
        }
        if same == end {
            if grown {
                ends(sample, object, from, usize::MAX);
            }
            return (sample.len(), at + (end - read), true);
        }
        let stop = sample.partition_point(|node| node.start < unlike);
        let Some(last) = sample.iter().take(stop).rposition(|node| !node.is_container()) else {
            return (0, start, false);
        };
        let behind = object.get(last).map_or(start, |last| last.end as usize + usize::from(last.is_text()));
        ends(sample, object, from, from + last + 1);
        (last + 1, behind, false)
    }

    /// Opens again what is still open in the object at the node `object`, which was read up to behind the last node.
    fn reopen(&mut self, place: &mut Place, object: usize) {
        let behind = self.document.nodes.len();
        for (number, node) in self.document.nodes.iter_mut().enumerate().skip(object) {
            if node.is_container() && node.next as usize >= behind {
                if place.object {
                    place.last = node.key;
                }
                (node.end, node.next) = (place.last, short(place.open));
                (place.open, place.object) = (number, node.kind == Kind::Object);
                place.room = place.room.saturating_sub(1);
            } else if number + 1 == behind && place.object {
                place.last = node.key;
            }
        }
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
        scalar(bytes, start).filter(|(_, end)| in_range(bytes, start..*end))?
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
