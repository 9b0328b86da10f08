//! What a token with a good signature must say to be an access token for this FHIR server, now.

use std::borrow::Cow;

use serde_json::Value;
use smol_str::SmolStr;

use super::Claims;
use super::fetch::Answer;
use super::jws::{Jws, Members};
use super::verify::TokenError;
use crate::ambient::{Ambient, UnixSeconds};
use crate::config::{ClaimNames, ScopeForm, TokenType};
use crate::fhir::reference::is_id;

/// What is expected of an issuer's tokens.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) own: bool,
    pub(super) audience: &'a [String],
    pub(super) token_type: TokenType,
    /// For `iat` and `nbf`, in seconds.
    pub(super) leeway: i64,
    pub(super) names: &'a ClaimNames,
    /// Claims that must be there, and their values.
    pub(super) require: &'a [(String, String)],
}

impl Expected<'_> {
    /// The claims of a token whose signature was verified.
    pub(super) fn signed(&self, jws: &Jws<'_>, now: UnixSeconds) -> Result<Claims, TokenError> {
        if !self.has_type(jws)? {
            return Err(TokenError::Refused("token-type"));
        }
        self.claims(&jws.claims, jws.claims.text("sub")?, now)
    }

    /// The claims of a token that `answer` tells of (RFC 7662 §2.2).
    pub(super) fn told(&self, answer: &Answer, ambient: &Ambient) -> Result<Claims, TokenError> {
        let members = &answer.members;
        let says = |name: &str, right: &[&str]| {
            let said = members.text(name)?;
            Ok::<_, TokenError>(said.is_none_or(|said| right.iter().any(|right| said.eq_ignore_ascii_case(right))))
        };
        if members.text("iss")?.is_some_and(|issuer| issuer != self.issuer) {
            return Err(TokenError::Refused("token-issuer"));
        }
        // A refresh token is active, too, and a DPoP token is none to be shown alone.
        let is_bearer = says("token_type", &["bearer"])? && says("token_use", &["access_token", "access"])?;
        if !is_bearer || self.is_other_token(members)? {
            return Err(TokenError::Refused("token-type"));
        }
        // What is nobody's is the client's own, of which `sub` would speak in a JWT (RFC 9068 §2.2).
        let subject = if members.has("sub") { members.text("sub")? } else { self.client(members)? };
        let now = ambient.now();
        let claims = self.claims(members, subject, now)?;
        let left = answer.until.saturating_sub(ambient.steady()).as_secs();
        let asked_again = now.saturating_add(i64::try_from(left).unwrap_or(i64::MAX));
        Ok(Claims { expires: claims.expires.min(asked_again), ..claims })
    }

    fn claims(&self, claims: &Members, subject: Option<&str>, now: UnixSeconds) -> Result<Claims, TokenError> {
        // The token is bound to a key or a certificate (RFC 7800); whoever shows it without either may have stolen it.
        if claims.has("cnf") {
            return Err(TokenError::Refused("token-bound"));
        }
        if !claims.texts("aud")?.iter().any(|audience| self.audience.iter().any(|ours| ours == audience)) {
            return Err(TokenError::Refused("token-audience"));
        }
        let has = |name: &str, value: &str| claims.get(name).and_then(Value::as_str) == Some(value);
        if !self.require.iter().all(|(name, value)| has(name, value)) {
            return Err(TokenError::Refused("token-required"));
        }
        let expires = self.times(claims, now)?;
        let subject = subject.filter(|subject| !subject.is_empty()).ok_or(TokenError::Refused("token-subject"))?;
        let names = self.names;
        Ok(Claims {
            issuer: self.issuer.into(),
            own: self.own,
            subject: subject.into(),
            client: self.client(claims)?.map(SmolStr::from),
            scope: self.scope(claims)?,
            patient: id(claims, &names.patient, "Patient/", "token-patient")?,
            encounter: id(claims, &names.encounter, "Encounter/", "token-encounter")?,
            fhir_user: text(claims, &names.fhir_user, "token-fhir-user")?.map(SmolStr::from),
            expires,
            token_id: claims.text("jti")?.map(SmolStr::from),
            grant: if self.own { claims.text("grant")?.map(SmolStr::from) } else { None },
        })
    }

    /// Whether it is an access token: by its `typ` (RFC 9068 §2.1), or, where an issuer does not set one, because it says for
    /// which client it is and is nothing else that this issuer signs.
    fn has_type(&self, jws: &Jws<'_>) -> Result<bool, TokenError> {
        match (self.token_type, jws.media_type.as_deref()) {
            (_, Some("at+jwt")) => Ok(true),
            (TokenType::Jwt, None | Some("jwt")) => {
                Ok(self.client_or_party(&jws.claims)?.is_some() && !self.is_other_token(&jws.claims)?)
            }
            _ => Ok(false),
        }
    }

    fn client<'c>(&self, claims: &'c Members) -> Result<Option<&'c str>, TokenError> {
        text(claims, &self.names.client, "token-client")
    }

    fn client_or_party<'c>(&self, claims: &'c Members) -> Result<Option<&'c str>, TokenError> {
        Ok(match self.client(claims)? {
            Some(client) => Some(client),
            None => claims.text("azp")?,
        })
    }

    /// Whether these are the claims of an id_token (OpenID Connect Core §2, §3.1.3.6, §3.3.2.11), or of a token that says itself
    /// that it is no access token (Keycloak's `typ` claim).
    fn is_other_token(&self, claims: &Members) -> Result<bool, TokenError> {
        if ["nonce", "at_hash", "c_hash", "s_hash"].iter().any(|name| claims.has(name)) {
            return Ok(true);
        }
        if claims.text("typ")?.is_some_and(|typ| !typ.eq_ignore_ascii_case("bearer")) {
            return Ok(true);
        }
        let audience = claims.texts("aud")?;
        let for_client = self.client_or_party(claims)?;
        Ok(for_client.is_some_and(|client| !audience.is_empty() && audience.iter().all(|audience| *audience == client)))
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

    /// The scopes in the first claim that the token has for them: a string with spaces between (RFC 6749 §3.3); under another
    /// name, such as `scp`, an array will do.
    fn scope(&self, claims: &Members) -> Result<Vec<String>, TokenError> {
        let Some(name) = self.names.scope.iter().find(|name| claims.get(name).is_some()) else {
            return Ok(Vec::new());
        };
        let listed = if name != "scope" && claims.get(name).is_some_and(Value::is_array) {
            claims.texts(name)?
        } else {
            let text = text(claims, name, "token-scope")?.unwrap_or_default();
            text.split(' ').filter(|scope| !scope.is_empty()).collect()
        };
        Ok(listed.into_iter().filter_map(|scope| Some(smart(self.names, scope)?.into_owned())).collect())
    }
}

