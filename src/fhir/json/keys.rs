//! Keys. Objects of one server look alike: a key that came before, behind the same ones and written the same, is found by
//! comparing its bytes, and that it comes once was seen when it first came.

use std::collections::HashSet;

use super::scan::{LONE, NO_COLON, NO_KEY, NO_KEY_AT_ALL, Place, Scanner, TOO_MANY, TWICE, short, token};
use super::text::{decoded, escapes, plain, same};
use super::{Document, Json, JsonError};

/// From this many keys on, duplicates are looked for in a hash set.
const MANY_KEYS: u32 = 32;

/// Most keys that are tried in one place before the one that stands there is read.
const MOST_TRIED: usize = 8;

/// A key behind certain others of its object, or the place before the first.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Key {
    /// Where it first stood, without its quotation marks.
    pub(super) start: u32,
    pub(super) end: u32,
    /// The number of what it says, counted from one, where it has escapes.
    pub(super) spelled: u32,
    /// Where it began behind a brace or comma, and how long it is with all up to its value.
    from: u32,
    long: u32,
    /// The key before it, and how many there are up to it.
    before: u32,
    count: u32,
    /// A bit for it and each key before it: only keys with the same bit can be the same.
    seen: u64,
    /// What came behind it; what else came in its own place; and the place before the first key of an object in its value.
    behind: u32,
    beside: u32,
    below: u32,
    /// Of such a place the last object that began there, 0 for none, and how many might be open where it stood.
    pub(super) sample: u32,
    pub(super) room: u32,
}

impl Document<'_> {
    /// What a key says.
    pub(super) fn name(&self, key: &Key) -> &str {
        match key.spelled.checked_sub(1) {
            Some(number) => self.names.get(number as usize).map(|name| &**name).unwrap_or_default(),
            None => self.text.get(key.start as usize..key.end as usize).unwrap_or_default(),
        }
    }
}

/// The number of the bit of a name, by its length and its ends.
#[inline]
fn bit_of(name: &[u8]) -> u32 {
    match name {
        [first, .., last] => {
            let sum = u32::from(*first).wrapping_mul(29) ^ u32::from(*last).wrapping_mul(5) ^ short(name.len());
            sum % u64::BITS
        }
        _ => 0,
    }
}

