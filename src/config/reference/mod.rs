//! The reference for operators: `docs/configuration.md`, and `conf/smartgate.schema.json` for editors.
//!
//! Names, kinds, limits and defaults are what the checks asked for while they read the samples; which keys need a restart is
//! what a reload compares. What a key means is said here once, as its doc comment, in Markdown. `make docs` writes both files
//! anew; a test fails where they differ.

mod clients;
mod fhir;
mod markdown;
mod page;
mod people;
mod process;
mod schema;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::asked::{Asked, Name, Shape};
use super::restart::COMPARED;
use super::tests::sample::errors_of_the_samples;

/// What `make docs` sets.
const RENEW: &str = "SMARTGATE_DOCS";

/// A table of the reference with the text before it; the text alone where it has no keys.
struct Part {
    /// `[fhir]`; empty for what stands before the first section.
    section: &'static str,
    /// Keys whose values are tables with these keys; none for the section itself.
    within: &'static [&'static str],
    prose: &'static [&'static str],
    keys: &'static [Key],
}

/// What the checks do not know of a key.
struct Key {
    name: &'static str,
    doc: &'static [&'static str],
    /// What the text, the list or the number is.
    of: Option<&'static str>,
    /// What holds where it is left out, if that is no value.
    default: Option<&'static str>,
}

/// `/// Text.  "[section]" in "key" { /// Meaning.  name: "what it is" = "what holds without it"; … }`
macro_rules! sections {
    ($(
        $(#[doc = $prose:literal])*
        $section:literal $(in $($within:literal),+)? {
            $($(#[doc = $doc:literal])* $key:ident $(: $of:literal)? $(= $default:literal)?;)*
        }
    )*) => {
        pub(super) const PARTS: &[super::Part] = &[$(super::Part {
            section: $section,
            within: &[$($($within),+)?],
            prose: &[$($prose),*],
            keys: &[$(super::Key {
                name: stringify!($key),
                doc: &[$($doc),*],
                of: sections!(@maybe $($of)?),
                default: sections!(@maybe $($default)?),
            }),*],
        }),*];
    };
    (@maybe $some:literal) => { Some($some) };
    (@maybe) => { None };
}
use sections;

fn parts() -> impl Iterator<Item = &'static Part> {
    [page::PARTS, server::PARTS, fhir::PARTS, process::PARTS, clients::PARTS, people::PARTS].into_iter().flatten()
}

impl Part {
    /// The names by which the checks ask for a key of this table.
    fn names(&self, key: &Key) -> Vec<Name> {
        let name = |key: String| (self.section.to_owned(), key);
        match self.within {
            [] => vec![name(key.name.to_owned())],
            within => within.iter().map(|outer| name(format!("{outer}.{}", key.name))).collect(),
        }
    }
}

/// Every key that the checks know; sections within sections are none.
pub(super) fn asked() -> BTreeMap<Name, Asked> {
    super::asked::take();
    errors_of_the_samples();
    let mut asked = super::asked::take();
    let sections: BTreeSet<String> = asked.keys().map(|(section, _)| section.clone()).collect();
    asked.retain(|(section, key), _| {
        !section.is_empty() && !sections.contains(&format!("[{}.{key}]", section.trim_matches(['[', ']'])))
    });
    asked
}

/// The keys that cannot change while the gate runs.
fn needing_restart() -> BTreeSet<Name> {
    let named = COMPARED.iter().filter_map(|(label, _)| label.split_once(' '));
    named.flat_map(|(section, keys)| keys.split(", ").map(|key| (section.to_owned(), key.to_owned()))).collect()
}

/// Text of doc comments: a line each.
fn lines(doc: &'static [&'static str]) -> impl Iterator<Item = &'static str> {
    doc.iter().map(|line| line.strip_prefix(' ').unwrap_or(line))
}

#[test]
fn every_key_is_described_once() {
    let asked = asked();
    assert!(asked.len() > 150, "{}", asked.len());
    let mut described = BTreeSet::new();
    for part in parts() {
        for key in part.keys {
            assert!(lines(key.doc).any(|line| !line.is_empty()), "{} {} has no description", part.section, key.name);
            let names: Vec<Name> = part.names(key).into_iter().filter(|name| asked.contains_key(name)).collect();
            assert!(!names.is_empty(), "no check asks for {} {:?} {}", part.section, part.within, key.name);
            for name in names {
                assert!(described.insert(name.clone()), "{name:?} is described twice");
            }
        }
    }
    let undescribed: Vec<&Name> = asked.keys().filter(|name| !described.contains(*name)).collect();
    assert!(undescribed.is_empty(), "not in src/config/reference: {undescribed:#?}");
}

/// Words stand for what is no value; a value is told by the checks.
#[test]
fn no_default_is_told_a_second_time() {
    for key in parts().flat_map(|part| part.keys) {
        let is_value = |default: &str| {
            ["none", "true", "false"].contains(&default)
                || default.starts_with(|it: char| !it.is_alphabetic() && it != '`')
        };
        assert!(!key.default.is_some_and(is_value), "{}", key.name);
    }
}

#[test]
fn what_a_reload_compares_are_keys() {
    let asked = asked();
    for name in needing_restart().iter().filter(|(_, key)| !key.starts_with('(')) {
        assert!(asked.contains_key(name), "{name:?}");
    }
}

#[test]
fn the_files_are_what_the_code_says() {
    let asked = asked();
    let renew = std::env::var_os(RENEW).is_some();
    for (file, made) in
        [("docs/configuration.md", markdown::page(&asked)), ("conf/smartgate.schema.json", schema::schema(&asked))]
    {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        if renew {
            std::fs::write(&path, &made).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        let first = found.lines().zip(made.lines()).find(|(found, made)| found != made);
        assert!(
            found == made,
            "{file} is not what the code says; renew it with `make docs`. First difference: {first:#?}"
        );
    }
}
