//! The samples and the code name the same keys.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::config::reference::asked;
use crate::config::{load, load_str};

/// A file of each drop-in folder, and the section whose keys it has.
const DROP_INS: [(&str, &str); 2] = [("clients.d/growth-chart.toml", "[[clients]]"), ("users.d/amy.toml", "[[users]]")];

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

/// The main file with the entries of the drop-in folders at its end, and with every key that is commented out.
fn whole() -> String {
    let drop_ins = DROP_INS.map(|(file, section)| format!("\n{section}\n{}\n", uncommented(file)));
    format!("{}\n{}", uncommented("smartgate.toml"), drop_ins.concat())
}

/// What is wrong with the samples when every key is set: files that they name are not there, and alternatives are side by side.
pub(in crate::config) fn errors_of_the_samples() -> Vec<String> {
    let folder = TempDir::new().unwrap();
    load_str(&whole(), folder.path()).err().map(|errors| errors.lines().collect()).unwrap_or_default()
}

#[test]
fn the_samples_load_as_they_are() {
    let loaded = load(&conf("smartgate.toml")).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(loaded.snapshot.clients.configured.contains_key("growth-chart"));
    assert!(loaded.snapshot.users.contains_key("amy"));
}

#[test]
fn every_key_of_the_samples_is_known() {
    let strange: Vec<String> = errors_of_the_samples()
        .into_iter()
        .filter(|line| ["no such key", "not TOML"].iter().any(|what| line.contains(what)))
        .collect();
    assert!(strange.is_empty(), "{strange:#?}");
}

#[test]
fn every_key_is_in_the_samples() {
    let whole = whole();
    for (section, path) in asked().into_keys() {
        let (_, rest) = whole.split_once(&format!("\n{section}\n")).unwrap_or_else(|| panic!("{section} is missing"));
        let text = rest.split("\n[").next().unwrap();
        let key = path.rsplit('.').next().unwrap();
        let set = ["\n", " "].iter().any(|before| format!("\n{text}").contains(&format!("{before}{key} = ")));
        assert!(set, "{section} {path} is missing");
    }
}
