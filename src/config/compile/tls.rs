//! `[server] tls`: certificates are read with the configuration, so that a wrong one never takes effect.

use std::iter;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::ambient::UnixSeconds;
use crate::config::certificates::Certificates;
use crate::config::document::{Found, Place};
use crate::config::table::Table;
use crate::config::{ClientCertificate, Tls};

/// HTTP/2 where the client speaks it (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What a PEM file says of a key with a passphrase.
const ENCRYPTED: &[u8] = b"ENCRYPTED";

const FROM_1_3: &[&SupportedProtocolVersion] = &[&TLS13];
const FROM_1_2: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// What is asked of clients.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ClientAuth {
    Require,
    Request,
}

pub(super) fn tls(mut table: Table<'_>) -> Option<Tls> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let place = table.place("min");
    let first = certified(&mut table, &provider);
    let more = table.tables("certificates").into_iter().map(|mut table| {
        let more = certified(&mut table, &provider);
        table.finish();
        more
    });
    let more: Option<Vec<_>> = more.collect::<Vec<_>>().into_iter().collect();
    let versions = table.choice("min", FROM_1_2, &[("1.2", FROM_1_2), ("1.3", FROM_1_3)]);
    let verifier = client_verifier(&mut table, &provider);
    table.finish();
    let (first, more, verifier) = (first?, more?, verifier?);
    let not_after = iter::once(&first).chain(&more).filter_map(not_after).min();
    let builder = match ServerConfig::builder_with_provider(provider).with_protocol_versions(versions) {
        Ok(builder) => builder,
        Err(why) => {
            place.wrong(why);
            return None;
        }
    };
    let builder = match verifier {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier),
    };
    let mut server = builder.with_cert_resolver(Arc::new(Certificates::new(first, more)));
    server.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    Some(Tls { server: Arc::new(server), not_after })
}

/// What the gate shows of itself to others.
pub(super) fn client_certificate(mut table: Table<'_>) -> Option<ClientCertificate> {
    let certified = certified(&mut table, &rustls::crypto::aws_lc_rs::default_provider());
    table.finish();
    let certified = certified?;
    let (chain, not_after) = (certified.cert.clone(), not_after(&certified));
    Some(ClientCertificate { chain, resolver: Arc::new(SingleCertAndKey::from(certified)), not_after })
}

/// The certificate and the key of one table.
fn certified(table: &mut Table<'_>, provider: &CryptoProvider) -> Option<CertifiedKey> {
    let cert = table.required("cert", "\"tls/server.crt\"");
    let key = table.required("key", "\"tls/server.key\"");
    let (cert, key) = (cert?, key?);
    let place = cert.place.clone();
    let chain = bytes(cert).and_then(|pem| pem.parse(|pem| certificates(&pem)));
    let document = key.place.document;
    document.reading.secret(&document.folder().join(key.it), &key.place);
    let key = bytes(key).and_then(|pem| pem.parse(|pem| private_key(&pem)));
    if let Some(first) = chain.as_ref().and_then(|chain| chain.first()) {
        warn_of_its_time(first, &place);
    }
    match CertifiedKey::from_der(chain?, key?, provider) {
        Ok(certified) => Some(certified),
        Err(why) => {
            place.wrong(format!("certificate and key cannot be used together ({why})"));
            None
        }
    }
}

/// Notes a certificate that nobody takes today.
fn warn_of_its_time(certificate: &CertificateDer<'_>, place: &Place<'_>) {
    let Some((from, until)) = validity(certificate) else { return };
    let now = place.document.reading.now;
    let day = |time| jiff::Timestamp::from_second(time).unwrap_or_default();
    if until < now {
        place.warn(format!("the certificate was good until {}", day(until)));
    } else if from > now {
        place.warn(format!("the certificate is not good before {}", day(from)));
    }
}

/// From when until when a certificate is good (RFC 5280 §4.1.2.5).
fn validity(certificate: &CertificateDer<'_>) -> Option<(UnixSeconds, UnixSeconds)> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some((parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp()))
}

fn not_after(certified: &CertifiedKey) -> Option<UnixSeconds> {
    certified.cert.first().and_then(validity).map(|(_, until)| until)
}

/// Who says which client certificates are good; nobody where none are asked for. None where it is wrong.
#[expect(clippy::option_option, reason = "wrong, not asked for, asked for")]
fn client_verifier(
    table: &mut Table<'_>,
    provider: &Arc<CryptoProvider>,
) -> Option<Option<Arc<dyn ClientCertVerifier>>> {
    let words = [("require", ClientAuth::Require), ("request", ClientAuth::Request)];
    let auth = table.choice("client_auth", ClientAuth::Require, &words);
    let Some(ca) = table.text("client_ca") else {
        if table.has("client_auth") {
            table.missing("client_ca", "\"tls/clients-ca.pem\"");
            return None;
        }
        return Some(None);
    };
    let place = ca.place.clone();
    let authorities = bytes(ca).and_then(|pem| pem.parse(|pem| certificates(&pem)))?;
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        if let Err(why) = roots.add(authority) {
            place.wrong(format!("holds a certificate that cannot be an authority ({why})"));
            return None;
        }
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let builder = match auth {
        ClientAuth::Require => builder,
        ClientAuth::Request => builder.allow_unauthenticated(),
    };
    match builder.build() {
        Ok(verifier) => Some(Some(verifier)),
        Err(why) => {
            place.wrong(why);
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
        Err(why) => Err(format!("has no certificate in PEM ({})", reason(&why))),
    }
}

/// The first private key of a PEM file.
pub(super) fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    // Both forms, PKCS#8 and OpenSSL's older one, say so in plain text.
    if pem.windows(ENCRYPTED.len()).any(|bytes| bytes == ENCRYPTED) {
        return Err(
            "has a private key with a passphrase, for which nobody can be asked; `openssl pkey -in OLD -out NEW` \
                    takes it off"
                .to_owned(),
        );
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|why| format!("has no private key in PEM ({})", reason(&why)))
}

/// The parser shows the mark that it misses byte by byte.
fn reason(why: &pem::Error) -> String {
    match why {
        pem::Error::MissingSectionEnd { .. } => "it ends before the line \"-----END\"".to_owned(),
        why => why.to_string(),
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
