//! Apps that register themselves (RFC 7591), where the operator lets them and gave them an initial access token.
//!
//! What they get is bounded by `[registration]`, whatever they ask for: see [`Registration::client`].

use aws_lc_rs::constant_time::verify_slices_are_equal;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::AuthServer;
use super::answer::{self, ErrorBody};
use super::call::Call;
use super::client_metadata::{Metadata, Wrong};
use super::granted::{Bearer, within_registration};
use super::hash_secret;
use super::record::{FAILURE, SUCCESS};
use crate::ambient::UnixSeconds;
use crate::config::{About, GrantType, RegisteredAuth, Registration, RegistrationRules, Snapshot, UserGrantType};
use crate::scope::Scopes;
use crate::store::{Store, StoreError, StoredClient};
use crate::telemetry::AuthRecord;

/// Why a registration is refused (RFC 7591 §3.2.2, RFC 6750 §3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Refused {
    /// There is no such endpoint.
    Off,
    NoToken,
    Token,
    Wrong(Wrong),
    Full,
    Unavailable,
}

impl Refused {
    fn public(self) -> (StatusCode, &'static str, &'static str) {
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        match self {
            Self::Off => (StatusCode::NOT_FOUND, "not_found", "there is no such endpoint"),
            Self::NoToken => (
                StatusCode::UNAUTHORIZED,
                "invalid_token",
                "send the initial access token that the operator gave you as `Authorization: Bearer`",
            ),
            Self::Token => (StatusCode::UNAUTHORIZED, "invalid_token", "the initial access token is not valid"),
            Self::Wrong(Wrong::RedirectUri(text)) => (BAD, "invalid_redirect_uri", text),
            Self::Wrong(Wrong::Metadata(text)) => (BAD, "invalid_client_metadata", text),
            Self::Full => (StatusCode::FORBIDDEN, "access_denied", "as many apps have registered as there may be here"),
            Self::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "the server cannot do this at the moment")
            }
        }
    }

    fn response(self) -> Response<Bytes> {
        let (status, error, error_description) = self.public();
        let mut response = answer::json(status, &ErrorBody { error, error_description });
        let challenge = match self {
            Self::NoToken => Some("Bearer realm=\"smartgate\""),
            Self::Token => Some("Bearer realm=\"smartgate\", error=\"invalid_token\""),
            _ => None,
        };
        if let Some(challenge) = challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

impl From<Wrong> for Refused {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong)
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a registration could not be kept");
        Self::Unavailable
    }
}

/// What was registered (RFC 7591 §3.2.1).
#[derive(Serialize)]
struct Registered<'a> {
    client_id: &'a str,
    client_id_issued_at: UnixSeconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'a str>,
    /// 0: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_expires_at: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<&'a str>,
    redirect_uris: &'a [String],
    token_endpoint_auth_method: &'a str,
    grant_types: &'a [UserGrantType],
    response_types: [&'static str; 1],
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<&'a str>,
    #[serde(flatten)]
    about: &'a About,
}

impl AuthServer {
    /// `POST /auth/register`.
    pub(super) async fn register(&self, call: &Call<'_>) -> Response<Bytes> {
        let outcome = self.registered(call).await;
        self.parts.metrics.registration(outcome.is_ok());
        let (response, record) = match outcome {
            Ok((response, record)) => (response, record),
            Err(refused) => {
                let (_, error, why) = refused.public();
                let (error, detail) = (Some(error), Some(why.to_owned()));
                (refused.response(), AuthRecord { outcome: FAILURE, error, detail, ..AuthRecord::default() })
            }
        };
        self.record(call, AuthRecord { event: "register", ..record }).await;
        response
    }

