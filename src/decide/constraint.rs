//! Granular constraints evaluated on a resource's own body, and carried into a search (enforcement.md §4 "Granular constraints").

use crate::config::Snapshot;
use crate::fhir::json::{Json, Value};
use crate::fhir::reference::Literal;
use crate::fhir::search::Parameter;
use crate::scope::{Filter, System, Wanted};

/// What one permit reaches of a type, where some permit has a constraint.
#[derive(Debug)]
pub(super) struct Part<'s> {
    /// Whose data; none for whosever it is.
    pub(super) patients: Option<Vec<&'s str>>,
    pub(super) filter: Option<&'s Filter>,
}

impl Part<'_> {
    /// Whether it reaches data of this patient.
    pub(super) fn may_be(&self, patient: &str) -> bool {
        self.patients.as_ref().is_none_or(|patients| patients.contains(&patient))
    }
}

/// Whether every test of `filter` holds on the resource.
pub(super) fn holds(snapshot: &Snapshot, filter: &Filter, resource: Json<'_>) -> bool {
    let bases = snapshot.fhir.bases();
    filter.tests.iter().all(|test| {
        test.elements.iter().any(|element| {
            let mut found = false;
            resource.visit(&element.steps, &mut |value| {
                found |= test.wanted.iter().any(|wanted| is_wanted(wanted, value, &bases));
            });
            found
        })
    })
}

fn is_wanted(wanted: &Wanted, value: Json<'_>, bases: &[&str]) -> bool {
    match wanted {
        Wanted::Token { system, code } => has_token(value, system, code.as_deref()),
        Wanted::Reference { of, id } => value
            .get("reference")
            .and_then(Json::as_str)
            .and_then(|text| Literal::parse(text, bases))
            .is_some_and(|literal| literal.resource_type == of.name() && literal.id == id),
        Wanted::Uri(uri) => value.as_str() == Some(uri),
        Wanted::Canonical(url) => value.as_str().is_some_and(|text| {
            let rest = text.strip_prefix(url.as_str());
            rest.is_some_and(|rest| rest.is_empty() || (rest.starts_with('|') && !url.contains('|')))
        }),
    }
}

/// Token semantics by the shape of the value. The case of letters counts, which FHIR leaves open: two codes that differ in it may
/// be two codes. A plain code or boolean has no system of its own, so only a token without one matches it.
fn has_token(value: Json<'_>, system: &System, code: Option<&str>) -> bool {
    match value.value() {
        Value::Text(text) => *system == System::Any && code == Some(text),
        Value::Bool(truth) => *system == System::Any && code == Some(if truth { "true" } else { "false" }),
        Value::Object(_) => match (value.get("coding"), value.get("code"), value.get("value")) {
            // CodeableConcept: any of its codings; its text is no token.
            (Some(codings), _, _) => codings.elements().any(|coding| is_token(coding, "code", system, code)),
            (None, Some(_), None) => is_token(value, "code", system, code),
            // Identifier or ContactPoint.
            (None, None, Some(_)) => is_token(value, "value", system, code),
            // A Quantity has both, and its code is a unit.
            _ => false,
        },
        _ => false,
    }
}

fn is_token(value: Json<'_>, member: &str, system: &System, code: Option<&str>) -> bool {
    let text = |name: &str| value.get(name).and_then(Json::as_str);
    code.is_none_or(|code| text(member) == Some(code))
        && match system {
            System::Any => true,
            System::None => value.get("system").is_none(),
            System::Is(system) => text("system") == Some(system),
        }
}

/// Parameters that leave nothing out that one of `parts` reaches, and as little else as they can say: those of the one
/// constraint there is, or one OR list where every constraint is on the same parameter alone.
pub(super) fn narrowing(parts: &[&Part<'_>]) -> Vec<Parameter> {
    if let [Part { filter: Some(filter), .. }] = parts {
        let conditions = filter.tests.iter().map(|test| &test.condition);
        return conditions.map(|condition| Parameter::plain(&condition.code, condition.values.join(","))).collect();
    }
    let mut code = None;
    let mut values: Vec<&str> = Vec::new();
    for part in parts {
        let Some([test]) = part.filter.map(|filter| filter.tests.as_slice()) else {
            return Vec::new();
        };
        let condition = &test.condition;
        if *code.get_or_insert(condition.code.as_str()) != condition.code {
            return Vec::new();
        }
        for value in &condition.values {
            if !values.contains(&value.as_str()) {
                values.push(value);
            }
        }
    }
    code.map(|code| Parameter::plain(code, values.join(","))).into_iter().collect()
}

#[cfg(test)]
#[path = "constraint_tests.rs"]
mod tests;
