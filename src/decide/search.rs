//! Search: narrowed so that the upstream returns less, verified so that nothing else leaves (enforcement.md §3, §4).

use http::Method;

use super::constraint::{Part, narrowing};
use super::grant::Grant;
use super::operation::OPERATION_RESTRICTED;
use super::parameters::{self, Accepted, FORMAT_NOT_JSON, Search};
use super::permit::{Action, BundleKind, OwnAnswer, PageRule, Permit, UpstreamRequest, Verify};
use super::provenance;
use super::reach::{Reach, SCOPE_MISSING, reach};
use super::read::{require_all, target};
use super::rule::{Refusal, Rule};
use crate::config::{Narrowing, Snapshot};
use crate::fhir::interaction::Request;
use crate::fhir::reference::{Literal, is_id};
use crate::fhir::search::{Key, Parameter, or_list};
use crate::fhir::{ResourceType, SubjectRule, TypeSet};
use crate::scope::Letter;

pub(super) const SYSTEM_SEARCH_RESTRICTED: Rule = Rule::forbidden(
    "system-search-restricted",
    "a search over several types is not open to a token in a patient context or with a constraint; search one type at a time",
);

pub(super) const COMPARTMENT_RESTRICTED: Rule = Rule::forbidden(
    "compartment-restricted",
    "a token in a patient context searches the Patient compartment of its own patient, one type at a time",
);

pub(super) const PATIENT_PARAMETER: Rule = Rule::forbidden(
    "patient-parameter",
    "a parameter that names the patient takes an id, `Patient/id` or the `:Patient` modifier here, no other modifier and no chain",
);

pub(super) const PATIENT_PARAMETER_VALUE: Rule = Rule::bad_request(
    "patient-parameter-value",
    "the value of a parameter that names the patient is empty or no id and no reference",
);

pub(super) const RULES: &[&Rule] =
    &[&SYSTEM_SEARCH_RESTRICTED, &COMPARTMENT_RESTRICTED, &PATIENT_PARAMETER, &PATIENT_PARAMETER_VALUE];

/// `GET Type`, `POST Type/_search`.
pub(super) fn search_type(
    snapshot: &Snapshot,
    grant: &Grant,
    request: &Request,
    of: ResourceType,
) -> Result<Permit, Refusal> {
    search_by(snapshot, grant, request, of, "")
}

/// `GET Observation/$lastn`: a search of which only the latest of each kind are wanted (FHIR R4 observation-operation-lastn.html).
pub(super) fn last_n(
    snapshot: &Snapshot,
    grant: &Grant,
    request: &Request,
    operation: &'static str,
) -> Result<Permit, Refusal> {
    search_by(snapshot, grant, request, ResourceType::OBSERVATION, operation)
}

fn search_by(
    snapshot: &Snapshot,
    grant: &Grant,
    request: &Request,
    of: ResourceType,
    operation: &'static str,
) -> Result<Permit, Refusal> {
    let reach = reach(snapshot, grant, of, Letter::Search)?;
    let path = format!("/{of}{operation}");
    match &reach {
        Reach::Everything => unrestricted(snapshot, grant, request, &path, TypeSet::of(of), Some(of)),
        Reach::Patients { patients, rule } => {
            let within = patients.iter().map(|patient| (*patient).to_owned()).collect();
            narrowed(snapshot, grant, request, of, rule, &Within { patients: within, parts: &[], operation })
        }
        Reach::Constrained { parts, rule } => match (rule, patients_of(parts)) {
            (Some(rule), Some(patients)) => {
                narrowed(snapshot, grant, request, of, rule, &Within { patients, parts, operation })
            }
            _ => constrained(snapshot, grant, request, of, (&path, operation), parts),
        },
        Reach::Shared => {
            let accepted = accept(snapshot, grant, of, request, &request.parameters)?;
            Ok(guarded(target(request, &path, &accepted), reach.rule(), true))
        }
        Reach::Linked { patients } => provenance::search(snapshot, grant, request, of, patients),
    }
}

