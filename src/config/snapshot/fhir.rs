//! The FHIR server behind the gate, and what is a patient's there.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::upstream::Upstream;
use crate::fhir::{FhirVersion, ResourceType, Tables, TypeSet};
use crate::scope::Letter;

/// `[fhir]`: the FHIR server behind the gate and how its data is divided among patients.
pub struct Fhir {
    /// Begins with `/`, no trailing slash.
    pub base_path: String,
    /// `public_url` + `base_path`: the `aud` of every token.
    pub public_base: String,
    pub version: FhirVersion,
    /// The specification's tables of `version`.
    pub tables: &'static Tables,
    pub upstream: Arc<Upstream>,
    pub patient_data: PatientData,
    pub narrowing: Narrowing,
    /// Search parameter to narrow by, for single types.
    pub narrowing_by_type: HashMap<ResourceType, String>,
    /// Types that hold no patient's data.
    pub shared_types: TypeSet,
    /// Methods that a restricted grant may write by although the FHIR server does not obey `If-Match`, or nobody has tried
    /// (enforcement.md §2.7).
    pub unpinned_writes: UnpinnedWrites,
    /// Whether a restricted grant may create by PUT; tells whether an id is taken.
    pub upsert: bool,
    pub identity_headers: IdentityHeaders,
    /// Hosts besides the FHIR server's base that exported files are fetched from, by their origins.
    pub bulk_hosts: Vec<Arc<Upstream>>,
}

impl Fhir {
    /// The bases under which an absolute reference means a resource of this server (enforcement.md §5).
    pub fn bases(&self) -> SmallVec<[&str; 4]> {
        let addresses = &self.upstream.addresses;
        let mut bases = SmallVec::new();
        bases.push(addresses.first.base.as_str());
        addresses.others.iter().for_each(|address| bases.push(address.base.as_str()));
        bases.push(self.public_base.as_str());
        bases
    }
}

/// Methods whose writes may meet a version that was not checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UnpinnedWrites {
    /// PATCH too, which goes up as a PUT.
    pub put: bool,
    pub delete: bool,
}

/// One `[[operations]]` entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OperationRow {
    /// Without the `$`.
    pub name: String,
    /// File and line.
    pub place: String,
    pub system: bool,
    pub of_type: bool,
    pub instance: bool,
    /// Types it is called on; at system level those whose scopes it needs.
    pub types: TypeSet,
    pub get: bool,
    pub post: bool,
    /// What it needs on each of its types.
    pub letter: Letter,
    /// How the patient is named; without it no token in a patient context may call it.
    pub patient: Option<PatientInput>,
    pub answer: OperationAnswer,
}

/// How the input of an operation says whom it is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PatientInput {
    /// By the resource in the path.
    Instance,
    /// By the parameter of this name.
    Parameter(String),
}

/// How the answer of an operator's operation is verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OperationAnswer {
    /// Entry by entry.
    Bundle,
    /// As one resource.
    Resource,
    /// Not at all.
    None,
}

/// Names of the headers that tell the FHIR server who asks; always set or removed, never passed.
#[derive(Clone, Default)]
pub struct IdentityHeaders {
    pub user: Option<http::HeaderName>,
    pub patient: Option<http::HeaderName>,
    pub client: Option<http::HeaderName>,
}

/// Which elements make a resource a patient's (enforcement.md §5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PatientData {
    Subject,
    Compartment,
}

/// How a search under a restricted grant is narrowed before it goes up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Narrowing {
    Parameter,
    Compartment,
    None,
}
