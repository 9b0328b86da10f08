//! Whom a written resource is about: its subject elements, each a Reference with one meaning (enforcement.md §5).

use super::rule::{Refusal, Rule};
use crate::config::Snapshot;
use crate::fhir::ResourceType;
use crate::fhir::json::{Json, Value};
use crate::fhir::reference::Literal;

pub(super) const SUBJECT_SHAPE: Rule = Rule::bad_request(
    "subject-shape",
    "an element that says whom the resource is about is no Reference of one meaning: an object whose `reference` is a text, whose `type` agrees with it, and without an `identifier` beside it",
);

pub(super) const SUBJECT_NOT_OWN: Rule = Rule::forbidden(
    "subject-not-own",
    "what is written must be about the token's patient and no other: each element that says whom it is about refers to it as `Patient/id`",
);

pub(super) const RULES: &[&Rule] = &[&SUBJECT_SHAPE, &SUBJECT_NOT_OWN];

/// Every patient that a subject element of the resource names, or the Patient itself.
pub(super) fn patients_in(snapshot: &Snapshot, of: ResourceType, resource: Json<'_>) -> Vec<String> {
    if of == ResourceType::PATIENT {
        return resource.get("id").and_then(Json::as_str).map(str::to_owned).into_iter().collect();
    }
    let bases = snapshot.fhir.bases();
    let mut patients = Vec::new();
    for element in snapshot.fhir.tables.subject(of).map(|rule| rule.elements.as_slice()).unwrap_or_default() {
        resource.visit(&element.steps, &mut |value| {
            let text = value.get("reference").and_then(Json::as_str);
            if let Some(literal) = text.and_then(|text| Literal::parse(text, &bases))
                && literal.resource_type == "Patient"
            {
                patients.push(literal.id.to_owned());
            }
        });
    }
    patients
}

/// Subject elements are References with one meaning: literal, or nothing but a text to display.
pub(super) fn check_subjects(snapshot: &Snapshot, of: ResourceType, body: Json<'_>) -> Result<(), Refusal> {
    let bases = snapshot.fhir.bases();
    let mut subjects = Vec::new();
    for element in snapshot.fhir.tables.subject(of).map(|rule| rule.elements.as_slice()).unwrap_or_default() {
        reached(body, &element.steps, &mut subjects)?;
    }
    for subject in subjects {
        let identified = subject.get("identifier").is_some();
        match subject.get("reference").map(Json::value) {
            // A logical reference may be anyone's.
            None if identified => return Err(SUBJECT_NOT_OWN.refuse()),
            None => {}
            Some(Value::Text(_)) if identified => return Err(SUBJECT_SHAPE.refuse()),
            Some(Value::Text(text)) => {
                let literal = Literal::parse(text, &bases).ok_or_else(|| SUBJECT_NOT_OWN.refuse())?;
                if subject.get("type").is_some_and(|of| of.as_str() != Some(literal.resource_type)) {
                    return Err(SUBJECT_SHAPE.refuse());
                }
            }
            Some(_) => return Err(SUBJECT_SHAPE.refuse()),
        }
    }
    Ok(())
}

/// The objects at the end of a path; anything else on the way or there is no shape that FHIR has.
fn reached<'j>(value: Json<'j>, path: &[&str], found: &mut Vec<Json<'j>>) -> Result<(), Refusal> {
    match (value.value(), path.split_first()) {
        (Value::Array(mut elements), _) => elements.try_for_each(|element| match element.value() {
            Value::Object(_) => reached(element, path, found),
            _ => Err(SUBJECT_SHAPE.refuse()),
        }),
        (Value::Object(_), None) => {
            found.push(value);
            Ok(())
        }
        (Value::Object(_), Some((step, rest))) => match value.get(step) {
            Some(next) => reached(next, rest, found),
            None => Ok(()),
        },
        _ => Err(SUBJECT_SHAPE.refuse()),
    }
}
