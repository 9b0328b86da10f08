//! How a connection is made: where to, with which limits, and whom to trust.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::super::StoreError;
use crate::config::{Postgres, StoreTls};

/// A peer that is silent for so long is asked by the system whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// What `pg_stat_activity` shows.
const NAME: &str = "smartgate";

/// The settings of every connection. The server ends what the gate no longer waits for: no statement, no lock and no
/// half-done transaction of a gate that went away outlives `[store] timeout`.
pub(super) fn config(settings: &Postgres) -> Config {
    let mut config = settings.config.clone();
    let limit = settings.timeout.as_millis();
    let own = config.get_options().unwrap_or_default();
    let options = format!(
        "{own} -c statement_timeout={limit} -c lock_timeout={limit} -c idle_in_transaction_session_timeout={limit} \
         -c default_transaction_isolation=read\\ committed -c synchronous_commit=on"
    );
    config.options(options);
    config.application_name(NAME);
    config.connect_timeout(settings.timeout).tcp_user_timeout(settings.timeout).keepalives_idle(KEEPALIVE);
    // Of several hosts the one that takes writes; a standby alone is no store.
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    config.ssl_mode(match settings.tls {
        StoreTls::Disable => SslMode::Disable,
        StoreTls::Prefer => SslMode::Prefer,
        StoreTls::Require | StoreTls::VerifyFull => SslMode::Require,
    });
    config
}

/// TLS as `sslmode` asks for it: with a `ca_file`, or by `verify-full`, the server's certificate must be right and bear its
/// name; `prefer` and `require` without one take any, as libpq does.
pub(super) fn tls(settings: &Postgres) -> Result<MakeRustlsConnect, StoreError> {
    let failed = |error: &dyn std::fmt::Display| StoreError(format!("TLS cannot be set up: {error}"));
    let provider = CryptoProvider::get_default().ok_or_else(|| failed(&"there is no cryptography"))?;
    let verifier: Arc<dyn ServerCertVerifier> = match (&settings.ca, settings.tls) {
        (Some(pem), _) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                roots.add(certificate.map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
            }
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                .build()
                .map_err(|error| failed(&error))?
        }
        (None, StoreTls::VerifyFull) => Arc::new(Verifier::new(Arc::clone(provider)).map_err(|error| failed(&error))?),
        (None, _) => Arc::new(Anybody(Arc::clone(provider))),
    };
    let config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Takes any certificate: who listens on the way learns nothing, who sits in it does.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
