//! Server certificates that are read again when their files change.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::TlsFiles;

/// A certificate or key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the certificate `{file}` cannot be used: {why}")]
pub struct TlsError {
    file: String,
    why: String,
}

/// The certificate in use; new handshakes see a new one at once.
#[derive(Debug, Default)]
pub struct Certificates {
    current: ArcSwapOption<CertifiedKey>,
}

impl Certificates {
    /// Reads the files and puts what they hold in use.
    ///
    /// # Errors
    /// A file is missing, is no PEM, or key and certificate do not belong together; what was in use stays.
    pub fn load(&self, files: &TlsFiles) -> Result<(), TlsError> {
        let error = |file: &std::path::Path, why: String| TlsError { file: file.display().to_string(), why };
        let chain = CertificateDer::pem_file_iter(&files.cert)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|why| error(&files.cert, why.to_string()))?;
        if chain.is_empty() {
            return Err(error(&files.cert, "there is no certificate in it".to_owned()));
        }
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|why| error(&files.key, why.to_string()))?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let certified =
            CertifiedKey::from_der(chain, key, &provider).map_err(|why| error(&files.cert, why.to_string()))?;
        self.current.store(Some(Arc::new(certified)));
        Ok(())
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load_full()
    }
}
