//! The server's certificate: the one of the present configuration, so that a renewed one is used from the next handshake on.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::Snapshot;

/// Takes the certificate from the configuration at each handshake.
pub struct Certificates {
    config: Arc<ArcSwap<Snapshot>>,
}

impl Certificates {
    /// Certificates of `config`, whatever it holds at the time.
    pub fn new(config: Arc<ArcSwap<Snapshot>>) -> Self {
        Self { config }
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates")
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.config.load().server.tls.as_ref().map(|tls| tls.certified.clone())
    }
}
