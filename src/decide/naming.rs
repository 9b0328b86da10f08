//! Whose data a search asks for: the parameters that name the patient are judged, and the gate's own takes their place
//! (enforcement.md §4 "Parameters that name the patient").

use super::grant::MAX_PATIENTS;
use super::rule::{Refusal, Rule};
use crate::config::{Narrowing, PatientData, Snapshot};
use crate::fhir::reference::{Literal, is_id};
use crate::fhir::search::{Key, Parameter, or_list};
use crate::fhir::{ResourceType, SubjectRule};

pub(super) const PATIENT_PARAMETER: Rule = Rule::forbidden(
    "patient-parameter",
    "a parameter that names the patient takes an id, `Patient/id` or the `:Patient` modifier here, no other modifier; a chain only where it leads to a Patient, or to a type of no patient's data, that the token may search",
);

pub(super) const PATIENT_PARAMETER_VALUE: Rule = Rule::bad_request(
    "patient-parameter-value",
    "the value of a parameter that names the patient is empty or no id and no reference",
);

pub(super) const PATIENT_NOT_NAMED: Rule = Rule::bad_request(
    "patient-not-named",
    "this token reaches more patients than one search can ask for: name one, by `patient` or the parameter that the type has for it, or by `_id` of Patient",
);

pub(super) const RULES: &[&Rule] = &[&PATIENT_PARAMETER, &PATIENT_PARAMETER_VALUE, &PATIENT_NOT_NAMED];

/// What the client's own parameters that may name the patient come to.
pub(super) struct Named {
    /// The patients that are still asked for.
    pub(super) within: Vec<String>,
    /// The parameters that go up.
    pub(super) parameters: Vec<Parameter>,
    /// Whether one was taken out, for the gate's own to stand in its place.
    replaced: bool,
    /// The fewest patients that one parameter names; all that the token reaches where none does.
    fewest: usize,
}

impl Named {
    /// # Errors
    /// More patients are asked for than the upstream can be told.
    pub(super) fn few(&self) -> Result<(), Refusal> {
        if self.fewest > MAX_PATIENTS { Err(PATIENT_NOT_NAMED.refuse()) } else { Ok(()) }
    }
}

/// Judges the parameters that may name the patient. Of an OR list other patients are dropped; nobody left is nobody.
///
/// Where a resource is the patient's by one element only, the gate's own parameter says the same and replaces the client's. By
/// one element of several it is the client's to choose the one. A chain is judged with the other joins.
pub(super) fn named(
    snapshot: &Snapshot,
    parameters: &[Parameter],
    of: ResourceType,
    rule: &SubjectRule,
    patients: Vec<String>,
) -> Result<Named, Refusal> {
    let mut named = Named { fewest: patients.len(), within: patients.clone(), parameters: Vec::new(), replaced: false };
    for parameter in parameters {
        if !rule.names_patient.contains(&parameter.code()) || matches!(parameter.key, Key::Chain { .. }) {
            named.parameters.push(parameter.clone());
            continue;
        }
        let patients_only = match &parameter.key {
            Key::Plain { modifier: None, .. } => false,
            Key::Plain { modifier: Some(modifier), .. } if modifier == "Patient" => true,
            _ => return Err(PATIENT_PARAMETER.refuse().because(parameter.code())),
        };
        let values = or_list(&parameter.value)
            .into_iter()
            .map(|value| value_of(snapshot, value))
            .collect::<Result<Vec<_>, _>>()?;
        let own: Vec<&String> =
            patients.iter().filter(|patient| values.contains(&Value::Patient(patient.as_str()))).collect();
        let others: Vec<&str> = values
            .iter()
            .filter_map(|value| match value {
                Value::Other(text) if of != ResourceType::PATIENT && !patients_only => Some(*text),
                _ => None,
            })
            .collect();
        if !own.is_empty() {
            named.fewest = named.fewest.min(own.len());
            if rule.elements.len() > 1 {
                let own: Vec<String> = own.iter().map(|patient| format!("Patient/{patient}")).collect();
                named.parameters.push(Parameter::plain(parameter.code(), own.join(",")));
            } else {
                named.within.retain(|patient| own.contains(&patient));
                named.replaced = true;
            }
        } else if others.is_empty() {
            named.within.clear();
        } else {
            named.parameters.push(Parameter::plain(parameter.code(), others.join(",")));
        }
    }
    named.fewest = named.fewest.min(named.within.len());
    Ok(named)
}

