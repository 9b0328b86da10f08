//! `[server] tls`: the certificate is read with the configuration, so that a wrong one never takes effect.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::config::document::Found;
use crate::config::table::Table;
use crate::config::{Tls, TlsFiles};

pub(super) fn tls(mut table: Table<'_>) -> Option<Tls> {
    let cert = table.required("cert", "\"tls/server.crt\"");
    let key = table.required("key", "\"tls/server.key\"");
    table.finish();
    let (cert, key) = (cert?, key?);
    let folder = cert.place.document.folder();
    let files = TlsFiles { cert: folder.join(cert.it), key: folder.join(key.it) };
    let place = cert.place.clone();
    let chain = bytes(cert).and_then(|pem| pem.parse(|pem| certificates(&pem)));
    let key = bytes(key).and_then(|pem| {
        pem.parse(|pem| PrivateKeyDer::from_pem_slice(&pem).map_err(|why| format!("has no private key in PEM ({why})")))
    });
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    match CertifiedKey::from_der(chain?, key?, &provider) {
        Ok(certified) => Some(Tls { files, certified: Arc::new(certified) }),
        Err(why) => {
            place.wrong(format!("certificate and key cannot be used together ({why})"));
            None
        }
    }
}

/// A PEM file's certificates, of which there is at least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err("has no certificate in PEM".to_owned()),
        Err(why) => Err(format!("has no certificate in PEM ({why})")),
    }
}

fn bytes<'a>(path: Found<'a, &'a str>) -> Option<Found<'a, Vec<u8>>> {
    let place = path.place.clone();
    let document = place.document;
    let it = path.parse(|path| document.reading.bytes(&document.folder().join(path)))?;
    Some(Found { it, place })
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
