//! Bearer tokens: the gate's own keys and signatures, other issuers' keys, verification, the cache of verified tokens,
//! and revocation.
//!
//! A token is verified into [`Claims`]; what it may do is for `decide` to say.

mod assertion;
mod cache;
mod checks;
mod fetch;
mod identity;
mod jwks;
mod jws;
mod keys;
mod proof;
mod revocation;
mod service;
mod sign;
#[cfg(test)]
pub(crate) mod testing;
mod verify;

use std::sync::Arc;

use smol_str::SmolStr;

use crate::ambient::UnixSeconds;

pub use assertion::{AssertionError, Assertions, serves_assertions};
pub use cache::{Stamp, TokenCache};
pub use fetch::{Fetcher, Provider, is_public_url, root_cause};
pub use identity::Identity;
pub use keys::{GateKeys, KeyError, KeyFacts};
pub use revocation::Revocations;
pub use service::ServiceTokens;
pub use sign::{AccessToken, IdToken, LaunchContext};
pub use verify::{TokenError, Verifier};

/// Makes aws-lc the provider of TLS and of JWT signatures; the first statement of every process and every test.
pub fn install_crypto() {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::trace!("a TLS provider was installed before");
    }
    if jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default().is_err() {
        tracing::trace!("a JWT provider was installed before");
    }
}

/// What a verified access token says. Only [`Verifier`] makes one from a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    pub issuer: Arc<str>,
    /// Whether the gate itself issued it.
    pub own: bool,
    pub subject: SmolStr,
    pub client: Option<SmolStr>,
    /// The scopes as the token has them, in order.
    pub scope: Vec<String>,
    /// The patient in context: an id that keeps to FHIR's grammar (`[A-Za-z0-9\-.]{1,64}`).
    pub patient: Option<SmolStr>,
    /// The encounter in context, likewise.
    pub encounter: Option<SmolStr>,
    /// As the token has it, absolute or relative.
    pub fhir_user: Option<SmolStr>,
    /// Until when this holds: until the token expires, or its issuer must be asked again.
    pub expires: UnixSeconds,
    pub token_id: Option<SmolStr>,
    /// The grant of the gate's own that this token belongs to.
    pub grant: Option<SmolStr>,
}
