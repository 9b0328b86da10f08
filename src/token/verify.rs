//! Verification of bearer tokens: the gate's own and those of configured issuers.

use std::sync::Arc;

use super::{Claims, Fetcher, GateKeys};
use crate::ambient::Ambient;
use crate::config::Snapshot;

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
    pub async fn verify(&self, _token: &str, _snapshot: &Snapshot) -> Result<Claims, TokenError> {
        todo!()
    }

    /// Grows when a key of the gate or of an issuer changed: what was verified before must be verified again.
    pub fn key_generation(&self) -> u64 {
        todo!()
    }
}
