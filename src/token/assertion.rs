//! Client assertions: `private_key_jwt` (SMART App Launch 2.2 client-confidential-asymmetric; RFC 7523 §3).

use std::sync::Arc;

use super::Fetcher;
use crate::ambient::Ambient;
use crate::config::Client;
use crate::store::SharedStore;

/// Why an assertion does not authenticate a client.
#[derive(Debug, thiserror::Error)]
pub enum AssertionError {
    /// The assertion is wrong; the text is for the log.
    #[error("{0}")]
    Refused(&'static str),
    /// It cannot be checked at the moment.
    #[error("the assertion cannot be checked: {0}")]
    Unavailable(String),
}

/// Checks client assertions; each `jti` counts once.
pub struct Assertions {
    pub fetcher: Arc<Fetcher>,
    pub store: SharedStore,
    pub ambient: Ambient,
}

impl Assertions {
    /// The `client_id` an assertion claims to come from; nothing of it is verified.
    pub fn claimed_client(_assertion: &str) -> Option<String> {
        todo!()
    }

    /// Whether `assertion` authenticates `client` at one of `audiences` (the token endpoint's URL or the issuer).
    ///
    /// # Errors
    /// It does not, or that cannot be found out.
    pub async fn check(&self, _assertion: &str, _client: &Client, _audiences: &[&str]) -> Result<(), AssertionError> {
        todo!()
    }
}
