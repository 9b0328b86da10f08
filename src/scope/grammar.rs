//! `(patient|user|system)/(Type|*).(letters|read|write|*)[?param=value&…]` and the scopes around it.

use std::fmt;

use super::constraint::Constraint;
use crate::fhir::{FhirVersion, ResourceType, TypeSet};

/// Longest single scope that is read; a longer one grants nothing.
pub(super) const MAX_SCOPE_BYTES: usize = 1024;

/// Whose data a scope speaks of (SMART App Launch 2.2 scopes-and-launch-context, "FHIR resource scope syntax").
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Context {
    Patient,
    User,
    System,
}

/// One of the five rights.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Letter {
    Create,
    Read,
    Update,
    Delete,
    Search,
}

impl Letter {
    /// All five in the order the grammar demands.
    pub const ALL: [Self; 5] = [Self::Create, Self::Read, Self::Update, Self::Delete, Self::Search];

    /// The letter as a scope writes it.
    pub fn as_char(self) -> char {
        match self {
            Self::Create => 'c',
            Self::Read => 'r',
            Self::Update => 'u',
            Self::Delete => 'd',
            Self::Search => 's',
        }
    }

    fn bit(self) -> u8 {
        match self {
            Self::Create => 1,
            Self::Read => 2,
            Self::Update => 4,
            Self::Delete => 8,
            Self::Search => 16,
        }
    }
}

/// A set of rights.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Letters(u8);

impl Letters {
    /// Whether `letter` is in the set.
    pub fn contains(self, letter: Letter) -> bool {
        self.0 & letter.bit() != 0
    }

    /// Rights in both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there is no right in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Reads the part after the dot: v2 letters in order and each once, or v1 `read`, `write`, `*`.
    fn parse(text: &str) -> Option<Self> {
        match text {
            "read" => return Some(Self(Letter::Read.bit() | Letter::Search.bit())),
            "write" => return Some(Self(Letter::Create.bit() | Letter::Update.bit() | Letter::Delete.bit())),
            "*" => return Some(Self(31)),
            "" => return None,
            _ => {}
        }
        let mut order = Letter::ALL.iter();
        let mut letters = Self::default();
        for c in text.chars() {
            let letter = order.find(|letter| letter.as_char() == c)?;
            letters.0 |= letter.bit();
        }
        Some(letters)
    }
}

impl FromIterator<Letter> for Letters {
    fn from_iter<I: IntoIterator<Item = Letter>>(letters: I) -> Self {
        Self(letters.into_iter().fold(0, |bits, letter| bits | letter.bit()))
    }
}

/// Which types a scope speaks of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum TypePattern {
    /// `*`: every type, present and future.
    Any,
    One(ResourceType),
}

impl TypePattern {
    /// The types of `version` that it names.
    pub fn types(self, version: FhirVersion) -> TypeSet {
        match self {
            Self::Any => TypeSet::all(version),
            Self::One(resource_type) => TypeSet::of(resource_type),
        }
    }

    fn covers(self, other: Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::One(a), Self::One(b)) => a == b,
            (Self::One(_), Self::Any) => false,
        }
    }

    fn meet(self, other: Self) -> Option<Self> {
        if self.covers(other) {
            Some(other)
        } else if other.covers(self) {
            Some(self)
        } else {
            None
        }
    }
}

/// One scope that grants something on FHIR resources.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scope {
    pub context: Context,
    pub types: TypePattern,
    pub letters: Letters,
    /// What the part after `?` demands of each resource.
    pub constraint: Option<Constraint>,
    /// The scope as it was written; v1 scopes are answered as v1 (SMART App Launch 2.2 scopes, "permission-v1").
    pub text: String,
}

/// Why a scope that looks like one on FHIR resources grants nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ScopeError {
    #[error("the context is not `patient`, `user` or `system`")]
    Context,
    #[error("the resource type does not exist in this FHIR version")]
    Type,
    #[error("the rights are not letters of `cruds` in order, `read`, `write` or `*`")]
    Letters,
    #[error("the constraint after `?` is not `name=value` pairs")]
    Constraint,
    #[error(
        "the constraint after `?` names a parameter that cannot be evaluated on a resource of the type alone: it takes token, \
         reference and uri parameters of the type, without modifier and chain"
    )]
    ConstraintParameter,
    #[error(
        "the constraint after `?` has a value that can be read in more than one way: write `code`, `system|code`, `system|`, \
         `Type/id` or a URL, in plain characters"
    )]
    ConstraintValue,
    #[error("the scope is too long")]
    TooLong,
}

