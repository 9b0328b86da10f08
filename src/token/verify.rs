//! Verification of bearer tokens: the gate's own and those of configured issuers.
//!
//! In order: what can be read in one way only; `iss`, which says whose rules and keys apply; the signature; everything else. A
//! token that is no JWT is the issuer's to tell of that the configuration has for such tokens.

use std::sync::{Arc, LazyLock};

use super::checks::Expected;
use super::fetch::{NoKey, Purpose, Wanted};
use super::jwks::Miss;
use super::jws::{Flaw, Jws};
use super::{Claims, Fetcher, GateKeys};
use crate::ambient::Ambient;
use crate::config::{ClaimNames, Issuer, KeySource, Snapshot, TokenType};

/// How far the clocks of replicas may differ, in seconds.
const OWN_LEEWAY: i64 = 30;

/// As [`super::AccessToken`] has them.
static OWN_NAMES: LazyLock<ClaimNames> = LazyLock::new(ClaimNames::default);

/// Why a token is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The token is wrong; the name of the check is for the log.
    #[error("{0}")]
    Refused(&'static str),
    /// It cannot be checked at the moment.
    #[error("the token cannot be checked: {0}")]
    Unavailable(String),
}

impl TokenError {
    /// Whether the same token may pass later.
    pub fn unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// The name of the check that failed: `token-expired`, `token-audience` …
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Refused(rule) => rule,
            Self::Unavailable(_) => "token-unchecked",
        }
    }
}

impl From<Flaw> for TokenError {
    fn from(flaw: Flaw) -> Self {
        Self::Refused(match flaw {
            Flaw::Malformed => "token-malformed",
            Flaw::Algorithm => "token-algorithm",
            Flaw::Critical => "token-critical",
        })
    }
}

impl From<NoKey> for TokenError {
    fn from(no_key: NoKey) -> Self {
        match no_key {
            NoKey::Unavailable(why) => Self::Unavailable(why),
            NoKey::Missing(Miss::Algorithm) => Self::Refused("token-algorithm"),
            NoKey::Missing(Miss::Unknown | Miss::Ambiguous) => Self::Refused("token-key"),
        }
    }
}

/// Verifies bearer tokens.
pub struct Verifier {
    pub keys: Arc<GateKeys>,
    pub fetcher: Arc<Fetcher>,
    pub ambient: Ambient,
}

impl Verifier {
    /// Verifies signature, issuer, audience, times and type. Revocation is asked elsewhere.
    ///
    /// # Errors
    /// The token is not accepted, or cannot be checked now.
    pub async fn verify(&self, token: &str, snapshot: &Snapshot) -> Result<Claims, TokenError> {
        let jws = match Jws::parse(token) {
            Ok(jws) => jws,
            Err(flaw) => match snapshot.issuer_of_opaque(token).filter(|_| !Jws::has_form(token)) {
                Some(issuer) => return self.opaque(token, issuer).await,
                None => return Err(flaw.into()),
            },
        };
        let issuer = jws.claims.text("iss")?.ok_or(TokenError::Refused("token-issuer"))?;
        if issuer == snapshot.server.public_url {
            self.own(&jws, snapshot)
        } else if let Some(issuer) = snapshot.issuers.get(issuer) {
            match &issuer.keys {
                Some(keys) => self.foreign(&jws, issuer, keys).await,
                None => self.opaque(token, issuer).await,
            }
        } else {
            Err(TokenError::Refused("token-issuer"))
        }
    }

    /// As [`Verifier::verify`], of the gate's own tokens only: nobody else is told of the token.
    ///
    /// # Errors
    /// The token is not accepted.
    pub fn verify_own(&self, token: &str, snapshot: &Snapshot) -> Result<Claims, TokenError> {
        let jws = Jws::parse(token)?;
        if jws.claims.text("iss")? != Some(&snapshot.server.public_url) {
            return Err(TokenError::Refused("token-issuer"));
        }
        self.own(&jws, snapshot)
    }

    fn own(&self, jws: &Jws<'_>, snapshot: &Snapshot) -> Result<Claims, TokenError> {
        let keys = self.keys.verifying();
        let key = keys.find(jws.key_id.as_deref(), jws.algorithm).map_err(NoKey::Missing)?;
        if !jws.is_signed_by(key) {
            return Err(TokenError::Refused("token-signature"));
        }
        let expected = Expected {
            issuer: &snapshot.server.public_url,
            own: true,
            audience: std::slice::from_ref(&snapshot.fhir.public_base),
            token_type: TokenType::AtJwt,
            leeway: OWN_LEEWAY,
            names: &OWN_NAMES,
            require: &[],
        };
        expected.signed(jws, self.ambient.now())
    }

    async fn foreign(&self, jws: &Jws<'_>, issuer: &Issuer, keys: &KeySource) -> Result<Claims, TokenError> {
        if !issuer.algorithms.contains(&jws.algorithm) {
            return Err(TokenError::Refused("token-algorithm"));
        }
        let wanted = Wanted { id: jws.key_id.as_deref(), algorithm: jws.algorithm };
        let key = self.fetcher.key(keys, Purpose::Tokens, wanted).await?;
        if !jws.is_signed_by(&key) {
            return Err(TokenError::Refused("token-signature"));
        }
        expected(issuer).signed(jws, self.ambient.now())
    }

    async fn opaque(&self, token: &str, issuer: &Arc<Issuer>) -> Result<Claims, TokenError> {
        let answer = self.fetcher.introspect(issuer, token).await?;
        expected(issuer).told(&answer, &self.ambient)
    }

    /// Grows when a key of the gate or of an issuer changed: what was verified before must be verified again.
    pub fn key_generation(&self) -> u64 {
        self.keys.generation() + self.fetcher.generation()
    }
}

fn expected(issuer: &Issuer) -> Expected<'_> {
    Expected {
        issuer: &issuer.issuer,
        own: false,
        audience: &issuer.audience,
        token_type: issuer.token_type,
        leeway: i64::try_from(issuer.leeway.as_secs()).unwrap_or(i64::MAX),
        names: &issuer.claims,
        require: &issuer.require,
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
