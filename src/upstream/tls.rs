//! TLS to the FHIR server: whom the gate trusts there. One configuration for all connections to an address, so that sessions are
//! resumed.

use std::sync::Arc;

use pingora::tls::{TlsConnector, load_platform_certs_incl_env_into_store};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};

use super::UpstreamError;
use crate::config::UpstreamTls;

/// What connections to an https address are made with.
pub(super) fn connector(tls: &UpstreamTls) -> Result<TlsConnector, UpstreamError> {
    let failed = |why: String| UpstreamError::Unreachable(format!("TLS cannot be set up: {why}"));
    let roots = match &tls.ca {
        Some(pem) => private(pem).map_err(failed)?,
        None => {
            let mut roots = RootCertStore::empty();
            load_platform_certs_incl_env_into_store(&mut roots).map_err(|error| failed(error.to_string()))?;
            roots
        }
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| failed(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn private(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(roots)
}
