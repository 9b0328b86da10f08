//! What a verified token may do: its scopes, cut to what the client or the issuer may be granted, and to whose rights they are
//! (enforcement.md §3, "Whose rights").

mod compile;

use std::collections::HashMap;

use smallvec::SmallVec;
use smol_str::SmolStr;

use self::compile::{ceiling, compiled};
use super::rule::{Refusal, Rule};
use crate::config::Snapshot;
use crate::fhir::{ResourceType, TypeSet};
use crate::scope::{Filter, Letter, Scopes};
use crate::token::Claims;

/// Patients that one search can ask the upstream for; of a token that reaches more a search names some.
pub const MAX_PATIENTS: usize = 20;

pub(super) const CLIENT_DISABLED: Rule =
    Rule::unauthorized("client-disabled", "the client that this token was given to is not registered any more");

pub(super) const USER_DISABLED: Rule =
    Rule::unauthorized("user-disabled", "the user of this token has no account any more");

pub(super) const USER_CHANGED: Rule = Rule::unauthorized(
    "user-changed",
    "the user of this token is another person in FHIR by now, or may not choose its patient any more",
);

pub(super) const RULES: &[&Rule] = &[&CLIENT_DISABLED, &USER_DISABLED, &USER_CHANGED];

/// Ids of patients; of the one or few of an ordinary token nothing is on the heap.
pub type PatientIds<'s> = SmallVec<[&'s str; 4]>;

/// Likewise, in a grant: what a decision looks at is in one piece of memory, so that ten thousand tokens in turn cost few cache misses.
type Patients = SmallVec<[SmolStr; 1]>;

/// Types by letter, in the order of [`Letter::ALL`].
type Matrix = [TypeSet; 5];

/// Scopes that speak of some patients only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restricted {
    /// Never empty.
    patients: Patients,
    types: Matrix,
}

/// A scope with a granular constraint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Constrained {
    /// Whose data; none for whosever it is.
    patients: Option<Patients>,
    /// The scope as the token has it.
    pub text: String,
    /// Types on which the constraint cannot be evaluated are in neither of the two.
    types: Matrix,
    filters: HashMap<ResourceType, Filter>,
}

/// A token's rights under one configuration, compiled so that a decision only looks up bits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    pub claims: Claims,
    /// The snapshot it was compiled for; under another it must be compiled again.
    pub generation: u64,
    unrestricted: Matrix,
    /// What `system/` scopes alone cover.
    system: Matrix,
    restricted: SmallVec<[Restricted; 1]>,
    /// Without what a permit without constraint covers anyway.
    constrained: Vec<Constrained>,
    /// The user's own resource, readable with `openid fhirUser`.
    identity: Option<(ResourceType, String)>,
    /// Why scopes of the token grant nothing; for the log and for `explain`.
    pub ignored: Vec<String>,
}

impl Constrained {
    /// The patients whose data it covers; none for whosever it is.
    pub fn patients(&self) -> Option<Vec<&str>> {
        self.patients.as_ref().map(|patients| patients.iter().map(SmolStr::as_str).collect())
    }
}

impl Grant {
    /// Compiles the rights of `claims` under `snapshot`.
    ///
    /// # Errors
    /// The client or the user of a token of the gate's own is gone or disabled, or the user is not who the token says any more.
    pub fn of(claims: Claims, snapshot: &Snapshot) -> Result<Self, Refusal> {
        let ceiling = ceiling(&claims, snapshot)?;
        Ok(compiled(claims, snapshot, ceiling.scopes()))
    }

    /// Compiles the rights that `claims` would have if nothing bounded their scopes; for `explain`.
    pub fn unbounded(claims: Claims, snapshot: &Snapshot) -> Self {
        let scopes = Scopes::parse(snapshot.fhir.version, claims.scope.iter().map(String::as_str));
        compiled(claims, snapshot, &scopes)
    }

    /// The same token as if its scopes covered everything; for report mode.
    pub(super) fn as_everything(&self, snapshot: &Snapshot) -> Self {
        Self {
            claims: self.claims.clone(),
            generation: self.generation,
            unrestricted: [*snapshot.fhir.tables.types(); 5],
            restricted: SmallVec::new(),
            constrained: Vec::new(),
            identity: None,
            system: [TypeSet::EMPTY; 5],
            ignored: Vec::new(),
        }
    }

