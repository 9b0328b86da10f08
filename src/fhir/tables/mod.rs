//! The specification's own tables: whose a resource is, and what a search parameter looks at.
//!
//! `tools/fhir-tables.py` makes the rows from FHIR's definitions; they are read once per version, on first use.

pub(crate) mod names;

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{FhirVersion, ResourceType, TypeSet};

/// A way from a resource to an element, by JSON property names; arrays on the way are gone through.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ElementPath {
    pub steps: Vec<&'static str>,
}

/// What makes a resource of a type a patient's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubjectRule {
    /// Paths to References; none for Patient, whose own id says it.
    pub elements: Vec<ElementPath>,
    /// The search parameter that narrows a search to a patient, where one covers all elements; `_id` for Patient.
    pub narrow_by: Option<&'static str>,
    /// Search parameters whose values may name the patient: those that look at one of `elements` for a Patient.
    pub names_patient: Vec<&'static str>,
}

/// Type of a search parameter (FHIR R4 search.html#ptypes).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SearchParameterKind {
    Number,
    Date,
    String,
    Token,
    Reference,
    Composite,
    Quantity,
    Uri,
    Special,
}

/// One search parameter of a type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SearchParameter {
    pub code: &'static str,
    pub kind: SearchParameterKind,
    /// Types that a reference may lead to.
    pub targets: TypeSet,
    /// None where the specification's expression is more than a path.
    pub elements: Vec<ElementPath>,
}

/// The tables of one FHIR version.
#[derive(Debug)]
pub struct Tables {
    version: FhirVersion,
    types: TypeSet,
    shared: TypeSet,
    parameters: HashMap<ResourceType, HashMap<&'static str, SearchParameter>>,
    /// Parameters of `Resource` and `DomainResource`.
    common: HashMap<&'static str, SearchParameter>,
    subjects: HashMap<ResourceType, SubjectRule>,
    compartment: HashMap<ResourceType, SubjectRule>,
    /// Rows that could not be read; a test keeps it at none.
    skipped: usize,
}

static R4: LazyLock<Tables> = LazyLock::new(|| Tables::read(FhirVersion::R4, include_str!("r4.tsv")));
static R4B: LazyLock<Tables> = LazyLock::new(|| Tables::read(FhirVersion::R4B, include_str!("r4b.tsv")));
static R5: LazyLock<Tables> = LazyLock::new(|| Tables::read(FhirVersion::R5, include_str!("r5.tsv")));

impl Tables {
    /// The tables of a version.
    pub fn of(version: FhirVersion) -> &'static Self {
        match version {
            FhirVersion::R4 => &R4,
            FhirVersion::R4B => &R4B,
            FhirVersion::R5 => &R5,
        }
    }

    pub fn version(&self) -> FhirVersion {
        self.version
    }

    /// Every type of the version.
    pub fn types(&self) -> &TypeSet {
        &self.types
    }

    /// Types that hold no patient's data, unless configured otherwise (enforcement.md §5).
    pub fn default_shared(&self) -> &TypeSet {
        &self.shared
    }

    /// The elements that say whom a resource of this type is about; none for a type that is no one's.
    pub fn subject(&self, of: ResourceType) -> Option<&SubjectRule> {
        self.subjects.get(&of)
    }

    /// The elements of the Patient compartment's full definition.
    pub fn compartment(&self, of: ResourceType) -> Option<&SubjectRule> {
        self.compartment.get(&of)
    }

    /// The search parameter `code` of the type, those common to all types included.
    pub fn parameter(&self, of: ResourceType, code: &str) -> Option<&SearchParameter> {
        self.parameters.get(&of).and_then(|parameters| parameters.get(code)).or_else(|| self.common.get(code))
    }

    /// The search parameters of the type, those common to all types not included.
    pub fn parameters(&self, of: ResourceType) -> impl Iterator<Item = &SearchParameter> {
        self.parameters.get(&of).into_iter().flat_map(HashMap::values)
    }

    fn read(version: FhirVersion, text: &'static str) -> Self {
        let mut tables = Self {
            version,
            types: TypeSet::all(version),
            shared: TypeSet::EMPTY,
            parameters: HashMap::new(),
            common: HashMap::new(),
            subjects: HashMap::new(),
            compartment: HashMap::new(),
            skipped: 0,
        };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if tables.row(line).is_none() {
                tables.skipped += 1;
            }
        }
        tables
    }

    /// Takes one row in; the parameters of a type come before the rules that look at them.
    fn row(&mut self, line: &'static str) -> Option<()> {
        let fields: Vec<&'static str> = line.split('\t').collect();
        match *fields.as_slice() {
            ["parameter", base, code, kind, targets, elements] => {
                let targets = self.type_list(targets)?;
                let parameter = SearchParameter { code, kind: kind_of(kind)?, targets, elements: paths(elements) };
                if matches!(base, "Resource" | "DomainResource") {
                    self.common.insert(code, parameter);
                } else {
                    let base = ResourceType::parse(self.version, base)?;
                    self.parameters.entry(base).or_default().insert(code, parameter);
                }
            }
            ["subject", of, elements, narrow_by] => {
                let (of, rule) = self.rule(of, elements, narrow_by)?;
                self.subjects.insert(of, rule);
            }
            ["compartment", of, elements, narrow_by] => {
                let (of, rule) = self.rule(of, elements, narrow_by)?;
                self.compartment.insert(of, rule);
            }
            ["shared", types] => self.shared = self.type_list(types)?,
            _ => return None,
        }
        Some(())
    }

    fn rule(&self, of: &str, elements: &'static str, narrow_by: &'static str) -> Option<(ResourceType, SubjectRule)> {
        let of = ResourceType::parse(self.version, of)?;
        let elements = paths(elements);
        let mut names_patient: Vec<&'static str> = match self.parameters.get(&of) {
            Some(parameters) => parameters
                .values()
                .filter(|parameter| parameter.targets.contains(ResourceType::PATIENT))
                .filter(|parameter| parameter.elements.iter().any(|element| elements.contains(element)))
                .map(|parameter| parameter.code)
                .collect(),
            None => Vec::new(),
        };
        if of == ResourceType::PATIENT {
            names_patient.push("_id");
        }
        names_patient.sort_unstable();
        let narrow_by = Some(narrow_by).filter(|code| !code.is_empty());
        Some((of, SubjectRule { elements, narrow_by, names_patient }))
    }

    fn type_list(&self, text: &str) -> Option<TypeSet> {
        match text {
            "" => Some(TypeSet::EMPTY),
            "*" => Some(self.types),
            text => text.split(',').map(|name| ResourceType::parse(self.version, name)).collect(),
        }
    }
}

fn paths(text: &'static str) -> Vec<ElementPath> {
    let paths = text.split(',').filter(|path| !path.is_empty());
    paths.map(|path| ElementPath { steps: path.split('.').collect() }).collect()
}

fn kind_of(text: &str) -> Option<SearchParameterKind> {
    Some(match text {
        "number" => SearchParameterKind::Number,
        "date" => SearchParameterKind::Date,
        "string" => SearchParameterKind::String,
        "token" => SearchParameterKind::Token,
        "reference" => SearchParameterKind::Reference,
        "composite" => SearchParameterKind::Composite,
        "quantity" => SearchParameterKind::Quantity,
        "uri" => SearchParameterKind::Uri,
        "special" | "resource" => SearchParameterKind::Special,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
