//! Granular constraints: what a scope says after its `?`, as FHIR search parameters that can be evaluated on a resource alone
//! (SMART App Launch 2.2 scopes-and-launch-context, "Finer-grained resource constraints using search parameters").
//!
//! A parameter that looks at more than the resource, or whose meaning leaves a server any choice, makes no constraint: the
//! scope is an error, for half a constraint would grant more than was meant.

use std::fmt;

use super::grammar::{ScopeError, TypePattern};
use crate::fhir::reference::is_id;
use crate::fhir::search::{Key, Parameter, or_list};
use crate::fhir::target::{parse_query, print_query};
use crate::fhir::{ElementPath, FhirVersion, ResourceType, SearchParameterKind, Tables, TypeSet};

/// Most parameters in one constraint.
const MAX_CONDITIONS: usize = 20;

/// Conditions that hold together; there is at least one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Constraint {
    conditions: Vec<Condition>,
}

/// One search parameter; one of its values must hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Condition {
    pub code: String,
    pub values: Vec<String>,
}

impl Constraint {
    /// Parses the text after the `?` of a scope on `types`.
    ///
    /// # Errors
    /// It is not `name=value` pairs, or cannot be evaluated on any of the types.
    pub(super) fn parse(version: FhirVersion, types: TypePattern, text: &str) -> Result<Self, ScopeError> {
        let whole =
            |pair: &str| pair.split_once('=').is_some_and(|(name, value)| !name.is_empty() && !value.is_empty());
        if !text.split('&').all(whole) {
            return Err(ScopeError::Constraint);
        }
        // A form reads it as a space, a code system may mean it: `%20` and `%2B` are clear.
        if text.contains('+') {
            return Err(ScopeError::ConstraintValue);
        }
        let pairs = parse_query(text, MAX_CONDITIONS).map_err(|_| ScopeError::Constraint)?;
        let parameters = Parameter::parse_all(&pairs).map_err(|_| ScopeError::ConstraintParameter)?;
        let mut constraint = Self { conditions: Vec::new() };
        for parameter in parameters {
            let Key::Plain { code, modifier: None } = parameter.key else {
                return Err(ScopeError::ConstraintParameter);
            };
            let values: Vec<String> = or_list(&parameter.value).into_iter().map(str::to_owned).collect();
            constraint.add(Condition { code, values });
        }
        match types {
            TypePattern::One(of) => constraint.filter(version, of).map(|_| ())?,
            TypePattern::Any => {
                let mut on_each =
                    TypeSet::all(version).iter().map(|of| constraint.filter(version, of)).collect::<Vec<_>>();
                if !on_each.iter().any(Result::is_ok) {
                    return Err(on_each.pop().and_then(Result::err).unwrap_or(ScopeError::ConstraintParameter));
                }
            }
        }
        Ok(constraint)
    }

    /// The conditions, in the order they were written.
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// Both at once.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut both = self.clone();
        for condition in &other.conditions {
            both.add(condition.clone());
        }
        both
    }

    /// Whether whatever `other` lets through is let through here, as far as the texts tell.
    pub fn covers(&self, other: &Self) -> bool {
        self.conditions.iter().all(|own| other.conditions.iter().any(|narrower| own.covers(narrower)))
    }

    /// Adds a condition, unless one that is there says as much.
    fn add(&mut self, condition: Condition) {
        if !self.conditions.iter().any(|known| condition.covers(known)) {
            self.conditions.push(condition);
        }
    }

    /// The constraint as it is evaluated on resources of one type.
    ///
    /// # Errors
    /// A parameter that the type does not have, or that cannot be evaluated on a resource alone.
    pub fn filter(&self, version: FhirVersion, of: ResourceType) -> Result<Filter, ScopeError> {
        let tests =
            self.conditions.iter().map(|condition| Test::of(version, of, condition)).collect::<Result<_, _>>()?;
        Ok(Filter { tests })
    }
}

impl Condition {
    fn covers(&self, narrower: &Self) -> bool {
        self.code == narrower.code && narrower.values.iter().all(|value| self.values.contains(value))
    }
}

impl fmt::Display for Constraint {
    /// As it stands in a scope: every character that could be read otherwise is encoded.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<String> = self.conditions.iter().map(|condition| condition.values.join(",")).collect();
        let codes = self.conditions.iter().map(|condition| condition.code.as_str());
        f.write_str(&print_query(codes.zip(values.iter().map(String::as_str))).replace("%7C", "|"))
    }
}

