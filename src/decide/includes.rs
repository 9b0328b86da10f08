//! Includes: which other resources a search may bring along, and by which reference each must be led to (enforcement.md §4
//! "Includes").
//!
//! The upstream adds includes for everything that it finds. What it added for a match that verification removed would tell of
//! that match, so what is included stays only where it is led to from what stays.

use std::collections::{HashMap, HashSet};

use super::joins::{self, named, targets};
use super::parameters::{JOIN_RESTRICTED, PARAMETER_VALUE, Search};
use super::reach::{Reach, reach, type_of};
use super::rule::Refusal;
use crate::config::Snapshot;
use crate::fhir::json::Json;
use crate::fhir::reference::Literal;
use crate::fhir::{ElementPath, ResourceType, SearchParameterKind, TypeSet};
use crate::scope::Letter;

/// Includes of one search that are followed.
const MAX_INCLUDES: usize = 32;

/// What may be in an answer besides the matches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Includes {
    /// The type of the matches; none where they may be of any.
    of: Option<ResourceType>,
    /// Resources that one of these leads to from one that stays; none for whatever is visible, where nothing is ever removed that
    /// something could be included for.
    by: Option<Vec<Include>>,
}

impl Includes {
    /// Whatever is visible.
    pub const VISIBLE: Self = Self { of: None, by: None };

    /// Whatever is visible, beside matches of the type `of`; none where they may be of any.
    pub(super) fn beside(of: Option<ResourceType>) -> Self {
        Self { of, by: None }
    }

    /// Whether an entry of this type is a match, unless the upstream says that it was included.
    pub fn may_match(&self, of: ResourceType) -> bool {
        self.of.is_none_or(|matched| matched == of)
    }

    /// Whether nothing but matches may be in the answer.
    pub fn are_none(&self) -> bool {
        self.by.as_ref().is_some_and(Vec::is_empty)
    }
}

/// One `_include` or `_revinclude`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Include {
    /// Whether it leads from what is included to what is there, as `_revinclude` does.
    reverse: bool,
    /// Whether it also leads on from what was included.
    iterate: bool,
    /// The type that refers; none for any.
    source: Option<ResourceType>,
    /// The elements that refer; none for those of every search parameter.
    elements: Option<Vec<ElementPath>>,
    /// The types that are referred to.
    pub(super) targets: TypeSet,
}

impl Include {
    /// Reads one; none where nothing that it could add is granted. A type that it names must be granted `r`.
    pub(super) fn read(
        search: &Search<'_>,
        code: &str,
        modifier: Option<&str>,
        value: &str,
    ) -> Result<Option<Self>, Refusal> {
        let iterate = match modifier {
            None => false,
            Some("iterate" | "recurse") => true,
            Some(_) => return Err(PARAMETER_VALUE.refuse().because(code)),
        };
        let reverse = code == "_revinclude";
        let all = *search.snapshot.fhir.tables.types();
        let readable = |of| reach(search.snapshot, search.grant, of, Letter::Read).map(|_| ());
        let mut include = Self { reverse, iterate, source: None, elements: None, targets: all };
        if value != "*" {
            let mut parts = value.splitn(3, ':');
            let source = named(search, parts.next().unwrap_or_default())?;
            let by = parts.next().ok_or_else(|| PARAMETER_VALUE.refuse().because(code))?;
            if reverse {
                readable(source)?;
            }
            include.source = Some(source);
            if by != "*" {
                include.targets = targets(search, source, by)?;
                let parameter = search.snapshot.fhir.tables.parameter(source, by);
                include.elements = parameter.map(|parameter| parameter.elements.clone());
            }
            if let Some(target) = parts.next() {
                let target = named(search, target)?;
                if !reverse {
                    readable(target)?;
                }
                include.targets = TypeSet::of(target);
            }
        }
        let granted = include.added(search).iter().any(|of| readable(of).is_ok());
        Ok(granted.then_some(include))
    }

    /// The types that it may add.
    pub(super) fn added(&self, search: &Search<'_>) -> TypeSet {
        match (self.reverse, self.source) {
            (false, _) => self.targets,
            (true, Some(source)) => TypeSet::of(source),
            (true, None) => *search.snapshot.fhir.tables.types(),
        }
    }

    /// The resources of this server that `resource` refers to by it.
    fn referred(&self, snapshot: &Snapshot, resource: Json<'_>) -> Vec<Name> {
        let Some(of) = type_of(snapshot, resource) else { return Vec::new() };
        if self.source.is_some_and(|source| source != of) {
            return Vec::new();
        }
        let bases = snapshot.fhir.bases();
        let mut found = Vec::new();
        let mut take = |value: Json<'_>| {
            let text = value.as_str().or_else(|| value.get("reference").and_then(Json::as_str));
            if let Some(literal) = text.and_then(|text| Literal::parse(text, &bases))
                && let Some(target) = ResourceType::parse(snapshot.fhir.version, literal.resource_type)
                && self.targets.contains(target)
            {
                found.push((target, literal.id.to_owned()));
            }
        };
        match &self.elements {
            Some(elements) => elements.iter().for_each(|element| resource.visit(&element.steps, &mut take)),
            None => {
                let references = snapshot.fhir.tables.parameters(of);
                let references = references.filter(|parameter| parameter.kind == SearchParameterKind::Reference);
                for element in references.flat_map(|parameter| &parameter.elements) {
                    resource.visit(&element.steps, &mut take);
                }
            }
        }
        found
    }
}

