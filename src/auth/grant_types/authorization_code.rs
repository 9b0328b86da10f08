//! `authorization_code`: what a person agreed to becomes a token, once (RFC 6749 §4.1.3, RFC 7636 §4.6).

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::ambient::UnixSeconds;
use crate::auth::AuthServer;
use crate::auth::call::Call;
use crate::auth::error::ApiError;
use crate::auth::form::Form;
use crate::auth::token::{Issued, TokenResponse, seconds};
use crate::config::{Client, User};
use crate::store::{Redemption, Revoked};
use crate::telemetry::TokenGrant;
use crate::token::{AccessToken, IdToken};

/// Seconds that a spent code and a revoked grant are remembered at least, should access tokens have lived longer before a reload.
const MEMORY: UnixSeconds = 24 * 60 * 60;

/// What a code stands for.
#[derive(Serialize, Deserialize, Debug)]
pub(in crate::auth) struct CodeGrant {
    pub(in crate::auth) grant: String,
    pub(in crate::auth) client: String,
    pub(in crate::auth) redirect_uri: String,
    pub(in crate::auth) challenge: String,
    pub(in crate::auth) scope: Vec<String>,
    pub(in crate::auth) username: String,
    pub(in crate::auth) patient: Option<String>,
    pub(in crate::auth) nonce: Option<String>,
    pub(in crate::auth) authenticated: UnixSeconds,
}

/// The S256 challenge of a verifier (RFC 7636 §4.2).
fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

impl AuthServer {
    /// Exchanges a code. The code is spent by the attempt, whatever comes of it.
    pub(in crate::auth) async fn authorization_code(
        &self,
        call: &Call<'_>,
        form: &Form,
        client: &Arc<Client>,
    ) -> Result<Issued, ApiError> {
        let code = form.get("code").ok_or(ApiError::Missing("`code` is missing"))?;
        let redirect_uri = form.get("redirect_uri").ok_or(ApiError::Missing("`redirect_uri` is missing"))?;
        let verifier = form.get("code_verifier").ok_or(ApiError::Missing("`code_verifier` is missing"))?;
        let grant = self.redeem(call, code).await?;
        let fits = grant.client == client.id
            && grant.redirect_uri == redirect_uri
            && is_verifier(verifier)
            && verify_slices_are_equal(challenge_of(verifier).as_bytes(), grant.challenge.as_bytes()).is_ok();
        let user = call.snapshot.users.get(&grant.username).filter(|user| user.enabled);
        match user {
            Some(user) if fits => self.sign(call, client, user, grant),
            _ => Err(ApiError::CodeRefused),
        }
    }

    async fn redeem(&self, call: &Call<'_>, code: &str) -> Result<CodeGrant, ApiError> {
        let remember_until = call.now.saturating_add(seconds(call.snapshot.tokens.access_lifetime).max(MEMORY));
        let digest = Sha256::digest(code.as_bytes()).into();
        match self.parts.store.redeem_code(&digest, call.now, remember_until).await? {
            Redemption::Fresh(payload) => serde_json::from_str(&payload).map_err(|error| {
                tracing::error!(%error, "the store holds a code that cannot be read");
                ApiError::CodeRefused
            }),
            Redemption::Replayed { grant } => {
                tracing::warn!(request_id = call.request_id, grant, "a code was presented twice; its grant is revoked");
                let revoked = Revoked::Grant(grant);
                self.parts.store.revoke(&revoked, remember_until).await?;
                self.parts.revocations.insert(revoked, remember_until);
                Err(ApiError::CodeRefused)
            }
            Redemption::Unknown => Err(ApiError::CodeRefused),
        }
    }

    fn sign(
        &self,
        call: &Call<'_>,
        client: &Arc<Client>,
        user: &Arc<User>,
        grant: CodeGrant,
    ) -> Result<Issued, ApiError> {
        let snapshot = call.snapshot;
        let expires_in = seconds(snapshot.tokens.access_lifetime);
        let exp = call.now.saturating_add(expires_in);
        let scope = grant.scope.join(" ");
        let has = |name: &str| grant.scope.iter().any(|scope| scope == name);
        let fhir_user = user.fhir_user.as_ref().map(|reference| format!("{}/{reference}", snapshot.fhir.public_base));
        let token = AccessToken {
            iss: &snapshot.server.public_url,
            aud: &snapshot.fhir.public_base,
            sub: &user.username,
            client_id: &client.id,
            iat: call.now,
            exp,
            jti: &self.parts.ambient.id(),
            scope: &scope,
            patient: grant.patient.as_deref(),
            encounter: None,
            fhir_user: fhir_user.as_deref(),
            grant: Some(&grant.grant),
        };
        let access_token = self.parts.keys.sign_access(&token, call.now)?;
        let identity = IdToken {
            iss: &snapshot.server.public_url,
            sub: &user.username,
            aud: &client.id,
            iat: call.now,
            exp,
            auth_time: grant.authenticated,
            nonce: grant.nonce.as_deref(),
            fhir_user: fhir_user.as_deref().filter(|_| has("fhirUser")),
        };
        let id_token = if has("openid") { Some(self.parts.keys.sign_identity(&identity, call.now)?) } else { None };
        let response = TokenResponse {
            access_token,
            token_type: "Bearer",
            expires_in,
            scope,
            id_token,
            // The app is told to show whose data it is: nothing else around it does (SMART App Launch 2.2 scopes, `need_patient_banner`).
            need_patient_banner: grant.patient.is_some().then_some(true),
            patient: grant.patient,
        };
        Ok(Issued { response, subject: user.username.clone(), grant: TokenGrant::AuthorizationCode })
    }
}

/// Whether `text` is a code verifier: 43 to 128 unreserved characters (RFC 7636 §4.1).
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'))
}
