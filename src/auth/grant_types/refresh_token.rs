//! `refresh_token`: access goes on without the person (RFC 6749 §6; RFC 9700 §4.14.2; SMART App Launch 2.2 app-launch step 6).
//!
//! Each use exchanges the token for its successor. The successor is derived from the token under a key of the gate, so that a
//! client that did not get the answer can be given the same one again, and the store keeps digests only.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::ambient::UnixSeconds;
use crate::auth::AuthServer;
use crate::auth::call::Call;
use crate::auth::error::ApiError;
use crate::auth::form::Form;
use crate::auth::granted::{Bearer, MAX_SCOPE_LIST, within_grant, within_registration, within_user};
use crate::auth::record::SUCCESS;
use crate::auth::token::Issued;
use crate::auth::user_grant::{Reach, UserGrant, remember_until};
use crate::config::{Client, GrantType, User};
use crate::store::{Digest, RefreshGrant, RefreshToken, Revoked, Rotated, Rotation};
use crate::telemetry::{AuthRecord, TokenGrant};

/// Seconds in which a client that did not get the answer may show the same token again.
const REPEAT: UnixSeconds = 30;

fn digest(token: &str) -> Digest {
    Sha256::digest(token.as_bytes()).into()
}

impl AuthServer {
    /// The first refresh token of a grant, where it may have one.
    pub(in crate::auth) async fn first_refresh_token(
        &self,
        call: &Call<'_>,
        client: &Client,
        grant: &UserGrant,
    ) -> Result<Option<String>, ApiError> {
        let expires = Reach::of(&grant.scope).expiry(grant.authenticated, call.now, &call.snapshot.tokens);
        let Some(expires) = expires.filter(|_| client.grant_types.contains(&GrantType::RefreshToken)) else {
            return Ok(None);
        };
        let payload = serde_json::to_string(grant).map_err(|error| {
            tracing::error!(%error, "a grant could not be written");
            ApiError::Unavailable
        })?;
        let kept = RefreshGrant {
            id: grant.id.clone(),
            client: grant.client.clone(),
            username: grant.username.clone(),
            payload,
        };
        let token = self.parts.ambient.secret();
        if self.parts.store.put_refresh(&digest(&token), &kept, call.now, expires).await? {
            Ok(Some(token))
        } else {
            Err(ApiError::CodeRefused)
        }
    }

    /// Exchanges a refresh token for an access token and its successor. Whatever is refused is refused before the token is used.
    pub(in crate::auth) async fn refresh_token(
        &self,
        call: &Call<'_>,
        form: &Form,
        client: &Arc<Client>,
    ) -> Result<Issued, ApiError> {
        let token = form.get("refresh_token").ok_or(ApiError::Missing("`refresh_token` is missing"))?;
        let found = self.known_refresh_token(call, token).await?.filter(|(kept, _)| kept.grant.client == client.id);
        let (_, grant) = found.ok_or(ApiError::RefreshRefused)?;
        let user = grant.user(call.snapshot).ok_or(ApiError::RefreshRefused)?;
        let possible = still_possible(call, client, &user, &grant.scope);
        let expires = Reach::of(&possible).expiry(grant.authenticated, call.now, &call.snapshot.tokens);
        let expires = expires.ok_or(ApiError::RefreshRefused)?;
        let scope = match form.get("scope") {
            None => possible,
            Some(asked) => {
                let asked = Some(asked).filter(|asked| asked.len() <= MAX_SCOPE_LIST);
                let narrower = asked.and_then(|asked| within_grant(asked, &grant.scope, call.snapshot.fhir.version));
                still_possible(call, client, &user, &narrower.ok_or(ApiError::ScopeWider)?)
            }
        };
        if scope.is_empty() {
            return Err(ApiError::RefreshRefused);
        }
        let successor = self.rotate(call, token, &grant, expires).await?;
        let mut response = self.user_tokens(call, client, &user, &grant, &scope, None)?;
        response.refresh_token = Some(successor);
        Ok(Issued { response, subject: grant.username, grant: TokenGrant::RefreshToken })
    }

    async fn rotate(
        &self,
        call: &Call<'_>,
        token: &str,
        grant: &UserGrant,
        expires: UnixSeconds,
    ) -> Result<String, ApiError> {
        let successor = self.parts.keys.successor(token)?;
        let rotation = Rotation {
            token: digest(token),
            successor: digest(&successor),
            now: call.now,
            expires,
            repeat_after: call.now.saturating_sub(REPEAT),
            repeat_before: call.now.saturating_add(REPEAT),
            revoke_until: remember_until(call),
        };
        match self.parts.store.rotate_refresh(&rotation).await? {
            Rotated::Fresh => Ok(successor),
            Rotated::Repeated { successor } => self
                .parts
                .keys
                .successors(token)
                .into_iter()
                .find(|candidate| digest(candidate) == successor)
                .ok_or(ApiError::RefreshRefused),
            Rotated::Reused => {
                self.parts.revocations.insert(Revoked::Grant(grant.id.clone()), rotation.revoke_until);
                self.record_ended(call, grant, "a refresh token was used twice; its grant is ended").await;
                Err(ApiError::RefreshReused)
            }
            Rotated::Unknown => Err(ApiError::RefreshRefused),
        }
    }

    /// A refresh token that the store knows, live or used, with what it stands for.
    pub(in crate::auth) async fn known_refresh_token(
        &self,
        call: &Call<'_>,
        token: &str,
    ) -> Result<Option<(RefreshToken, UserGrant)>, ApiError> {
        let Some(kept) = self.parts.store.refresh(&digest(token), call.now).await? else {
            return Ok(None);
        };
        match serde_json::from_str(&kept.grant.payload) {
            Ok(grant) => Ok(Some((kept, grant))),
            Err(error) => {
                tracing::error!(%error, "the store holds a grant that cannot be read");
                Ok(None)
            }
        }
    }

    /// Ends a grant: its refresh tokens are gone and its access tokens refused, here at once and at every replica soon.
    pub(in crate::auth) async fn end_grant(&self, call: &Call<'_>, id: &str) -> Result<(), ApiError> {
        let revoked = Revoked::Grant(id.to_owned());
        let until = remember_until(call);
        self.parts.store.revoke(&revoked, until).await?;
        self.parts.revocations.insert(revoked, until);
        Ok(())
    }

    async fn record_ended(&self, call: &Call<'_>, grant: &UserGrant, why: &'static str) {
        let record = AuthRecord {
            event: "revoke",
            outcome: SUCCESS,
            client: Some(grant.client.clone()),
            subject: Some(grant.username.clone()),
            patient: grant.patient.clone(),
            detail: Some(why.to_owned()),
            ..AuthRecord::default()
        };
        self.record(call, record).await;
    }
}

/// What of a grant's scopes the client and the person may still have.
fn still_possible(call: &Call<'_>, client: &Client, user: &User, scope: &[String]) -> Vec<String> {
    let version = call.snapshot.fhir.version;
    let mut possible = within_registration(&scope.join(" "), client, version, Bearer::User);
    within_user(&mut possible, user, version);
    possible
}

#[cfg(test)]
#[path = "refresh_token_tests.rs"]
mod tests;
