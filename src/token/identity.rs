//! id_tokens of the provider that people log in at (OpenID Connect Core §3.1.3.7).

use jsonwebtoken::Algorithm;
use serde_json::Value;

use super::fetch::{Purpose, Wanted};
use super::jws::{Jws, Members};
use super::verify::{TokenError, Verifier};
use crate::ambient::UnixSeconds;
use crate::config::Oidc;

/// Signatures by keys that only the provider has; a secret shared with the gate, or no key at all, proves nothing.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// How far the provider's clock may be ahead, in seconds.
const CLOCK_SKEW: i64 = 30;

/// A person as the provider knows them.
pub struct Identity {
    pub subject: String,
    claims: Members,
}

impl Identity {
    /// When the person logged in at the provider, where it says so.
    pub fn authenticated(&self) -> Option<UnixSeconds> {
        self.claims.seconds("auth_time").ok().flatten()
    }

    /// A claim, unless it is absent or `null`.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.get(name)
    }
}

impl Verifier {
    /// The person of an id_token that `oidc` made for the gate, in answer to the login of `nonce`.
    ///
    /// # Errors
    /// It is not accepted, or cannot be checked now.
    pub async fn identity(&self, token: &str, oidc: &Oidc, nonce: &str) -> Result<Identity, TokenError> {
        let jws = Jws::parse(token)?;
        if !ALGORITHMS.contains(&jws.algorithm) {
            return Err(TokenError::Refused("token-algorithm"));
        }
        if !matches!(jws.media_type.as_deref(), None | Some("jwt")) {
            return Err(TokenError::Refused("token-type"));
        }
        if jws.claims.text("iss")? != Some(oidc.issuer.as_str()) {
            return Err(TokenError::Refused("token-issuer"));
        }
        let wanted = Wanted { id: jws.key_id.as_deref(), algorithm: jws.algorithm };
        let key = self.fetcher.key(&oidc.keys, Purpose::Tokens, wanted).await?;
        if !jws.is_signed_by(&key) {
            return Err(TokenError::Refused("token-signature"));
        }
        check(&jws.claims, oidc, nonce, self.ambient.now())?;
        let subject = jws.claims.text("sub")?.ok_or(TokenError::Refused("token-subject"))?.to_owned();
        Ok(Identity { subject, claims: jws.claims })
    }
}

fn check(claims: &Members, oidc: &Oidc, nonce: &str, now: i64) -> Result<(), TokenError> {
    let audience = claims.texts("aud")?;
    let party = claims.text("azp")?;
    // With several audiences `azp` says for which of them it was made.
    let for_gate = audience.contains(&oidc.client_id.as_str())
        && party.map_or(audience.len() == 1, |party| party == oidc.client_id);
    if !for_gate {
        return Err(TokenError::Refused("token-audience"));
    }
    if claims.seconds("exp")?.ok_or(TokenError::Refused("token-expiry"))? <= now {
        return Err(TokenError::Refused("token-expired"));
    }
    let issued = claims.seconds("iat")?.ok_or(TokenError::Refused("token-issued-later"))?;
    if [Some(issued), claims.seconds("nbf")?].into_iter().flatten().any(|from| from > now.saturating_add(CLOCK_SKEW)) {
        return Err(TokenError::Refused("token-issued-later"));
    }
    if claims.text("nonce")? != Some(nonce) {
        return Err(TokenError::Refused("token-nonce"));
    }
    Ok(())
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
