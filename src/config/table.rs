//! A TOML table being read: a key that was asked for is known, and what is left over is not.
//!
//! The checks ask for their keys one by one, so that there is no second list of keys to fall behind, and a wrong value
//! does not hide the next one.

use std::cell::Cell;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::document::{Document, Found, Place};
use super::reading::Reading;
use super::value;

/// What is said of keys and values that the contract has and this version has not.
pub(super) const LATER: &str = "is not in this version yet; leave it out";

/// A value that may be written alone or as a list.
pub(super) enum OneOrMany<'a> {
    One(Found<'a, &'a str>),
    Many(Place<'a>, Vec<Found<'a, &'a str>>),
}

/// A table whose keys are being asked for.
pub(super) struct Table<'a> {
    document: &'a Document<'a>,
    /// None where the file does not have the section.
    values: Option<&'a DeTable<'a>>,
    offset: usize,
    /// `[fhir]`; empty at the top of a file.
    section: String,
    /// `identity_headers.` within a table that is a value.
    prefix: String,
    known: Vec<&'static str>,
    later: Vec<&'static str>,
}

/// Parses a file and has its table read; a file that is no TOML is reported and not read.
pub(super) fn read_document<T>(
    reading: &Reading,
    path: &Path,
    text: &str,
    read: impl FnOnce(&mut Table<'_>) -> Option<T>,
) -> Option<T> {
    let document = Document { reading, path, text, counted: Cell::new((0, 1)) };
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        // The message alone: the rendering of the whole error quotes the line, which may hold what should not be shown.
        let line = error.span().map(|span| document.line(span.start));
        reading.problem(path, line, format!("this is not TOML: {}", error.message().replace('\n', ", ")));
    }
    if !errors.is_empty() {
        return None;
    }
    let mut table = Table::new(&document, Some(root.get_ref()), 0, String::new(), String::new());
    let value = read(&mut table);
    table.finish();
    value
}

impl<'a> Table<'a> {
    fn new(
        document: &'a Document<'a>,
        values: Option<&'a DeTable<'a>>,
        offset: usize,
        section: String,
        prefix: String,
    ) -> Self {
        Self { document, values, offset, section, prefix, known: Vec::new(), later: Vec::new() }
    }

    pub(super) fn document(&self) -> &'a Document<'a> {
        self.document
    }

