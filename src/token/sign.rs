//! Claims of the gate's own tokens.

use serde::Serialize;

use crate::ambient::UnixSeconds;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encounter: Option<&'a str>,
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
    pub auth_time: UnixSeconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<&'a str>,
    #[serde(rename = "fhirUser", skip_serializing_if = "Option::is_none")]
    pub fhir_user: Option<&'a str>,
}
