//! The request target, decoded exactly once: what is authorised is this value, and what is sent is printed from it.
//!
//! Anything that two parsers could read differently is refused rather than normalised: dot segments, empty segments, encoded
//! slashes, backslashes, path parameters, control characters, bytes that are not UTF-8.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Why a request target is refused; each is the client's mistake (400).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TargetError {
    #[error("the path has an empty, `.` or `..` segment")]
    Segment,
    #[error("the path has a character that FHIR paths do not have")]
    Character,
    #[error("the target is not valid percent-encoded UTF-8")]
    Encoding,
    #[error("there are too many search parameters")]
    TooMany,
}

/// A path and a query, decoded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Target {
    /// Decoded segments; none for `/`.
    pub path: Vec<String>,
    /// Whether the path ended in a slash.
    pub trailing_slash: bool,
    /// Decoded names and values in order, repetitions kept.
    pub query: Vec<(String, String)>,
}

/// What stays as it is in a printed query: the characters FHIR search values are made of.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b',')
    .remove(b':')
    .remove(b'/')
    .remove(b'$')
    .remove(b'*');

impl Target {
    /// Parses origin-form `path[?query]` (RFC 9112 §3.2.1).
    ///
    /// # Errors
    /// The first thing that makes the target ambiguous.
    pub fn parse(raw: &str, max_parameters: usize) -> Result<Self, TargetError> {
        let (path, query) = raw.split_once('?').unwrap_or((raw, ""));
        let (path, trailing_slash) = parse_path(path)?;
        Ok(Self { path, trailing_slash, query: parse_query(query, max_parameters)? })
    }
}

fn parse_path(raw: &str) -> Result<(Vec<String>, bool), TargetError> {
    let rest = raw.strip_prefix('/').ok_or(TargetError::Segment)?;
    if rest.is_empty() {
        return Ok((Vec::new(), true));
    }
    let (rest, trailing_slash) = match rest.strip_suffix('/') {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let segments = rest.split('/').map(parse_segment).collect::<Result<Vec<_>, _>>()?;
    Ok((segments, trailing_slash))
}

fn parse_segment(raw: &str) -> Result<String, TargetError> {
    let segment = decode(raw, false)?;
    if matches!(segment.as_str(), "" | "." | "..") {
        return Err(TargetError::Segment);
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'$' | b'*' | b'~');
    if segment.bytes().all(plain) { Ok(segment) } else { Err(TargetError::Character) }
}

/// Parses `name=value&…` as forms are encoded; `;` separates nothing.
///
/// # Errors
/// Bytes that are not UTF-8, broken percent-encoding, control characters, or more than `max_parameters` pairs.
pub fn parse_query(raw: &str, max_parameters: usize) -> Result<Vec<(String, String)>, TargetError> {
    let mut pairs = Vec::new();
    for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == max_parameters {
            return Err(TargetError::TooMany);
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.push((decode(name, true)?, decode(value, true)?));
    }
    Ok(pairs)
}

/// Prints pairs so that [`parse_query`] reads the same pairs back.
pub fn print_query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = String::new();
    for (name, value) in pairs {
        if !query.is_empty() {
            query.push('&');
        }
        // Writing to a String cannot fail.
        let _ = write!(query, "{}={}", utf8_percent_encode(name, QUERY), utf8_percent_encode(value, QUERY));
    }
    query
}

fn decode(raw: &str, form: bool) -> Result<String, TargetError> {
    // Nearly everything that FHIR clients send means what it is written as.
    if raw.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'%' | b'+')) {
        return Ok(raw.to_owned());
    }
    let plus_decoded;
    let raw = if form && raw.contains('+') {
        plus_decoded = raw.replace('+', " ");
        plus_decoded.as_str()
    } else {
        raw
    };
    if !percent_encoding_is_whole(raw) {
        return Err(TargetError::Encoding);
    }
    let text = percent_encoding::percent_decode_str(raw).decode_utf8().map_err(|_| TargetError::Encoding)?;
    if text.chars().any(char::is_control) {
        return Err(TargetError::Encoding);
    }
    Ok(text.into_owned())
}

/// Whether every `%` is followed by two hexadecimal digits.
fn percent_encoding_is_whole(raw: &str) -> bool {
    raw.split('%').skip(1).all(|after| {
        let mut digits = after.bytes();
        let mut hex = || digits.next().is_some_and(|b| b.is_ascii_hexdigit());
        hex() && hex()
    })
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