impl Scanner<'_> {
    /// The place before the first key of an object that is, or is in, the value of the key `of`.
    #[inline]
    pub(super) fn first(&mut self, of: u32) -> Result<u32, JsonError> {
        match self.document.keys.get(of as usize) {
            Some(key) if key.below != NO_KEY_AT_ALL => Ok(key.below),
            _ => {
                let first = self.add(Key::default())?;
                if let Some(key) = self.document.keys.get_mut(of as usize) {
                    key.below = first;
                }
                Ok(first)
            }
        }
    }

    #[cold]
    fn add(&mut self, key: Key) -> Result<u32, JsonError> {
        let number = self.document.keys.len();
        if number >= self.most {
            return Err(TOO_MANY);
        }
        self.document.keys.push(key);
        Ok(short(number))
    }

    /// Reads a key up to its value.
    #[inline]
    pub(super) fn member(&mut self, place: &mut Place, at: &mut usize) -> Result<(), JsonError> {
        let keys = self.document.keys.as_slice();
        let likely = keys.get(place.last as usize).map_or(NO_KEY_AT_ALL, |last| last.behind);
        if let Some(key) = keys.get(likely as usize)
            && key.long > 0
            && same(self.bytes, *at, key.from as usize, key.long as usize)
        {
            *at += key.long as usize;
            place.last = likely;
            return Ok(());
        }
        self.other(likely, place, at)
    }

    /// The same for one that is not what came in its place last.
    #[inline(never)]
    fn other(&mut self, mut tried: u32, place: &mut Place, at: &mut usize) -> Result<(), JsonError> {
        for _ in 0..MOST_TRIED {
            let Some(key) = self.document.keys.get(tried as usize).filter(|key| key.long > 0) else { break };
            if same(self.bytes, *at, key.from as usize, key.long as usize) {
                *at += key.long as usize;
                place.last = tried;
                return Ok(());
            }
            tried = key.beside;
        }
        self.new_key(place, at)
    }

    #[inline]
    fn new_key(&mut self, place: &mut Place, at: &mut usize) -> Result<(), JsonError> {
        let (bytes, from) = (self.bytes, *at);
        if token(bytes, at) != b'"' {
            return Err(NO_KEY);
        }
        let start = *at + 1;
        let plain_end = plain(bytes, start);
        let is_plain = bytes.get(plain_end) == Some(&b'"');
        let (end, whole) = if is_plain { (plain_end, true) } else { escapes(bytes, plain_end)? };
        *at = end + 1;
        if token(bytes, at) != b':' {
            return Err(NO_COLON);
        }
        *at += 1;
        token(bytes, at);
        let (long, name) = (short(*at - from), bytes.get(start..end).unwrap_or_default());
        let key = Key { start: short(start), end: short(end), from: short(from), long, ..Key::default() };
        if is_plain {
            place.last = self.follow(place, key, name)?;
            return Ok(());
        }
        if !whole {
            self.flaw(place.open, LONE)?;
        }
        let name = decoded(self.document.text.get(start..end).unwrap_or_default());
        let key = Key { spelled: short(self.document.names.len() + 1), ..key };
        place.last = self.follow(place, key, name.as_bytes())?;
        self.document.names.push(name);
        Ok(())
    }

    /// Puts a key behind those of its object, with which it is compared while they are few.
    #[inline]
    fn follow(&mut self, place: &Place, mut key: Key, name: &[u8]) -> Result<u32, JsonError> {
        let (number, bit) = (self.document.keys.len(), bit_of(name));
        let Some(last) = self.document.keys.get(place.last as usize).filter(|_| number < self.most) else {
            return Err(TOO_MANY);
        };
        (key.before, key.count, key.seen) = (place.last, last.count + 1, last.seen | 1 << bit);
        let may_repeat = last.seen & 1 << bit != 0 && last.count < MANY_KEYS;
        key.beside = last.behind;
        let repeated = may_repeat && self.came(place.last, name);
        if repeated {
            self.flaw(place.open, TWICE)?;
        }
        let Some(called) = self.called.get_mut(bit as usize) else { return Err(TOO_MANY) };
        // Objects under the same name look alike, whatever came before it.
        let namesake = self.document.keys.get(std::mem::replace(called, short(number)) as usize);
        if let Some(namesake) = namesake.filter(|namesake| namesake.below != NO_KEY_AT_ALL)
            && self.document.name(namesake).as_bytes() == name
        {
            key.below = namesake.below;
        }
        // What is a second reading once, is one each time.
        if let Some(last) = self.document.keys.get_mut(place.last as usize).filter(|_| !repeated && key.spelled == 0) {
            last.behind = short(number);
        }
        self.document.keys.push(key);
        Ok(short(number))
    }

    /// Whether what a key says came already, up to the key `last`.
    #[cold]
    fn came(&self, mut last: u32, name: &[u8]) -> bool {
        while let Some(before) = self.document.keys.get(last as usize).filter(|before| before.count > 0) {
            if self.document.name(before).as_bytes() == name {
                return true;
            }
            last = before.before;
        }
        false
    }

    /// An object was closed that stood in `place`; `closed` is where it ended.
    #[inline]
    pub(super) fn closed(&mut self, closed: &Place, place: &Place) -> Result<(), JsonError> {
        let keys = self.document.keys.get(closed.last as usize).map_or(0, |key| key.count);
        if keys >= MANY_KEYS && self.repeats(closed.open) {
            self.flaw(closed.open, TWICE)?;
        }
        let first = self.document.keys.get(place.last as usize).map_or(NO_KEY_AT_ALL, |key| key.below);
        if let Some(first) = self.document.keys.get_mut(first as usize) {
            (first.sample, first.room) = (short(closed.open), short(place.room));
        }
        Ok(())
    }

    /// Whether a key comes twice in the object at `open`, which was just closed.
    fn repeats(&self, open: usize) -> bool {
        let mut seen = HashSet::new();
        !Json { document: &self.document, at: open }.members().all(|(name, _)| seen.insert(name))
    }
}
