//! The FHIR server's CapabilityStatement beside the gate's tables: what the configuration takes for granted and the server does not say.

use std::collections::HashSet;
use std::fmt;

use serde_json::Value;

use crate::config::{Fhir, Narrowing};
use crate::fhir::interaction::is_json;
use crate::fhir::{FhirVersion, ResourceType};

/// What was found out about the FHIR server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Finding {
    Right(String),
    /// Something to know that makes nothing wrong.
    Note(String),
    Wrong(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (weight, text) = match self {
            Self::Right(text) => ("right", text),
            Self::Note(text) => ("note", text),
            Self::Wrong(text) => ("WRONG", text),
        };
        write!(f, "{weight:<6} {text}")
    }
}

/// One type of the statement.
struct Offered<'v> {
    of: ResourceType,
    interactions: HashSet<&'v str>,
    parameters: HashSet<&'v str>,
    versions: bool,
}

impl Offered<'_> {
    fn does(&self, interaction: &str) -> bool {
        self.interactions.contains(interaction)
    }
}

/// What the statement says of the types that are known here, and the names of others.
fn offered(statement: &Value, version: FhirVersion) -> (Vec<Offered<'_>>, Vec<&str>) {
    let server = |rest: &&Value| rest.get("mode").and_then(Value::as_str) == Some("server");
    let rests = array(statement, "rest").filter(server);
    let mut types = Vec::new();
    let mut unknown = Vec::new();
    for resource in rests.flat_map(|rest| array(rest, "resource")) {
        let Some(name) = resource.get("type").and_then(Value::as_str) else { continue };
        let Some(of) = ResourceType::parse(version, name) else {
            unknown.push(name);
            continue;
        };
        types.push(Offered {
            of,
            interactions: texts(resource, "interaction", "code"),
            parameters: texts(resource, "searchParam", "name"),
            versions: resource.get("versioning").and_then(Value::as_str) != Some("no-version"),
        });
    }
    (types, unknown)
}

fn array<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn texts<'v>(value: &'v Value, list: &str, name: &str) -> HashSet<&'v str> {
    array(value, list).filter_map(|member| member.get(name).and_then(Value::as_str)).collect()
}

/// Holds a statement against the configuration.
pub(super) fn compare(statement: &Value, fhir: &Fhir) -> Vec<Finding> {
    if statement.get("resourceType").and_then(Value::as_str) != Some("CapabilityStatement") {
        return vec![Finding::Wrong("metadata: the FHIR server answers with no CapabilityStatement".to_owned())];
    }
    let mut findings = vec![version(statement, fhir.version), json(statement)];
    let (types, unknown) = offered(statement, fhir.version);
    if types.is_empty() {
        findings.push(Finding::Note("types: the statement names none, so there is nothing to compare".to_owned()));
        return findings;
    }
    findings.push(Finding::Right(format!("types: {} of the statement's are known here", types.len())));
    if !unknown.is_empty() {
        findings.push(Finding::Note(format!(
            "types: not {}'s, so refused: {}",
            fhir.version.name(),
            unknown.join(", ")
        )));
    }
    let patients: Vec<&Offered<'_>> =
        types.iter().filter(|offered| fhir.tables.subject(offered.of).is_some()).collect();
    let names = |wanted: &dyn Fn(&Offered<'_>) -> bool| -> Vec<&str> {
        patients.iter().filter(|offered| wanted(offered)).map(|offered| offered.of.name()).collect()
    };
    let lists = [
        (
            "cannot be read, so nothing of them is written under patients' scopes",
            names(&|offered| !offered.does("read")),
        ),
        ("cannot be searched", names(&|offered| !offered.does("search-type"))),
        ("have no versions, so nothing of them is written under patients' scopes", names(&|offered| !offered.versions)),
    ];
    for (what, names) in lists.into_iter().filter(|(_, names)| !names.is_empty()) {
        findings
            .push(Finding::Note(format!("interactions: as the statement says, these {what}: {}", names.join(", "))));
    }
    if fhir.narrowing == Narrowing::Parameter {
        findings.extend(parameters(&patients, fhir));
    }
    findings
}

fn version(statement: &Value, version: FhirVersion) -> Finding {
    let said = statement.get("fhirVersion").and_then(Value::as_str).unwrap_or("nothing");
    let meant = match version {
        FhirVersion::R4 => said.starts_with("4.0"),
        FhirVersion::R4B => said.starts_with("4.3") || said.starts_with("4.1"),
        FhirVersion::R5 => said.starts_with("5.0"),
    };
    if meant {
        Finding::Right(format!("version: {said} is {}", version.name()))
    } else {
        Finding::Wrong(format!("version: the statement says {said}, [fhir] version says {}", version.name()))
    }
}

fn json(statement: &Value) -> Finding {
    let formats: Vec<&str> = array(statement, "format").filter_map(Value::as_str).collect();
    if formats.iter().any(|format| is_json(format)) {
        Finding::Right("format: JSON".to_owned())
    } else {
        Finding::Wrong(format!("format: the statement offers {formats:?}; the gate needs JSON"))
    }
}

/// The parameter that a search of this type is narrowed by, and whether the configuration names it.
fn narrowed_by(fhir: &Fhir, of: ResourceType) -> Option<(&str, bool)> {
    match fhir.narrowing_by_type.get(&of) {
        Some(code) => Some((code, true)),
        None => fhir.tables.subject(of)?.narrow_by.map(|code| (code, false)),
    }
}

fn parameters(patients: &[&Offered<'_>], fhir: &Fhir) -> Vec<Finding> {
    let (mut configured, mut usual, mut without) = (Vec::new(), Vec::new(), Vec::new());
    for offered in patients.iter().filter(|offered| offered.does("search-type")) {
        match narrowed_by(fhir, offered.of) {
            None => without.push(offered.of.name().to_owned()),
            Some((code, _)) if code.starts_with('_') || offered.parameters.contains(code) => {}
            Some((code, true)) => configured.push(format!("{}.{code}", offered.of)),
            Some((code, false)) => usual.push(format!("{}.{code}", offered.of)),
        }
    }
    let mut findings = Vec::new();
    if !configured.is_empty() {
        let configured = configured.join(", ");
        findings.push(Finding::Wrong(format!(
            "parameters: [fhir] narrowing_by_type names what the statement does not have: {configured}"
        )));
    }
    if !usual.is_empty() {
        let usual = usual.join(", ");
        findings.push(Finding::Note(format!(
            "parameters: searches are narrowed by what the statement does not name: {usual}"
        )));
    }
    if !without.is_empty() {
        let without = without.join(", ");
        findings.push(Finding::Note(format!(
            "parameters: no single one narrows these, all pages of them are read: {without}"
        )));
    }
    if findings.is_empty() {
        findings.push(Finding::Right("parameters: the statement names all that searches are narrowed by".to_owned()));
    }
    findings
}

/// A type of patients' data to try narrowing on, and its parameter.
pub(super) fn tried_on(statement: &Value, fhir: &Fhir) -> Option<(ResourceType, String)> {
    let (types, _) = offered(statement, fhir.version);
    let searched = types.iter().filter(|offered| offered.of != ResourceType::PATIENT && offered.does("search-type"));
    let usable: Vec<_> =
        searched.filter_map(|offered| Some((offered.of, narrowed_by(fhir, offered.of)?.0.to_owned()))).collect();
    let observation = usable.iter().find(|(of, _)| *of == ResourceType::OBSERVATION);
    observation.or_else(|| usable.first()).cloned()
}

#[cfg(test)]
#[path = "statement_tests.rs"]
mod tests;