/// What one value of a parameter that may name the patient says.
#[derive(PartialEq, Eq)]
enum Value<'v> {
    Patient(&'v str),
    /// A resource of this server that is no Patient.
    Other(&'v str),
    /// Something of another server.
    Foreign,
}

fn value_of<'v>(snapshot: &Snapshot, value: &'v str) -> Result<Value<'v>, Refusal> {
    if is_id(value) {
        return Ok(Value::Patient(value));
    }
    let bases = [snapshot.fhir.public_base.as_str()];
    match Literal::parse(value, &bases) {
        Some(literal) if literal.resource_type == "Patient" => Ok(Value::Patient(literal.id)),
        Some(_) => Ok(Value::Other(value)),
        None if value.contains("://") && !value.contains('\\') => Ok(Value::Foreign),
        None => Err(PATIENT_PARAMETER_VALUE.refuse()),
    }
}

/// What a search is made on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The type; behind it the operation that searches, if it is one.
    Type { operation: &'static str },
    /// The patient's compartment: the path names the patient.
    Compartment,
}

impl Form {
    /// The operation that searches; empty for a plain search.
    pub(super) fn operation(self) -> &'static str {
        match self {
            Self::Type { operation } => operation,
            Self::Compartment => "",
        }
    }
}

/// How the upstream is told whose data is asked for.
pub(super) struct Narrowed {
    pub(super) path: String,
    pub(super) parameter: Option<Parameter>,
    /// Whether it is asked for nothing but data of these patients.
    pub(super) exact: bool,
}

/// The narrowing of a search for data of `named`, as configured and as far as it can be told. What the client itself asked for by
/// a compartment is told however the configuration narrows; an operation chooses among what it was asked for, so that it must be
/// asked for the patient's own.
pub(super) fn narrow(snapshot: &Snapshot, of: ResourceType, rule: &SubjectRule, named: &Named, form: Form) -> Narrowed {
    // A Patient is found by its id, whatever the configuration says of references. Where a server is not asked for less, that it
    // obeys the id is not relied on, either.
    let by_id = of == ResourceType::PATIENT;
    let operation = form.operation();
    let narrowing = if by_id || !operation.is_empty() { Narrowing::Parameter } else { snapshot.fhir.narrowing };
    let asked = form == Form::Compartment;
    let full = snapshot.fhir.patient_data == PatientData::Compartment;
    if (narrowing == Narrowing::Compartment || asked && full && !by_id)
        && let [patient] = named.within.as_slice()
        && let Some(held) = snapshot.fhir.tables.compartment(of).filter(|held| covers(held, rule))
    {
        let exact = narrowing != Narrowing::None && covers(rule, held);
        return Narrowed { path: format!("/Patient/{patient}/{of}"), parameter: None, exact };
    }
    let path = format!("/{of}{operation}");
    if narrowing == Narrowing::None && !named.replaced && !asked {
        return Narrowed { path, parameter: None, exact: false };
    }
    let configured = snapshot.fhir.narrowing_by_type.get(&of).map(String::as_str);
    let code = configured.or(rule.narrow_by).filter(|_| named.within.len() <= MAX_PATIENTS);
    let values: Vec<String> = match by_id {
        true => named.within.clone(),
        false => named.within.iter().map(|patient| format!("Patient/{patient}")).collect(),
    };
    // An operation has a parameter of its own, also where no search parameter covers every element that makes data the patient's.
    let code = code.or((!operation.is_empty()).then_some("patient"));
    let parameter = code.map(|code| Parameter::plain(code, values.join(",")));
    Narrowed { path, exact: parameter.is_some() && snapshot.fhir.narrowing != Narrowing::None, parameter }
}

/// Whether every element of `rule` is one of `wider`.
fn covers(wider: &SubjectRule, rule: &SubjectRule) -> bool {
    rule.elements.iter().all(|element| wider.elements.contains(element))
}
