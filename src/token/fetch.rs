//! Keys of others by URL: bounded in size, time and frequency, cached as their `Cache-Control` says.

use crate::ambient::Ambient;

/// Fetches and keeps JWK sets.
pub struct Fetcher {}

impl Fetcher {
    /// A fetcher with an empty cache.
    ///
    /// # Errors
    /// The HTTP client cannot be made (no root certificates).
    pub fn new(_ambient: Ambient) -> Result<Self, super::KeyError> {
        todo!()
    }
}
