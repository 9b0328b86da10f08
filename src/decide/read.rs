//! Read, vread and history (enforcement.md §3).

use http::Method;

use super::grant::Grant;
use super::includes::Includes;
use super::linked::is_linked;
use super::parameters::{self, Accepted, FORMAT_NOT_JSON};
use super::permit::{Action, BundleKind, OwnAnswer, PageRule, Permit, Target, UpstreamRequest, Verify};
use super::reach::{Reach, reach};
use super::rule::{Refusal, Rule};
use crate::config::Snapshot;
use crate::fhir::interaction::Request;
use crate::fhir::search::print_parameters;
use crate::fhir::{ResourceType, TypeSet};
use crate::scope::Letter;

pub(super) const HISTORY_RESTRICTED: Rule = Rule::forbidden(
    "history-restricted",
    "the history of a whole type or system is not open to a token in a patient context; ask for the history of one resource",
);

pub(super) const RULES: &[&Rule] = &[&HISTORY_RESTRICTED];

/// `GET Type/id`, `GET Type/id/_history/version`.
pub(super) fn read(
    snapshot: &Snapshot,
    grant: &Grant,
    request: &Request,
    of: ResourceType,
    id: &str,
    version: Option<&str>,
) -> Result<Permit, Refusal> {
    let path = path(of, id, version);
    if grant.is_identity(of, id) && !grant.unrestricted(of, Letter::Read) {
        return guarded(snapshot, grant, request, path, of, id, "own-identity");
    }
    let reach = reach(snapshot, grant, of, Letter::Read)?;
    match &reach {
        Reach::Everything => {
            let accepted = parameters::of_read(request, false)?;
            let upstream = UpstreamRequest::new(request.method.clone(), with_query(path, &accepted));
            let entries = TypeSet::of(of);
            Ok(Permit { action: Action::Stream { request: upstream, entries }, rule: reach.rule() })
        }
        // Known without asking: the answer must not depend on whether the other patient exists. What is wrong with the
        // request is wrong whoever it names, so that is judged first.
        Reach::Patients { patients, .. } if of == ResourceType::PATIENT && !patients.contains(&id) => {
            guarded(snapshot, grant, request, path, of, id, reach.rule())?;
            Ok(Permit { action: Action::Answer(OwnAnswer::UniformDenial), rule: reach.rule() })
        }
        Reach::Constrained { parts, .. }
            if of == ResourceType::PATIENT && !parts.iter().any(|part| part.may_be(id)) =>
        {
            guarded(snapshot, grant, request, path, of, id, reach.rule())?;
            Ok(Permit { action: Action::Answer(OwnAnswer::UniformDenial), rule: reach.rule() })
        }
        Reach::Patients { .. } | Reach::Shared | Reach::Constrained { .. } | Reach::Linked { .. } => {
            guarded(snapshot, grant, request, path, of, id, reach.rule())
        }
    }
}

fn guarded(
    snapshot: &Snapshot,
    grant: &Grant,
    request: &Request,
    path: Target,
    of: ResourceType,
    id: &str,
    rule: &'static str,
) -> Result<Permit, Refusal> {
    let mut accepted = parameters::of_read(request, true)?;
    // What a Binary holds is given in its own format, once the resource was verified as JSON.
    if !request.accepts_json && of != ResourceType::BINARY {
        return Err(FORMAT_NOT_JSON.refuse());
    }
    if is_linked(of) {
        accepted.parameters.retain(|parameter| parameter.code() != "_elements");
    }
    parameters::keep_verifiable(snapshot, grant, of, &mut accepted);
    let upstream = UpstreamRequest::new(Method::GET, with_query(path, &accepted)).inspected();
    let verify = Verify::Resource { of, id: id.into() };
    Ok(Permit { action: Action::Guard { request: upstream, verify }, rule })
}

/// `GET Type/id/_history`: needs `r`, each version is verified on its own body.
pub(super) fn history_of_instance(
    snapshot: &Snapshot,
    grant: &Grant,
    request: &Request,
    of: ResourceType,
    id: &str,
) -> Result<Permit, Refusal> {
    let mut path = path(of, id, None);
    path.push_str("/_history");
    let reach = reach(snapshot, grant, of, Letter::Read)?;
    let restricted = !matches!(reach, Reach::Everything);
    let accepted = parameters::of_history(snapshot, grant, request, restricted)?;
    let target = target(request, path, &accepted);
    if !restricted {
        let upstream = UpstreamRequest::new(request.method.clone(), target).inspected();
        return Ok(Permit {
            action: Action::Stream { request: upstream, entries: TypeSet::of(of) },
            rule: reach.rule(),
        });
    }
    let upstream = UpstreamRequest::new(Method::GET, target).inspected();
    let (kind, pages) = (BundleKind::History, PageRule::Filled { exact: false });
    let verify = Verify::Bundle { letter: Letter::Read, kind, pages, includes: Includes::VISIBLE };
    Ok(Permit { action: Action::Guard { request: upstream, verify }, rule: reach.rule() })
}

/// `GET Type/_history`, `GET _history`: need `s` without a patient context (SMART App Launch 2.2 scopes, "FHIR resource scopes").
pub(super) fn history_of_many(
    snapshot: &Snapshot,
    grant: &Grant,
    request: &Request,
    of: Option<ResourceType>,
) -> Result<Permit, Refusal> {
    let accepted = parameters::of_history(snapshot, grant, request, false)?;
    let asked = match of {
        Some(of) => TypeSet::of(of),
        None => accepted.types.unwrap_or(*snapshot.fhir.tables.types()),
    };
    require_all(grant, &asked, &HISTORY_RESTRICTED)?;
    let path = of.map_or_else(|| "/_history".to_owned(), |of| format!("/{of}/_history"));
    let upstream = UpstreamRequest::new(request.method.clone(), target(request, path, &accepted)).inspected();
    Ok(Permit { action: Action::Stream { request: upstream, entries: asked }, rule: "unrestricted" })
}

/// Every one of `asked` must be granted `s` without a patient context or a constraint; a grant with one is refused by `restricted`.
pub(super) fn require_all(grant: &Grant, asked: &TypeSet, restricted: &'static Rule) -> Result<(), Refusal> {
    let missing = asked.difference(&grant.unrestricted_types(Letter::Search));
    let Some(first) = missing.iter().next() else {
        return Ok(());
    };
    // No further scope of its kind would help.
    if missing.iter().any(|of| grant.covers(of, Letter::Search)) {
        return Err(restricted.refuse());
    }
    let named = (missing.iter().count() == 1).then_some(first);
    Err(super::reach::SCOPE_MISSING.refuse().needing(grant.needed(named, Letter::Search)))
}

/// The page that an opened seal names, or else the path with the accepted parameters.
pub(super) fn target(request: &Request, path: impl Into<Target>, accepted: &Accepted) -> Target {
    match &request.page {
        Some(page) => page.target.as_str().into(),
        None => with_query(path, accepted),
    }
}

/// A path with the accepted parameters behind it.
pub(super) fn with_query(path: impl Into<Target>, accepted: &Accepted) -> Target {
    let mut path = path.into();
    if !accepted.parameters.is_empty() {
        path.push('?');
        path.push_str(&print_parameters(&accepted.parameters));
    }
    path
}

fn path(of: ResourceType, id: &str, version: Option<&str>) -> Target {
    let mut path = Target::new();
    for part in ["/", of.name(), "/", id] {
        path.push_str(part);
    }
    if let Some(version) = version {
        path.push_str("/_history/");
        path.push_str(version);
    }
    path
}
