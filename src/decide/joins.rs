//! Joins: chains, `_has` and includes read other types, and each type on the way must be granted (enforcement.md §4 "Joins").

use super::parameters::{
    PARAMETER_NOT_ALLOWED, PARAMETER_VALUE, Search, of_every_resource, plain_modifier, require_join,
};
use super::rule::Refusal;
use crate::fhir::search::{Key, Parameter};
use crate::fhir::{ResourceType, TypeSet};
use crate::scope::Letter;

/// Checks a chain or `_has`: each hop's types need `s` by a permit without a patient context.
pub(super) fn check(search: &Search<'_>, parameter: &Parameter) -> Result<(), Refusal> {
    match search.of {
        Some(of) => hop(search, of, &parameter.key, &parameter.value),
        None => Err(PARAMETER_VALUE.refuse().because("a join without a searched type")),
    }
}

fn hop(search: &Search<'_>, from: ResourceType, key: &Key, value: &str) -> Result<(), Refusal> {
    match key {
        Key::Plain { code, .. } if code.starts_with('_') && !of_every_resource(code) => {
            Err(PARAMETER_NOT_ALLOWED.refuse().because(code.as_str()))
        }
        Key::Plain { modifier, .. } => plain_modifier(modifier.as_deref(), value),
        Key::Has { of, rest, .. } => {
            let of = named(search, of)?;
            require_join(search.grant, of, Letter::Search)?;
            hop(search, of, rest, value)
        }
        Key::Chain { code, of, rest } => {
            let targets = match of {
                Some(of) => TypeSet::of(named(search, of)?),
                None => targets(search, from, code)?,
            };
            for target in targets.iter() {
                require_join(search.grant, target, Letter::Search)?;
                hop(search, target, rest, value)?;
            }
            Ok(())
        }
    }
}

/// The types that an include may add; those asked for by name must be granted `r`, the others are filtered.
pub(super) fn included(
    search: &Search<'_>,
    code: &str,
    modifier: Option<&str>,
    value: &str,
) -> Result<TypeSet, Refusal> {
    if !matches!(modifier, None | Some("iterate" | "recurse")) {
        return Err(PARAMETER_VALUE.refuse().because(code));
    }
    let all = *search.snapshot.fhir.tables.types();
    if value == "*" {
        return Ok(all);
    }
    let mut parts = value.splitn(3, ':');
    let (source, by, target) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let source = named(search, source)?;
    let by = by.ok_or_else(|| PARAMETER_VALUE.refuse().because(code))?;
    if code == "_revinclude" {
        require_join(search.grant, source, Letter::Read)?;
        return Ok(TypeSet::of(source));
    }
    match target {
        Some(target) => {
            let target = named(search, target)?;
            require_join(search.grant, target, Letter::Read)?;
            Ok(TypeSet::of(target))
        }
        None if by == "*" => Ok(all),
        None => targets(search, source, by),
    }
}

fn targets(search: &Search<'_>, from: ResourceType, code: &str) -> Result<TypeSet, Refusal> {
    search
        .snapshot
        .fhir
        .tables
        .parameter(from, code)
        .map(|parameter| parameter.targets)
        .filter(|targets| !targets.is_empty())
        .ok_or_else(|| PARAMETER_VALUE.refuse().because(format!("`{code}` is no reference of {from}")))
}

fn named(search: &Search<'_>, name: &str) -> Result<ResourceType, Refusal> {
    ResourceType::parse(search.snapshot.fhir.version, name)
        .ok_or_else(|| PARAMETER_VALUE.refuse().because("a join names no resource type"))
}
