//! Which language a page speaks: what the app asked for, else what the browser prefers, else the first one configured.

use std::cmp::Reverse;

use crate::config::{Language, Pages};

/// Most languages of a header that are looked at.
const MAX_RANGES: usize = 32;

/// The first of `ui_locales` that is spoken here (OpenID Connect Core §3.1.2.1).
pub(super) fn asked(ui_locales: &str, pages: &Pages) -> Option<Language> {
    ui_locales.split(' ').take(MAX_RANGES).find_map(|range| look_up(range, pages))
}

/// The one of `Accept-Language` that the reader prefers among those spoken here (RFC 9110 §12.5.4).
pub(super) fn accepted(header: &str, pages: &Pages) -> Option<Language> {
    let mut ranges: Vec<(&str, u16)> = header.split(',').take(MAX_RANGES).filter_map(range).collect();
    // Of equal weight, the first.
    ranges.sort_by_key(|(_, weight)| Reverse(*weight));
    let any = |range| if range == "*" { Some(pages.fallback()) } else { look_up(range, pages) };
    ranges.into_iter().filter(|(_, weight)| *weight > 0).find_map(|(range, _)| any(range))
}

/// A language range and its weight in thousandths.
fn range(part: &str) -> Option<(&str, u16)> {
    let mut parameters = part.split(';').map(str::trim);
    let range = parameters.next().filter(|range| !range.is_empty())?;
    let weight = match parameters.next() {
        None => 1000,
        Some(parameter) => weight(parameter.strip_prefix(['q', 'Q'])?.trim_start().strip_prefix('=')?.trim())?,
    };
    Some((range, weight))
}

/// `0.5` as 500 (RFC 9110 §12.4.2): at most three decimals, at most 1.
fn weight(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match whole {
        "0" => format!("{decimals:0<3}").parse().ok(),
        "1" if decimals.bytes().all(|byte| byte == b'0') => Some(1000),
        _ => None,
    }
}

/// The language that `range` means, or a more general form of it (RFC 4647 §3.4): `de-AT` finds `de`.
fn look_up(range: &str, pages: &Pages) -> Option<Language> {
    let mut range = range;
    loop {
        let found = pages.languages.iter().find(|language| language.tag().eq_ignore_ascii_case(range));
        if let Some(found) = found {
            return Some(*found);
        }
        (range, _) = range.rsplit_once('-')?;
    }
}

#[cfg(test)]
#[path = "language_tests.rs"]
mod tests;
