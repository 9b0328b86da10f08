//! Revocation (RFC 7009): a client gives back a token of its own, and the FHIR side stops taking it at once.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::AuthServer;
use super::answer;
use super::call::Call;
use super::endpoints::Endpoint;
use super::error::ApiError;
use super::record::SUCCESS;
use crate::config::Client;
use crate::store::Revoked;
use crate::telemetry::AuthRecord;

impl AuthServer {
    /// `POST /auth/revoke`. A token that is unknown or another client's is answered like one that was revoked (RFC 7009 §2.2).
    pub(super) async fn revoke(&self, call: &Call<'_>) -> Response<Bytes> {
        match self.revocation(call).await {
            Ok((subject, detail)) => {
                let record = AuthRecord {
                    event: "revoke",
                    outcome: SUCCESS,
                    client: call.caller.get().map(|client| client.id.clone()),
                    subject,
                    detail: Some(detail.to_owned()),
                    ..AuthRecord::default()
                };
                self.record(call, record).await;
                answer::empty(StatusCode::OK)
            }
            Err(error) => {
                self.failed(call, "revoke", error).await;
                error.response()
            }
        }
    }

    async fn revocation(&self, call: &Call<'_>) -> Result<(Option<String>, &'static str), ApiError> {
        let form = call.form()?;
        let client = self.client(call, &form, Endpoint::Revoke).await?;
        let token = form.get("token").ok_or(ApiError::Missing("`token` is missing"))?;
        let Some(claims) = self.own_valid_token(call, token)? else {
            return self.refresh_token_revocation(call, &client, token).await;
        };
        if claims.client.as_deref() != Some(client.id.as_str()) {
            return Ok((None, "a token of another client; nothing was revoked"));
        }
        let Some(id) = claims.token_id else {
            return Ok((None, "a token without an id; nothing was revoked"));
        };
        let revoked = Revoked::Token { issuer: claims.issuer.to_string(), id: id.into() };
        self.parts.store.revoke(&revoked, claims.expires).await?;
        self.parts.revocations.insert(revoked, claims.expires);
        Ok((Some(claims.subject.into()), "revoked"))
    }

    /// A refresh token takes its grant along, also one that was exchanged already: the client may not have got the next one.
    async fn refresh_token_revocation(
        &self,
        call: &Call<'_>,
        client: &Client,
        token: &str,
    ) -> Result<(Option<String>, &'static str), ApiError> {
        match self.known_refresh_token(call, token).await? {
            Some((_, grant)) if grant.client == client.id => {
                self.end_grant(call, &grant.id).await?;
                Ok((Some(grant.username), "revoked with its grant"))
            }
            Some(_) => Ok((None, "a token of another client; nothing was revoked")),
            None => Ok((None, "no valid token of this server")),
        }
    }
}

#[cfg(test)]
#[path = "revoke_tests.rs"]
mod tests;
