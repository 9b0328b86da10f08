//! `authorization_code`: what a person agreed to becomes a token, once (RFC 6749 §4.1.3, RFC 7636 §4.6).

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::auth::AuthServer;
use crate::auth::call::Call;
use crate::auth::error::ApiError;
use crate::auth::form::Form;
use crate::auth::token::Issued;
use crate::auth::user_grant::{UserGrant, remember_until};
use crate::config::Client;
use crate::store::Redemption;
use crate::telemetry::TokenGrant;

/// What a code stands for.
#[derive(Serialize, Deserialize, Debug)]
pub(in crate::auth) struct CodeGrant {
    #[serde(flatten)]
    pub(in crate::auth) grant: UserGrant,
    pub(in crate::auth) redirect_uri: String,
    pub(in crate::auth) challenge: String,
    pub(in crate::auth) nonce: Option<String>,
}

/// The S256 challenge of a verifier (RFC 7636 §4.2).
pub(in crate::auth) fn challenge_of(verifier: &str) -> String {
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
        let redeemed = self.redeem(call, code).await?;
        let grant = &redeemed.grant;
        let fits = grant.client == client.id
            && redeemed.redirect_uri == redirect_uri
            && is_verifier(verifier)
            && verify_slices_are_equal(challenge_of(verifier).as_bytes(), redeemed.challenge.as_bytes()).is_ok();
        let user = grant.user(call.snapshot).filter(|_| fits);
        let user = user.ok_or(ApiError::CodeRefused)?;
        let mut response = self.user_tokens(call, client, &user, grant, &grant.scope, redeemed.nonce.as_deref())?;
        response.refresh_token = self.first_refresh_token(call, client, grant).await?;
        Ok(Issued { response, subject: user.username.clone(), grant: TokenGrant::AuthorizationCode })
    }

    async fn redeem(&self, call: &Call<'_>, code: &str) -> Result<CodeGrant, ApiError> {
        let digest = Sha256::digest(code.as_bytes()).into();
        match self.parts.store.redeem_code(&digest, call.now, remember_until(call)).await? {
            Redemption::Fresh(payload) => serde_json::from_str(&payload).map_err(|error| {
                tracing::error!(%error, "the store holds a code that cannot be read");
                ApiError::CodeRefused
            }),
            Redemption::Replayed { grant } => {
                tracing::warn!(request_id = call.request_id, grant, "a code was presented twice; its grant is revoked");
                self.end_grant(call, &grant).await?;
                Err(ApiError::CodeRefused)
            }
            Redemption::Unknown => Err(ApiError::CodeRefused),
        }
    }
}

/// Whether `text` is a code verifier: 43 to 128 unreserved characters (RFC 7636 §4.1).
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'))
}
