//! The discovery documents: what is there, and nothing else (SMART App Launch 2.2 conformance; OpenID Connect Discovery §3;
//! RFC 8414 §2).

use bytes::Bytes;
use http::Response;
use serde::Serialize;

use super::answer;
use super::endpoints::Endpoint;
use super::prompt;
use crate::config::{BrandIdentifier, Snapshot};

/// How clients prove who they are at the token and the revocation endpoint.
const CLIENT_AUTHENTICATION: &[&str] = &["client_secret_basic", "client_secret_post", "private_key_jwt", "none"];

/// How clients prove who they are at the introspection endpoint; a public client cannot.
const CALLER_AUTHENTICATION: &[&str] = &["client_secret_basic", "client_secret_post", "private_key_jwt", "Bearer"];

/// Algorithms of client assertions (SMART App Launch 2.2 client-confidential-asymmetric).
const ASSERTION_ALGORITHMS: &[&str] = &["RS384", "ES384"];

/// Every scope here is supported whole (SMART App Launch 2.2 conformance, `scopes_supported`). Those by which a patient's app writes
/// are granted too, but what of them takes effect depends on the FHIR server (`write-unpinned`), so they are not promised.
const SCOPES: &[&str] = &[
    "openid",
    "fhirUser",
    "launch/patient",
    "launch/encounter",
    "offline_access",
    "online_access",
    "patient/*.rs",
    "user/*.cruds",
    "system/*.cruds",
    "patient/*.read",
    "user/*.read",
    "user/*.write",
    "system/*.read",
    "system/*.write",
];

/// Only what is true; `permission-v2` also says that granular constraints hold.
const CAPABILITIES: &[&str] = &[
    "launch-standalone",
    "authorize-post",
    "client-public",
    "client-confidential-symmetric",
    "client-confidential-asymmetric",
    "sso-openid-connect",
    "context-banner",
    "context-standalone-patient",
    "context-standalone-encounter",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
];

/// What is true too where an EHR launches apps.
const EHR_LAUNCH: &[&str] = &["launch-ehr", "context-ehr-patient", "context-ehr-encounter", "context-style"];

/// What both kinds of document say.
#[derive(Serialize)]
struct Common<'a> {
    issuer: &'a str,
    jwks_uri: String,
    authorization_endpoint: String,
    token_endpoint: String,
    introspection_endpoint: String,
    revocation_endpoint: String,
    userinfo_endpoint: String,
    management_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_endpoint: Option<String>,
    grant_types_supported: &'static [&'static str],
    response_types_supported: &'static [&'static str],
    code_challenge_methods_supported: &'static [&'static str],
    token_endpoint_auth_methods_supported: &'static [&'static str],
    token_endpoint_auth_signing_alg_values_supported: &'static [&'static str],
    scopes_supported: Vec<&'static str>,
    authorization_response_iss_parameter_supported: bool,
}

#[derive(Serialize)]
struct Smart<'a> {
    #[serde(flatten)]
    common: Common<'a>,
    capabilities: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_access_brand_bundle: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_access_brand_identifier: Option<&'a BrandIdentifier>,
}

#[derive(Serialize)]
struct Openid<'a> {
    #[serde(flatten)]
    common: Common<'a>,
    response_modes_supported: &'static [&'static str],
    prompt_values_supported: &'static [&'static str],
    subject_types_supported: &'static [&'static str],
    id_token_signing_alg_values_supported: &'static [&'static str],
    claims_supported: &'static [&'static str],
    ui_locales_supported: Vec<&'static str>,
    introspection_endpoint_auth_methods_supported: &'static [&'static str],
    introspection_endpoint_auth_signing_alg_values_supported: &'static [&'static str],
    revocation_endpoint_auth_methods_supported: &'static [&'static str],
    revocation_endpoint_auth_signing_alg_values_supported: &'static [&'static str],
    claims_parameter_supported: bool,
    request_parameter_supported: bool,
    // Left out it would mean true (OpenID Connect Discovery §3).
    request_uri_parameter_supported: bool,
}

fn common(snapshot: &Snapshot) -> Common<'_> {
    Common {
        issuer: &snapshot.server.public_url,
        jwks_uri: Endpoint::Jwks.url(snapshot),
        authorization_endpoint: Endpoint::Authorize.url(snapshot),
        token_endpoint: Endpoint::Token.url(snapshot),
        introspection_endpoint: Endpoint::Introspect.url(snapshot),
        revocation_endpoint: Endpoint::Revoke.url(snapshot),
        userinfo_endpoint: Endpoint::UserInfo.url(snapshot),
        management_endpoint: Endpoint::Manage.url(snapshot),
        registration_endpoint: snapshot.registration.is_some().then(|| Endpoint::Register.url(snapshot)),
        grant_types_supported: &["authorization_code", "refresh_token", "client_credentials"],
        response_types_supported: &["code"],
        code_challenge_methods_supported: &["S256"],
        token_endpoint_auth_methods_supported: CLIENT_AUTHENTICATION,
        token_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
        scopes_supported: has_launcher(snapshot)
            .then_some("launch")
            .into_iter()
            .chain(SCOPES.iter().copied())
            .collect(),
        authorization_response_iss_parameter_supported: true,
    }
}

/// `{FHIR base}/.well-known/smart-configuration`.
pub(super) fn smart_configuration(snapshot: &Snapshot) -> Response<Bytes> {
    let ehr = if has_launcher(snapshot) { EHR_LAUNCH } else { &[] };
    let brands = snapshot.brands.as_ref();
    document(&Smart {
        common: common(snapshot),
        capabilities: [CAPABILITIES, ehr].concat(),
        user_access_brand_bundle: brands.map(|_| Endpoint::Brands.url(snapshot)),
        user_access_brand_identifier: brands.and_then(|brands| brands.identifier.as_ref()),
    })
}

/// Whether some EHR may launch apps here.
fn has_launcher(snapshot: &Snapshot) -> bool {
    snapshot.clients.configured.values().any(|client| client.enabled && client.launcher.is_some())
}

/// The metadata of OpenID Connect Discovery and of RFC 8414, which are one.
pub(super) fn server_metadata(snapshot: &Snapshot) -> Response<Bytes> {
    document(&Openid {
        common: common(snapshot),
        response_modes_supported: &["query"],
        prompt_values_supported: prompt::VALUES,
        subject_types_supported: &["public"],
        id_token_signing_alg_values_supported: &["RS256"],
        claims_supported: &["iss", "sub", "aud", "iat", "exp", "auth_time", "nonce", "fhirUser"],
        ui_locales_supported: snapshot.pages.languages.iter().map(|language| language.tag()).collect(),
        introspection_endpoint_auth_methods_supported: CALLER_AUTHENTICATION,
        introspection_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
        revocation_endpoint_auth_methods_supported: CLIENT_AUTHENTICATION,
        revocation_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
        claims_parameter_supported: false,
        request_parameter_supported: false,
        request_uri_parameter_supported: false,
    })
}

fn document(body: &impl Serialize) -> Response<Bytes> {
    match serde_json::to_vec(body) {
        Ok(body) => answer::document(body),
        Err(error) => {
            tracing::error!(%error, "a discovery document could not be written");
            answer::empty(http::StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}
