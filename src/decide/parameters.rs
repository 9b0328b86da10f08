//! Search and result parameters (enforcement.md §4): each is understood or refused, none is waved through.

use super::grant::Grant;
use super::includes::Include;
use super::joins::{self, Origin};
use super::reach::membership;
use super::request::COUNT_ONLY;
use super::rule::{Challenge, Refusal, Rule};
use crate::config::Snapshot;
use crate::fhir::interaction::{Request, is_json};
use crate::fhir::search::{Key, Parameter, or_list};
use crate::fhir::{ResourceType, TypeSet};
use crate::scope::Letter;

pub(super) const PARAMETER_UNKNOWN: Rule =
    Rule::bad_request("parameter-unknown", "a parameter that begins with `_` is not known here");

pub(super) const PARAMETER_NOT_ALLOWED: Rule = Rule::forbidden(
    "parameter-not-allowed",
    "this parameter or modifier selects by something the gate cannot check (`_filter`, `_query`, `_list`, `_text`, `_content`, `:in` …)",
);

pub(super) const PARAMETER_VALUE: Rule =
    Rule::bad_request("parameter-value", "the value of a result parameter is not one that FHIR defines");

pub(super) const SORT_NOT_ALLOWED: Rule =
    Rule::forbidden("sort-not-allowed", "`_sort` takes plain search parameters of the searched type");

pub(super) const JOIN_RESTRICTED: Rule = Rule::forbidden(
    "join-restricted",
    "this chain, `_has`, `_include` or `_revinclude` reads what may be another patient's: it may lead from a resource to the one patient it is about, from a Patient to data about it, and to types that are granted whole",
);

pub const FORMAT_NOT_JSON: Rule = Rule {
    name: "format-not-json",
    status: 406,
    issue: "not-supported",
    challenge: Challenge::None,
    text: "the gate inspects this answer and can only give it as JSON: accept `application/fhir+json`",
};

pub(super) const RULES: &[&Rule] = &[
    &PARAMETER_UNKNOWN,
    &PARAMETER_NOT_ALLOWED,
    &PARAMETER_VALUE,
    &SORT_NOT_ALLOWED,
    &JOIN_RESTRICTED,
    &FORMAT_NOT_JSON,
];

/// Parameters as they may go up.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Accepted {
    pub(super) parameters: Vec<Parameter>,
    pub(super) includes: Vec<Include>,
    /// Types that includes may add to the answer.
    pub(super) included: TypeSet,
    /// Whether only the number of matches is asked for.
    pub(super) counted: bool,
    /// Types named by `_type`.
    pub(super) types: Option<TypeSet>,
}

/// Parameters of a read or vread; under a restricted grant only those that cannot hide what is verified.
pub(super) fn of_read(request: &Request, restricted: bool) -> Result<Accepted, Refusal> {
    let mut accepted = Accepted::default();
    for parameter in &request.parameters {
        let code = parameter.code();
        match code {
            "_format" if restricted => require_json(&parameter.value)?,
            // A fuller answer than asked for is allowed, one that hides the subject cannot be verified.
            "_summary" if restricted => {}
            "_format" | "_pretty" | "_summary" | "_elements" => accepted.parameters.push(parameter.clone()),
            code if code.starts_with('_') => return Err(PARAMETER_UNKNOWN.refuse().because(code)),
            _ if restricted => {}
            _ => accepted.parameters.push(parameter.clone()),
        }
    }
    Ok(accepted)
}

/// Parameters of a history.
pub(super) fn of_history(
    snapshot: &Snapshot,
    grant: &Grant,
    request: &Request,
    restricted: bool,
) -> Result<Accepted, Refusal> {
    let mut accepted = Accepted::default();
    if !request.accepts_json {
        return Err(FORMAT_NOT_JSON.refuse());
    }
    for parameter in &request.parameters {
        match parameter.code() {
            "_since" | "_at" | "_pretty" => accepted.parameters.push(parameter.clone()),
            "_count" => accepted.parameters.push(count(snapshot, parameter, restricted)?),
            "_sort" if !restricted => accepted.parameters.push(parameter.clone()),
            "_format" => require_json(&parameter.value)?,
            "_type" if !restricted => {
                accepted.types = Some(named_types(snapshot, grant, parameter)?);
                accepted.parameters.push(parameter.clone());
            }
            "_summary" | "_elements" => {}
            code => return Err(PARAMETER_UNKNOWN.refuse().because(code)),
        }
    }
    Ok(accepted)
}

