//! What an EHR says of a launch, as its request carries it (SMART App Launch 2.2 scopes, "Launch context").

use serde_json::Value;
use url::Url;

use super::error::ApiError;
use super::form::Form;
use crate::fhir::reference::is_id;
use crate::token::LaunchContext;

/// Longest `fhirContext` that is read, in bytes: it goes into the token, and that into a header.
const MAX_FHIR_CONTEXT: usize = 2048;

/// Longest of the other values, in bytes.
const MAX_VALUE: usize = 256;

const FHIR_CONTEXT: &str = "`fhirContext` must be a JSON array of objects, each with a `reference` (relative), a `canonical` or an \
                            `identifier`; Patient and Encounter only in a `role` other than `launch`; other roles are absolute URIs";

/// The context that `form` gives.
///
/// # Errors
/// A value that no app could use.
pub(super) fn read(form: &Form) -> Result<LaunchContext, ApiError> {
    Ok(LaunchContext {
        encounter: encounter(form)?,
        fhir_context: fhir_context(form)?,
        need_patient_banner: match form.get("need_patient_banner") {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => return Err(ApiError::Launch("`need_patient_banner` must be `true` or `false`")),
        },
        intent: short(form, "intent", "`intent` is too long")?,
        smart_style_url: match short(form, "smart_style_url", "`smart_style_url` is too long")? {
            Some(url) if !url.starts_with("https://") || Url::parse(&url).is_err() => {
                return Err(ApiError::Launch("`smart_style_url` must be an https URL"));
            }
            url => url,
        },
        tenant: short(form, "tenant", "`tenant` is too long")?,
    })
}

fn encounter(form: &Form) -> Result<Option<String>, ApiError> {
    match form.get("encounter") {
        Some(id) if !is_id(id) => Err(ApiError::Launch("`encounter` must be the id of an Encounter")),
        // Whom the person chooses instead may be somebody else than whose visit it is.
        Some(_) if form.get("patient").is_none() => Err(ApiError::Launch("`encounter` goes with `patient`")),
        id => Ok(id.map(str::to_owned)),
    }
}

fn short(form: &Form, name: &str, too_long: &'static str) -> Result<Option<String>, ApiError> {
    match form.get(name) {
        Some(value) if value.len() > MAX_VALUE => Err(ApiError::Launch(too_long)),
        value => Ok(value.map(str::to_owned)),
    }
}

fn fhir_context(form: &Form) -> Result<Vec<Value>, ApiError> {
    let wrong = || ApiError::Launch(FHIR_CONTEXT);
    let Some(text) = form.get("fhirContext") else {
        return Ok(Vec::new());
    };
    if text.len() > MAX_FHIR_CONTEXT {
        return Err(wrong());
    }
    let items: Vec<Value> = serde_json::from_str(text).map_err(|_| wrong())?;
    if items.iter().all(is_context) { Ok(items) } else { Err(wrong()) }
}

/// Whether an app may be told this (SMART App Launch 2.2 scopes, "fhirContext").
fn is_context(item: &Value) -> bool {
    let text = |name: &str| item.get(name).and_then(Value::as_str);
    let role = match item.get("role") {
        None => "launch",
        Some(role) => match role.as_str() {
            Some(role) if role == "launch" || Url::parse(role).is_ok() => role,
            _ => return false,
        },
    };
    let of = text("reference").and_then(|reference| {
        let mut parts = reference.split('/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(of), Some(id), None) if is_id(id) && of.starts_with(|c: char| c.is_ascii_uppercase()) => Some(of),
            _ => None,
        }
    });
    if item.get("reference").is_some() && of.is_none() {
        return false;
    }
    let named = of.is_some() || text("canonical").is_some() || item.get("identifier").is_some_and(Value::is_object);
    let of = of.or_else(|| text("type"));
    named && (role != "launch" || !matches!(of, Some("Patient" | "Encounter")))
}

#[cfg(test)]
#[path = "launch_context_tests.rs"]
mod tests;
