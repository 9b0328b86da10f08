//! The endpoints that exist, by path; discovery names them from here.

use crate::config::Snapshot;

use super::cors::Readers;

/// One endpoint of the authorization server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Endpoint {
    SmartConfiguration,
    OpenidConfiguration,
    ServerMetadata,
    Jwks,
    Brands,
    Authorize,
    Login,
    Federate,
    Callback,
    Patient,
    Encounter,
    Consent,
    Token,
    Introspect,
    Revoke,
    UserInfo,
    Launch,
    LaunchStart,
    Manage,
    Logo,
    Register,
}

const SMART_CONFIGURATION: &str = "/.well-known/smart-configuration";

impl Endpoint {
    /// Every endpoint whose path does not depend on where the FHIR base is.
    const FIXED: [Self; 20] = [
        Self::OpenidConfiguration,
        Self::ServerMetadata,
        Self::Jwks,
        Self::Brands,
        Self::Authorize,
        Self::Login,
        Self::Federate,
        Self::Callback,
        Self::Patient,
        Self::Encounter,
        Self::Consent,
        Self::Token,
        Self::Introspect,
        Self::Revoke,
        Self::UserInfo,
        Self::Launch,
        Self::LaunchStart,
        Self::Manage,
        Self::Logo,
        Self::Register,
    ];

    /// The endpoint at `path`, by exact match.
    pub(super) fn of(path: &str, snapshot: &Snapshot) -> Option<Self> {
        if path.strip_prefix(snapshot.fhir.base_path.as_str()) == Some(SMART_CONFIGURATION) {
            return Some(Self::SmartConfiguration);
        }
        let endpoint = Self::FIXED.into_iter().find(|endpoint| endpoint.path() == path)?;
        let is_there = match endpoint {
            Self::Brands => snapshot.brands.is_some(),
            Self::Register => snapshot.registration.is_some(),
            _ => true,
        };
        is_there.then_some(endpoint)
    }

    /// The path below the public URL, or below the FHIR base for SMART's own document.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::SmartConfiguration => SMART_CONFIGURATION,
            Self::OpenidConfiguration => "/.well-known/openid-configuration",
            Self::ServerMetadata => "/.well-known/oauth-authorization-server",
            Self::Jwks => "/.well-known/jwks.json",
            Self::Brands => "/.well-known/user-access-brands.json",
            Self::Authorize => "/auth/authorize",
            Self::Login => "/auth/login",
            Self::Federate => "/auth/federate",
            Self::Callback => "/auth/callback",
            Self::Patient => "/auth/patient",
            Self::Encounter => "/auth/encounter",
            Self::Consent => "/auth/consent",
            Self::Token => "/auth/token",
            Self::Introspect => "/auth/introspect",
            Self::Revoke => "/auth/revoke",
            Self::UserInfo => "/auth/userinfo",
            Self::Launch => "/auth/launch",
            Self::LaunchStart => "/auth/launch/start",
            Self::Manage => "/auth/manage",
            Self::Logo => "/auth/logo",
            Self::Register => "/auth/register",
        }
    }

    /// The absolute URL, from the configuration and never from what a request says about its host.
    pub(super) fn url(self, snapshot: &Snapshot) -> String {
        let base = match self {
            Self::SmartConfiguration => &snapshot.fhir.public_base,
            _ => &snapshot.server.public_url,
        };
        format!("{base}{}", self.path())
    }

    /// The methods it has, as `Allow` lists them.
    pub(super) fn allow(self) -> &'static str {
        match self {
            Self::SmartConfiguration
            | Self::OpenidConfiguration
            | Self::ServerMetadata
            | Self::Jwks
            | Self::Brands
            | Self::LaunchStart
            | Self::Federate
            | Self::Callback
            | Self::Logo => "GET, HEAD, OPTIONS",
            Self::Authorize
            | Self::Login
            | Self::Patient
            | Self::Encounter
            | Self::Consent
            | Self::Manage
            | Self::UserInfo => "GET, HEAD, POST, OPTIONS",
            Self::Token | Self::Introspect | Self::Revoke | Self::Launch | Self::Register => "POST, OPTIONS",
        }
    }

    /// Who may read its answers from a browser.
    pub(super) fn readers(self) -> Readers {
        match self {
            Self::SmartConfiguration | Self::OpenidConfiguration | Self::ServerMetadata | Self::Jwks | Self::Brands => {
                Readers::Anyone
            }
            Self::Authorize
            | Self::Login
            | Self::Federate
            | Self::Callback
            | Self::Patient
            | Self::Encounter
            | Self::Consent
            | Self::Manage
            | Self::LaunchStart
            | Self::Logo
            | Self::Register => Readers::Nobody,
            Self::Token | Self::Introspect | Self::Revoke | Self::UserInfo | Self::Launch => Readers::Registered,
        }
    }
}