    /// The place of a key that need not be there.
    pub(super) fn place(&self, key: &str) -> Place<'a> {
        let offset =
            self.values.and_then(|values| values.get_key_value(key)).map_or(self.offset, |(key, _)| key.span().start);
        let space = if self.section.is_empty() { "" } else { " " };
        Place { document: self.document, offset, label: format!("{}{space}{}{key}", self.section, self.prefix) }
    }

    fn take(&mut self, key: &'static str) -> Option<Found<'a, &'a DeValue<'a>>> {
        self.known.push(key);
        let it = self.values?.get(key)?.get_ref();
        Some(Found { it, place: self.place(key) })
    }

    /// Tells the test of the documentation what a key takes, and what it is where it is left out.
    #[cfg(test)]
    fn asked(&self, key: &str, of: Option<&str>, default: &str) {
        super::asked::note(super::asked::Asked {
            file: self.document.path.to_owned(),
            section: self.section.clone(),
            key: format!("{}{key}", self.prefix),
            of: of.map(str::to_owned),
            default: default.to_owned(),
        });
    }

    /// Whether the key is there; it still has to be asked for.
    pub(super) fn has(&self, key: &str) -> bool {
        self.values.is_some_and(|values| values.contains_key(key))
    }

    /// Reports a key that must be there and is not.
    pub(super) fn missing(&self, key: &str, example: &str) {
        self.place(key).wrong(format!("is missing; write for example {key} = {example}"));
    }

    /// A string.
    pub(super) fn text(&mut self, key: &'static str) -> Option<Found<'a, &'a str>> {
        let Found { it, place } = self.take(key)?;
        text_of(it, place)
    }

    /// A string that must be there.
    pub(super) fn required(&mut self, key: &'static str, example: &str) -> Option<Found<'a, &'a str>> {
        #[cfg(test)]
        self.asked(key, None, "required");
        if !self.has(key) {
            self.missing(key, example);
        }
        self.text(key)
    }

    /// A list of strings.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<Found<'a, &'a str>>> {
        let Found { it, place } = self.take(key)?;
        match it {
            DeValue::Array(list) => Some(texts_of(list, &place)),
            other => {
                place.wrong(format!("is {}; write a list of strings", kind(other)));
                None
            }
        }
    }

    /// A list of strings that must be there and not be empty.
    pub(super) fn required_texts(&mut self, key: &'static str, example: &str) -> Vec<Found<'a, &'a str>> {
        #[cfg(test)]
        self.asked(key, None, "required");
        match self.values.and_then(|values| values.get(key)).map(toml::Spanned::get_ref) {
            None => self.missing(key, example),
            Some(DeValue::Array(list)) if list.is_empty() => {
                self.place(key).wrong(format!("is empty; write for example {example}"));
            }
            Some(_) => {}
        }
        self.texts(key).unwrap_or_default()
    }

    /// A string or a list of strings.
    pub(super) fn one_or_many(&mut self, key: &'static str) -> Option<OneOrMany<'a>> {
        let Found { it, place } = self.take(key)?;
        match it {
            DeValue::Array(list) => {
                let list = texts_of(list, &place);
                Some(OneOrMany::Many(place, list))
            }
            it => text_of(it, place).map(OneOrMany::One),
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        #[cfg(test)]
        self.asked(key, Some("true or false"), &default.to_string());
        match self.take(key) {
            None => default,
            Some(Found { it: DeValue::Boolean(flag), .. }) => *flag,
            Some(Found { it, place }) => {
                place.wrong(format!("is {}; write true or false", kind(it)));
                default
            }
        }
    }

    /// A whole number.
    pub(super) fn number(&mut self, key: &'static str, default: usize, range: RangeInclusive<usize>) -> usize {
        #[cfg(test)]
        self.asked(key, Some("number"), &default.to_string());
        let Some(Found { it, place }) = self.take(key) else {
            return default;
        };
        let number = match it {
            DeValue::Integer(integer) => usize::from_str_radix(integer.as_str(), integer.radix()).ok(),
            _ => None,
        };
        number.filter(|number| range.contains(number)).unwrap_or_else(|| {
            place.wrong(format!("write a whole number from {} to {}", range.start(), range.end()));
            default
        })
    }

    /// A length of time such as `"30s"`.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        #[cfg(test)]
        self.asked(key, Some("time"), &format!("\"{}\"", value::spell(default)));
        self.text(key).and_then(|found| found.parse(|text| value::duration(text, &range))).unwrap_or(default)
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy + PartialEq>(&mut self, key: &'static str, default: T, choices: &[(&str, T)]) -> T {
        #[cfg(test)]
        {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            let word = choices.iter().find(|(_, value)| *value == default).map(|(word, _)| format!("\"{word}\""));
            self.asked(key, Some(&words.join(", ")), word.as_deref().unwrap_or("none"));
        }
        self.text(key).and_then(|found| found.parse(|text| value::choice(text, choices))).unwrap_or(default)
    }

    /// A section of the file, which may be left out.
    pub(super) fn section(&mut self, key: &'static str) -> Table<'a> {
        let section = match self.section.trim_matches(['[', ']']) {
            "" => format!("[{key}]"),
            outer => format!("[{outer}.{key}]"),
        };
        match self.table(key) {
            Some(table) => Table { section, prefix: String::new(), ..table },
            None => Table::new(self.document, None, 0, section, String::new()),
        }
    }

    /// A table that is the value of a key.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Table<'a>> {
        let Found { it, place } = self.take(key)?;
        let DeValue::Table(values) = it else {
            place.wrong(format!("is {}; write a table", kind(it)));
            return None;
        };
        let prefix = format!("{}{key}.", self.prefix);
        Some(Table::new(self.document, Some(values), place.offset, self.section.clone(), prefix))
    }

    /// Every `[[key]]` of the file.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Table<'a>> {
        let Some(Found { it, place }) = self.take(key) else {
            return Vec::new();
        };
        let DeValue::Array(list) = it else {
            place.wrong(format!("is {}; write [[{key}]] before each", kind(it)));
            return Vec::new();
        };
        list.iter()
            .filter_map(|entry| match entry.get_ref() {
                DeValue::Table(values) => {
                    let section = format!("[[{key}]]");
                    Some(Table::new(self.document, Some(values), entry.span().start, section, String::new()))
                }
                other => {
                    place.wrong(format!("holds {}; write [[{key}]] before each", kind(other)));
                    None
                }
            })
            .collect()
    }

    /// The keys and texts of a table whose keys are no fixed set.
    pub(super) fn open_table(&mut self, key: &'static str) -> Vec<(Found<'a, &'a str>, Found<'a, &'a str>)> {
        let Some(table) = self.table(key) else {
            return Vec::new();
        };
        let values = table.values.into_iter().flat_map(DeTable::iter);
        values
            .filter_map(|(key, value)| {
                let place = table.place(key.get_ref());
                let value = text_of(value.get_ref(), place.clone())?;
                Some((Found { it: &**key.get_ref(), place }, value))
            })
            .collect()
    }

    /// Keys that belong to the contract and not to this version.
    pub(super) fn later(&mut self, keys: &[&'static str]) {
        self.later.extend(keys);
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(self) {
        for key in self.values.into_iter().flat_map(DeTable::keys) {
            let key: &str = key.get_ref();
            if self.later.contains(&key) {
                self.place(key).wrong(LATER);
            } else if !self.known.contains(&key) {
                self.place(key).wrong(format!("there is no such key; there are {}", self.known.join(", ")));
            }
        }
    }
}

fn text_of<'a>(value: &'a DeValue<'a>, place: Place<'a>) -> Option<Found<'a, &'a str>> {
    match value {
        DeValue::String(text) => Some(Found { it: text, place }),
        other => {
            place.wrong(format!("is {}; write a string in quotes", kind(other)));
            None
        }
    }
}

fn texts_of<'a>(list: &'a [toml::Spanned<DeValue<'a>>], place: &Place<'a>) -> Vec<Found<'a, &'a str>> {
    let entries = list.iter();
    entries
        .filter_map(|entry| text_of(entry.get_ref(), Place { offset: entry.span().start, ..place.clone() }))
        .collect()
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