/// `GET Patient/A/Observation` and searches below other compartments.
pub(super) fn search_compartment(
    snapshot: &Snapshot,
    grant: &Grant,
    request: &Request,
    compartment: (ResourceType, &str),
    of: Option<ResourceType>,
) -> Result<Permit, Refusal> {
    let (owner, id) = compartment;
    let Some(of) = of else {
        let all = *snapshot.fhir.tables.types();
        require_all(grant, &all, &COMPARTMENT_RESTRICTED)?;
        return unrestricted(snapshot, grant, request, &format!("/{owner}/{id}/*"), all, None);
    };
    let reach = reach(snapshot, grant, of, Letter::Search)?;
    match &reach {
        Reach::Everything => {
            unrestricted(snapshot, grant, request, &format!("/{owner}/{id}/{of}"), TypeSet::of(of), Some(of))
        }
        Reach::Constrained { parts, .. } if parts.iter().all(|part| part.patients.is_none()) => {
            constrained(snapshot, grant, request, of, (&format!("/{owner}/{id}/{of}"), ""), parts)
        }
        _ if owner != ResourceType::PATIENT => Err(COMPARTMENT_RESTRICTED.refuse()),
        Reach::Shared => Err(COMPARTMENT_RESTRICTED.refuse()),
        Reach::Linked { patients } => {
            let permit = provenance::search(snapshot, grant, request, of, &[id])?;
            Ok(if patients.contains(&id) { permit } else { empty(reach.rule()) })
        }
        Reach::Patients { patients, rule } => {
            let within = patients.iter().filter(|patient| **patient == id).map(|_| id.to_owned()).collect();
            narrowed(snapshot, grant, request, of, rule, &Within { patients: within, parts: &[], operation: "" })
        }
        Reach::Constrained { parts, rule } => {
            let rule = rule.ok_or_else(|| COMPARTMENT_RESTRICTED.refuse())?;
            let reached = parts.iter().any(|part| part.may_be(id));
            let patients = reached.then(|| id.to_owned()).into_iter().collect();
            narrowed(snapshot, grant, request, of, rule, &Within { patients, parts, operation: "" })
        }
    }
}

/// `GET [base]?…`, `POST [base]/_search`.
pub(super) fn search_system(snapshot: &Snapshot, grant: &Grant, request: &Request) -> Result<Permit, Refusal> {
    let search = Search { snapshot, grant, of: None, restricted: false };
    let asked = match parameters::of_search(&search, &request.parameters) {
        Ok(accepted) => accepted.types.unwrap_or(*snapshot.fhir.tables.types()),
        // A grant in a patient context is told that first, whatever else is wrong with the parameters.
        Err(_) if !grant.is_unrestricted() => return Err(SYSTEM_SEARCH_RESTRICTED.refuse()),
        Err(refusal) => return Err(refusal),
    };
    require_all(grant, &asked, &SYSTEM_SEARCH_RESTRICTED)?;
    unrestricted(snapshot, grant, request, "", asked, None)
}

fn unrestricted(
    snapshot: &Snapshot,
    grant: &Grant,
    request: &Request,
    path: &str,
    matched: TypeSet,
    of: Option<ResourceType>,
) -> Result<Permit, Refusal> {
    let search = Search { snapshot, grant, of, restricted: false };
    let mut accepted = parameters::of_search(&search, &request.parameters)?;
    if !request.accepts_json {
        return Err(FORMAT_NOT_JSON.refuse());
    }
    let readable = grant.unrestricted_types(Letter::Read);
    let filtered = !accepted.included.is_subset(&readable);
    if filtered && !grant.is_unrestricted() {
        // An included resource is verified whole.
        accepted.parameters.retain(|parameter| parameter.code() != "_elements" && !is_part(parameter));
    }
    let entries = matched.union(&accepted.included.intersection(&readable));
    let target = target(request, path, &accepted);
    if filtered {
        let verify = Verify::Bundle { letter: Letter::Search, kind: BundleKind::Searchset, pages: PageRule::Kept };
        let request = UpstreamRequest::new(Method::GET, target).inspected();
        return Ok(Permit { action: Action::Guard { request, verify }, rule: "unrestricted" });
    }
    let method = if request.method == Method::HEAD { Method::HEAD } else { Method::GET };
    let request = UpstreamRequest::new(method, target).inspected();
    Ok(Permit { action: Action::Stream { request, entries }, rule: "unrestricted" })
}

