//! What a person gave to an app, and the tokens that say so.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::AuthServer;
use super::account::{Federated, account};
use super::call::Call;
use super::error::ApiError;
use super::token::{TokenResponse, seconds};
use crate::ambient::UnixSeconds;
use crate::config::{Client, Snapshot, Tokens, User};
use crate::token::{AccessToken, IdToken, LaunchContext};

/// Seconds that a revoked grant is remembered at least, should access tokens have lived longer before a reload.
const MEMORY: UnixSeconds = 24 * 60 * 60;

/// What a person agreed to; a code stands for it, and so does each refresh token.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(super) struct UserGrant {
    /// Names the grant in each of its tokens.
    #[serde(rename = "grant")]
    pub(super) id: String,
    pub(super) client: String,
    pub(super) scope: Vec<String>,
    pub(super) username: String,
    /// What the login at the provider said of the person.
    #[serde(default)]
    pub(super) federated: Option<Federated>,
    pub(super) patient: Option<String>,
    #[serde(default)]
    pub(super) context: LaunchContext,
    /// Whether an EHR's word stood for the login.
    #[serde(default)]
    pub(super) vouched: bool,
    /// When the person came here.
    pub(super) authenticated: UnixSeconds,
}

/// How long an app's access goes on (SMART App Launch 2.2 scopes, "Scopes for requesting a refresh token").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reach {
    /// No longer than the access token.
    Once,
    /// As long as the login is recent.
    Online,
    /// Also when the person is away.
    Offline,
}

impl Reach {
    pub(super) fn of(scope: &[String]) -> Self {
        let has = |name: &str| scope.iter().any(|scope| scope == name);
        match (has("offline_access"), has("online_access")) {
            (true, _) => Self::Offline,
            (false, true) => Self::Online,
            (false, false) => Self::Once,
        }
    }

    /// When a refresh token that is made now expires; none where there is none to be made.
    pub(super) fn expiry(self, authenticated: UnixSeconds, now: UnixSeconds, tokens: &Tokens) -> Option<UnixSeconds> {
        let unused = now.saturating_add(seconds(tokens.refresh_lifetime));
        let expires = match self {
            Self::Once => return None,
            Self::Online => unused.min(authenticated.saturating_add(seconds(tokens.session_lifetime))),
            Self::Offline => unused,
        };
        Some(expires).filter(|expires| *expires > now)
    }
}

/// How long a grant that ends now is remembered: until the last access token of it is gone.
pub(super) fn remember_until(call: &Call<'_>) -> UnixSeconds {
    call.now.saturating_add(seconds(call.snapshot.tokens.access_lifetime).max(MEMORY))
}

/// The absolute URL of the person's own resource.
pub(super) fn fhir_user(user: &User, snapshot: &Snapshot) -> Option<String> {
    user.fhir_user.as_ref().map(|reference| format!("{}/{reference}", snapshot.fhir.public_base))
}

impl UserGrant {
    /// The account of who gave it, if it is still there and may still choose the patient of the grant.
    pub(super) fn user(&self, snapshot: &Snapshot) -> Option<Arc<User>> {
        let may_choose = |user: &Arc<User>| self.patient.as_deref().is_none_or(|patient| user.patients.has(patient));
        account(snapshot, &self.username, self.federated.as_ref()).filter(may_choose)
    }

    /// When the person proved who they are (OpenID Connect Core §2, `auth_time`), perhaps long before they came here; none where
    /// nobody told: an EHR does not, nor does every provider.
    fn auth_time(&self) -> Option<UnixSeconds> {
        match &self.federated {
            Some(account) => account.authenticated.map(|at| at.min(self.authenticated)),
            None => Some(self.authenticated).filter(|_| !self.vouched),
        }
    }
}

impl AuthServer {
    /// The access token and what goes with it, for `scope` of the grant.
    pub(super) fn user_tokens(
        &self,
        call: &Call<'_>,
        client: &Client,
        user: &User,
        grant: &UserGrant,
        scope: &[String],
        nonce: Option<&str>,
    ) -> Result<TokenResponse, ApiError> {
        let snapshot = call.snapshot;
        let expires_in = seconds(snapshot.tokens.access_lifetime);
        let exp = call.now.saturating_add(expires_in);
        let has = |name: &str| scope.iter().any(|scope| scope == name);
        let joined = scope.join(" ");
        let fhir_user = fhir_user(user, snapshot);
        let token = AccessToken {
            iss: &snapshot.server.public_url,
            aud: &snapshot.fhir.public_base,
            sub: &user.username,
            client_id: &client.id,
            iat: call.now,
            exp,
            jti: &self.parts.ambient.id(),
            scope: &joined,
            patient: grant.patient.as_deref(),
            context: Some(&grant.context),
            fhir_user: fhir_user.as_deref(),
            grant: Some(&grant.id),
        };
        let access_token = self.parts.keys.sign_access(&token, call.now)?;
        let identity = IdToken {
            iss: &snapshot.server.public_url,
            sub: &user.username,
            aud: &client.id,
            iat: call.now,
            exp,
            auth_time: grant.auth_time(),
            nonce,
            fhir_user: fhir_user.as_deref().filter(|_| has("fhirUser")),
        };
        let id_token = if has("openid") { Some(self.parts.keys.sign_identity(&identity, call.now)?) } else { None };
        Ok(TokenResponse {
            access_token,
            token_type: "Bearer",
            expires_in,
            scope: joined,
            refresh_token: None,
            id_token,
            patient: grant.patient.clone(),
            context: grant.context.clone(),
        })
    }
}

#[cfg(test)]
#[path = "user_grant_tests.rs"]
mod tests;
