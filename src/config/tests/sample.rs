//! The samples, the documentation and the code name the same keys.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::config::{asked, load, value};

/// Files with the keys of a section: those of the main file, and one for each drop-in folder.
const DROP_INS: [(&str, &str); 2] = [("clients.d/growth-chart.toml", "[[clients]]"), ("users.d/amy.toml", "[[users]]")];
/// No key is called this, so that the error about it names all that are.
const NONSENSE: &str = "nonsense";

fn conf(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conf").join(file)
}

/// A sample with every key and section that is commented out put in.
fn uncommented(file: &str) -> String {
    let text = std::fs::read_to_string(conf(file)).unwrap();
    let lines = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(rest) if rest.starts_with('[') || key_of(rest).is_some() => rest,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The key that a line of TOML sets.
fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.split_once(" = ")?;
    key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_').then_some(key)
}

/// What is wrong with the samples after `change` was made to each.
fn errors(change: impl Fn(&str) -> String) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    for file in ["smartgate.toml"].into_iter().chain(DROP_INS.map(|(file, _)| file)) {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, change(&uncommented(file))).unwrap();
    }
    load(&folder.path().join("smartgate.toml")).err().map(|errors| errors.lines().collect()).unwrap_or_default()
}

/// Every key that the code knows, with its section.
fn known() -> BTreeSet<(String, String)> {
    let found = errors(|text| {
        let more = format!("{NONSENSE} = 0");
        let lines: Vec<String> = text
            .lines()
            .map(|line| match line {
                header if header.starts_with('[') => format!("{header}\n{more}"),
                // Their keys are no fixed set.
                line if ["narrowing_by_type", "links", "headers"].iter().any(|key| line.starts_with(key)) => {
                    line.to_owned()
                }
                line => line.replacen("= { ", &format!("= {{ {more}, "), 1),
            })
            .collect();
        format!("{more}\n{}", lines.join("\n"))
    });
    let mut keys = BTreeSet::new();
    for line in found {
        let Some((place, list)) = line.split_once("nonsense: there is no such key; there are ") else { continue };
        let drop_in = DROP_INS.iter().find(|(file, _)| place.contains(file)).map(|(_, section)| *section);
        let section = place.split_once(": ").map_or("", |(_, label)| label).split(' ').next().unwrap();
        let section = drop_in.unwrap_or(section).to_owned();
        keys.extend(list.split(", ").map(|key| (section.clone(), key.to_owned())));
    }
    // A section within a section is no key of it.
    let sections: BTreeSet<String> = keys.iter().map(|(section, _)| section.clone()).collect();
    let is_section =
        |section: &str, key: &str| sections.contains(&format!("[{}.{key}]", section.trim_matches(['[', ']'])));
    keys.retain(|(section, key)| !section.is_empty() && !is_section(section, key));
    keys
}

#[test]
fn the_samples_load_as_they_are() {
    let loaded = load(&conf("smartgate.toml")).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(loaded.snapshot.clients.configured.contains_key("growth-chart"));
    assert!(loaded.snapshot.users.contains_key("amy"));
}

#[test]
fn every_key_of_the_samples_is_known() {
    let strange: Vec<String> = errors(str::to_owned)
        .into_iter()
        .filter(|line| ["no such key", "not in this version", "not TOML"].iter().any(|what| line.contains(what)))
        .collect();
    assert!(strange.is_empty(), "{strange:#?}");
}

#[test]
fn every_known_key_is_in_the_samples() {
    let known = known();
    assert!(known.len() > 80, "{known:#?}");
    let main = uncommented("smartgate.toml");
    for (section, key) in known {
        let text = match DROP_INS.iter().find(|(_, of)| *of == section) {
            Some((file, _)) => uncommented(file),
            None => {
                let (_, rest) =
                    main.split_once(&format!("\n{section}\n")).unwrap_or_else(|| panic!("{section} is missing"));
                rest.split("\n[").next().unwrap().to_owned()
            }
        };
        let set = ["\n", " "].iter().any(|before| format!("\n{text}").contains(&format!("{before}{key} = ")));
        assert!(set, "{section} {key} is missing");
    }
}

