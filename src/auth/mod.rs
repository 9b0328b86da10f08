//! The authorization server: discovery, authorize, login, consent, picker, token, introspect, revoke.
//!
//! A function of an HTTP request and a configuration snapshot; it knows no server sessions.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::ambient::Ambient;
use crate::config::Snapshot;
use crate::store::SharedStore;
use crate::telemetry::{AuditLog, Metrics};
use crate::token::{Assertions, GateKeys, Revocations, Verifier};

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

/// The directory could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("patients cannot be looked up: {0}")]
pub struct DirectoryError(pub String);

/// Where patients are looked up.
#[async_trait]
pub trait PatientDirectory: Send + Sync {
    /// Patients that fit, a handful at most.
    async fn find(&self, snapshot: &Snapshot, query: &PatientQuery) -> Result<Vec<PatientSummary>, DirectoryError>;
}

/// What the authorization server works with.
pub struct AuthParts {
    pub keys: Arc<GateKeys>,
    pub verifier: Arc<Verifier>,
    pub assertions: Assertions,
    pub revocations: Arc<Revocations>,
    pub store: SharedStore,
    pub directory: Arc<dyn PatientDirectory>,
    pub metrics: Metrics,
    pub audit: AuditLog,
    pub ambient: Ambient,
}

/// The authorization server.
pub struct AuthServer {
    parts: AuthParts,
}

impl AuthServer {
    pub fn new(parts: AuthParts) -> Self {
        Self { parts }
    }

    /// Whether `path` is one of the authorization server's, in this configuration.
    pub fn owns(_path: &str, _snapshot: &Snapshot) -> bool {
        todo!()
    }

    /// Answers one request to a path that it owns. The answer has its own CORS and caching headers.
    pub async fn handle(
        &self,
        _request: http::Request<Bytes>,
        _request_id: &str,
        _snapshot: &Arc<Snapshot>,
    ) -> http::Response<Bytes> {
        let _ = &self.parts;
        todo!()
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
pub fn hash_password(_password: &str, _ambient: &Ambient) -> Result<String, HashError> {
    todo!()
}

/// The SHA-256 of a client secret as `sha256:` and hexadecimal digits, for `[[clients]] secret_hash`.
pub fn hash_secret(_secret: &str) -> String {
    todo!()
}
