//! `[pages]`: name, logo and colour of the pages for people, and their languages.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::login::filled;
use crate::config::color::{AMPLE, BLACK, Color, ENOUGH, WHITE};
use crate::config::document::Found;
use crate::config::table::Table;
use crate::config::{Language, Link, Logo, Pages};

/// The stylesheet, to which a colour is added.
const STYLE: &str = include_str!("../../../templates/style.css");

/// What the accent lies on, or is written on, in the light scheme of the stylesheet: paper and ground.
const LIGHT: [Color; 2] = [WHITE, Color([0xee, 0xf2, 0xf5])];

/// The same in the dark scheme.
const DARK: [Color; 2] = [Color([0x1a, 0x22, 0x2b]), Color([0x10, 0x16, 0x1c])];

/// Largest logo, in bytes: everybody who logs in waits for it.
const MAX_LOGO: usize = 128 * 1024;

/// Longest name, text or link, in characters.
const MAX_TEXT: usize = 120;

/// Most links at the foot of a page.
const MAX_LINKS: usize = 5;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

pub(super) fn pages(mut table: Table<'_>) -> Pages {
    let name = table.text("name").and_then(|found| found.parse(short));
    let logo = table.text("logo").and_then(logo);
    let name_in_logo = table.flag("name_in_logo", false);
    if table.has("logo") && !table.has("name") {
        table.missing("name", "\"St. Example Hospital\" (for those who cannot see the logo)");
    }
    if name_in_logo && !table.has("logo") {
        table.place("name_in_logo").wrong("there is no logo; leave it out");
    }
    let color = table.text("color").and_then(|found| found.parse(light));
    let color_dark = table.text("color_dark").and_then(|found| found.parse(dark));
    if table.has("color_dark") && !table.has("color") {
        table.missing("color", "\"#0a5a85\"");
    }
    let support = table.text("support").and_then(|found| found.parse(short));
    let (links, languages) = (links(&mut table), languages(&mut table));
    table.finish();
    let style = match color {
        None => STYLE.to_owned(),
        Some(color) => format!("{STYLE}{}", accent(color, color_dark)),
    };
    let style_source = format!("'sha256-{}'", STANDARD.encode(Sha256::digest(style.as_bytes())));
    Pages { name, logo, name_in_logo, support, links, languages, style, style_source }
}

fn short(text: &str) -> Result<String, String> {
    if text.chars().count() > MAX_TEXT {
        return Err(format!("is longer than {MAX_TEXT} characters"));
    }
    filled(text)
}

fn logo(path: Found<'_, &str>) -> Option<Logo> {
    let document = path.place.document;
    path.parse(|path| {
        let bytes = document.reading.bytes(&document.folder().join(path))?;
        if bytes.len() > MAX_LOGO {
            return Err(format!("`{path}` is larger than {} KiB", MAX_LOGO / 1024));
        }
        let media_type = media_type(&bytes).ok_or_else(|| format!("`{path}` is neither a PNG nor an SVG"))?;
        let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(Sha256::digest(&bytes)));
        Ok(Logo { bytes: Bytes::from(bytes), media_type, tag })
    })
}

/// What the bytes are, whatever the file is called.
fn media_type(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(PNG) {
        return Some("image/png");
    }
    let text = std::str::from_utf8(bytes).ok()?.trim_start_matches('\u{feff}').trim_start();
    (text.starts_with('<') && text.contains("<svg")).then_some("image/svg+xml")
}

fn light(text: &str) -> Result<Color, String> {
    readable(text, BLACK, &LIGHT, "darker")
}

fn dark(text: &str) -> Result<Color, String> {
    readable(text, WHITE, &DARK, "lighter")
}

/// A colour for text on each of `grounds`; where it is none, the error names one that is.
fn readable(text: &str, towards: Color, grounds: &[Color; 2], what: &str) -> Result<Color, String> {
    let color = Color::parse(text)?;
    let contrast = color.least_contrast(grounds);
    if contrast >= ENOUGH {
        return Ok(color);
    }
    let better = color.towards(towards, grounds, ENOUGH);
    Err(format!(
        "{text:?} has a contrast of {contrast:.1} to the page, and text needs {ENOUGH} (WCAG 2.2 AA); write a {what} one, for example \
         \"{better}\""
    ))
}

/// What a colour adds to the stylesheet. One for the dark scheme is derived where none is given.
fn accent(color: Color, color_dark: Option<Color>) -> String {
    let dark = color_dark.unwrap_or_else(|| color.towards(WHITE, &DARK, AMPLE));
    format!(
        ":root {{ --accent: {color}; }}\n\
         @media (prefers-color-scheme: dark) {{ :root {{ --accent: {dark}; }} }}\n\
         main {{ border-top: 0.25rem solid var(--accent); }}\n"
    )
}

fn links(table: &mut Table<'_>) -> Vec<Link> {
    let mut listed = table.open_table("links");
    // As the operator wrote them.
    listed.sort_by_key(|(text, _)| text.place.offset);
    if listed.len() > MAX_LINKS {
        table.place("links").wrong(format!("are more than {MAX_LINKS}"));
    }
    let link = |(text, url): (Found<'_, &str>, Found<'_, &str>)| {
        let (text, url) = (text.parse(short), url.parse(target));
        Some(Link { text: text?, url: url? })
    };
    listed.into_iter().filter_map(link).collect()
}

fn target(text: &str) -> Result<String, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "mailto" | "tel"));
    let url =
        url.ok_or_else(|| format!("{text:?} is no link; write for example \"https://…\", \"mailto:…\" or \"tel:…\""))?;
    Ok(url.into())
}

fn languages(table: &mut Table<'_>) -> Vec<Language> {
    let all = Language::ALL.map(|(_, language)| language);
    let mut languages = Vec::new();
    for Found { it, place } in table.choices("languages", &all, &Language::ALL) {
        match languages.contains(&it) {
            true => place.wrong("is listed twice"),
            false => languages.push(it),
        }
    }
    languages
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