/// The includes of a search under a restricted grant.
///
/// # Errors
/// One leads back from a type that is open to the token as a whole to one that is not: the upstream would gather what everyone's
/// patients have with it. Or it is one that the gate cannot follow.
pub(super) fn judged(search: &Search<'_>, of: ResourceType, includes: Vec<Include>) -> Result<Includes, Refusal> {
    if includes.len() > MAX_INCLUDES {
        return Err(PARAMETER_VALUE.refuse().because("more includes than are followed"));
    }
    let is_open = |of: ResourceType| {
        let reached = reach(search.snapshot, search.grant, of, Letter::Read);
        matches!(reached, Ok(Reach::Everything | Reach::Shared)) && joins::open(search, of).is_ok()
    };
    let mut there = TypeSet::of(of);
    for include in &includes {
        there = there.union(&include.added(search));
    }
    if !includes.is_empty() && there.iter().all(is_open) {
        return Ok(Includes { of: Some(of), by: None });
    }
    for include in &includes {
        if include.elements.as_ref().is_some_and(Vec::is_empty) {
            return Err(JOIN_RESTRICTED.refuse().because("an include by more than a path"));
        }
        let from = if include.iterate { there } else { TypeSet::of(of) };
        let back = include.reverse
            && from.intersection(&include.targets).iter().any(is_open)
            && !include.added(search).iter().all(is_open);
        if back {
            return Err(JOIN_RESTRICTED.refuse().because("`_revinclude` from a shared type"));
        }
    }
    Ok(Includes { of: Some(of), by: Some(includes) })
}

/// A resource by its type and id.
type Name = (ResourceType, String);

/// The resources of one page of the upstream that may leave, and how they lead to each other.
#[derive(Default)]
pub struct Trail {
    matched: Vec<bool>,
    /// Kept only where something can lead on.
    resources: Vec<Station>,
}

struct Station {
    name: Name,
    matched: bool,
    /// What it refers to, by the number of the include.
    refers: Vec<(usize, Name)>,
}

impl Trail {
    /// Takes in a resource that may leave; resources are told apart by the order in which they come.
    pub fn take(&mut self, snapshot: &Snapshot, includes: &Includes, resource: Json<'_>, matched: bool) {
        self.matched.push(matched);
        let Some(by) = includes.by.as_ref().filter(|by| !by.is_empty()) else { return };
        let of = type_of(snapshot, resource);
        let id = resource.get("id").and_then(Json::as_str);
        let name = (of.unwrap_or(ResourceType::PARAMETERS), id.unwrap_or_default().to_owned());
        let refers = by.iter().enumerate().flat_map(|(number, include)| {
            include.referred(snapshot, resource).into_iter().map(move |name| (number, name))
        });
        self.resources.push(Station { name, matched, refers: refers.collect() });
    }

    /// Which of the resources, in the order in which they came, are matches or led to from one.
    pub fn led(&self, includes: &Includes) -> Vec<bool> {
        let Some(by) = &includes.by else { return vec![true; self.matched.len()] };
        if by.is_empty() {
            return self.matched.clone();
        }
        let mut named: HashMap<&Name, Vec<usize>> = HashMap::new();
        let mut referring: HashMap<&Name, Vec<(usize, usize)>> = HashMap::new();
        for (index, station) in self.resources.iter().enumerate() {
            named.entry(&station.name).or_default().push(index);
            for (number, name) in &station.refers {
                referring.entry(name).or_default().push((*number, index));
            }
        }
        let mut led: HashSet<usize> = HashSet::new();
        let mut at: Vec<usize> =
            self.resources.iter().enumerate().filter(|(_, station)| station.matched).map(|(index, _)| index).collect();
        led.extend(&at);
        while let Some(station) = at.pop().and_then(|index| self.resources.get(index)) {
            let leads = |number: &usize, reverse: bool| {
                by.get(*number).is_some_and(|one| one.reverse == reverse && (station.matched || one.iterate))
            };
            let forth = station.refers.iter().filter(|(number, _)| leads(number, false));
            let forth = forth.filter_map(|(_, name)| named.get(name)).flatten().copied();
            let back = referring.get(&station.name).into_iter().flatten();
            let back = back.filter(|(number, _)| leads(number, true)).map(|(_, index)| *index);
            for index in forth.chain(back) {
                if led.insert(index) {
                    at.push(index);
                }
            }
        }
        (0..self.resources.len()).map(|index| led.contains(&index)).collect()
    }
}
