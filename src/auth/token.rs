//! The token endpoint (RFC 6749 §3.2).

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;

use super::AuthServer;
use super::answer;
use super::call::Call;
use super::endpoints::Endpoint;
use super::error::ApiError;
use super::record::{FAILURE, SUCCESS};
use crate::config::{Client, GrantType};
use crate::telemetry::{AuthRecord, TokenGrant};
use crate::token::LaunchContext;

/// A token response (RFC 6749 §5.1 with SMART's launch context, App Launch 2.2 app-launch step 5).
#[derive(Serialize)]
pub(super) struct TokenResponse {
    pub(super) access_token: String,
    pub(super) token_type: &'static str,
    pub(super) expires_in: i64,
    pub(super) scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) patient: Option<String>,
    #[serde(flatten)]
    pub(super) context: LaunchContext,
}

/// A token that was made, and for whom.
pub(super) struct Issued {
    pub(super) response: TokenResponse,
    pub(super) subject: String,
    pub(super) grant: TokenGrant,
}

impl AuthServer {
    /// `POST /auth/token`.
    pub(super) async fn token(&self, call: &Call<'_>) -> Response<Bytes> {
        let outcome = self.issue(call).await;
        let client = call.caller.get().map(|client| client.id.clone());
        match outcome {
            Ok(issued) => {
                self.parts.metrics.token_issued(issued.grant);
                let record = AuthRecord {
                    event: "token",
                    outcome: SUCCESS,
                    client,
                    subject: Some(issued.subject),
                    patient: issued.response.patient.clone(),
                    scope: Some(issued.response.scope.clone()),
                    ..AuthRecord::default()
                };
                self.record(call, record).await;
                answer::json(StatusCode::OK, &issued.response)
            }
            Err(error) => {
                self.failed(call, "token", error).await;
                error.response()
            }
        }
    }

    /// Records a failure at one of the endpoints for clients.
    pub(super) async fn failed(&self, call: &Call<'_>, event: &'static str, error: ApiError) {
        let record = AuthRecord {
            event,
            outcome: FAILURE,
            client: call.caller.get().map(|client| client.id.clone()),
            error: Some(error.code()),
            detail: Some(format!("{error:?}")),
            ..AuthRecord::default()
        };
        self.record(call, record).await;
    }

    async fn issue(&self, call: &Call<'_>) -> Result<Issued, ApiError> {
        let form = call.form()?;
        let client = self.client(call, &form, Endpoint::Token).await?;
        match form.get("grant_type") {
            Some("authorization_code") => {
                registered_for(&client, GrantType::AuthorizationCode)?;
                self.authorization_code(call, &form, &client).await
            }
            Some("refresh_token") => {
                registered_for(&client, GrantType::RefreshToken)?;
                self.refresh_token(call, &form, &client).await
            }
            Some("client_credentials") => {
                registered_for(&client, GrantType::ClientCredentials)?;
                self.client_credentials(call, &form, &client)
            }
            Some(_) => Err(ApiError::GrantType),
            None => Err(ApiError::Missing("`grant_type` is missing")),
        }
    }
}

fn registered_for(client: &Arc<Client>, grant: GrantType) -> Result<(), ApiError> {
    if client.grant_types.contains(&grant) { Ok(()) } else { Err(ApiError::GrantNotRegistered) }
}

/// Whole seconds of a configured lifetime.
pub(super) fn seconds(lifetime: std::time::Duration) -> i64 {
    i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
