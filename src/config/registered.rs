//! A client that registered itself (RFC 7591), and what the operator's configuration makes of it.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::Url;

use super::compile::{origins_of, secret_hash};
use super::{Client, ClientAuth, Consent, GrantType, KeySource, Snapshot, value};
use crate::ambient::UnixSeconds;
use crate::scope::{Context, Scopes};

/// `[registration]`: how apps register themselves.
pub struct RegistrationRules {
    /// SHA-256 of the initial access tokens.
    pub tokens: Vec<[u8; 32]>,
    /// What such an app may be granted at most; no `system/` scopes.
    pub scopes: Scopes,
    /// How many there may be.
    pub max_clients: usize,
}

/// What the store keeps of a client that registered itself.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Registration {
    pub registered: UnixSeconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub auth: RegisteredAuth,
    pub redirect_uris: Vec<String>,
    pub scopes: Vec<String>,
    /// Only these two can be among them.
    pub grant_types: Vec<UserGrantType>,
    #[serde(default)]
    pub about: About,
}

/// How it proves who it is.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum RegisteredAuth {
    Public,
    /// `sha256:` and the digits of the secret's digest.
    Secret(String),
    /// A JWK set.
    Keys(String),
    KeysUrl(String),
}

/// Grant types of an app that people use.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum UserGrantType {
    AuthorizationCode,
    RefreshToken,
}

impl From<UserGrantType> for GrantType {
    fn from(grant: UserGrantType) -> Self {
        match grant {
            UserGrantType::AuthorizationCode => Self::AuthorizationCode,
            UserGrantType::RefreshToken => Self::RefreshToken,
        }
    }
}

/// What an app says of itself, for the operator to read; nothing of it is fetched or shown to people.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug, Default)]
pub struct About {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contacts: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
}

impl Registration {
    /// The client, if `snapshot` still lets it be: never with `system/` scopes, consent without asking, introspection or launches.
    pub fn client(&self, id: &str, snapshot: &Snapshot) -> Option<Client> {
        let rules = snapshot.registration.as_ref()?;
        let asked = Scopes::parse(snapshot.fhir.version, self.scopes.iter().map(String::as_str));
        let limits = &rules.scopes;
        let met = asked.fhir.iter().flat_map(|scope| limits.fhir.iter().filter_map(|limit| limit.meet(scope)));
        let scopes = Scopes {
            fhir: met.filter(|scope| scope.context != Context::System).collect(),
            other: asked.other.into_iter().filter(|name| limits.has(name)).collect(),
            rejected: Vec::new(),
        };
        Some(Client {
            id: id.to_owned(),
            name: self.name.clone().unwrap_or_else(|| id.to_owned()),
            auth: self.auth(&snapshot.fetch_allow)?,
            redirect_uris: self.redirect_uris.clone(),
            launch_uris: Vec::new(),
            scopes,
            grant_types: self.grant_types.iter().copied().map(GrantType::from).collect(),
            origins: origins_of(&self.redirect_uris),
            consent: Consent::Ask,
            may_introspect: false,
            enforced: true,
            launcher: None,
            self_registered: true,
            rate: None,
            enabled: true,
        })
    }

    fn auth(&self, fetch_allow: &HashSet<String>) -> Option<ClientAuth> {
        Some(match &self.auth {
            RegisteredAuth::Public => ClientAuth::Public,
            RegisteredAuth::Secret(hash) => ClientAuth::Secret(secret_hash(hash).ok()?),
            RegisteredAuth::Keys(set) => ClientAuth::PrivateKeyJwt(KeySource::Inline(Arc::from(set.as_str()))),
            RegisteredAuth::KeysUrl(url) => ClientAuth::PrivateKeyJwt(client_key_url(url, fetch_allow).ok()?),
        })
    }
}

/// Where the keys of a client are that gave `url` itself: on the public internet, or at an origin that the operator vouches for.
///
/// # Errors
/// It is neither https nor such an origin on this machine, or has parts that it must not have.
pub fn client_key_url(url: &str, fetch_allow: &HashSet<String>) -> Result<KeySource, String> {
    value::key_url(url, false)?;
    let origin = Url::parse(url).map_err(|error| error.to_string())?.origin().ascii_serialization();
    if fetch_allow.contains(&origin) {
        return Ok(KeySource::Url(url.to_owned()));
    }
    if origin.starts_with("https://") {
        Ok(KeySource::ClientUrl(url.to_owned()))
    } else {
        Err("is not https".to_owned())
    }
}