impl Scope {
    /// Parses a scope on FHIR resources.
    ///
    /// # Errors
    /// The first part of the grammar that does not hold.
    pub fn parse(version: FhirVersion, text: &str) -> Result<Self, ScopeError> {
        if text.len() > MAX_SCOPE_BYTES {
            return Err(ScopeError::TooLong);
        }
        let (context, rest) = text.split_once('/').ok_or(ScopeError::Context)?;
        let context = match context {
            "patient" => Context::Patient,
            "user" => Context::User,
            "system" => Context::System,
            _ => return Err(ScopeError::Context),
        };
        let (plain, constraint) = match rest.split_once('?') {
            Some((plain, constraint)) => (plain, Some(constraint)),
            None => (rest, None),
        };
        let (name, letters) = plain.split_once('.').ok_or(ScopeError::Letters)?;
        let types = match name {
            "*" => TypePattern::Any,
            name => TypePattern::One(ResourceType::parse(version, name).ok_or(ScopeError::Type)?),
        };
        let letters = Letters::parse(letters).ok_or(ScopeError::Letters)?;
        let constraint = constraint.map(|text| Constraint::parse(version, types, text)).transpose()?;
        Ok(Self { context, types, letters, constraint, text: text.to_owned() })
    }

    /// Whether this scope, as a ceiling, allows all that `other` asks.
    pub fn covers(&self, other: &Self) -> bool {
        self.context == other.context
            && self.types.covers(other.types)
            && self.letters.intersection(other.letters) == other.letters
            && self
                .constraint
                .as_ref()
                .is_none_or(|own| other.constraint.as_ref().is_some_and(|other| own.covers(other)))
    }

    /// What both scopes grant, where they speak of the same context.
    pub fn meet(&self, other: &Self) -> Option<Self> {
        if self.context != other.context {
            return None;
        }
        let types = self.types.meet(other.types)?;
        let letters = self.letters.intersection(other.letters);
        let constraint = match (&self.constraint, &other.constraint) {
            (None, only) | (only, None) => only.clone(),
            (Some(limit), Some(asked)) => Some(asked.and(limit)),
        };
        (!letters.is_empty()).then(|| Self {
            context: self.context,
            types,
            letters,
            constraint,
            text: other.text.clone(),
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Where SMART's and OpenID's scopes live as URIs (SMART App Launch 2.2 scopes, "Scopes as URIs").
const URI_PREFIXES: [&str; 2] =
    ["http://smarthealthit.org/fhir/scopes/", "http://openid.net/specs/openid-connect-core-1_0#"];

/// The short form of a scope that is written as a URI; any other as it is.
pub fn short_form(text: &str) -> &str {
    URI_PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text)
}

/// A parsed list of scopes: those on FHIR resources, the others, and what was not understood.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scopes {
    pub fhir: Vec<Scope>,
    /// `openid`, `fhirUser`, `launch/patient` …: they say nothing about FHIR resources.
    pub other: Vec<String>,
    /// Written like a scope on FHIR resources and not one: grants nothing.
    pub rejected: Vec<(String, ScopeError)>,
}

impl Scopes {
    /// Parses a list of scopes; what is not understood is kept apart and grants nothing. Never fails.
    pub fn parse<'a>(version: FhirVersion, scopes: impl IntoIterator<Item = &'a str>) -> Self {
        let mut parsed = Self::default();
        for text in scopes.into_iter().map(short_form) {
            let looks_like_fhir = ["patient/", "user/", "system/"].iter().any(|prefix| text.starts_with(prefix));
            if !looks_like_fhir {
                parsed.other.push(text.to_owned());
                continue;
            }
            match Scope::parse(version, text) {
                Ok(scope) => parsed.fhir.push(scope),
                Err(error) => parsed.rejected.push((text.to_owned(), error)),
            }
        }
        parsed
    }

    /// Whether one of the scopes that are not on FHIR resources is `name`.
    pub fn has(&self, name: &str) -> bool {
        self.other.iter().any(|scope| scope == name)
    }
}

#[cfg(test)]
#[path = "grammar_tests.rs"]
mod tests;
