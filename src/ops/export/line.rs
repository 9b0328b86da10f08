//! A line of the audit log, read back.

use serde::Deserialize;

/// What the exporter needs of a line; [`crate::telemetry::DecisionRecord`] and [`crate::telemetry::AuthRecord`] say what each
/// field means.
#[derive(Deserialize, Debug, Default)]
#[serde(default)]
pub(super) struct Line {
    pub(super) time: String,
    pub(super) request_id: String,
    pub(super) issuer: Option<String>,
    pub(super) client: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) fhir_user: Option<String>,
    pub(super) patient: Option<String>,
    pub(super) address: Option<String>,
    pub(super) method: String,
    /// Of a decision.
    pub(super) interaction: Option<String>,
    pub(super) resource_type: Option<String>,
    pub(super) resource_id: Option<String>,
    pub(super) parameters: Vec<String>,
    pub(super) query: Option<String>,
    pub(super) decision: Option<String>,
    pub(super) rule: Option<String>,
    pub(super) status: u16,
    /// Of an event of the authorization server.
    pub(super) event: Option<String>,
    pub(super) outcome: Option<String>,
    pub(super) scope: Option<String>,
    pub(super) error: Option<String>,
}
