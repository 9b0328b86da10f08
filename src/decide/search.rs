//! Search: narrowed so that the upstream returns less, verified so that nothing else leaves (enforcement.md §3, §4).

use http::Method;

use super::constraint::{Part, narrowing};
use super::grant::Grant;
use super::includes::{self, Includes};
use super::joins::{Origin, pin};
use super::naming::{Form, named, narrow};
use super::operation::OPERATION_RESTRICTED;
use super::parameters::{self, Accepted, FORMAT_NOT_JSON, Search};
use super::permit::{Action, BundleKind, OwnAnswer, PageRule, Permit, Target, UpstreamRequest, Verify};
use super::provenance;
use super::reach::{Reach, SCOPE_MISSING, reach};
use super::read::{require_all, target};
use super::rule::{Refusal, Rule};
use crate::config::{Narrowing, Snapshot};
use crate::fhir::interaction::Request;
use crate::fhir::search::Parameter;
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

pub(super) const RULES: &[&Rule] = &[&SYSTEM_SEARCH_RESTRICTED, &COMPARTMENT_RESTRICTED];

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
    let form = Form::Type { operation };
    match &reach {
        Reach::Everything => unrestricted(snapshot, grant, request, &path, TypeSet::of(of), Some(of)),
        Reach::Patients { patients, rule } => {
            let within = patients.iter().map(|patient| (*patient).to_owned()).collect();
            narrowed(snapshot, grant, request, of, rule, &Within { patients: within, parts: &[], form })
        }
        Reach::Constrained { parts, rule } => match (rule, patients_of(parts)) {
            (Some(rule), Some(patients)) => {
                narrowed(snapshot, grant, request, of, rule, &Within { patients, parts, form })
            }
            _ => constrained(snapshot, grant, request, of, (&path, operation), parts),
        },
        Reach::Shared => shared(snapshot, grant, request, of, &path),
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
            let form = Form::Compartment;
            narrowed(snapshot, grant, request, of, rule, &Within { patients: within, parts: &[], form })
        }
        Reach::Constrained { parts, rule } => {
            let rule = rule.ok_or_else(|| COMPARTMENT_RESTRICTED.refuse())?;
            let reached = parts.iter().any(|part| part.may_be(id));
            let patients = reached.then(|| id.to_owned()).into_iter().collect();
            narrowed(snapshot, grant, request, of, rule, &Within { patients, parts, form: Form::Compartment })
        }
    }
}

/// `GET [base]?…`, `POST [base]/_search`.
pub(super) fn search_system(snapshot: &Snapshot, grant: &Grant, request: &Request) -> Result<Permit, Refusal> {
    let search = Search { snapshot, grant, of: None, restricted: false, origin: Origin::Any };
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
    let search = Search { snapshot, grant, of, restricted: false, origin: Origin::Any };
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
        let (kind, pages, includes) = (BundleKind::Searchset, PageRule::Kept, Includes::beside(of));
        let verify = Verify::Bundle { letter: Letter::Search, kind, pages, includes };
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
    form: Form,
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
    let search = Search { snapshot, grant, of: Some(of), restricted: true, origin: Origin::Seen };
    let mut accepted = accept(&search, of, request, &request.parameters)?;
    accepted.parameters.extend(limits(snapshot, parts.iter(), operation)?);
    let shape = shape(&search, of, &accepted, false)?;
    Ok(guarded(target(request, path, &accepted), shape, "constrained"))
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
    let narrowed = narrow(snapshot, of, rule, &named, within.form);
    let pinned = of == ResourceType::PATIENT || narrowed.exact && pin(snapshot, of).is_some();
    let origin = if pinned { Origin::Pinned(&named.within) } else { Origin::Seen };
    let search = Search { snapshot, grant, of: Some(of), restricted: true, origin };
    // Judged before the patient is: a request that is wrong is wrong whoever it names.
    let mut accepted = accept(&search, of, request, &named.parameters)?;
    named.few()?;
    let name = if within.parts.is_empty() { "own-patient" } else { "constrained" };
    if named.within.is_empty() {
        return Ok(empty(name));
    }
    let parts = within.parts.iter().filter(|part| named.within.iter().any(|patient| part.may_be(patient)));
    let limits = limits(snapshot, parts, within.form.operation())?
        .into_iter()
        .filter(|limit| !rule.names_patient.contains(&limit.code()));
    accepted.parameters.extend(limits);
    accepted.parameters.extend(narrowed.parameter);
    // A token is compared here with the case of its letters, upstream perhaps without.
    let exact = narrowed.exact && within.parts.is_empty();
    let shape = shape(&search, of, &accepted, exact)?;
    Ok(guarded(target(request, narrowed.path.as_str(), &accepted), shape, name))
}

/// A search of a type that holds no patient's data.
fn shared(
    snapshot: &Snapshot,
    grant: &Grant,
    request: &Request,
    of: ResourceType,
    path: &str,
) -> Result<Permit, Refusal> {
    let search = Search { snapshot, grant, of: Some(of), restricted: true, origin: Origin::Any };
    let accepted = accept(&search, of, request, &request.parameters)?;
    let shape = shape(&search, of, &accepted, true)?;
    Ok(guarded(target(request, path, &accepted), shape, "shared-type"))
}

pub(super) fn accept(
    search: &Search<'_>,
    of: ResourceType,
    request: &Request,
    parameters: &[Parameter],
) -> Result<Accepted, Refusal> {
    let mut accepted = parameters::of_search(search, parameters)?;
    if !request.accepts_json {
        return Err(FORMAT_NOT_JSON.refuse());
    }
    if !accepted.includes.is_empty() {
        // What is included is verified whole, and what it is included for tells by which reference.
        accepted.parameters.retain(|parameter| parameter.code() != "_elements");
    }
    parameters::keep_verifiable(search.snapshot, search.grant, of, &mut accepted);
    Ok(accepted)
}

/// How the pages of an answer are cut, and what may be on them.
pub(super) type Shape = (PageRule, Includes);

pub(super) fn shape(search: &Search<'_>, of: ResourceType, accepted: &Accepted, exact: bool) -> Result<Shape, Refusal> {
    let pages = if accepted.counted { PageRule::Counted } else { PageRule::Filled { exact } };
    Ok((pages, includes::judged(search, of, accepted.includes.clone())?))
}

pub(super) fn guarded(target: Target, (pages, includes): Shape, rule: &'static str) -> Permit {
    let verify = Verify::Bundle { letter: Letter::Search, kind: BundleKind::Searchset, pages, includes };
    Permit { action: Action::Guard { request: UpstreamRequest::new(Method::GET, target).inspected(), verify }, rule }
}

/// Whether it asks for less than whole resources.
fn is_part(parameter: &Parameter) -> bool {
    parameter.code() == "_summary" && parameter.value != "count"
}

fn empty(rule: &'static str) -> Permit {
    Permit { action: Action::Answer(OwnAnswer::EmptySearchset), rule }
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
    let search = Search { snapshot, grant, of: Some(of), restricted: false, origin: Origin::Any };
    parameters::of_search(&search, parameters)
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
