//! The audit log: one JSON line per decision and per auth event, through a bounded queue with one writer.

use std::path::PathBuf;

use serde::Serialize;

use super::Metrics;
use crate::ambient::UnixSeconds;

/// Where audit lines go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AuditSink {
    Stdout,
    File(PathBuf),
}

/// What happens when lines come faster than they can be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnFull {
    /// Requests wait.
    Block,
    /// The line is dropped and counted.
    Shed,
}

/// The audit log cannot be written to.
#[derive(Debug, thiserror::Error)]
#[error("the audit log `{sink}` cannot be written: {why}")]
pub struct AuditError {
    sink: String,
    why: String,
}

/// One decision on one FHIR request.
#[derive(Serialize, Debug)]
pub struct DecisionRecord {
    pub time: UnixSeconds,
    pub request_id: String,
    pub issuer: Option<String>,
    pub client: Option<String>,
    pub subject: Option<String>,
    pub fhir_user: Option<String>,
    pub patient: Option<String>,
    pub method: String,
    pub interaction: &'static str,
    pub resource_type: Option<&'static str>,
    pub parameters: Vec<String>,
    pub decision: &'static str,
    pub rule: &'static str,
    pub detail: Option<String>,
    pub status: u16,
    pub path: &'static str,
    pub removed: usize,
    pub upstream_status: Option<u16>,
    pub gate_micros: u64,
    pub upstream_micros: Option<u64>,
}

/// One event of the authorization server.
#[derive(Serialize, Debug, Default)]
pub struct AuthRecord {
    pub time: UnixSeconds,
    pub request_id: String,
    /// `authorize`, `login`, `consent`, `token`, `introspect`, `revoke`.
    pub event: &'static str,
    /// `success` or `failure`.
    pub outcome: &'static str,
    pub client: Option<String>,
    pub subject: Option<String>,
    pub patient: Option<String>,
    pub scope: Option<String>,
    /// The OAuth error code or the name of what went wrong.
    pub error: Option<&'static str>,
    /// For operators; no secrets.
    pub detail: Option<String>,
}

/// One line of the audit log.
#[derive(Serialize, Debug)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AuditRecord {
    Decision(DecisionRecord),
    Auth(AuthRecord),
}

/// The sending end of the audit queue; clones share one writer.
#[derive(Clone)]
pub struct AuditLog {}

impl AuditLog {
    /// Opens the sink and starts its writer.
    ///
    /// # Errors
    /// The sink cannot be written.
    pub fn open(_sink: &AuditSink, _on_full: OnFull, _metrics: Metrics) -> Result<Self, AuditError> {
        todo!()
    }

    /// Queues a line.
    pub async fn record(&self, _record: AuditRecord) {
        todo!()
    }

    /// Waits until everything queued so far is written.
    pub async fn flush(&self) {
        todo!()
    }
}