/// What a search is made in.
pub(super) struct Search<'s> {
    pub(super) snapshot: &'s Snapshot,
    pub(super) grant: &'s Grant,
    /// The searched type; none for a search over several.
    pub(super) of: Option<ResourceType>,
    pub(super) restricted: bool,
    /// What is known of the resources that it finds.
    pub(super) origin: Origin<'s>,
}

/// Parameters of a search, those that name the patient excepted: under a restricted grant they were taken out before.
pub(super) fn of_search(search: &Search<'_>, parameters: &[Parameter]) -> Result<Accepted, Refusal> {
    let mut accepted = Accepted::default();
    for parameter in parameters {
        match &parameter.key {
            Key::Has { .. } | Key::Chain { .. } => {
                joins::check(search, parameter)?;
                accepted.parameters.push(parameter.clone());
            }
            Key::Plain { code, modifier } if code.starts_with('_') => {
                control(search, code, modifier.as_deref(), parameter, &mut accepted)?;
            }
            Key::Plain { code, modifier } => {
                plain_modifier(modifier.as_deref(), &parameter.value)?;
                let known = |of| search.snapshot.fhir.tables.parameter(of, code).is_some();
                // What a profile's own parameter does with a modifier nobody here can say.
                if modifier.is_some() && !search.of.is_none_or(known) {
                    return Err(PARAMETER_NOT_ALLOWED
                        .refuse()
                        .because("a modifier on a parameter that FHIR does not define"));
                }
                if let Some(of) = search.of {
                    joins::along_references(search, of, code, modifier.as_deref())?;
                }
                accepted.parameters.push(parameter.clone());
            }
        }
    }
    if accepted.counted {
        accepted.only_counted(search);
    }
    Ok(accepted)
}

impl Accepted {
    /// Leaves out what adds to the matches. The gate counts for itself what it verifies, on pages as large as there are.
    fn only_counted(&mut self, search: &Search<'_>) {
        self.includes.clear();
        self.included = TypeSet::EMPTY;
        let counts = |parameter: &Parameter| search.restricted && parameter.code() == "_count";
        self.parameters
            .retain(|parameter| !matches!(parameter.code(), "_include" | "_revinclude") && !counts(parameter));
        if search.restricted {
            self.parameters.push(Parameter::plain("_count", search.snapshot.limits.count.to_string()));
        }
    }
}

fn control(
    search: &Search<'_>,
    code: &str,
    modifier: Option<&str>,
    parameter: &Parameter,
    accepted: &mut Accepted,
) -> Result<(), Refusal> {
    if modifier.is_some()
        && !matches!(code, "_include" | "_revinclude" | "_id" | "_tag" | "_profile" | "_security" | "_source")
    {
        return Err(PARAMETER_UNKNOWN.refuse().because(code));
    }
    match code {
        code if of_every_resource(code) => {
            plain_modifier(modifier, &parameter.value)?;
            accepted.parameters.push(parameter.clone());
        }
        "_include" | "_revinclude" => {
            if let Some(include) = Include::read(search, code, modifier, &parameter.value)? {
                accepted.included = accepted.included.union(&include.added(search));
                accepted.includes.push(include);
                accepted.parameters.push(parameter.clone());
            }
        }
        "_sort" => {
            sort(search, &parameter.value)?;
            accepted.parameters.push(parameter.clone());
        }
        "_count" => {
            let count = count(search.snapshot, parameter, false)?;
            accepted.counted |= count.value == "0";
            accepted.parameters.push(count);
        }
        "_format" => require_json(&parameter.value)?,
        "_pretty" => accepted.parameters.push(parameter.clone()),
        "_total" => {
            one_of(&parameter.value, &["none", "estimate", "accurate"])?;
            // Counted by the upstream over what it selected, not over what was verified.
            if !search.restricted {
                accepted.parameters.push(parameter.clone());
            }
        }
        "_summary" => {
            one_of(&parameter.value, &["true", "text", "data", "count", "false"])?;
            accepted.counted |= parameter.value == "count";
            if !search.restricted {
                accepted.parameters.push(parameter.clone());
            }
        }
        "_elements" => accepted.parameters.push(parameter.clone()),
        "_type" if !search.restricted => {
            accepted.types = Some(named_types(search.snapshot, search.grant, parameter)?);
            accepted.parameters.push(parameter.clone());
        }
        "_filter" | "_query" | "_list" | "_in" | "_text" | "_content" | "_contained" | "_containedType" | "_type" => {
            return Err(PARAMETER_NOT_ALLOWED.refuse().because(code));
        }
        code => return Err(PARAMETER_UNKNOWN.refuse().because(code)),
    }
    Ok(())
}