/// What a search in a patient context is for.
struct Within<'r> {
    patients: Vec<String>,
    /// The permits by which it is, where some have a constraint.
    parts: &'r [Part<'r>],
    /// The operation that searches, behind the type; empty for a plain search.
    operation: &'static str,
}

impl Within<'_> {
    /// How an operation is told the patient where no search parameter covers every element that makes data the patient's.
    fn of_operation(&self, patients: &[String]) -> Option<Parameter> {
        let patients: Vec<String> = patients.iter().map(|patient| format!("Patient/{patient}")).collect();
        (!self.operation.is_empty()).then(|| Parameter::plain("patient", patients.join(",")))
    }
}

/// Every patient that `parts` reach; none where one of them is not about patients.
fn patients_of(parts: &[Part<'_>]) -> Option<Vec<String>> {
    let mut patients: Vec<String> = Vec::new();
    for part in parts {
        patients.extend(part.patients.as_ref()?.iter().map(|patient| (*patient).to_owned()));
    }
    patients.sort_unstable();
    patients.dedup();
    Some(patients)
}

/// What goes up of the constraints of `parts`.
fn limits<'p>(
    snapshot: &Snapshot,
    parts: impl Iterator<Item = &'p Part<'p>>,
    operation: &str,
) -> Result<Vec<Parameter>, Refusal> {
    let parts: Vec<_> = parts.collect();
    let limits = match snapshot.fhir.narrowing {
        Narrowing::None if operation.is_empty() => Vec::new(),
        _ => narrowing(&parts),
    };
    // It would choose among what the constraint hides, and leave out what it shows.
    if !operation.is_empty() && !parts.is_empty() && limits.is_empty() {
        return Err(OPERATION_RESTRICTED.refuse().because("a constraint that the FHIR server cannot be told"));
    }
    Ok(limits)
}