    async fn registered(&self, call: &Call<'_>) -> Result<(Response<Bytes>, AuthRecord), Refused> {
        let rules = call.snapshot.registration.as_ref().ok_or(Refused::Off)?;
        let token = call.bearer().ok_or(Refused::NoToken)?;
        if !may_register(rules, token) {
            return Err(Refused::Token);
        }
        let metadata = Metadata::parse(call)?;
        let secret = metadata.needs_secret().then(|| self.parts.ambient.secret());
        // The prefix keeps it from beginning with a dash, which the command line would take for an option.
        let id = format!("app-{}", self.parts.ambient.id());
        let registration = Registration {
            registered: call.now,
            name: metadata.name()?,
            auth: metadata.auth(secret.as_deref().map(hash_secret), &call.snapshot.fetch_allow)?,
            redirect_uris: metadata.redirect_uris()?,
            scopes: metadata.scopes().unwrap_or_else(|| texts(&rules.scopes)),
            grant_types: metadata.grant_types()?,
            about: metadata.about()?,
        };
        let registration = within_rules(registration, &id, call.snapshot)?;
        let payload = serde_json::to_string(&registration).map_err(|error| {
            tracing::error!(%error, "a registration could not be written");
            Refused::Unavailable
        })?;
        if !self.parts.store.add_client(&StoredClient { id: id.clone(), payload }, rules.max_clients).await? {
            return Err(Refused::Full);
        }
        if let Err(error) = follow_registered(&*self.parts.store, call.snapshot).await {
            tracing::warn!(%error, "an app that registered itself is not known before the store is read again");
        }
        let scope = registration.scopes.join(" ");
        let registered = Registered {
            client_id: &id,
            client_id_issued_at: registration.registered,
            client_secret: secret.as_deref(),
            client_secret_expires_at: secret.is_some().then_some(0),
            client_name: registration.name.as_deref(),
            redirect_uris: &registration.redirect_uris,
            token_endpoint_auth_method: metadata.method(),
            grant_types: &registration.grant_types,
            response_types: ["code"],
            scope: scope.clone(),
            jwks: match &registration.auth {
                RegisteredAuth::Keys(set) => serde_json::from_str(set).ok(),
                _ => None,
            },
            jwks_uri: match &registration.auth {
                RegisteredAuth::KeysUrl(url) => Some(url),
                _ => None,
            },
            about: &registration.about,
        };
        let response = answer::json(StatusCode::CREATED, &registered);
        Ok((response, AuthRecord { outcome: SUCCESS, client: Some(id), scope: Some(scope), ..AuthRecord::default() }))
    }
}

/// Brings the clients that registered themselves in step with the store.
///
/// # Errors
/// The store does not answer; those that are known stay.
pub async fn follow_registered(store: &dyn Store, snapshot: &Snapshot) -> Result<(), StoreError> {
    let read = |client: StoredClient| match serde_json::from_str(&client.payload) {
        Ok(registration) => Some((client.id, registration)),
        Err(error) => {
            tracing::error!(client = client.id, %error, "the store holds a registration that cannot be read");
            None
        }
    };
    snapshot.follow_registered(async { Ok(store.clients().await?.into_iter().filter_map(read).collect()) }).await
}

fn may_register(rules: &RegistrationRules, token: &str) -> bool {
    let digest = Sha256::digest(token.as_bytes());
    // Each is compared, so that the time tells nothing of which.
    rules.tokens.iter().filter(|known| verify_slices_are_equal(&digest, known.as_slice()).is_ok()).count() > 0
}

/// The registration with the scopes that it can have, and the grant types that these scopes have a use for.
fn within_rules(asked: Registration, id: &str, snapshot: &Snapshot) -> Result<Registration, Refused> {
    let client = asked.client(id, snapshot).ok_or(Refused::Unavailable)?;
    let scopes = within_registration(&asked.scopes.join(" "), &client, snapshot.fhir.version, Bearer::User);
    if scopes.is_empty() {
        return Err(Wrong::Metadata("none of the scopes in `scope` can be had by an app that registers itself").into());
    }
    let lasts = scopes.iter().any(|scope| scope == "offline_access" || scope == "online_access");
    let mut grant_types = asked.grant_types.clone();
    grant_types.retain(|grant| lasts || GrantType::from(*grant) != GrantType::RefreshToken);
    Ok(Registration { scopes, grant_types, ..asked })
}

fn texts(scopes: &Scopes) -> Vec<String> {
    scopes.fhir.iter().map(|scope| scope.text.clone()).chain(scopes.other.iter().cloned()).collect()
}

#[cfg(test)]
#[path = "register_tests.rs"]
pub(super) mod tests;