/// A constraint compiled for one resource type: every test must hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    pub tests: Vec<Test>,
}

/// Some value at one of `elements` must be one of those that are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Test {
    pub condition: Condition,
    pub elements: &'static [ElementPath],
    pub wanted: Vec<Wanted>,
}

/// One value of a search parameter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// FHIR R4 search.html#token; without a code, any code of the system.
    Token { system: System, code: Option<String> },
    /// A literal reference to a resource of this server (FHIR R4 search.html#reference).
    Reference { of: ResourceType, id: String },
    /// The whole text, character by character (FHIR R4 search.html#uri).
    Uri(String),
    /// A canonical URL; without a version, any version of it (FHIR R5 search.html#canonical).
    Canonical(String),
}

/// What a token says of the system.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum System {
    /// `code`: whatever the system.
    Any,
    /// `|code`: there is none.
    None,
    /// `system|code`.
    Is(String),
}

impl Test {
    fn of(version: FhirVersion, of: ResourceType, condition: &Condition) -> Result<Self, ScopeError> {
        let parameter = Tables::of(version).parameter(of, &condition.code).ok_or(ScopeError::ConstraintParameter)?;
        let code = condition.code.as_str();
        // Others that begin with `_` select by more than the resource.
        let of_itself = !code.starts_with('_') || matches!(code, "_id" | "_tag" | "_security" | "_profile" | "_source");
        if parameter.elements.is_empty() || !of_itself {
            return Err(ScopeError::ConstraintParameter);
        }
        let read = |value: &String| {
            plain(value)?;
            match parameter.kind {
                SearchParameterKind::Token => token(value, &parameter.elements),
                SearchParameterKind::Uri => Ok(Wanted::Uri(value.clone())),
                SearchParameterKind::Reference if code == "_profile" => Ok(Wanted::Canonical(value.clone())),
                SearchParameterKind::Reference => reference(version, code, &parameter.targets, value),
                // Prefix matches, precision and units leave a server choices, and the gate and it must agree.
                _ => Err(ScopeError::ConstraintParameter),
            }
        };
        let wanted = condition.values.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { condition: condition.clone(), elements: &parameter.elements, wanted })
    }
}

/// Nothing escaped, nothing that a person cannot see on the consent page.
fn plain(value: &str) -> Result<(), ScopeError> {
    let visible = |c: char| c == ' ' || c.is_ascii_graphic() && c != '\\';
    if !value.is_empty() && value.trim() == value && value.chars().all(visible) {
        Ok(())
    } else {
        Err(ScopeError::ConstraintValue)
    }
}

fn token(value: &str, elements: &[ElementPath]) -> Result<Wanted, ScopeError> {
    let Some((system, code)) = value.split_once('|') else {
        return Ok(Wanted::Token { system: System::Any, code: Some(value.to_owned()) });
    };
    // A ContactPoint's `system` is no namespace of its value.
    let contact =
        |element: &ElementPath| element.steps.last().is_some_and(|step| matches!(*step, "telecom" | "contact"));
    if code.contains('|') || (system.is_empty() && code.is_empty()) || elements.iter().any(contact) {
        return Err(ScopeError::ConstraintValue);
    }
    let system = if system.is_empty() { System::None } else { System::Is(system.to_owned()) };
    Ok(Wanted::Token { system, code: Some(code.to_owned()).filter(|code| !code.is_empty()) })
}

fn reference(version: FhirVersion, code: &str, targets: &TypeSet, value: &str) -> Result<Wanted, ScopeError> {
    // `patient` is the part of its element that leads to Patients, whatever else the tables list.
    let targets = if code == "patient" { TypeSet::of(ResourceType::PATIENT) } else { *targets };
    let (of, id) = match value.split_once('/') {
        Some((of, id)) => (ResourceType::parse(version, of), id),
        None => {
            let mut all = targets.iter();
            // Of several types an id alone names one in each.
            (all.next().filter(|_| all.next().is_none()), value)
        }
    };
    match of {
        Some(of) if targets.contains(of) && is_id(id) => Ok(Wanted::Reference { of, id: id.to_owned() }),
        _ => Err(ScopeError::ConstraintValue),
    }
}

#[cfg(test)]
#[path = "constraint_tests.rs"]
mod tests;
