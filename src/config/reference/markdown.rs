//! `docs/configuration.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::{Asked, Key, Name, Part, Shape, lines, needing_restart, parts};
use crate::config::restart::COMPARED;
use crate::config::value::spell;

const HEAD: &str = "<!-- Made by `make docs` from src/config: the doc comments in src/config/reference, and what the checks ask for. -->\n";

/// A default that is longer stands below its table, in characters.
const LONG: usize = 80;

/// Most keys of a table that are named in a cell.
const FEW: usize = 3;

/// The whole page.
pub(super) fn page(asked: &BTreeMap<Name, Asked>) -> String {
    let restart = needing_restart();
    let mut page = HEAD.to_owned();
    let mut section = "";
    for part in parts() {
        if part.section != section {
            section = part.section;
            let _ = write!(page, "\n## {section}\n");
        }
        if !part.prose.is_empty() {
            let prose: Vec<&str> = lines(part.prose).collect();
            let _ = write!(page, "\n{}\n", prose.join("\n"));
        }
        if section.is_empty() {
            page += &restarting();
        }
        if !part.keys.is_empty() {
            page += &table(part, asked, &restart);
        }
    }
    page
}

/// The keys that need a restart, as the log names them.
fn restarting() -> String {
    let listed = COMPARED.map(|(label, _)| format!("`{label}`"));
    format!("{}.\n", listed.join("; "))
}

fn table(part: &Part, asked: &BTreeMap<Name, Asked>, restart: &BTreeSet<Name>) -> String {
    let within: Vec<String> = part.within.iter().map(|key| format!("`{key}`")).collect();
    let head = if within.is_empty() { "key".to_owned() } else { format!("key of {}", within.join(", ")) };
    let mut table = format!("\n| {head} | type | default | meaning |\n|---|---|---|---|\n");
    let mut below = String::new();
    for key in part.keys {
        let names = part.names(key);
        let Some((name, known)) = names.iter().find_map(|name| asked.get_key_value(name)) else { continue };
        let mut default = default_of(key, known);
        if default.chars().count() > LONG {
            let _ = write!(below, "\n`{}` by default: {}\n", key.name, default.replace(['`', '[', ']', '"'], ""));
            "below".clone_into(&mut default);
        }
        let mut meaning = lines(key.doc).collect::<Vec<_>>().join(" ");
        if restart.contains(name) {
            meaning += ". **Needs a restart**";
        }
        let cells = [format!("`{}`", key.name), kind_of(key, name, known, asked), default, meaning];
        let _ = writeln!(table, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
    }
    table + &below
}

fn default_of(key: &Key, known: &Asked) -> String {
    match (key.default, &known.default) {
        (Some(words), _) => words.to_owned(),
        (None, _) if known.is_required => "required".to_owned(),
        (None, None) => "none".to_owned(),
        (None, Some(value)) => match (key.of, value.parse()) {
            (Some("bytes"), Ok(bytes)) => format!("`{value}` ({})", size(bytes)),
            _ => format!("`{value}`"),
        },
    }
}

fn kind_of(key: &Key, name: &Name, known: &Asked, asked: &BTreeMap<Name, Asked>) -> String {
    let told = |otherwise: &str| key.of.unwrap_or(otherwise).to_owned();
    let list = |words: &[String]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    match &known.shape {
        Shape::Text => told("text"),
        Shape::Texts { .. } => told("list of texts"),
        Shape::OneOrMany => told("text, or list of texts"),
        Shape::OpenTable => told("table of texts"),
        Shape::Flag => "true or false".to_owned(),
        Shape::Number(range) if key.of == Some("bytes") => {
            format!("bytes, {} to {}", size(*range.start()), size(*range.end()))
        }
        Shape::Number(range) => format!("number, {} to {}", range.start(), range.end()),
        Shape::Time(range) => format!("time, {} to {}", spell(*range.start()), spell(*range.end())),
        Shape::Choice(words) => list(words),
        Shape::Choices(words) => format!("list of {}", list(words)),
        Shape::Table => keys_in(name, asked).unwrap_or_else(|| "table, below".to_owned()),
        Shape::Tables => {
            keys_in(name, asked).map_or_else(|| "list of tables, below".to_owned(), |keys| format!("list of {keys}"))
        }
    }
}

/// `{ cert, key }`, if they are few.
fn keys_in((section, key): &Name, asked: &BTreeMap<Name, Asked>) -> Option<String> {
    let part = parts().find(|part| part.section == section && part.within.contains(&key.as_str()))?;
    let is_asked = |inner: &&str| asked.contains_key(&(section.clone(), format!("{key}.{inner}")));
    let inner: Vec<&str> = part.keys.iter().map(|key| key.name).filter(is_asked).collect();
    (inner.len() <= FEW).then(|| format!("`{{ {} }}`", inner.join(", ")))
}

/// Bytes in the largest unit that divides them.
fn size(bytes: usize) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units.into_iter().find(|(_, bits)| bytes != 0 && bytes.is_multiple_of(1 << bits));
    unit.map_or_else(|| bytes.to_string(), |(unit, bits)| format!("{} {unit}", bytes >> bits))
}
