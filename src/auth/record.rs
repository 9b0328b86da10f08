//! What the authorization server did: in the audit log, and what went wrong in the operator's log under the same request id.

use super::AuthServer;
use super::call::Call;
use super::error::PageError;
use crate::telemetry::{AuditRecord, AuthRecord};

/// An event that went well.
pub(super) const SUCCESS: &str = "success";

/// An event that did not.
pub(super) const FAILURE: &str = "failure";

impl AuthServer {
    /// Records an event; time, request id and address are filled in.
    pub(super) async fn record(&self, call: &Call<'_>, record: AuthRecord) {
        let record =
            AuthRecord { time: call.now, request_id: call.request_id.to_owned(), address: call.from, ..record };
        if record.outcome == FAILURE {
            tracing::info!(
                request_id = record.request_id,
                event = record.event,
                client = record.client,
                error = record.error,
                "the authorization server refused"
            );
        }
        self.parts.audit.record(AuditRecord::Auth(record)).await;
    }
    /// Records that a page could not be shown.
    pub(super) async fn page_failed(&self, call: &Call<'_>, error: PageError) {
        let record =
            AuthRecord { event: "authorize", outcome: FAILURE, error: Some(error.name()), ..AuthRecord::default() };
        self.record(call, record).await;
    }
}