/// A search under constraints alone.
fn constrained(
    snapshot: &Snapshot,
    grant: &Grant,
    request: &Request,
    of: ResourceType,
    (path, operation): (&str, &str),
    parts: &[Part<'_>],
) -> Result<Permit, Refusal> {
    let mut accepted = accept(snapshot, grant, of, request, &request.parameters)?;
    accepted.parameters.extend(limits(snapshot, parts.iter(), operation)?);
    Ok(guarded(target(request, path, &accepted), "constrained", false))
}

/// A search for data of `within`: the client's own parameters that name the patient are judged and replaced by one that the
/// client cannot remove.
fn narrowed(
    snapshot: &Snapshot,
    grant: &Grant,
    request: &Request,
    of: ResourceType,
    rule: &SubjectRule,
    within: &Within<'_>,
) -> Result<Permit, Refusal> {
    let named = named(snapshot, &request.parameters, of, rule, within.patients.clone())?;
    // Judged before the patient is: a request that is wrong is wrong whoever it names.
    let mut accepted = accept(snapshot, grant, of, request, &named.parameters)?;
    let name = if within.parts.is_empty() { "own-patient" } else { "constrained" };
    let Some(first) = named.within.first() else {
        return Ok(empty(name));
    };
    let parts = within.parts.iter().filter(|part| named.within.iter().any(|patient| part.may_be(patient)));
    let limits = limits(snapshot, parts, within.operation)?
        .into_iter()
        .filter(|limit| !rule.names_patient.contains(&limit.code()));
    accepted.parameters.extend(limits);
    let mut path = format!("/{of}{}", within.operation);
    // An operation chooses among what it was asked for, so that it must be asked for the patient's own.
    let narrowing = if within.operation.is_empty() { snapshot.fhir.narrowing } else { Narrowing::Parameter };
    let exact = match narrowing {
        Narrowing::Compartment if named.within.len() == 1 && in_compartment(snapshot, of, rule).is_some() => {
            path = format!("/Patient/{first}/{of}");
            in_compartment(snapshot, of, rule) == Some(Whole::Visible)
        }
        Narrowing::None if of != ResourceType::PATIENT && !named.replaced => false,
        narrowing => {
            let parameter =
                narrowing_parameter(snapshot, of, rule, &named.within).or_else(|| within.of_operation(&named.within));
            let exact = parameter.is_some() && (narrowing != Narrowing::None || of == ResourceType::PATIENT);
            accepted.parameters.extend(parameter);
            exact
        }
    };
    // A token is compared here with the case of its letters, upstream perhaps without.
    let exact = exact && within.parts.is_empty();
    Ok(guarded(target(request, &path, &accepted), name, exact))
}

/// How much of a patient's compartment is the patient's by `rule`.
#[derive(PartialEq, Eq)]
enum Whole {
    Visible,
    /// It holds more: what the patient performed, recorded, took part in.
    PartlyVisible,
}

/// Whether the compartment holds all that is the patient's by `rule`; the definition leaves some types and elements out.
fn in_compartment(snapshot: &Snapshot, of: ResourceType, rule: &SubjectRule) -> Option<Whole> {
    let whole = snapshot.fhir.tables.compartment(of).filter(|_| of != ResourceType::PATIENT)?;
    let covered = rule.elements.iter().all(|element| whole.elements.contains(element));
    let exact = rule.elements.len() == whole.elements.len();
    covered.then_some(if exact { Whole::Visible } else { Whole::PartlyVisible })
}

pub(super) fn accept(
    snapshot: &Snapshot,
    grant: &Grant,
    of: ResourceType,
    request: &Request,
    parameters: &[Parameter],
) -> Result<Accepted, Refusal> {
    let search = Search { snapshot, grant, of: Some(of), restricted: true };
    let mut accepted = parameters::of_search(&search, parameters)?;
    if !request.accepts_json {
        return Err(FORMAT_NOT_JSON.refuse());
    }
    parameters::keep_verifiable(snapshot, grant, of, &mut accepted);
    Ok(accepted)
}

pub(super) fn guarded(target: String, rule: &'static str, exact: bool) -> Permit {
    let pages = PageRule::Filled { exact };
    let verify = Verify::Bundle { letter: Letter::Search, kind: BundleKind::Searchset, pages };
    Permit { action: Action::Guard { request: UpstreamRequest::new(Method::GET, target).inspected(), verify }, rule }
}

/// Whether it asks for less than whole resources.
fn is_part(parameter: &Parameter) -> bool {
    parameter.code() == "_summary" && parameter.value != "count"
}

fn empty(rule: &'static str) -> Permit {
    Permit { action: Action::Answer(OwnAnswer::EmptySearchset), rule }
}

fn narrowing_parameter(
    snapshot: &Snapshot,
    of: ResourceType,
    rule: &SubjectRule,
    within: &[String],
) -> Option<Parameter> {
    let configured = snapshot.fhir.narrowing_by_type.get(&of).map(String::as_str);
    let code = configured.or(rule.narrow_by)?;
    let values: Vec<String> = match of {
        ResourceType::PATIENT => within.to_vec(),
        _ => within.iter().map(|patient| format!("Patient/{patient}")).collect(),
    };
    Some(Parameter::plain(code, values.join(",")))
}

/// What the client's own parameters that may name the patient come to.
struct Named {
    /// The patients that are still asked for.
    within: Vec<String>,
    /// The parameters that go up.
    parameters: Vec<Parameter>,
    /// Whether one was taken out, for the gate's own to stand in its place.
    replaced: bool,
}

/// Judges the parameters that may name the patient. Of an OR list other patients are dropped; nobody left is nobody.
///
/// Where a resource is the patient's by one element only, the gate's own parameter says the same and replaces the client's. By
/// one element of several it is the client's to choose the one.
fn named(
    snapshot: &Snapshot,
    parameters: &[Parameter],
    of: ResourceType,
    rule: &SubjectRule,
    within: Vec<String>,
) -> Result<Named, Refusal> {
    let patients = within.clone();
    let mut named = Named { within, parameters: Vec::new(), replaced: false };
    for parameter in parameters {
        if !rule.names_patient.contains(&parameter.code()) {
            named.parameters.push(parameter.clone());
            continue;
        }
        let patients_only = match &parameter.key {
            Key::Plain { modifier: None, .. } => false,
            Key::Plain { modifier: Some(modifier), .. } if modifier == "Patient" => true,
            Key::Plain { .. } | Key::Chain { .. } | Key::Has { .. } => {
                return Err(PATIENT_PARAMETER.refuse().because(parameter.code()));
            }
        };
        let values = or_list(&parameter.value)
            .into_iter()
            .map(|value| value_of(snapshot, value))
            .collect::<Result<Vec<_>, _>>()?;
        let own = |patient: &String| values.contains(&Value::Patient(patient));
        let others: Vec<&str> = values
            .iter()
            .filter_map(|value| match value {
                Value::Other(text) if of != ResourceType::PATIENT && !patients_only => Some(*text),
                _ => None,
            })
            .collect();
        if patients.iter().any(own) {
            if rule.elements.len() > 1 {
                let own: Vec<String> = patients.iter().filter(|p| own(p)).map(|p| format!("Patient/{p}")).collect();
                named.parameters.push(Parameter::plain(parameter.code(), own.join(",")));
            } else {
                named.within.retain(own);
                named.replaced = true;
            }
        } else if others.is_empty() {
            named.within.clear();
        } else {
            named.parameters.push(Parameter::plain(parameter.code(), others.join(",")));
        }
    }
    Ok(named)
}

/// What one value of a parameter that may name the patient says.
#[derive(PartialEq, Eq)]
enum Value<'v> {
    Patient(&'v str),
    /// A resource of this server that is no Patient.
    Other(&'v str),
    /// Something of another server.
    Foreign,
}

fn value_of<'v>(snapshot: &Snapshot, value: &'v str) -> Result<Value<'v>, Refusal> {
    if is_id(value) {
        return Ok(Value::Patient(value));
    }
    let bases = [snapshot.fhir.public_base.as_str()];
    match Literal::parse(value, &bases) {
        Some(literal) if literal.resource_type == "Patient" => Ok(Value::Patient(literal.id)),
        Some(_) => Ok(Value::Other(value)),
        None if value.contains("://") && !value.contains('\\') => Ok(Value::Foreign),
        None => Err(PATIENT_PARAMETER_VALUE.refuse()),
    }
}

/// The criteria of a conditional write under an unrestricted grant: as a search, with `s` (enforcement.md §3).
pub(super) fn criteria(
    snapshot: &Snapshot,
    grant: &Grant,
    of: ResourceType,
    parameters: &[Parameter],
) -> Result<Accepted, Refusal> {
    if !grant.unrestricted(of, Letter::Search) {
        return Err(SCOPE_MISSING.refuse().needing(grant.needed(Some(of), Letter::Search)));
    }
    let search = Search { snapshot, grant, of: Some(of), restricted: false };
    parameters::of_search(&search, parameters)
}
