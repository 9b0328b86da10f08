//! The authorization server: discovery, authorize, login, consent, picker, token, introspect, revoke, userinfo, registration.
//!
//! A function of an HTTP request and a configuration snapshot; it knows no server sessions.
//!
//! ```text
//! launch ─► (app)
//! authorize ─► login ─► (patient, encounter) ─► consent ─► code      token ─► grant_types      introspect   revoke   userinfo   discovery
//! ```

mod account;
mod answer;
mod authorize;
mod brands;
mod call;
mod client_auth;
mod client_metadata;
mod consent;
mod cookies;
mod cors;
mod describe;
mod discovery;
mod encounter;
mod endpoints;
mod error;
mod federation;
mod form;
mod grant_types;
mod granted;
mod hashing;
mod introspect;
mod language;
mod launch;
mod launch_context;
mod login;
mod logo;
mod manage;
mod manage_pages;
mod pages;
mod password;
mod patient;
mod pending;
mod policy;
mod prompt;
mod record;
mod register;
mod revoke;
mod steps;
#[cfg(test)]
mod testing;
mod texts;
mod throttle;
mod token;
mod user_grant;
mod userinfo;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Method, Response};
use sha2::{Digest as _, Sha256};

use crate::address::ClientAddress;
use crate::ambient::Ambient;
use crate::config::Snapshot;
use crate::fhir::ResourceType;
use crate::store::SharedStore;
use crate::telemetry::{AuditLog, Metrics};
use crate::token::{Assertions, GateKeys, Revocations, Verifier};
use call::Call;
use cors::Readers;
use endpoints::Endpoint;
use password::Passwords;
pub use register::follow_registered;
pub use throttle::Throttle;

/// Largest form that an endpoint of the authorization server reads, in bytes.
pub const MAX_FORM_BYTES: usize = 64 * 1024;

/// A patient as the picker shows one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PatientSummary {
    pub id: String,
    pub name: String,
    pub birth_date: Option<String>,
    pub gender: Option<String>,
}

/// What the picker asks for; everything given must fit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PatientQuery {
    /// Only these; empty means any.
    pub ids: Vec<String>,
    pub name: Option<String>,
    pub birth_date: Option<String>,
    pub identifier: Option<String>,
}

/// An encounter as a person can recognise it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncounterSummary {
    pub id: String,
    /// Its kind, in words.
    pub what: Option<String>,
    /// When it began, as FHIR writes it.
    pub began: Option<String>,
    pub status: Option<String>,
}

/// The directory could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("the FHIR server cannot be asked: {0}")]
pub struct DirectoryError(pub String);

/// Where patients are looked up.
#[async_trait]
pub trait PatientDirectory: Send + Sync {
    /// Patients that fit, a handful at most.
    async fn find(&self, snapshot: &Snapshot, query: &PatientQuery) -> Result<Vec<PatientSummary>, DirectoryError>;

    /// The ids of those of this type who fit everything that is asked; two already say that it is not one alone.
    async fn people(
        &self,
        snapshot: &Snapshot,
        of: ResourceType,
        asked: &[(String, String)],
    ) -> Result<Vec<String>, DirectoryError>;

    /// The latest encounters of one patient, a handful at most.
    async fn encounters(&self, snapshot: &Snapshot, patient: &str) -> Result<Vec<EncounterSummary>, DirectoryError>;
}

/// What the authorization server works with.
pub struct AuthParts {
    pub keys: Arc<GateKeys>,
    pub verifier: Arc<Verifier>,
    pub assertions: Assertions,
    pub revocations: Arc<Revocations>,
    pub secrets: Arc<Throttle>,
    pub store: SharedStore,
    pub directory: Arc<dyn PatientDirectory>,
    pub metrics: Metrics,
    pub audit: AuditLog,
    pub ambient: Ambient,
}

/// The authorization server.
pub struct AuthServer {
    parts: AuthParts,
    passwords: Passwords,
}

impl AuthServer {
    pub fn new(parts: AuthParts) -> Self {
        Self { passwords: Passwords::new(parts.store.clone()), parts }
    }

