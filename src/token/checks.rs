//! What a token with a good signature must say to be an access token for this FHIR server, now.

use serde_json::Value;

use super::Claims;
use super::jws::{Jws, Members};
use super::verify::TokenError;
use crate::ambient::UnixSeconds;
use crate::config::{ClaimNames, TokenType};
use crate::fhir::reference::is_id;

/// Names of claims that issuers call differently.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    scope: &'a str,
    patient: &'a str,
    fhir_user: &'a str,
    client: &'a str,
}

impl<'a> Names<'a> {
    /// As [`super::AccessToken`] has them.
    pub(super) const OWN: Names<'static> =
        Names { scope: "scope", patient: "patient", fhir_user: "fhirUser", client: "client_id" };

    pub(super) fn of(names: &'a ClaimNames) -> Self {
        Self { scope: &names.scope, patient: &names.patient, fhir_user: &names.fhir_user, client: &names.client }
    }
}

/// What is expected of an issuer's tokens.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) own: bool,
    pub(super) audience: &'a [String],
    pub(super) token_type: TokenType,
    /// For `iat` and `nbf`, in seconds.
    pub(super) leeway: i64,
    pub(super) names: Names<'a>,
}

impl Expected<'_> {
    /// The claims of a token whose signature was verified.
    pub(super) fn claims(&self, jws: &Jws<'_>, now: UnixSeconds) -> Result<Claims, TokenError> {
        let claims = &jws.claims;
        // The token is bound to a key or a certificate (RFC 7800); whoever shows it without either may have stolen it.
        if claims.has("cnf") {
            return Err(TokenError::Refused("token-bound"));
        }
        let client = text(claims, self.names.client, "token-client")?;
        let audience = claims.texts("aud")?;
        if !self.has_type(jws, client, &audience)? {
            return Err(TokenError::Refused("token-type"));
        }
        if !audience.iter().any(|audience| self.audience.iter().any(|ours| ours == audience)) {
            return Err(TokenError::Refused("token-audience"));
        }
        let expires = self.times(claims, now)?;
        let subject = claims.text("sub")?.filter(|subject| !subject.is_empty());
        Ok(Claims {
            issuer: self.issuer.into(),
            own: self.own,
            subject: subject.ok_or(TokenError::Refused("token-subject"))?.to_owned(),
            client: client.map(str::to_owned),
            scope: self.scope(claims)?,
            patient: id(claims, self.names.patient, "Patient/", "token-patient")?,
            encounter: id(claims, "encounter", "Encounter/", "token-encounter")?,
            fhir_user: text(claims, self.names.fhir_user, "token-fhir-user")?.map(str::to_owned),
            expires,
            token_id: claims.text("jti")?.map(str::to_owned),
            grant: if self.own { claims.text("grant")?.map(str::to_owned) } else { None },
        })
    }

    /// Whether it is an access token: by its `typ` (RFC 9068 §2.1), or, where an issuer does not set one, because it is
    /// nothing else that this issuer signs.
    fn has_type(&self, jws: &Jws<'_>, client: Option<&str>, audience: &[&str]) -> Result<bool, TokenError> {
        match (self.token_type, jws.media_type.as_deref()) {
            (_, Some("at+jwt")) => Ok(true),
            (TokenType::Jwt, None | Some("jwt")) => is_other_token(&jws.claims, client, audience).map(|other| !other),
            _ => Ok(false),
        }
    }

    fn times(&self, claims: &Members, now: UnixSeconds) -> Result<UnixSeconds, TokenError> {
        let expires = claims.seconds("exp")?.ok_or(TokenError::Refused("token-expiry"))?;
        // SMART App Launch 2.2: a token "SHALL NOT" be accepted after it has expired. No leeway.
        if expires <= now {
            return Err(TokenError::Refused("token-expired"));
        }
        for (name, rule) in [("nbf", "token-not-yet-valid"), ("iat", "token-issued-later")] {
            if claims.seconds(name)?.is_some_and(|from| from > now.saturating_add(self.leeway)) {
                return Err(TokenError::Refused(rule));
            }
        }
        Ok(expires)
    }

    /// A string with spaces between (RFC 6749 §3.3); under another name, such as `scp`, an array will do.
    fn scope(&self, claims: &Members) -> Result<Vec<String>, TokenError> {
        let name = self.names.scope;
        if name != "scope" && claims.get(name).is_some_and(Value::is_array) {
            return Ok(claims.texts(name)?.into_iter().map(str::to_owned).collect());
        }
        let scope = text(claims, name, "token-scope")?.unwrap_or_default();
        Ok(scope.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect())
    }
}

/// Whether these are the claims of an id_token (OpenID Connect Core §2, §3.1.3.6, §3.3.2.11), or of a token that says itself
/// that it is no access token (Keycloak's `typ` claim).
fn is_other_token(claims: &Members, client: Option<&str>, audience: &[&str]) -> Result<bool, TokenError> {
    if ["nonce", "at_hash", "c_hash", "s_hash"].iter().any(|name| claims.has(name)) {
        return Ok(true);
    }
    if claims.text("typ")?.is_some_and(|typ| !typ.eq_ignore_ascii_case("bearer")) {
        return Ok(true);
    }
    let for_client = match client {
        Some(client) => Some(client),
        None => claims.text("azp")?,
    };
    Ok(for_client.is_some_and(|client| !audience.is_empty() && audience.iter().all(|audience| *audience == client)))
}

fn text<'a>(claims: &'a Members, name: &str, rule: &'static str) -> Result<Option<&'a str>, TokenError> {
    claims.text(name).map_err(|_| TokenError::Refused(rule))
}

/// A resource in context: its id or a relative reference to it, and nothing that could be read as more than one.
fn id(claims: &Members, name: &str, prefix: &str, rule: &'static str) -> Result<Option<String>, TokenError> {
    let Some(text) = text(claims, name, rule)? else { return Ok(None) };
    let id = text.strip_prefix(prefix).unwrap_or(text);
    if is_id(id) { Ok(Some(id.to_owned())) } else { Err(TokenError::Refused(rule)) }
}
