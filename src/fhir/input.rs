//! Operation input: a Parameters resource of simple values, as the pairs that a query would hold (FHIR R4 operations.html#request).
//!
//! So one operation has one reading, whether it is called by GET or by POST.

use super::json::{Document, Json, Value};

/// Why a body is no operation input.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InputError {
    #[error("not JSON that admits one reading only")]
    Ambiguous,
    #[error("no Parameters resource")]
    NotParameters,
    #[error("a parameter without a simple value")]
    NotSimple,
    #[error("there are too many parameters")]
    TooMany,
}

/// The names and values of a Parameters resource in order; an empty body has none.
///
/// # Errors
/// A body that is no Parameters resource, or a value that a query could not hold.
pub fn pairs(body: &[u8], max_depth: usize, max_pairs: usize) -> Result<Vec<(String, String)>, InputError> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let document = Document::parse(body, max_depth).map_err(|_| InputError::Ambiguous)?;
    let mut pairs = Vec::new();
    let mut typed = false;
    for (name, value) in document.root().members() {
        match name {
            "resourceType" if value.as_str() == Some("Parameters") => typed = true,
            "id" | "meta" => {}
            "parameter" if value.is_array() => {
                for parameter in value.elements() {
                    if pairs.len() == max_pairs {
                        return Err(InputError::TooMany);
                    }
                    pairs.push(pair(parameter).ok_or(InputError::NotSimple)?);
                }
            }
            _ => return Err(InputError::NotParameters),
        }
    }
    if typed { Ok(pairs) } else { Err(InputError::NotParameters) }
}

/// A parameter with a name and one value, and nothing else.
fn pair(parameter: Json<'_>) -> Option<(String, String)> {
    let mut members = parameter.members();
    let (Some((first, a)), Some((second, b)), None) = (members.next(), members.next(), members.next()) else {
        return None;
    };
    let (name, of, value) = match (first, second) {
        ("name", of) => (a, of, b),
        (of, "name") => (b, of, a),
        _ => return None,
    };
    let value = simple(of.strip_prefix("value")?, value)?;
    let name = name.as_str()?;
    (!name.chars().chain(value.chars()).any(char::is_control)).then(|| (name.to_owned(), value))
}

/// A value of the type `of` as a query has it.
fn simple(of: &str, value: Json<'_>) -> Option<String> {
    match (of, value.value()) {
        ("Reference", _) if only(value, &["reference", "type", "display"]) => {
            value.get("reference")?.as_str().map(str::to_owned)
        }
        ("Coding", _) => token(value),
        ("CodeableConcept", _) if only(value, &["coding", "text"]) => {
            let mut codings = value.get("coding")?.elements();
            let coding = codings.next()?;
            if codings.next().is_none() { token(coding) } else { None }
        }
        (_, Value::Text(text)) => Some(text.to_owned()),
        (_, Value::Number(_) | Value::Bool(_)) => Some(value.raw().to_owned()),
        _ => None,
    }
}

/// `system|code` (FHIR R4 search.html#token).
fn token(coding: Json<'_>) -> Option<String> {
    if !only(coding, &["system", "code", "display", "version", "userSelected"]) {
        return None;
    }
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('|', "\\|").replace(',', "\\,");
    let code = escaped(coding.get("code")?.as_str()?);
    Some(match coding.get("system") {
        Some(system) => format!("{}|{code}", escaped(system.as_str()?)),
        None => code,
    })
}

fn only(value: Json<'_>, names: &[&str]) -> bool {
    value.is_object() && value.members().all(|(name, _)| names.contains(&name))
}

#[cfg(test)]
#[path = "input_tests.rs"]
mod tests;