    /// The path of the authorization server's endpoint at `path`, if there is one in this configuration; a path below the FHIR base
    /// without that.
    pub fn endpoint(path: &str, snapshot: &Snapshot) -> Option<&'static str> {
        Endpoint::of(path, snapshot).map(Endpoint::path)
    }

    /// Answers one request to a path that it owns; `from` asks. The answer has its own CORS and caching headers.
    pub async fn handle(
        &self,
        request: http::Request<Bytes>,
        request_id: &str,
        from: Option<ClientAddress>,
        snapshot: &Arc<Snapshot>,
    ) -> Response<Bytes> {
        let Some(endpoint) = Endpoint::of(request.uri().path(), snapshot) else {
            return answer::not_found();
        };
        let call = Call::new(&request, request_id, from, snapshot, self.parts.ambient.now());
        let mut response = self.answer(endpoint, &call).await;
        cors::allow(response.headers_mut(), &call, endpoint.readers());
        response
    }

    /// Answers a request of one who asks too often: when to come back. An app's page can read it like the endpoint's other answers.
    pub fn hold_back(
        &self,
        request: &http::Request<Bytes>,
        retry_after: HeaderValue,
        snapshot: &Arc<Snapshot>,
    ) -> Response<Bytes> {
        let readers = Endpoint::of(request.uri().path(), snapshot).map_or(Readers::Nobody, Endpoint::readers);
        let call = Call::new(request, "", None, snapshot, self.parts.ambient.now());
        let mut response = answer::too_many(retry_after);
        cors::allow(response.headers_mut(), &call, readers);
        response
    }

    async fn answer(&self, endpoint: Endpoint, call: &Call<'_>) -> Response<Bytes> {
        let page = match (endpoint, call.method()) {
            (Endpoint::SmartConfiguration, &Method::GET) => return discovery::smart_configuration(call.snapshot),
            (Endpoint::OpenidConfiguration | Endpoint::ServerMetadata, &Method::GET) => {
                return discovery::server_metadata(call.snapshot);
            }
            (Endpoint::Jwks, &Method::GET) => return answer::document(self.parts.keys.jwks().as_bytes().to_vec()),
            (Endpoint::Brands, &Method::GET) => return brands::bundle(call),
            (Endpoint::Token, &Method::POST) => return self.token(call).await,
            (Endpoint::Introspect, &Method::POST) => return self.introspect(call).await,
            (Endpoint::Register, &Method::POST) => return self.register(call).await,
            (Endpoint::Revoke, &Method::POST) => return self.revoke(call).await,
            (Endpoint::UserInfo, &Method::GET | &Method::POST) => return self.userinfo(call).await,
            (Endpoint::Launch, &Method::POST) => return self.launch(call).await,
            (Endpoint::LaunchStart, &Method::GET) => self.start_launch(call).await,
            (Endpoint::Authorize, &Method::GET | &Method::POST) => return self.authorize(call).await,
            (Endpoint::Login, &Method::GET) => self.login_page(call).await,
            (Endpoint::Login, &Method::POST) => self.log_in(call).await,
            (Endpoint::Federate, &Method::GET) => self.federate(call).await,
            (Endpoint::Callback, &Method::GET) => self.callback(call).await,
            (Endpoint::Patient, &Method::GET) => self.patient_page(call).await,
            (Endpoint::Patient, &Method::POST) => self.choose_patient(call).await,
            (Endpoint::Encounter, &Method::GET) => self.encounter_page(call).await,
            (Endpoint::Encounter, &Method::POST) => self.choose_encounter(call).await,
            (Endpoint::Consent, &Method::GET) => self.consent_page(call).await,
            (Endpoint::Consent, &Method::POST) => self.consent(call).await,
            (Endpoint::Manage, &Method::GET) => self.manage_page(call).await,
            (Endpoint::Manage, &Method::POST) => self.manage(call).await,
            (Endpoint::Logo, &Method::GET) => return logo::logo(call),
            (_, &Method::OPTIONS) => return answer::options(endpoint.allow()),
            _ => return answer::method_not_allowed(endpoint.allow()),
        };
        match page {
            Ok(page) => page,
            Err(error) => {
                self.page_failed(call, error).await;
                pages::error(call, error)
            }
        }
    }
}

/// A password could not be hashed.
#[derive(Debug, thiserror::Error)]
#[error("the password cannot be hashed: {0}")]
pub struct HashError(pub String);

/// The argon2id hash of a person's password as a PHC string, for `[[users]] password_hash`.
///
/// # Errors
/// The hash function refuses the input.
pub fn hash_password(password: &str, ambient: &Ambient) -> Result<String, HashError> {
    password::hash(password, ambient)
}

/// The SHA-256 of a client secret as `sha256:` and hexadecimal digits, for `[[clients]] secret_hash`.
pub fn hash_secret(secret: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
    digest.iter().fold(String::from("sha256:"), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests;
