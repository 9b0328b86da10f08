//! The FHIR REST grammar: request target to interaction, search parameters, references, bundles, outcomes, and the
//! specification's compartment and search-parameter tables.

mod address;
pub mod bundle;
pub mod input;
pub mod interaction;
pub mod json;
pub mod outcome;
pub mod patch;
pub mod reference;
pub mod rewrite;
mod scalar;
pub mod search;
mod tables;
pub mod target;
pub mod tree;
mod types;

pub use address::AddressKey;
pub use tables::{ElementPath, SearchParameter, SearchParameterKind, SubjectRule, Tables};
pub use types::{FhirVersion, ResourceType, TypeSet};
