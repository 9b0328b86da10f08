//! A TOML table being read: a key that was asked for is known, and what is left over is not.
//!
//! The checks ask for their keys one by one, so that there is no second list of keys to fall behind, and a wrong value
//! does not hide the next one.

use std::cell::Cell;
use std::path::Path;

use toml::de::{DeTable, DeValue};

#[cfg(test)]
use super::asked::Shape;
use super::document::{Document, Found, Place};
use super::reading::Reading;

/// How a string is written.
pub(super) const QUOTED: &str = "write a string in quotes";

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
        Self { document, values, offset, section, prefix, known: Vec::new() }
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

    /// The value of a key, which is known from now on.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Found<'a, &'a DeValue<'a>>> {
        self.known.push(key);
        let it = self.values?.get(key)?.get_ref();
        Some(Found { it, place: self.place(key) })
    }

    /// Tells the reference more of a key.
    #[cfg(test)]
    pub(super) fn note(&self, key: &str, more: impl FnOnce(&mut super::asked::Asked)) {
        super::asked::note(&self.section, format!("{}{key}", self.prefix), more);
    }

    /// Whether the key is there; it still has to be asked for.
    pub(super) fn has(&self, key: &str) -> bool {
        self.values.is_some_and(|values| values.contains_key(key))
    }

    /// Reports a key that must be there and is not.
    pub(super) fn missing(&self, key: &str, example: &str) {
        self.place(key).wrong(format!("is missing; write for example {key} = {example}"));
    }

    /// A section of the file, which may be left out.
    pub(super) fn section(&mut self, key: &'static str) -> Table<'a> {
        let section = match self.section.trim_matches(['[', ']']) {
            "" => format!("[{key}]"),
            outer => format!("[{outer}.{key}]"),
        };
        match self.take_table(key, &format!("write {section}, and only once")) {
            Some(table) => Table { section, prefix: String::new(), ..table },
            None => Table::new(self.document, None, 0, section, String::new()),
        }
    }

    /// A table that is the value of a key.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Table<'a>> {
        self.take_table(key, &format!("write a table: {key} = {{ … }}"))
    }

    fn take_table(&mut self, key: &'static str, form: &str) -> Option<Table<'a>> {
        #[cfg(test)]
        self.note(key, |asked| asked.shape = Shape::Table);
        let Found { it, place } = self.take(key)?;
        let DeValue::Table(values) = it else {
            place.wrong(format!("is {}; {form}", kind(it)));
            return None;
        };
        let prefix = format!("{}{key}.", self.prefix);
        Some(Table::new(self.document, Some(values), place.offset, self.section.clone(), prefix))
    }

    /// Every `[[key]]` of the file, or every table of the list that is the value of a key.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Table<'a>> {
        #[cfg(test)]
        self.note(key, |asked| asked.shape = Shape::Tables);
        let Some(Found { it, place }) = self.take(key) else {
            return Vec::new();
        };
        let (section, prefix, form) = match self.section.as_str() {
            "" => (format!("[[{key}]]"), String::new(), format!("write [[{key}]] before each")),
            section => (section.to_owned(), format!("{}{key}.", self.prefix), "write a list of tables".to_owned()),
        };
        let DeValue::Array(list) = it else {
            place.wrong(format!("is {}; {form}", kind(it)));
            return Vec::new();
        };
        list.iter()
            .filter_map(|entry| match entry.get_ref() {
                DeValue::Table(values) => {
                    let offset = entry.span().start;
                    Some(Table::new(self.document, Some(values), offset, section.clone(), prefix.clone()))
                }
                other => {
                    place.wrong(format!("holds {}; {form}", kind(other)));
                    None
                }
            })
            .collect()
    }

    /// The keys and texts of a table whose keys are no fixed set.
    pub(super) fn open_table(&mut self, key: &'static str) -> Vec<(Found<'a, &'a str>, Found<'a, &'a str>)> {
        let table = self.table(key);
        #[cfg(test)]
        self.note(key, |asked| asked.shape = Shape::OpenTable);
        let Some(table) = table else {
            return Vec::new();
        };
        let values = table.values.into_iter().flat_map(DeTable::iter);
        values
            .filter_map(|(key, value)| {
                let place = table.place(key.get_ref());
                let value = text_of(value.get_ref(), place.clone(), QUOTED)?;
                Some((Found { it: &**key.get_ref(), place }, value))
            })
            .collect()
    }

    /// The key that was meant by one that there is not: at most one letter in three is another.
    fn meant(&self, key: &str) -> Option<&'static str> {
        let near = self.known.iter().filter(|known| known.len().abs_diff(key.len()) <= known.len() / 3);
        let near = near.map(|known| (strsim::damerau_levenshtein(key, known), *known));
        near.filter(|(distance, known)| distance * 3 <= known.len()).min().map(|(_, known)| known)
    }

    /// Leaves the rest of the table unread, where an error was told that would bring on others.
    pub(super) fn ignore(&mut self) {
        self.values = None;
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(self) {
        for key in self.values.into_iter().flat_map(DeTable::keys) {
            let key: &str = key.get_ref();
            if !self.known.contains(&key) {
                let meant = self.meant(key).map(|meant| format!(", perhaps {meant}")).unwrap_or_default();
                self.place(key).wrong(format!("there is no such key{meant}; there are {}", self.known.join(", ")));
            }
        }
    }
}

/// A string; for anything else `form` says what to write.
pub(super) fn text_of<'a>(value: &'a DeValue<'a>, place: Place<'a>, form: &str) -> Option<Found<'a, &'a str>> {
    match value {
        DeValue::String(text) => Some(Found { it: text, place }),
        other => {
            place.wrong(format!("is {}; {form}", kind(other)));
            None
        }
    }
}

pub(super) fn texts_of<'a>(list: &'a [toml::Spanned<DeValue<'a>>], place: &Place<'a>) -> Vec<Found<'a, &'a str>> {
    let entries = list.iter();
    entries
        .filter_map(|entry| text_of(entry.get_ref(), Place { offset: entry.span().start, ..place.clone() }, QUOTED))
        .collect()
}

pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
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