/// Search parameters that every resource has and that look at nothing but the resource itself.
pub(super) fn of_every_resource(code: &str) -> bool {
    matches!(code, "_id" | "_lastUpdated" | "_tag" | "_profile" | "_security" | "_source" | "_language")
}

fn one_of(value: &str, allowed: &[&str]) -> Result<(), Refusal> {
    if allowed.contains(&value) { Ok(()) } else { Err(PARAMETER_VALUE.refuse()) }
}

/// `:in` and `:not-in` make the upstream fetch what the value names; the other modifiers look at the resource itself.
pub(super) fn plain_modifier(modifier: Option<&str>, value: &str) -> Result<(), Refusal> {
    match modifier {
        None => Ok(()),
        Some("in" | "not-in") if value.contains("://") => {
            Err(PARAMETER_NOT_ALLOWED.refuse().because("`:in` with a URL"))
        }
        Some(
            "missing" | "exact" | "contains" | "text" | "not" | "above" | "below" | "in" | "not-in" | "identifier"
            | "of-type" | "ofType" | "code-text" | "text-advanced" | "iterate",
        ) => Ok(()),
        Some(modifier) if modifier.starts_with(|c: char| c.is_ascii_uppercase()) => Ok(()),
        Some(modifier) => Err(PARAMETER_NOT_ALLOWED.refuse().because(format!("modifier `:{modifier}`"))),
    }
}

fn sort(search: &Search<'_>, value: &str) -> Result<(), Refusal> {
    let known = |code: &str| {
        matches!(code, "_id" | "_lastUpdated" | "_score")
            || search.of.is_none_or(|of| search.snapshot.fhir.tables.parameter(of, code).is_some())
    };
    let plain =
        |code: &str| !code.is_empty() && code.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    for term in value.split(',') {
        let code = term.strip_prefix('-').unwrap_or(term);
        if !plain(code) || !known(code) {
            return Err(SORT_NOT_ALLOWED.refuse());
        }
    }
    Ok(())
}

/// `_count`, at most what the limits allow.
pub(super) fn count(snapshot: &Snapshot, parameter: &Parameter, restricted: bool) -> Result<Parameter, Refusal> {
    let asked: usize = parameter.value.parse().map_err(|_| PARAMETER_VALUE.refuse().because("_count"))?;
    if restricted && asked == 0 {
        return Err(COUNT_ONLY.refuse());
    }
    Ok(Parameter::plain("_count", asked.min(snapshot.limits.count).to_string()))
}

fn named_types(snapshot: &Snapshot, grant: &Grant, parameter: &Parameter) -> Result<TypeSet, Refusal> {
    let types = or_list(&parameter.value)
        .into_iter()
        .map(|name| ResourceType::parse(snapshot.fhir.version, name))
        .collect::<Option<TypeSet>>()
        .ok_or_else(|| PARAMETER_VALUE.refuse().because("_type"))?;
    super::read::require_all(grant, &types, &PARAMETER_NOT_ALLOWED)?;
    Ok(types)
}

fn require_json(format: &str) -> Result<(), Refusal> {
    if is_json(format) { Ok(()) } else { Err(FORMAT_NOT_JSON.refuse()) }
}

/// Adds to `_elements` what verification looks at.
pub(super) fn keep_verifiable(snapshot: &Snapshot, grant: &Grant, of: ResourceType, accepted: &mut Accepted) {
    if !accepted.parameters.iter().any(|parameter| parameter.code() == "_elements") {
        return;
    }
    let subjects = membership(snapshot, of).map(|rule| rule.elements.as_slice()).unwrap_or_default();
    let constrained = [Letter::Read, Letter::Search].into_iter().flat_map(|letter| grant.constrained(of, letter));
    let tested = constrained.flat_map(|(_, filter)| &filter.tests).flat_map(|test| test.elements);
    let elements = subjects.iter().chain(tested).filter_map(|element| element.steps.first().copied());
    let needed: Vec<&str> = std::iter::once("id").chain(elements).collect();
    for parameter in accepted.parameters.iter_mut().filter(|parameter| parameter.code() == "_elements") {
        for name in &needed {
            if !parameter.value.split(',').any(|named| named == *name) {
                parameter.value.push(',');
                parameter.value.push_str(name);
            }
        }
    }
}