/// A scope as SMART writes it; none where it is for another API.
fn smart<'a>(names: &ClaimNames, scope: &'a str) -> Option<Cow<'a, str>> {
    let scope = match names.scope_prefix.as_deref() {
        // The one scope that OpenID Connect itself names, and that no prefix is put before.
        Some(_) if scope == "openid" => scope,
        Some(prefix) => scope.strip_prefix(prefix)?,
        None => scope,
    };
    if names.scope_form == ScopeForm::Smart {
        return Some(scope.into());
    }
    let star = |part: &'a str| if part == "all" { "*" } else { part };
    let mut parts = scope.splitn(3, '.');
    Some(match (parts.next(), parts.next(), parts.next()) {
        (Some(context @ ("patient" | "user" | "system")), Some(of), Some(may)) => {
            format!("{context}/{}.{}", star(of), star(may)).into()
        }
        (Some("launch"), Some(of), None) => format!("launch/{of}").into(),
        _ => scope.into(),
    })
}

fn text<'a>(claims: &'a Members, name: &str, rule: &'static str) -> Result<Option<&'a str>, TokenError> {
    claims.text(name).map_err(|_| TokenError::Refused(rule))
}

/// A resource in context: its id or a relative reference to it, and nothing that could be read as more than one.
fn id(claims: &Members, name: &str, prefix: &str, rule: &'static str) -> Result<Option<SmolStr>, TokenError> {
    let Some(text) = text(claims, name, rule)? else { return Ok(None) };
    let id = text.strip_prefix(prefix).unwrap_or(text);
    if is_id(id) { Ok(Some(id.into())) } else { Err(TokenError::Refused(rule)) }
}
