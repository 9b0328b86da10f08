//! Introspection of the gate's own tokens (RFC 7662, SMART App Launch 2.2 token-introspection).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::AuthServer;
use super::answer;
use super::call::Call;
use super::endpoints::Endpoint;
use super::error::{ApiError, ClientError};
use super::form::Form;
use super::granted::{Bearer, within_registration};
use super::record::SUCCESS;
use super::user_grant::{UserGrant, fhir_user};
use crate::ambient::UnixSeconds;
use crate::config::{Client, ClientAuth};
use crate::store::RefreshToken;
use crate::telemetry::AuthRecord;
use crate::token::{Claims, LaunchContext};

/// A token that is not valid, without a word about why (RFC 7662 §2.2).
#[derive(Serialize)]
struct Inactive {
    active: bool,
}

/// A valid token.
#[derive(Serialize)]
struct Active<'a> {
    active: bool,
    scope: String,
    client_id: &'a str,
    /// `Bearer` for what opens the FHIR side; `refresh_token` for what does not.
    token_type: &'static str,
    exp: UnixSeconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<UnixSeconds>,
    iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(rename = "fhirUser", skip_serializing_if = "Option::is_none")]
    fhir_user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patient: Option<&'a str>,
    #[serde(flatten)]
    context: LaunchContext,
}

/// What introspection tells of an access token that the FHIR side has no use for.
#[derive(Deserialize)]
struct Further {
    iat: UnixSeconds,
    #[serde(flatten)]
    context: LaunchContext,
}

impl AuthServer {
    /// `POST /auth/introspect`.
    pub(super) async fn introspect(&self, call: &Call<'_>) -> Response<Bytes> {
        match self.introspection(call).await {
            Ok((response, detail)) => {
                self.parts.metrics.introspected(detail == "active");
                let record = AuthRecord {
                    event: "introspect",
                    outcome: SUCCESS,
                    client: call.caller.get().map(|client| client.id.clone()),
                    detail: Some(detail.to_owned()),
                    ..AuthRecord::default()
                };
                self.record(call, record).await;
                response
            }
            Err(error) => {
                self.failed(call, "introspect", error).await;
                error.response()
            }
        }
    }

    async fn introspection(&self, call: &Call<'_>) -> Result<(Response<Bytes>, &'static str), ApiError> {
        let form = call.form()?;
        let caller = self.introspecting_client(call, &form).await?;
        if caller.self_registered {
            return Err(ApiError::MayNotIntrospect);
        }
        let token = form.get("token").ok_or(ApiError::Missing("`token` is missing"))?;
        if let Some((kept, grant)) = self.known_refresh_token(call, token).await?
            && (caller.may_introspect || kept.grant.client == caller.id)
        {
            return Ok(refresh_token(call, &kept, &grant));
        }
        if !caller.may_introspect {
            return Err(ApiError::MayNotIntrospect);
        }
        let claims = self.own_valid_token(call, token)?;
        let Some((claims, client)) = claims.as_ref().and_then(|claims| Some((claims, live_client(call, claims)?)))
        else {
            return Ok((answer::json(StatusCode::OK, &Inactive { active: false }), "inactive"));
        };
        Ok((answer::json(StatusCode::OK, &active(call, token, claims, &client)), "active"))
    }

    /// The caller: a client that authenticates, or that shows an access token of its own (SMART App Launch 2.2
    /// token-introspection, "Access control").
    async fn introspecting_client(&self, call: &Call<'_>, form: &Form) -> Result<Arc<Client>, ApiError> {
        let Some(token) = call.bearer() else {
            let client = self.client(call, form, Endpoint::Introspect).await?;
            // The id of a public client is no proof, and tokens could be tried out (RFC 7662 §4).
            let refused = ClientError::Refused { basic: false };
            return if matches!(client.auth, ClientAuth::Public) { Err(refused.into()) } else { Ok(client) };
        };
        let refused = ApiError::Client(ClientError::Token);
        let claims = self.own_valid_token(call, token)?.ok_or(refused)?;
        let client = live_client(call, &claims).ok_or(refused)?;
        Ok(Arc::clone(call.caller.get_or_init(|| client)))
    }

