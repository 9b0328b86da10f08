//! `[[operations]]`: operations that pass besides the built-in ones.

use crate::config::table::Table;
use crate::config::{OperationAnswer, OperationRow, PatientInput};
use crate::fhir::{ResourceType, Tables, TypeSet};
use crate::scope::Letter;

/// Operations that no row opens: they join what they like, or they are the administrator's (attacks.md 167, 171). The gate's own
/// `$export` is no other's.
const NEVER: [&str; 26] = [
    "ai",
    "bulk-submit",
    "bulk-submit-status",
    "convert-legacy-data",
    "delete-expunge",
    "expunge",
    "get-resource-counts",
    "graphql",
    "hapi.fhir.replace-references",
    "import",
    "import-poll-status",
    "install-npm-package",
    "mark-all-resources-for-reindexing",
    "merge",
    "meta-add",
    "meta-delete",
    "nl-search",
    "perform-reindexing-pass",
    "process-message",
    "purge",
    "purge-history",
    "reindex",
    "submit",
    "trigger-subscription",
    "undo-merge",
    "upload-external-code-system",
];
const NEVER_PREFIXES: [&str; 4] = ["export", "partition-management", "reindex", "sql-"];

pub(super) fn operations(root: &mut Table<'_>, tables: &Tables) -> Vec<OperationRow> {
    let mut rows: Vec<OperationRow> = Vec::new();
    for mut table in root.tables("operations") {
        let row = operation(&mut table, tables);
        if let Some(row) = row {
            match rows.iter().find(|other| overlap(other, &row)) {
                Some(other) => table.place("name").wrong(format!(
                    "${} is already said for one of these types at one of these levels at {}; each is said once",
                    row.name, other.place
                )),
                None => rows.push(row),
            }
        }
        table.finish();
    }
    rows
}

fn overlap(a: &OperationRow, b: &OperationRow) -> bool {
    let below = a.of_type && b.of_type || a.instance && b.instance;
    a.name == b.name && (a.system && b.system || below && !a.types.intersection(&b.types).is_empty())
}

fn operation(table: &mut Table<'_>, tables: &Tables) -> Option<OperationRow> {
    let place = table.place("name").name();
    let name = table.required("name", "\"stats\"").and_then(|found| found.parse(name));
    let levels =
        table.required_choices("levels", "[\"type\"]", &["system", "type", "instance"].map(|level| (level, level)));
    let has_level = |wanted| levels.iter().any(|level| level.it == wanted);
    let types = types(table, tables);
    let methods = table.choices("methods", &["GET"], &["GET", "POST"].map(|method| (method, method)));
    let has_method = |wanted| methods.iter().any(|method| method.it == wanted);
    let letters = Letter::ALL.map(|letter| (letter.as_char().to_string(), letter));
    let letters: Vec<(&str, Letter)> = letters.iter().map(|(text, letter)| (text.as_str(), *letter)).collect();
    let letter = table.choice("scope", Letter::Read, &letters);
    let patient = table.text("patient").and_then(|found| found.parse(patient));
    let answers =
        [("bundle", OperationAnswer::Bundle), ("resource", OperationAnswer::Resource), ("none", OperationAnswer::None)];
    let answer = table.required_choice("answer", "\"bundle\"", &answers);
    let row = OperationRow {
        name: name?,
        place,
        system: has_level("system"),
        of_type: has_level("type"),
        instance: has_level("instance"),
        types,
        get: has_method("GET"),
        post: has_method("POST"),
        letter,
        patient,
        answer: answer?,
    };
    fits(table, &row);
    Some(row)
}

/// What the keys of a row say together.
fn fits(table: &Table<'_>, row: &OperationRow) {
    if row.patient == Some(PatientInput::Instance) && (row.system || row.of_type) {
        table.place("patient").wrong("\"instance\" is the resource in the path, so levels must be [\"instance\"]");
    }
    if row.patient.is_some() && row.answer == OperationAnswer::None {
        table.place("patient").wrong(
            "means nothing with answer = \"none\", which no token in a patient context gets; leave it out, or have the answer verified",
        );
    }
    let only_patients = row.types == TypeSet::of(ResourceType::PATIENT);
    if row.patient == Some(PatientInput::Instance) && !only_patients && row.answer == OperationAnswer::Bundle {
        table.place("patient").wrong(
            "\"instance\" with a bundle is for types = [\"Patient\"] only: whose another instance is must be read first; \
             write answer = \"resource\", or leave patient out",
        );
    }
    if row.answer == OperationAnswer::Bundle && !row.get {
        table
            .place("methods")
            .wrong("must have \"GET\", by which a bundle's pages are asked for; write [\"GET\", \"POST\"]");
    }
}

fn name(text: &str) -> Result<String, String> {
    let name = text.strip_prefix('$').unwrap_or(text);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(plain) {
        return Err(format!("{text:?} is no name of an operation; write for example \"stats\""));
    }
    let lower = name.to_ascii_lowercase();
    if NEVER.contains(&lower.as_str()) || NEVER_PREFIXES.iter().any(|prefix| lower.starts_with(prefix)) {
        return Err(format!(
            "${name} is never let through: it administers the FHIR server, or cannot be verified; leave the row out"
        ));
    }
    Ok(name.to_owned())
}

fn types(table: &mut Table<'_>, tables: &Tables) -> TypeSet {
    let list = table.required_texts("types", "[\"Observation\"]");
    if let [only] = list.as_slice()
        && only.it == "*"
    {
        return *tables.types();
    }
    let parse = |name: &str| super::fhir::resource_type(tables, name);
    list.into_iter().filter_map(|found| found.parse(parse)).collect()
}

/// `instance`, or the name of a parameter.
fn patient(text: &str) -> Result<PatientInput, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    match text {
        "instance" => Ok(PatientInput::Instance),
        name if !name.is_empty() && name.bytes().all(plain) => Ok(PatientInput::Parameter(name.to_owned())),
        _ => Err(format!("{text:?} is no name of a parameter; write for example \"subject\", or \"instance\"")),
    }
}
