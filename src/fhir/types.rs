//! FHIR versions, resource types and sets of types.

use std::fmt;

use super::json::Json;
use super::tables::names::NAMES;

/// A FHIR release that the gate knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum FhirVersion {
    R4,
    R4B,
    R5,
}

impl FhirVersion {
    fn bit(self) -> u8 {
        match self {
            Self::R4 => 1,
            Self::R4B => 2,
            Self::R5 => 4,
        }
    }

    /// The release's name: `R4`, `R4B`, `R5`.
    pub fn name(self) -> &'static str {
        match self {
            Self::R4 => "R4",
            Self::R4B => "R4B",
            Self::R5 => "R5",
        }
    }
}

/// A concrete resource type of one of the known releases; small, and compared without looking at its name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceType(u8);

impl ResourceType {
    pub const BINARY: Self = Self::named("Binary");
    pub const BUNDLE: Self = Self::named("Bundle");
    pub const CAPABILITY_STATEMENT: Self = Self::named("CapabilityStatement");
    pub const BASIC: Self = Self::named("Basic");
    pub const COMPOSITION: Self = Self::named("Composition");
    pub const DOCUMENT_REFERENCE: Self = Self::named("DocumentReference");
    pub const GROUP: Self = Self::named("Group");
    pub const OBSERVATION: Self = Self::named("Observation");
    pub const OPERATION_OUTCOME: Self = Self::named("OperationOutcome");
    pub const PARAMETERS: Self = Self::named("Parameters");
    pub const PATIENT: Self = Self::named("Patient");
    pub const PERSON: Self = Self::named("Person");
    pub const PRACTITIONER: Self = Self::named("Practitioner");
    pub const PRACTITIONER_ROLE: Self = Self::named("PractitionerRole");
    pub const PROVENANCE: Self = Self::named("Provenance");
    pub const RELATED_PERSON: Self = Self::named("RelatedPerson");
    pub const SUBSCRIPTION: Self = Self::named("Subscription");
    pub const VALUE_SET: Self = Self::named("ValueSet");

    /// The type called `name` in `version`; names are case-sensitive, abstract types are not types.
    pub fn parse(version: FhirVersion, name: &str) -> Option<Self> {
        Self::known(name).filter(|of| of.is_in(version))
    }

    /// The type called `name` in any of the versions.
    pub fn known(name: &str) -> Option<Self> {
        let (mut place, name) = (place(name.as_bytes()), name.as_bytes());
        loop {
            let of = Self(PLACES.get(place)?.checked_sub(1)?);
            let (known, _) = NAMES.get(usize::from(of.0))?;
            if known.as_bytes() == name {
                return Some(of);
            }
            place = (place + 1) % PLACES.len();
        }
    }

    /// Whether `version` has the type.
    pub fn is_in(self, version: FhirVersion) -> bool {
        NAMES.get(usize::from(self.0)).is_some_and(|(_, versions)| versions & version.bit() != 0)
    }

    /// What says which type a resource is of.
    pub fn member(resource: Json<'_>) -> Option<Json<'_>> {
        resource.get("resourceType")
    }

    /// The type's name as FHIR writes it.
    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).map_or("", |(name, _)| name)
    }

    #[expect(clippy::indexing_slicing, clippy::panic, reason = "evaluated by the compiler only")]
    const fn named(name: &str) -> Self {
        let mut index = 0;
        while index < NAMES.len() {
            if equal(NAMES[index].0.as_bytes(), name.as_bytes()) {
                #[expect(clippy::cast_possible_truncation, reason = "there are fewer than 256 types")]
                return Self(index as u8);
            }
            index += 1;
        }
        panic!("no such type");
    }
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler only")]
const fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut index = 0;
    while index < a.len() {
        if a[index] != b[index] {
            return false;
        }
        index += 1;
    }
    true
}

/// The types by where their names are looked for: one more than the number of a type, at its place or the next that was free.
static PLACES: [u8; 1024] = places();

/// Where a name is looked for first.
const fn place(name: &[u8]) -> usize {
    let [a, b, .., y, z] = name else { return 0 };
    (*a as usize * 3 + *b as usize * 31 + *y as usize * 7 + *z as usize * 127 + name.len() * 61) % 1024
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler only")]
const fn places() -> [u8; 1024] {
    let mut places = [0; 1024];
    let mut number = 0u8;
    while (number as usize) < NAMES.len() {
        let mut place = place(NAMES[number as usize].0.as_bytes());
        while places[place] != 0 {
            place = (place + 1) % places.len();
        }
        number += 1;
        places[place] = number;
    }
    places
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of resource types.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct TypeSet([u64; 4]);

impl TypeSet {
    /// The set with nothing in it.
    pub const EMPTY: Self = Self([0; 4]);

    /// Every type of `version`.
    pub fn all(version: FhirVersion) -> Self {
        NAMES
            .iter()
            .zip(0u8..)
            .filter(|((_, versions), _)| versions & version.bit() != 0)
            .map(|(_, index)| ResourceType(index))
            .collect()
    }

    /// The set with just `resource_type`.
    pub fn of(resource_type: ResourceType) -> Self {
        let mut set = Self::EMPTY;
        set.insert(resource_type);
        set
    }

    /// Adds a type.
    pub fn insert(&mut self, resource_type: ResourceType) {
        if let Some(word) = self.0.get_mut(usize::from(resource_type.0 >> 6)) {
            *word |= 1 << (resource_type.0 & 63);
        }
    }

    /// Whether the type is in the set.
    pub fn contains(&self, resource_type: ResourceType) -> bool {
        self.0.get(usize::from(resource_type.0 >> 6)).is_some_and(|word| word & (1 << (resource_type.0 & 63)) != 0)
    }

    /// Whether the set has no types.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    /// Types in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a | b)
    }

    /// Types in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    /// Types in this set and not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & !b)
    }

    /// Whether every type of this set is in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.difference(other).is_empty()
    }

    /// The types in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = ResourceType> + '_ {
        NAMES.iter().zip(0u8..).map(|(_, index)| ResourceType(index)).filter(|t| self.contains(*t))
    }

    fn zip(&self, other: &Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        let mut words = [0; 4];
        for ((word, a), b) in words.iter_mut().zip(self.0).zip(other.0) {
            *word = combine(a, b);
        }
        Self(words)
    }
}

impl FromIterator<ResourceType> for TypeSet {
    fn from_iter<I: IntoIterator<Item = ResourceType>>(types: I) -> Self {
        let mut set = Self::EMPTY;
        for resource_type in types {
            set.insert(resource_type);
        }
        set
    }
}

impl fmt::Debug for TypeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