    /// The claims of a token of the gate's own that is neither expired nor revoked.
    pub(super) fn own_valid_token(&self, call: &Call<'_>, token: &str) -> Result<Option<Claims>, ApiError> {
        match self.parts.verifier.verify_own(token, call.snapshot) {
            Ok(claims) if self.parts.revocations.is_revoked(&claims) => Ok(None),
            Ok(_) if self.parts.revocations.is_stale(self.parts.ambient.steady(), call.snapshot.store.stale_max) => {
                tracing::warn!(request_id = call.request_id, "the store has not answered for too long");
                Err(ApiError::Unavailable)
            }
            Ok(claims) => Ok(Some(claims)),
            Err(_) => Ok(None),
        }
    }
}

/// The client of a token, if client and user are still there and enabled: what the FHIR side asks too.
fn live_client(call: &Call<'_>, claims: &Claims) -> Option<Arc<Client>> {
    let client = call.snapshot.clients.get(claims.client.as_deref()?).filter(|client| client.enabled)?;
    (is_service(claims) || call.snapshot.has_user(&claims.subject)).then_some(client)
}

/// Whether a client got the token for itself: a person's token belongs to a grant.
fn is_service(claims: &Claims) -> bool {
    claims.grant.is_none()
}

fn active<'a>(call: &'a Call<'_>, token: &str, claims: &'a Claims, client: &'a Client) -> Active<'a> {
    let service = is_service(claims);
    let bearer = if service { Bearer::Service } else { Bearer::User };
    // What the token is worth now: the FHIR side cuts it to the client's present registration too.
    let scope = within_registration(&claims.scope.join(" "), client, call.snapshot.fhir.version, bearer).join(" ");
    let (iat, context) = payload(token).map(|Further { iat, context }| (iat, context)).unzip();
    Active {
        active: true,
        scope,
        client_id: &client.id,
        token_type: "Bearer",
        exp: claims.expires,
        iat,
        iss: &claims.issuer,
        aud: Some(&call.snapshot.fhir.public_base),
        sub: &claims.subject,
        jti: claims.token_id.as_deref(),
        username: (!service).then_some(claims.subject.as_str()),
        fhir_user: claims.fhir_user.as_deref().map(str::to_owned),
        patient: claims.patient.as_deref(),
        context: context.unwrap_or_default(),
    }
}

/// A refresh token, if it is the live one and would still be exchanged.
fn refresh_token(call: &Call<'_>, kept: &RefreshToken, grant: &UserGrant) -> (Response<Bytes>, &'static str) {
    let client = call.snapshot.clients.get(&grant.client).filter(|client| client.enabled && kept.live);
    let Some((client, user)) = client.zip(grant.user(call.snapshot)) else {
        return (answer::json(StatusCode::OK, &Inactive { active: false }), "inactive");
    };
    let version = call.snapshot.fhir.version;
    let active = Active {
        active: true,
        scope: within_registration(&grant.scope.join(" "), &client, version, Bearer::User).join(" "),
        client_id: &client.id,
        token_type: "refresh_token",
        exp: kept.expires,
        iat: None,
        iss: &call.snapshot.server.public_url,
        aud: None,
        sub: &user.username,
        jti: None,
        username: Some(&user.username),
        fhir_user: fhir_user(&user, call.snapshot),
        patient: grant.patient.as_deref(),
        context: grant.context.clone(),
    };
    (answer::json(StatusCode::OK, &active), "active")
}

/// Further claims of a token that is verified already.
fn payload(token: &str) -> Option<Further> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

#[cfg(test)]
#[path = "introspect_tests.rs"]
mod tests;
