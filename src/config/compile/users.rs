//! `[[users]]`, `users.d/` and `[[links]]`: local people, and whose patients they may act for.

use std::collections::HashMap;
use std::sync::Arc;

use argon2::{ARGON2ID_IDENT, PasswordHash};

use super::Named;
use crate::config::table::Table;
use crate::config::typed::OneOrMany;
use crate::config::{Client, PatientChoice, USER_TYPES, User, value};

/// Those of them that stand for patients by `[[links]]`.
const LINKED_TYPES: [&str; 2] = ["RelatedPerson", "Person"];

pub(super) type Links = HashMap<String, Vec<String>>;
type Clients = HashMap<String, Arc<Client>>;

pub(super) fn links(root: &mut Table<'_>) -> Links {
    let mut links = Links::new();
    for mut table in root.tables("links") {
        let person = table.required("person", "\"RelatedPerson/mum\"");
        let listed = table.required_texts("patients", "[\"kid1\", \"kid2\"]");
        let patients: Vec<String> = listed.into_iter().filter_map(|found| found.parse(value::fhir_id)).collect();
        table.finish();
        let Some(person) = person else { continue };
        if links.contains_key(person.it) {
            person.place.wrong(format!("{:?} has links already; write all its patients in one place", person.it));
        } else if let Some(person) = person.parse(|text| reference(text, &LINKED_TYPES)) {
            links.insert(person, patients);
        }
    }
    links
}

pub(super) fn user<'a>(table: &mut Table<'a>, links: &Links, clients: &Clients) -> Named<'a, User> {
    let name = table.required("username", "\"amy\"");
    let username = name.clone().and_then(|found| found.parse(|text| username(text, clients)));
    let password_hash = table
        .required("password_hash", "\"$argon2id$…\", made by `smartgate hash-password`")
        .and_then(|found| found.parse(password_hash));
    let fhir_user = table.text("fhir_user").map(|found| found.parse(|text| reference(text, &USER_TYPES)));
    let own = fhir_user.as_ref().and_then(Option::as_deref);
    let patients = patients(table).unwrap_or_else(|| PatientChoice::of(own, links));
    let enabled = table.flag("enabled", true);
    let user = || {
        let fhir_user = match fhir_user {
            None => None,
            Some(fhir_user) => Some(fhir_user?),
        };
        let username = username?;
        Some(User { name: username.clone(), username, password_hash: password_hash?, fhir_user, patients, enabled })
    };
    (name, user())
}

fn username(text: &str, clients: &Clients) -> Result<String, String> {
    if text.is_empty() || text.trim() != text || text.chars().any(char::is_control) {
        return Err(format!("{text:?} is empty or has spaces at its ends; write for example \"amy\""));
    }
    // A token whose subject is its client speaks for the client itself (RFC 9068 §2.2), not for a person of that name.
    if clients.contains_key(text) {
        return Err(format!(
            "{text:?} is also the id of a client, and their tokens could not be told apart; write another"
        ));
    }
    Ok(text.to_owned())
}

/// The text may be the password itself and is not quoted.
fn password_hash(text: &str) -> Result<String, String> {
    match PasswordHash::new(text) {
        Ok(hash) if hash.algorithm == ARGON2ID_IDENT && hash.salt.is_some() && hash.hash.is_some() => {
            Ok(text.to_owned())
        }
        _ => Err("is no argon2id hash; write what `smartgate hash-password` prints: \"$argon2id$…\"".to_owned()),
    }
}

/// `Type/id` with one of `types`.
fn reference(text: &str, types: &[&str]) -> Result<String, String> {
    match text.split_once('/') {
        Some((of, id)) if types.contains(&of) && value::is_fhir_id(id) => Ok(text.to_owned()),
        _ => {
            let first = types.first().copied().unwrap_or_default();
            Err(format!("{text:?} is no reference to {}; write for example \"{first}/example\"", types.join(", ")))
        }
    }
}

fn patients(table: &mut Table<'_>) -> Option<PatientChoice> {
    match table.one_or_many("patients")? {
        OneOrMany::One(found) => found.parse(|text| match text {
            "any" => Ok(PatientChoice::Any),
            other => Err(format!("{other:?} is no list; write [\"example\"] or \"any\"")),
        }),
        OneOrMany::Many(_, list) => {
            Some(PatientChoice::These(list.into_iter().filter_map(|found| found.parse(value::fhir_id)).collect()))
        }
    }
}
