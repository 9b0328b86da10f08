//! `[login.oidc]`: the OpenID provider that people log in at.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::document::Found;
use crate::config::table::Table;
use crate::config::{Client, FhirUser, KeySource, Oidc, USER_TYPES, User, secret, value};
use crate::fhir::{FhirVersion, ResourceType};

const SEARCH: &str = "\"Patient?identifier=urn:mrn|{mrn}\"";
const DEFAULT_SCOPES: [&str; 2] = ["openid", "profile"];

pub(super) fn oidc(
    mut login: Table<'_>,
    version: FhirVersion,
    own: Option<&str>,
    users: &HashMap<String, Arc<User>>,
    clients: &HashMap<String, Arc<Client>>,
) -> Option<Oidc> {
    let is_there = login.has("oidc");
    let mut table = login.section("oidc");
    login.finish();
    if !is_there {
        return None;
    }
    let issuer = table.required("issuer", "\"https://idp.example.org\"");
    let place = issuer.as_ref().map(|issuer| issuer.place.clone());
    let issuer = issuer.and_then(|found| found.parse(|text| identifier(text, own)));
    let client_id = table.required("client_id", "\"smartgate\"").and_then(|found| found.parse(filled));
    let (has_secret, client_secret) =
        (table.has("client_secret"), table.text("client_secret").and_then(secret::secret));
    let scopes = scopes(&mut table);
    let label = table.text("label").and_then(|found| found.parse(filled));
    let has_user = table.has("fhir_user");
    let fhir_user = table.table("fhir_user").and_then(|found| fhir_user(found, version));
    let has_patients = table.has("patients");
    let patients = table.table("patients").and_then(claim);
    if !has_user && !has_patients {
        table.missing("fhir_user", &format!("{{ claim = \"fhirUser\" }} or {{ search = {SEARCH} }} (or patients)"));
    }
    table.finish();
    let oidc = Oidc {
        keys: KeySource::Discovery(issuer.clone()?),
        issuer: issuer?,
        client_id: client_id?,
        client_secret,
        scopes,
        label,
        fhir_user,
        patients,
    };
    // What is there and wrong was reported; it is not the same as what is not there.
    let whole = (oidc.client_secret.is_some() || !has_secret)
        && (oidc.fhir_user.is_some() || !has_user)
        && (oidc.patients.is_some() || !has_patients);
    let taken = users.keys().chain(clients.keys()).find(|name| oidc.has(name));
    if let (Some(taken), Some(place)) = (taken, place) {
        place.wrong(format!(
            "{taken:?}, a user or a client here, could be taken for one of its people; write another name"
        ));
        return None;
    }
    whole.then_some(oidc)
}

/// The `iss` of its tokens, compared exactly (OpenID Connect Discovery §4.3). Without TLS anybody on the way could log in as anybody.
fn identifier(text: &str, own: Option<&str>) -> Result<String, String> {
    let issuer = value::key_url(text, false)?;
    if own == Some(text) {
        return Err(format!("{text:?} is the gate itself (public_url); write another provider's"));
    }
    Ok(issuer)
}

pub(super) fn filled(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err("is empty, or has control characters".to_owned());
    }
    Ok(text.to_owned())
}

fn scopes(table: &mut Table<'_>) -> Vec<String> {
    let word = |text: &str| match text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Err(format!("{text:?} is no scope; write for example \"profile\"")),
        false => Ok(text.to_owned()),
    };
    let listed = table.texts_or("scopes", &DEFAULT_SCOPES);
    let mut scopes: Vec<String> = listed.into_iter().filter_map(|found| found.parse(word)).collect();
    if !scopes.iter().any(|scope| scope == "openid") {
        scopes.insert(0, "openid".to_owned());
    }
    scopes
}

fn claim(mut table: Table<'_>) -> Option<String> {
    let claim = table.required("claim", "\"patients\"").and_then(|found| found.parse(filled));
    table.finish();
    claim
}

fn fhir_user(mut table: Table<'_>, version: FhirVersion) -> Option<FhirUser> {
    let claim = table.text("claim");
    let search = table.text("search");
    let found = match (claim, search) {
        (Some(claim), None) => claim.parse(filled).map(FhirUser::Claim),
        (None, Some(search)) => search.parse(|text| template(text, version)),
        (None, None) => {
            table.missing("claim", &format!("\"fhirUser\" (or search = {SEARCH})"));
            None
        }
        (Some(_), Some(Found { place, .. })) => {
            place.wrong("there is also claim; leave one of them out");
            None
        }
    };
    table.finish();
    found
}

/// `Type?name=value&name=value`, where each value is decided by at least one claim.
fn template(text: &str, version: FhirVersion) -> Result<FhirUser, String> {
    let wrong = |what: &str| format!("{text:?} {what}; write for example {SEARCH}");
    let (of, query) = text.split_once('?').ok_or_else(|| wrong("is no search"))?;
    let of = ResourceType::parse(version, of).filter(|_| USER_TYPES.contains(&of));
    let of = of.ok_or_else(|| wrong(&format!("does not search for one of {}", USER_TYPES.join(", "))))?;
    let mut parameters = Vec::new();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').ok_or_else(|| wrong("has a parameter without a value"))?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':');
        if name.is_empty() || name.starts_with('_') && name != "_id" || !name.bytes().all(plain) {
            return Err(wrong("has a parameter whose name is none that people are told apart by"));
        }
        // Every brace belongs to a name of a claim.
        let sound = value.split('{').enumerate().all(|(index, part)| match (index, part.split_once('}')) {
            (0, None) => true,
            (0, Some(_)) | (_, None) => false,
            (_, Some((claim, rest))) => !claim.is_empty() && !rest.contains('}'),
        });
        if !sound || value.is_empty() {
            return Err(wrong("has braces that do not hold the name of a claim, or an empty value"));
        }
        parameters.push((name.to_owned(), value.to_owned()));
    }
    if !parameters.iter().any(|(_, value)| value.contains('{')) {
        return Err(wrong("finds the same for everybody"));
    }
    Ok(FhirUser::Search { of, parameters })
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
