//! Claims of the gate's own tokens.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ambient::UnixSeconds;

/// What an app is told beside the patient about where it was launched, at the top level of the token response, of the token and
/// of its introspection (SMART App Launch 2.2 scopes, "Launch context arrives with your access_token"; token-introspection).
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug, Default)]
pub struct LaunchContext {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encounter: Option<String>,
    #[serde(rename = "fhirContext", default, skip_serializing_if = "Vec::is_empty")]
    pub fhir_context: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub need_patient_banner: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smart_style_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// Claims of an access token (RFC 9068 §2.2, with SMART's launch context).
#[derive(Serialize, Debug)]
pub struct AccessToken<'a> {
    pub iss: &'a str,
    pub aud: &'a str,
    pub sub: &'a str,
    pub client_id: &'a str,
    pub iat: UnixSeconds,
    pub exp: UnixSeconds,
    pub jti: &'a str,
    pub scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<&'a str>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub context: Option<&'a LaunchContext>,
    #[serde(rename = "fhirUser", skip_serializing_if = "Option::is_none")]
    pub fhir_user: Option<&'a str>,
    /// The grant that the token belongs to: what is revoked when its code is shown twice.
    #[serde(rename = "grant", skip_serializing_if = "Option::is_none")]
    pub grant: Option<&'a str>,
}

/// Claims of an id_token (OpenID Connect Core §2, SMART App Launch 2.2 scopes-and-launch-context, "fhirUser").
#[derive(Serialize, Debug)]
pub struct IdToken<'a> {
    pub iss: &'a str,
    pub sub: &'a str,
    pub aud: &'a str,
    pub iat: UnixSeconds,
    pub exp: UnixSeconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<UnixSeconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<&'a str>,
    #[serde(rename = "fhirUser", skip_serializing_if = "Option::is_none")]
    pub fhir_user: Option<&'a str>,
}
