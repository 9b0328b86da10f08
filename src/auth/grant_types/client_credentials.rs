//! `client_credentials`: a backend service gets a token for itself (SMART App Launch 2.2 backend-services).

use std::sync::Arc;

use crate::auth::AuthServer;
use crate::auth::call::Call;
use crate::auth::error::ApiError;
use crate::auth::form::Form;
use crate::auth::granted::{Bearer, MAX_SCOPE_LIST, within_registration};
use crate::auth::token::{Issued, TokenResponse, seconds};
use crate::config::{Client, ClientAuth};
use crate::telemetry::TokenGrant;
use crate::token::{AccessToken, LaunchContext};

/// Longest life of a service's token in seconds (SMART App Launch 2.2 backend-services, `expires_in`).
const MAX_LIFETIME: i64 = 300;

impl AuthServer {
    /// A token with those of the scopes asked for that the client is registered for; never a refresh token.
    pub(in crate::auth) fn client_credentials(
        &self,
        call: &Call<'_>,
        form: &Form,
        client: &Arc<Client>,
    ) -> Result<Issued, ApiError> {
        if matches!(client.auth, ClientAuth::Public) {
            return Err(ApiError::PublicService);
        }
        let asked = form.get("scope").filter(|asked| asked.len() <= MAX_SCOPE_LIST).ok_or(ApiError::ScopeRefused)?;
        let scope = within_registration(asked, client, call.snapshot.fhir.version, Bearer::Service).join(" ");
        if scope.is_empty() || scope.len() > MAX_SCOPE_LIST {
            return Err(ApiError::ScopeRefused);
        }
        let expires_in = seconds(call.snapshot.tokens.backend_lifetime).min(MAX_LIFETIME);
        let token = AccessToken {
            iss: &call.snapshot.server.public_url,
            aud: &call.snapshot.fhir.public_base,
            sub: &client.id,
            client_id: &client.id,
            iat: call.now,
            exp: call.now.saturating_add(expires_in),
            jti: &self.parts.ambient.id(),
            scope: &scope,
            patient: None,
            context: None,
            fhir_user: None,
            grant: None,
        };
        let access_token = self.parts.keys.sign_access(&token, call.now)?;
        let response = TokenResponse {
            access_token,
            token_type: "Bearer",
            expires_in,
            scope,
            refresh_token: None,
            id_token: None,
            patient: None,
            context: LaunchContext::default(),
        };
        Ok(Issued { response, subject: client.id.clone(), grant: TokenGrant::ClientCredentials })
    }
}
