//! From the provider's claims to a person here: their own resource, and whom they may choose.

use serde_json::Value;

use super::Failed;
use crate::auth::AuthServer;
use crate::auth::account::Federated;
use crate::config::{FhirUser, Oidc, PatientChoice, Snapshot, USER_TYPES};
use crate::fhir::ResourceType;
use crate::fhir::reference::{Literal, is_id};
use crate::token::Identity;

/// Longest value of a claim that goes into a search, and longest name that is shown.
const MAX_VALUE: usize = 200;

/// Most patients that a claim may list.
const MAX_PATIENTS: usize = 200;

/// Claims that say what a person is called, the best first.
const NAMES: [&str; 3] = ["name", "preferred_username", "sub"];

/// Somebody of the provider who has an account here.
pub(super) struct Person {
    pub(super) username: String,
    pub(super) account: Federated,
}

type Mapped<T> = Result<T, (Failed, String)>;

fn nobody<T>(why: &str) -> Mapped<T> {
    Err((Failed::Nobody, why.to_owned()))
}

impl AuthServer {
    /// The person here who is `identity` at the provider.
    pub(super) async fn known_person(&self, snapshot: &Snapshot, oidc: &Oidc, identity: &Identity) -> Mapped<Person> {
        let Some(username) = oidc.username(&identity.subject) else {
            return nobody("`sub` is empty, too long or not ASCII");
        };
        let fhir_user = match &oidc.fhir_user {
            None => None,
            Some(FhirUser::Claim(name)) => match identity.claim(name) {
                None => None,
                Some(value) => {
                    Some(reference(snapshot, value).map_or_else(|| nobody("the claim is no `fhirUser`"), Ok)?)
                }
            },
            Some(FhirUser::Search { of, parameters }) => {
                Some(self.found_person(snapshot, *of, parameters, identity).await?)
            }
        };
        let patients = match &oidc.patients {
            None => None,
            Some(name) => {
                Some(listed(identity.claim(name)).map_or_else(|| nobody("the claim is no list of patients"), Ok)?)
            }
        };
        let has_patients = matches!(&patients, Some(PatientChoice::These(ids)) if !ids.is_empty());
        if fhir_user.is_none() && !has_patients {
            return nobody("no claim says who it is here");
        }
        let name = NAMES.iter().find_map(|name| shown(identity.claim(name)?)).unwrap_or_default();
        Ok(Person {
            username,
            account: Federated { name, fhir_user, patients, authenticated: identity.authenticated() },
        })
    }

    async fn found_person(
        &self,
        snapshot: &Snapshot,
        of: ResourceType,
        parameters: &[(String, String)],
        identity: &Identity,
    ) -> Mapped<String> {
        let fill = |(name, template): &(String, String)| Some((name.clone(), filled(template, identity)?));
        let Some(asked) = parameters.iter().map(fill).collect::<Option<Vec<_>>>() else {
            return nobody("a claim of the search is missing, or has characters that mean something to a search");
        };
        let found = self.parts.directory.people(snapshot, of, &asked).await;
        let found = found.map_err(|error| (Failed::Unavailable, error.to_string()))?;
        match found.as_slice() {
            [id] if is_id(id) => Ok(format!("{}/{id}", of.name())),
            [] => nobody("the search found nobody"),
            _ => nobody("the search found several"),
        }
    }
}

/// The value of a template; none unless each claim in it is a text, or a number, of plain characters.
fn filled(template: &str, identity: &Identity) -> Option<String> {
    let mut parts = template.split('{');
    let mut value = parts.next()?.to_owned();
    for part in parts {
        let (claim, rest) = part.split_once('}')?;
        let text = match identity.claim(claim)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        // Separators and escapes of a search (FHIR R4 search.html#escaping), and blanks that make an empty value of it.
        let special = |c: char| c.is_control() || matches!(c, ',' | '|' | '$' | '\\' | '*');
        if text.trim() != text || text.is_empty() || text.len() > MAX_VALUE || text.contains(special) {
            return None;
        }
        value.push_str(&text);
        value.push_str(rest);
    }
    Some(value)
}

/// A relative reference to a resource that can be a person's own.
fn reference(snapshot: &Snapshot, value: &Value) -> Option<String> {
    let literal = Literal::parse(value.as_str()?, &snapshot.fhir.bases())?;
    USER_TYPES.contains(&literal.resource_type).then(|| format!("{}/{}", literal.resource_type, literal.id))
}

/// The ids, with or without `Patient/`, as a list or as one text; who is not in the claim may choose nobody.
fn listed(claim: Option<&Value>) -> Option<PatientChoice> {
    let texts = match claim {
        None => Vec::new(),
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(list)) => list.iter().map(Value::as_str).collect::<Option<_>>()?,
        Some(_) => return None,
    };
    let id = |text: &str| {
        let id = text.strip_prefix("Patient/").unwrap_or(text);
        is_id(id).then(|| id.to_owned())
    };
    let ids = texts.into_iter().map(id).collect::<Option<Vec<_>>>()?;
    (ids.len() <= MAX_PATIENTS).then_some(PatientChoice::These(ids))
}

fn shown(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim();
    let shown: String = text.chars().filter(|c| !c.is_control()).take(MAX_VALUE).collect();
    (!shown.is_empty()).then_some(shown)
}
