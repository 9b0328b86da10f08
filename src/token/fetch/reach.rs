//! Whether issuers can be reached: beside the requests, and when an operator asks.

use std::sync::Arc;

use jsonwebtoken::Algorithm;

use super::{Fetcher, NoKey, Purpose, Wanted};
use crate::config::{Issuer, KeySource, Snapshot};
use crate::token::verify::TokenError;

impl Fetcher {
    /// Fetches the sets of all issuers that are due, so that a key that was withdrawn is noticed although no new token
    /// arrives. A fetch that fails has logged it.
    pub async fn refresh(&self, snapshot: &Snapshot) {
        for issuer in snapshot.issuers.values() {
            if let Some(keys) = &issuer.keys
                && let Err(why) = self.reach_keys(keys).await
            {
                tracing::trace!(issuer = %issuer.issuer, why, "an issuer's keys were looked at");
            }
        }
    }

    /// Whether a key set can be had.
    ///
    /// # Errors
    /// Why not.
    pub async fn reach_keys(&self, source: &KeySource) -> Result<(), String> {
        let any = Wanted { id: None, algorithm: Algorithm::RS256 };
        match self.key(source, Purpose::Tokens, any).await {
            Ok(_) | Err(NoKey::Missing(_)) => Ok(()),
            Err(NoKey::Unavailable(why)) => Err(why),
        }
    }

    /// Whether `issuer` answers the gate's questions: that a token which nobody has is not active.
    ///
    /// # Errors
    /// Why not.
    pub async fn reach_introspection(&self, issuer: &Arc<Issuer>) -> Result<(), String> {
        match self.introspect(issuer, &self.ambient.secret()).await {
            Err(TokenError::Refused("token-inactive")) => Ok(()),
            Err(error) => Err(error.to_string()),
            Ok(_) => Err("it says that a made-up token is active".to_owned()),
        }
    }
}
