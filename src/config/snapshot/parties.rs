//! Who takes part: issuers, clients, EHRs that launch, users.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Rate;
use crate::config::Introspection;
use crate::scope::Scopes;

/// One `[[issuers]]` entry.
pub struct Issuer {
    pub issuer: String,
    pub audience: Vec<String>,
    /// Of the tokens that are verified here.
    pub keys: Option<KeySource>,
    /// How it is asked about the others; there is this or keys, or both.
    pub introspection: Option<Introspection>,
    pub algorithms: Vec<jsonwebtoken::Algorithm>,
    /// The ceiling of what this issuer may grant.
    pub scopes: Scopes,
    pub token_type: TokenType,
    /// For `iat` and `nbf`; `exp` has none.
    pub leeway: Duration,
    pub claims: ClaimNames,
    /// Claims that its tokens must have, and their values.
    pub require: Vec<(String, String)>,
    pub origins: Vec<String>,
}

/// Where an issuer's or a client's public keys come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeySource {
    /// A JWK set read with the configuration.
    Inline(Arc<str>),
    /// A URL of the operator's own configuration.
    Url(String),
    /// A URL that came from a client: it may lead to the public internet only.
    ClientUrl(String),
    /// `{issuer}/.well-known/openid-configuration` names the JWK set.
    Discovery(String),
}

/// The `typ` header that an issuer's access tokens carry (RFC 9068 §2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenType {
    AtJwt,
    Jwt,
}

/// Names of the claims that carry what SMART needs, and how they carry it. A name that begins with `/` is a JSON Pointer
/// (RFC 6901) into the claims.
#[derive(Clone, Debug)]
pub struct ClaimNames {
    /// The first of these that a token has holds its scopes.
    pub scope: Vec<String>,
    /// What scopes begin with; those that do not are for another API.
    pub scope_prefix: Option<String>,
    pub scope_form: ScopeForm,
    pub patient: String,
    pub encounter: String,
    pub fhir_user: String,
    pub client: String,
}

impl Default for ClaimNames {
    /// As RFC 9068 and SMART name them.
    fn default() -> Self {
        Self {
            scope: vec!["scope".to_owned()],
            scope_prefix: None,
            scope_form: ScopeForm::Smart,
            patient: "patient".to_owned(),
            encounter: "encounter".to_owned(),
            fhir_user: "fhirUser".to_owned(),
            client: "client_id".to_owned(),
        }
    }
}

/// How an issuer writes scopes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScopeForm {
    /// `patient/Observation.rs`
    Smart,
    /// `patient.Observation.rs`, and `all` for `*`, where names of scopes can have no slash and no asterisk.
    Dotted,
}

/// One client.
pub struct Client {
    pub id: String,
    /// What a person reads on the consent page; the id where no name is given.
    pub name: String,
    pub auth: ClientAuth,
    pub redirect_uris: Vec<String>,
    /// Where an EHR launch sends the browser, exactly.
    pub launch_uris: Vec<String>,
    /// What it may be granted at most.
    pub scopes: Scopes,
    pub grant_types: Vec<GrantType>,
    pub origins: Vec<String>,
    pub consent: Consent,
    pub may_introspect: bool,
    /// How fast its requests may come, where that is its own.
    pub rate: Option<Rate>,
    /// Whether rules are enforced on it also in report mode.
    pub enforced: bool,
    /// Whether it is an EHR that launches apps, and how.
    pub launcher: Option<Launcher>,
    /// Whether it registered itself, and the operator has not approved it by a row.
    pub self_registered: bool,
    pub enabled: bool,
}

/// What an EHR may do that launches apps (SMART App Launch 2.2 app-launch, "Launch App: EHR Launch").
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Launcher {
    /// File and line of the client.
    pub place: String,
    /// For whom it may launch.
    pub users: LaunchUsers,
    /// How the browser is told from another one.
    pub binding: LaunchBinding,
    /// Origins of the EHR's pages that may hold this server's pages in a frame.
    pub frame_ancestors: Vec<String>,
}

/// The users for whom an EHR may launch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LaunchUsers {
    Any,
    These(Vec<String>),
}

impl LaunchUsers {
    /// Whether `username` is one of them.
    pub fn contains(&self, username: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(names) => names.iter().any(|name| name == username),
        }
    }
}

/// What shows at `/auth/authorize` that the browser is the one that the EHR sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LaunchBinding {
    /// A cookie that it got at the launch's `start_url`.
    Cookie,
    /// Nothing: whoever has the launch value is taken for the EHR's user.
    None,
}

/// How a client proves who it is at the token endpoint.
#[derive(Clone)]
pub enum ClientAuth {
    Public,
    /// SHA-256 of the secret.
    Secret([u8; 32]),
    PrivateKeyJwt(KeySource),
}

/// OAuth grant types that this gate has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GrantType {
    AuthorizationCode,
    RefreshToken,
    ClientCredentials,
}

/// Whether a person is asked before an app gets access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Consent {
    Ask,
    Granted,
}

/// One person with an account.
pub struct User {
    pub username: String,
    /// What the pages call them.
    pub name: String,
    /// PHC string of an argon2id hash.
    pub password_hash: String,
    /// `Patient/example`, `Practitioner/…`, as configured.
    pub fhir_user: Option<String>,
    pub patients: PatientChoice,
    pub enabled: bool,
}

/// Whom a user may choose as the patient in context.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub enum PatientChoice {
    These(Vec<String>),
    Any,
}

impl PatientChoice {
    /// A patient may choose themselves, a clinician anyone, and who is linked to patients those.
    pub fn of(fhir_user: Option<&str>, links: &HashMap<String, Vec<String>>) -> Self {
        match fhir_user.and_then(|reference| reference.split_once('/')) {
            Some(("Patient", id)) => Self::These(vec![id.to_owned()]),
            Some(("Practitioner" | "PractitionerRole", _)) => Self::Any,
            _ => Self::These(fhir_user.and_then(|person| links.get(person)).cloned().unwrap_or_default()),
        }
    }

    /// Whether the patient with this id may be chosen.
    pub fn has(&self, id: &str) -> bool {
        match self {
            Self::These(ids) => ids.iter().any(|own| own == id),
            Self::Any => true,
        }
    }
}