    /// Whether some permit covers the type with no patient context.
    pub fn unrestricted(&self, of: ResourceType, letter: Letter) -> bool {
        self.unrestricted_types(letter).contains(of)
    }

    /// Types that some permit covers with no patient context.
    pub fn unrestricted_types(&self, letter: Letter) -> TypeSet {
        types(&self.unrestricted, letter)
    }

    /// Types that a `system/` scope covers whole.
    pub fn system_types(&self, letter: Letter) -> TypeSet {
        types(&self.system, letter)
    }

    /// Permits with a patient context that cover the type.
    pub fn restricted(&self, of: ResourceType, letter: Letter) -> impl Iterator<Item = &Restricted> {
        self.restricted.iter().filter(move |permit| types(&permit.types, letter).contains(of))
    }

    /// The patients whose data of this type the token may reach; empty without a permit.
    pub fn patients(&self, of: ResourceType, letter: Letter) -> PatientIds<'_> {
        let mut patients: PatientIds<'_> =
            self.restricted(of, letter).flat_map(|permit| permit.patients.iter().map(SmolStr::as_str)).collect();
        patients.sort_unstable();
        patients.dedup();
        patients
    }

    /// Permits with a constraint that cover the type, and what it demands there.
    pub fn constrained(&self, of: ResourceType, letter: Letter) -> impl Iterator<Item = (&Constrained, &Filter)> {
        let covering = self.constrained.iter().filter(move |permit| types(&permit.types, letter).contains(of));
        covering.filter_map(move |permit| Some((permit, permit.filters.get(&of)?)))
    }

    /// The scopes with a constraint that grant something, as the token has them.
    pub fn constraints(&self) -> impl Iterator<Item = &str> {
        self.constrained.iter().map(|permit| permit.text.as_str())
    }

    /// The patients of each permit with a patient context that covers the type. A write is within one of these sets.
    pub fn patient_sets(&self, of: ResourceType, letter: Letter) -> Vec<Vec<String>> {
        // A permit that demanded more than a patient and a type would not come by here unnoticed.
        let patients =
            |Restricted { patients, types: _ }: &Restricted| patients.iter().map(SmolStr::to_string).collect();
        self.restricted(of, letter).map(patients).collect()
    }

    /// Whether any permit covers the type at all.
    pub fn covers(&self, of: ResourceType, letter: Letter) -> bool {
        self.unrestricted(of, letter)
            || self.restricted(of, letter).next().is_some()
            || self.constrained(of, letter).next().is_some()
    }

    /// Whether this is the user's own resource, granted by `openid fhirUser`.
    pub fn is_identity(&self, of: ResourceType, id: &str) -> bool {
        self.identity.as_ref().is_some_and(|(own, own_id)| *own == of && own_id == id)
    }

    /// Whether no permit has a patient context or a constraint: nothing this token gets needs to be verified.
    pub fn is_unrestricted(&self) -> bool {
        self.restricted.is_empty() && self.constrained.is_empty()
    }

    /// The scope that would allow `letter` on `of`, in the context this token has.
    pub fn needed(&self, of: Option<ResourceType>, letter: Letter) -> String {
        let context = if self.claims.patient.is_some() {
            "patient"
        } else if self.is_service() {
            "system"
        } else {
            "user"
        };
        format!("{context}/{}.{}", of.map_or("*", ResourceType::name), letter.as_char())
    }

    /// Whether it is a program's, without a person. Other issuers name a program's subject as they like; a person has a `fhirUser`.
    fn is_service(&self) -> bool {
        let Claims { own, client, subject, fhir_user, .. } = &self.claims;
        if *own { client.as_deref() == Some(subject.as_str()) } else { fhir_user.is_none() }
    }
}

fn types(matrix: &Matrix, letter: Letter) -> TypeSet {
    Letter::ALL.iter().zip(matrix).find(|(known, _)| **known == letter).map_or(TypeSet::EMPTY, |(_, types)| *types)
}

#[cfg(test)]
#[path = "grant_tests.rs"]
mod tests;