#[test]
fn the_documentation_has_the_keys_that_are_known_and_no_others() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md")).unwrap();
    let mut section = String::new();
    let mut documented = BTreeSet::new();
    for line in text.lines() {
        if let Some(header) = line.strip_prefix("## ") {
            section = header.to_owned();
        } else if let Some((key, _)) = line.strip_prefix("| `").and_then(|rest| rest.split_once('`')) {
            documented.insert((section.clone(), key.to_owned()));
        }
    }
    let known = known();
    let difference: Vec<_> = documented.symmetric_difference(&known).collect();
    assert!(difference.is_empty(), "{difference:#?}");
}

/// A row of a table of the documentation: type, default, live.
type Row = [String; 3];

/// The rows by section and key, with what the key is within.
fn documented() -> BTreeMap<(String, String), Row> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md")).unwrap();
    let (mut section, mut within) = (String::new(), String::new());
    let mut rows = BTreeMap::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        if let Some(header) = line.strip_prefix("## ") {
            section = header.to_owned();
        } else if let (true, [head, _, _, "live", ..]) = (line.starts_with("| key"), cells.as_slice()) {
            within = head.strip_prefix("key of `").map(|rest| rest.replace('`', ".")).unwrap_or_default();
        } else if let (true, [key, of, default, live, ..]) = (line.starts_with("| `"), cells.as_slice()) {
            let key = format!("{within}{}", key.trim_matches('`'));
            rows.insert(
                (section.clone(), key),
                [of, default, live].map(|cell| cell.replace('`', "").replace(r"\|", ",")),
            );
        }
    }
    rows
}

/// Whether a default is a value, and not said in words.
fn is_literal(default: &str) -> bool {
    ["true", "false", "none"].contains(&default) || default.starts_with(|it: char| it == '"' || it.is_ascii_digit())
}

/// A length of time in one spelling (`60s` is `1m`), anything else as it is.
fn spelled(default: &str) -> String {
    let length = value::duration(default.trim_matches('"'), &(Duration::ZERO..=Duration::MAX));
    length.map_or_else(|_| default.to_owned(), value::spell)
}

/// Types and defaults are those that the checks know; words instead of a value (`cores`, `see meaning`) are the writer's.
#[test]
fn the_documentation_has_the_types_and_defaults_of_the_code() {
    let rows = documented();
    asked::take();
    assert_eq!(errors(str::to_owned).iter().filter(|line| line.contains("no such key")).count(), 0);
    let (mut wrong, mut compared) = (BTreeSet::new(), BTreeSet::new());
    for asked in asked::take() {
        let file = DROP_INS.iter().find(|(file, _)| asked.file.ends_with(file));
        let section = file.map_or(asked.section.clone(), |(_, section)| (*section).to_owned());
        let Some([of, default, _]) = rows.get(&(section.clone(), asked.key.clone())) else { continue };
        let words = |text: &str| text.replace("bytes", "number").replace([',', '`', '"'], "").replace("  ", " ");
        let type_fits = asked.of.as_ref().is_none_or(|of_code| words(of) == words(of_code));
        let default_fits = match asked.default.as_str() {
            "required" => default != "none",
            _ if default.starts_with("required") || !is_literal(default) => true,
            known => spelled(default) == spelled(known),
        };
        if !type_fits || !default_fits {
            wrong.insert(format!(
                "{section} {}: the code has {:?}, {}; documented are {of}, {default}",
                asked.key, asked.of, asked.default
            ));
        }
        compared.insert((section, asked.key));
    }
    assert!(compared.len() > 60, "{compared:#?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// "no" in the column "live" is said of exactly what a reload refuses to change.
#[test]
fn what_is_documented_not_to_be_live_needs_a_restart() {
    let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/restart.rs")).unwrap();
    let labels =
        source.lines().filter_map(|line| line.trim().strip_prefix("(\"")?.split_once('"').map(|(label, _)| label));
    let labels: Vec<(&str, &str)> = labels.filter_map(|label| label.split_once(' ')).collect();
    assert!(labels.len() > 5, "{labels:?}");
    let rows = documented();
    for ((section, key), [_, _, live]) in &rows {
        let exact = labels.contains(&(section, key));
        let described = labels.iter().any(|(of, what)| {
            of == section && what.contains(" ") && (what.starts_with(key.as_str()) || what.starts_with('('))
        });
        assert!(live != "no" || exact || described, "{section} {key} is documented to need a restart, and does not");
        assert!(!exact || live.contains("no"), "{section} {key} needs a restart, and is documented to be live");
    }
}
