//! `[[issuers]] introspection`: an issuer that is asked about tokens which cannot be verified here (RFC 7662).

use std::sync::Arc;
use std::time::Duration;

use secrecy::{SecretSlice, SecretString};

use super::{Issuer, SigningAlgorithm, Snapshot};

/// Where and how an issuer is asked.
pub struct Introspection {
    /// None where the issuer's discovery document names it.
    pub url: Option<String>,
    pub client_id: String,
    pub auth: IntrospectionAuth,
    /// What its opaque tokens begin with, where other issuers have such tokens too.
    pub prefix: Option<String>,
    /// How long an answer holds.
    pub cache: Duration,
    /// Most questions a second about tokens that were not known to be good.
    pub rate: usize,
}

/// How the gate proves to the issuer who it is.
pub enum IntrospectionAuth {
    /// `client_secret_basic` (RFC 6749 §2.3.1).
    Basic(SecretString),
    /// `client_secret_post`.
    Post(SecretString),
    /// `private_key_jwt` (OpenID Connect Core §9); the key as PKCS#8.
    Key { id: String, algorithm: SigningAlgorithm, secret: SecretSlice<u8> },
}

impl Snapshot {
    /// The issuer that is asked about an opaque token. A token is shown to no other: of several issuers each has a prefix but
    /// one.
    pub fn issuer_of_opaque(&self, token: &str) -> Option<&Arc<Issuer>> {
        let mut rest = None;
        for issuer in self.issuers.values() {
            match issuer.introspection.as_ref().map(|introspection| introspection.prefix.as_deref()) {
                Some(Some(prefix)) if token.starts_with(prefix) => return Some(issuer),
                Some(None) => rest = Some(issuer),
                _ => {}
            }
        }
        rest
    }
}
