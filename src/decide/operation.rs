//! Operations: a table names each one that passes; everything else is refused (enforcement.md §6).

use http::Method;

use super::grant::Grant;
use super::includes::Includes;
use super::parameters::FORMAT_NOT_JSON;
use super::permit::{Action, BodyRule, BundleKind, PageRule, Permit, UpstreamRequest, Verify};
use super::reach::{Reach, SCOPE_MISSING, reach};
use super::rule::{Refusal, Rule};
use crate::config::Snapshot;
use crate::fhir::ResourceType;
use crate::fhir::interaction::{Level, Request};
use crate::fhir::search::{Key, Parameter, print_parameters};
use crate::scope::Letter;

pub(super) const OPERATION_NOT_LISTED: Rule = Rule::forbidden(
    "operation-not-listed",
    "this operation is not among those that the gate lets through at this level",
);

pub(super) const OPERATION_RESTRICTED: Rule =
    Rule::forbidden("operation-restricted", "operations are not open to a token in a patient context in this version");

pub(super) const OPERATION_PARAMETER: Rule =
    Rule::bad_request("operation-parameter", "an operation's parameter is not in the grammar, or names another server");

pub(super) const RULES: &[&Rule] = &[&OPERATION_NOT_LISTED, &OPERATION_RESTRICTED, &OPERATION_PARAMETER];

/// What an operation needs and what its answer is.
struct Listed {
    name: &'static str,
    on: &'static str,
    instance: bool,
    of_type: bool,
    /// Letters needed on the type it is called on.
    letters: &'static [Letter],
    answer: Answer,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// A searchset whose entries are filtered to what the token may read.
    Bundle,
    /// Nothing of the FHIR server's data but what the type's own letters cover.
    Other,
}

const READ: &[Letter] = &[Letter::Read];
const SEARCH: &[Letter] = &[Letter::Search];

/// The operations that pass. `on` is the type; `*` stands for every type.
const LISTED: &[Listed] = &[
    Listed { name: "everything", on: "Patient", instance: true, of_type: false, letters: READ, answer: Answer::Bundle },
    Listed {
        name: "lastn",
        on: "Observation",
        instance: false,
        of_type: true,
        letters: SEARCH,
        answer: Answer::Bundle,
    },
    Listed {
        name: "docref",
        on: "DocumentReference",
        instance: false,
        of_type: true,
        letters: SEARCH,
        answer: Answer::Bundle,
    },
    Listed { name: "expand", on: "ValueSet", instance: true, of_type: true, letters: READ, answer: Answer::Other },
    Listed {
        name: "validate-code",
        on: "ValueSet",
        instance: true,
        of_type: true,
        letters: READ,
        answer: Answer::Other,
    },
    Listed {
        name: "validate-code",
        on: "CodeSystem",
        instance: true,
        of_type: true,
        letters: READ,
        answer: Answer::Other,
    },
    Listed { name: "lookup", on: "CodeSystem", instance: true, of_type: true, letters: READ, answer: Answer::Other },
    Listed { name: "translate", on: "ConceptMap", instance: true, of_type: true, letters: READ, answer: Answer::Other },
    Listed { name: "validate", on: "*", instance: true, of_type: true, letters: READ, answer: Answer::Other },
];

/// Decides one operation.
pub(super) fn operation(
    snapshot: &Snapshot,
    grant: &Grant,
    request: &Request,
    level: &Level,
    name: &str,
) -> Result<Permit, Refusal> {
    let (of, id) = match level {
        Level::System => return Err(OPERATION_NOT_LISTED.refuse().because(format!("${name} at system level"))),
        Level::Type(of) => (*of, None),
        Level::Instance(of, id) => (*of, Some(id.as_str())),
    };
    let listed = LISTED
        .iter()
        .find(|listed| {
            listed.name == name
                && (listed.on == "*" || listed.on == of.name())
                && if id.is_some() { listed.instance } else { listed.of_type }
        })
        .ok_or_else(|| OPERATION_NOT_LISTED.refuse().because(format!("${name} on {of}")))?;
    for letter in listed.letters {
        if !matches!(reach(snapshot, grant, of, *letter)?, Reach::Everything) {
            return Err(OPERATION_RESTRICTED.refuse());
        }
    }
    let target = target(snapshot, grant, request, of, id, listed)?;
    if !request.accepts_json {
        return Err(FORMAT_NOT_JSON.refuse());
    }
    let target = request.page.as_ref().map_or(target, |page| page.target.clone());
    let method = if request.method == Method::HEAD { Method::GET } else { request.method.clone() };
    let mut upstream = UpstreamRequest::new(method.clone(), target).inspected();
    upstream.json = true;
    let action = match listed.answer {
        Answer::Bundle if method == Method::GET => Action::Guard {
            request: upstream,
            verify: Verify::Bundle {
                letter: Letter::Read,
                kind: BundleKind::Result,
                pages: PageRule::Kept,
                includes: Includes::VISIBLE,
            },
        },
        // A form or body could widen what the URL narrowed.
        Answer::Bundle => return Err(OPERATION_NOT_LISTED.refuse().because(format!("${name} by POST"))),
        Answer::Other => {
            let body = if method == Method::POST { BodyRule::Parameters } else { BodyRule::None };
            Action::Write { request: upstream, body, readable: true }
        }
    };
    Ok(Permit { action, rule: "unrestricted" })
}

fn target(
    snapshot: &Snapshot,
    grant: &Grant,
    request: &Request,
    of: ResourceType,
    id: Option<&str>,
    listed: &Listed,
) -> Result<String, Refusal> {
    let mut parameters = Vec::new();
    for parameter in &request.parameters {
        let Key::Plain { code, modifier: None } = &parameter.key else {
            return Err(OPERATION_PARAMETER.refuse());
        };
        // The gate writes `_type` itself; a URL to fetch from would make the upstream a client of strangers.
        if code == "_type" || code == "_format" {
            continue;
        }
        if parameter.value.contains("://") && matches!(code.as_str(), "server" | "endpoint" | "source") {
            return Err(OPERATION_PARAMETER.refuse().because(code.as_str()));
        }
        parameters.push(parameter.clone());
    }
    if listed.name == "everything" {
        parameters.extend(everything_types(snapshot, grant, request)?);
    }
    let mut target = id.map_or_else(|| format!("/{of}"), |id| format!("/{of}/{id}"));
    target.push_str("/$");
    target.push_str(listed.name);
    if !parameters.is_empty() {
        target.push('?');
        target.push_str(&print_parameters(&parameters));
    }
    Ok(target)
}

/// `_type` of `$everything`: the client's own list if the token may read all of it, else what the token may read.
fn everything_types(snapshot: &Snapshot, grant: &Grant, request: &Request) -> Result<Option<Parameter>, Refusal> {
    let readable = grant.unrestricted_types(Letter::Read);
    if let Some(asked) = request.parameters.iter().find(|parameter| parameter.code() == "_type") {
        for name in asked.value.split(',') {
            let of = ResourceType::parse(snapshot.fhir.version, name).ok_or_else(|| OPERATION_PARAMETER.refuse())?;
            if !readable.contains(of) {
                return Err(SCOPE_MISSING.refuse().needing(grant.needed(Some(of), Letter::Read)));
            }
        }
        return Ok(Some(asked.clone()));
    }
    if snapshot.fhir.tables.types().is_subset(&readable) {
        return Ok(None);
    }
    let names: Vec<&str> = readable.iter().map(ResourceType::name).collect();
    Ok(Some(Parameter::plain("_type", names.join(","))))
}
