//! Searches for resources that are a patient's through others (enforcement.md §4 "Includes", §5).
//!
//! A Provenance is found by what it is about: the values of `target` are looked up first, and only those that the grant sees go
//! up. So the answer cannot depend on what is told about anything else.

use super::grant::Grant;
use super::joins::Origin;
use super::linked::{Seen, Target};
use super::look_up::{LinkLookUp, look_up};
use super::parameters::{Accepted, Search};
use super::permit::{Action, OwnAnswer, Permit};
use super::read::{target, with_query};
use super::rule::{Refusal, Rule};
use super::search::{Shape, accept, guarded, shape};
use crate::config::Snapshot;
use crate::fhir::ResourceType;
use crate::fhir::interaction::Request;
use crate::fhir::reference::is_id;
use crate::fhir::search::{Key, Parameter, or_list};

pub(super) const PROVENANCE_TARGET: Rule = Rule::forbidden(
    "provenance-target",
    "under a patient context Provenance is searched by `target` or `_id`, without modifiers but a type and without chains",
);

pub(super) const PROVENANCE_TARGET_VALUE: Rule = Rule::bad_request(
    "provenance-target-value",
    "a value of `target` is `Type/id`, and there are no more of them, or of `_id`, than are looked up for one answer",
);

pub(super) const BINARY_SEARCH: Rule = Rule::forbidden(
    "binary-search",
    "under a patient context a Binary is read by its id; search for the DocumentReference that points at it",
);

pub(super) const RULES: &[&Rule] = &[&PROVENANCE_TARGET, &PROVENANCE_TARGET_VALUE, &BINARY_SEARCH];

/// A search for what is told about some resources, once it is known which of them the grant sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetSearch {
    /// The values of each `target` parameter.
    asked: Vec<Vec<Target>>,
    accepted: Accepted,
    shape: Shape,
    patients: Vec<String>,
}

/// `GET Provenance`, `GET Binary` under a patient context.
pub(super) fn search(
    snapshot: &Snapshot,
    grant: &Grant,
    request: &Request,
    of: ResourceType,
    patients: &[&str],
) -> Result<Permit, Refusal> {
    if of == ResourceType::BINARY {
        return Err(BINARY_SEARCH.refuse());
    }
    let (targets, others): (Vec<Parameter>, Vec<Parameter>) =
        request.parameters.iter().cloned().partition(|parameter| parameter.code() == "target");
    let asked = targets.iter().map(|parameter| values(snapshot, parameter)).collect::<Result<Vec<Vec<Target>>, _>>()?;
    if asked.iter().map(Vec::len).sum::<usize>() > snapshot.limits.look_ups {
        return Err(PROVENANCE_TARGET_VALUE.refuse().because("limits.look_ups"));
    }
    let search = Search { snapshot, grant, of: Some(of), restricted: true, origin: Origin::Seen };
    let mut accepted = accept(&search, of, request, &others)?;
    let shape = shape(&search, of, &accepted, false)?;
    // Whatever of a Provenance is left out, what it is about must be seen.
    accepted.parameters.retain(|parameter| parameter.code() != "_elements");
    if !asked.is_empty() {
        let patients = patients.iter().map(|patient| (*patient).to_owned()).collect();
        let search = TargetSearch { asked, accepted, shape, patients };
        return Ok(Permit { action: Action::Targets(search), rule: "linked" });
    }
    let ids = ids(&accepted).ok_or_else(|| PROVENANCE_TARGET.refuse())?;
    if ids > snapshot.limits.look_ups {
        return Err(PROVENANCE_TARGET_VALUE.refuse().because("limits.look_ups"));
    }
    // All on one page: how many of them are others' must not be told by where a page ends.
    accepted.parameters.retain(|parameter| parameter.code() != "_count");
    accepted.parameters.push(Parameter::plain("_count", ids.to_string()));
    Ok(guarded(target(request, "/Provenance", &accepted), shape, "linked"))
}

/// How many ids the search is for; none if it is not for ids.
fn ids(accepted: &Accepted) -> Option<usize> {
    let plain = |parameter: &&Parameter| parameter.key == Key::Plain { code: "_id".to_owned(), modifier: None };
    let values = accepted.parameters.iter().filter(plain).map(|parameter| or_list(&parameter.value));
    values.filter(|values| values.iter().all(|id| is_id(id))).map(|values| values.len()).min()
}

fn values(snapshot: &Snapshot, parameter: &Parameter) -> Result<Vec<Target>, Refusal> {
    let of = match &parameter.key {
        Key::Plain { modifier: None, .. } => None,
        Key::Plain { modifier: Some(name), .. } => {
            let of = ResourceType::parse(snapshot.fhir.version, name);
            Some(of.ok_or_else(|| PROVENANCE_TARGET.refuse().because("a modifier"))?)
        }
        Key::Chain { .. } | Key::Has { .. } => return Err(PROVENANCE_TARGET.refuse().because("a chain")),
    };
    let bases = [snapshot.fhir.public_base.as_str()];
    let mut targets = Vec::new();
    for value in or_list(&parameter.value) {
        let target = match of {
            Some(of) if is_id(value) => Target::parse(snapshot, &format!("{of}/{value}"), &bases),
            _ => Target::parse(snapshot, value, &bases),
        };
        match target {
            Some(target) if of.is_none_or(|of| of == target.of) => targets.push(target),
            // Of another server: nobody's here.
            None if value.contains("://") && !value.contains('\\') => {}
            _ => return Err(PROVENANCE_TARGET_VALUE.refuse()),
        }
    }
    Ok(targets)
}

impl TargetSearch {
    /// What is to be looked up first.
    pub fn look_ups(&self, snapshot: &Snapshot, grant: &Grant) -> Vec<LinkLookUp> {
        let mut look_ups = Vec::new();
        for target in self.asked.iter().flatten() {
            if snapshot.fhir.shared_types.contains(target.of) || target.own_patient(snapshot, grant).is_some() {
                continue;
            }
            if let Some(look_up) = look_up(snapshot, grant, target)
                && !look_ups.contains(&look_up)
            {
                look_ups.push(look_up);
            }
        }
        look_ups
    }

    /// The search for those that the grant sees; of an OR list the others are dropped, nothing left is an empty searchset.
    pub fn narrowed(&self, snapshot: &Snapshot, grant: &Grant, seen: &Seen) -> Permit {
        let patients: Vec<&str> = self.patients.iter().map(String::as_str).collect();
        let mut accepted = self.accepted.clone();
        for values in &self.asked {
            let own = |target: &&Target| match target.own_patient(snapshot, grant) {
                Some(own) => own && patients.contains(&target.id.as_str()),
                None => seen.own(target, &patients),
            };
            let own: Vec<String> = values.iter().filter(own).map(Target::print).collect();
            if own.is_empty() {
                return Permit { action: Action::Answer(OwnAnswer::EmptySearchset), rule: "linked" };
            }
            accepted.parameters.push(Parameter::plain("target", own.join(",")));
        }
        guarded(with_query("/Provenance", &accepted), self.shape.clone(), "linked")
    }
}

#[cfg(test)]
#[path = "provenance_tests.rs"]
mod tests;
