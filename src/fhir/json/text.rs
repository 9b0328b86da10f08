//! What is within quotation marks.

use wide::{u8x16, u8x32};

use super::JsonError;
use super::scan::{CONTROL as IS_CONTROL, ENDS, NO_ESCAPE};

/// The sixteen bytes from `at` on, unless it ends before.
#[inline]
fn block(bytes: &[u8], at: usize) -> Option<u8x16> {
    bytes.get(at..at + 16)?.first_chunk().map(|block| u8x16::new(*block))
}

/// How many bytes of a part of `bytes` stand at `at`, too, from its first one on.
#[inline(never)]
pub(super) fn alike(bytes: &[u8], part: std::ops::Range<usize>, at: usize) -> usize {
    let (one, other) = (bytes.get(part.start..).unwrap_or_default(), bytes.get(at..).unwrap_or_default());
    let (mut equal, long) = (0, part.len());
    for (one, other) in one.as_chunks().0.iter().zip(other.as_chunks().0).take(long.div_ceil(32)) {
        let found = u8x32::new(*one).simd_eq(u8x32::new(*other)).to_bitmask();
        if found != u32::MAX {
            return long.min(equal + found.trailing_ones() as usize);
        }
        equal += 32;
    }
    let rest = one.iter().zip(other).skip(equal).take(long.saturating_sub(equal));
    long.min(equal + rest.take_while(|(one, other)| one == other).count())
}

/// The first quotation mark, backslash or control character from `at` on, or the end.
#[inline]
pub(super) fn plain(bytes: &[u8], mut at: usize) -> usize {
    const QUOTE: u8x16 = u8x16::new([b'"'; 16]);
    const BACKSLASH: u8x16 = u8x16::new([b'\\'; 16]);
    const CONTROL: u8x16 = u8x16::new([0x1f; 16]);
    while let Some(block) = block(bytes, at) {
        let found = block.simd_eq(QUOTE) | block.simd_eq(BACKSLASH) | block.min(CONTROL).simd_eq(block);
        let found = found.to_bitmask();
        if found != 0 {
            return at + found.trailing_zeros() as usize;
        }
        at += 16;
    }
    let is_plain = |byte: &&u8| **byte >= 0x20 && **byte != b'"' && **byte != b'\\';
    at + bytes.get(at..).unwrap_or_default().iter().take_while(is_plain).count()
}

/// How many bytes at the beginning are ASCII that a string has as it is; looks at eight at a time.
#[inline]
pub(in crate::fhir) fn plain_ascii(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x80 * ONES;
    // The high bit of each byte less than `than`; above the first such byte there may be wrong ones.
    let less = |word: u64, than: u64| word.wrapping_sub(than * ONES) & !word & HIGHS;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = less(word ^ (0x22 * ONES), 1);
        let backslash = less(word ^ (0x5c * ONES), 1);
        let found = less(word, 0x20) | quote | backslash | (word & HIGHS);
        if found != 0 {
            return index * 8 + (found.trailing_zeros() / 8) as usize;
        }
    }
    let is_plain = |byte: &&u8| matches!(byte, 0x20..=0x7f) && **byte != b'"' && **byte != b'\\';
    bytes.len() - rest.len() + rest.iter().take_while(is_plain).count()
}

/// Reads on in a text from what does not stand for itself; where it ends, and whether it has no half of a surrogate pair.
pub(super) fn escapes(bytes: &[u8], mut at: usize) -> Result<(usize, bool), JsonError> {
    let mut whole = true;
    loop {
        match bytes.get(at) {
            Some(b'"') => return Ok((at, whole)),
            Some(b'\\') => {}
            Some(_) => return Err(IS_CONTROL),
            None => return Err(ENDS),
        }
        let (character, behind) = escape(bytes, at + 1)?;
        whole &= character.is_some();
        at = plain(bytes, behind);
    }
}

/// The character that an escape stands for whose backslash is before `at`, or none for half a surrogate pair; and where it ends.
#[inline]
fn escape(bytes: &[u8], at: usize) -> Result<(Option<char>, usize), JsonError> {
    let character = match bytes.get(at).ok_or(ENDS)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(bytes, at + 1),
        _ => return Err(NO_ESCAPE),
    };
    Ok((Some(character), at + 1))
}

fn unicode(bytes: &[u8], at: usize) -> Result<(Option<char>, usize), JsonError> {
    let (unit, behind) = (hex(bytes, at)?, at + 4);
    if (0xd800..0xdc00).contains(&unit) && bytes.get(behind..behind + 2) == Some(b"\\u") {
        let low = hex(bytes, behind + 2)?;
        if (0xdc00..0xe000).contains(&low) {
            return Ok((char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)), behind + 6));
        }
    }
    Ok((char::from_u32(unit), behind))
}

fn hex(bytes: &[u8], at: usize) -> Result<u32, JsonError> {
    let digits = bytes.get(at..at + 4).ok_or(ENDS)?;
    digits.iter().try_fold(0, |unit, digit| Ok((unit << 4) | char::from(*digit).to_digit(16).ok_or(NO_ESCAPE)?))
}

/// What a text says that was read before; `written` is what stands between its quotation marks.
pub(super) fn decoded(written: &str) -> Box<str> {
    let (mut says, mut rest) = (String::with_capacity(written.len()), written);
    while let Some((plain, escaped)) = rest.split_once('\\') {
        says.push_str(plain);
        let (character, behind) = escape(escaped.as_bytes(), 0).unwrap_or_default();
        says.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
        rest = escaped.get(behind..).unwrap_or_default();
    }
    says.push_str(rest);
    says.into()
}
