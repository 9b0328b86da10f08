//! Operation input: a Parameters resource of simple values, as the pairs that a query would hold (FHIR R4 operations.html#request).
//!
//! So one operation has one reading, whether it is called by GET or by POST.

use super::json::Json;
use super::tree::Tree;

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
    Json::parse(body, max_depth).map_err(|_| InputError::Ambiguous)?;
    let text = std::str::from_utf8(body).map_err(|_| InputError::Ambiguous)?;
    let Some(Tree::Object(members)) = Tree::read(text) else {
        return Err(InputError::NotParameters);
    };
    let mut pairs = Vec::new();
    let mut typed = false;
    for (name, value) in &members {
        match (name.as_ref(), value) {
            ("resourceType", of) if of.text().as_deref() == Some("Parameters") => typed = true,
            ("id" | "meta", _) => {}
            ("parameter", Tree::Array(parameters)) if parameters.len() <= max_pairs => {
                for parameter in parameters {
                    pairs.push(pair(parameter).ok_or(InputError::NotSimple)?);
                }
            }
            ("parameter", Tree::Array(_)) => return Err(InputError::TooMany),
            _ => return Err(InputError::NotParameters),
        }
    }
    if typed { Ok(pairs) } else { Err(InputError::NotParameters) }
}

/// A parameter with a name and one value, and nothing else.
fn pair(parameter: &Tree<'_>) -> Option<(String, String)> {
    let Tree::Object(members) = parameter else { return None };
    let [(first, a), (second, b)] = members.as_slice() else { return None };
    let (name, of, value) = match (first.as_ref(), second.as_ref()) {
        ("name", of) => (a, of, b),
        (of, "name") => (b, of, a),
        _ => return None,
    };
    let value = simple(of.strip_prefix("value")?, value)?;
    let name = name.text()?;
    (!name.chars().chain(value.chars()).any(char::is_control)).then_some((name, value))
}

/// A value of the type `of` as a query has it.
fn simple(of: &str, value: &Tree<'_>) -> Option<String> {
    match (of, value) {
        ("Reference", reference) if only(reference, &["reference", "type", "display"]) => {
            reference.get("reference")?.text()
        }
        ("Coding", coding) => token(coding),
        ("CodeableConcept", concept) if only(concept, &["coding", "text"]) => match concept.get("coding")? {
            Tree::Array(codings) => match codings.as_slice() {
                [coding] => token(coding),
                _ => None,
            },
            _ => None,
        },
        (_, Tree::Scalar("null")) => None,
        (_, Tree::Scalar(text)) if text.starts_with('"') => value.text(),
        (_, Tree::Scalar(text)) => Some((*text).to_owned()),
        _ => None,
    }
}

/// `system|code` (FHIR R4 search.html#token).
fn token(coding: &Tree<'_>) -> Option<String> {
    if !only(coding, &["system", "code", "display", "version", "userSelected"]) {
        return None;
    }
    let escaped = |text: String| text.replace('\\', "\\\\").replace('|', "\\|").replace(',', "\\,");
    let code = escaped(coding.get("code")?.text()?);
    Some(match coding.get("system") {
        Some(system) => format!("{}|{code}", escaped(system.text()?)),
        None => code,
    })
}

fn only(value: &Tree<'_>, names: &[&str]) -> bool {
    matches!(value, Tree::Object(members) if members.iter().all(|(name, _)| names.contains(&name.as_ref())))
}

#[cfg(test)]
#[path = "input_tests.rs"]
mod tests;
