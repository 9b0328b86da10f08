//! `[[issuers]] introspection`.

use std::cell::RefCell;
use std::time::Duration;

use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

use super::issuers::filled;
use crate::config::document::Place;
use crate::config::table::Table;
use crate::config::{Introspection, IntrospectionAuth, SigningAlgorithm, secret, value};

const DEFAULT_CACHE: Duration = Duration::from_secs(30);
/// A token that was revoked is good until the issuer is asked again.
const MAX_CACHE: Duration = Duration::from_secs(10 * 60);

const DEFAULT_RATE: usize = 50;
const MAX_RATE: usize = 10_000;

const SCHEMES: [(SignatureScheme, SigningAlgorithm); 3] = [
    (SignatureScheme::ECDSA_NISTP256_SHA256, SigningAlgorithm::Es256),
    (SignatureScheme::ECDSA_NISTP384_SHA384, SigningAlgorithm::Es384),
    (SignatureScheme::RSA_PKCS1_SHA256, SigningAlgorithm::Rs256),
];

/// What opaque tokens begin with by which they are told apart, and where that was said.
#[derive(Default)]
pub(super) struct Prefixes(RefCell<Vec<(Option<String>, String)>>);

impl Prefixes {
    /// A token must be one issuer's: what begins with both prefixes would be shown to one that it is not of.
    fn add(&self, prefix: Option<&str>, place: &Place<'_>) -> bool {
        let mut taken = self.0.borrow_mut();
        let clash = |other: &Option<String>| match (prefix, other.as_deref()) {
            (Some(prefix), Some(other)) => prefix.starts_with(other) || other.starts_with(prefix),
            (None, None) => true,
            _ => false,
        };
        let found = taken.iter().find(|(other, _)| clash(other)).map(|(_, first)| first.clone());
        if let Some(first) = &found {
            place.wrong(format!(
                "its opaque tokens cannot be told from those of the issuer at {first}; write prefix = \"…\", what they begin with"
            ));
        }
        taken.push((prefix.map(str::to_owned), place.name()));
        found.is_none()
    }
}

pub(super) fn introspection(mut table: Table<'_>, allow_http: bool, prefixes: &Prefixes) -> Option<Introspection> {
    let has_url = table.has("url");
    let url = table.text("url").and_then(|url| url.parse(|text| value::key_url(text, allow_http)));
    let client_id = table.required("client_id", "\"smartgate\"").and_then(|id| id.parse(filled));
    let auth = auth(&mut table);
    let place = table.place("prefix");
    let has_prefix = table.has("prefix");
    let prefix = table.text("prefix").and_then(|prefix| prefix.parse(filled));
    let told_apart = (prefix.is_some() || !has_prefix) && prefixes.add(prefix.as_deref(), &place);
    let cache = table.duration("cache", DEFAULT_CACHE, Duration::ZERO..=MAX_CACHE);
    let rate = table.number("rate", DEFAULT_RATE, 1..=MAX_RATE);
    table.finish();
    let whole = told_apart && (url.is_some() || !has_url);
    Some(Introspection { url, client_id: client_id?, auth: auth?, prefix, cache, rate }).filter(|_| whole)
}

fn auth(table: &mut Table<'_>) -> Option<IntrospectionAuth> {
    let posts = table.choice("auth", false, &[("basic", false), ("post", true)]);
    let id = table.text("key_id").and_then(|id| id.parse(filled));
    let key = table.text("private_key");
    match (table.text("client_secret"), key) {
        (None, None) => {
            table.missing("client_secret", "\"file:idp-secret\" (or private_key)");
            None
        }
        (Some(_), Some(key)) => {
            key.place.wrong("there is also client_secret; leave one of them out");
            None
        }
        (Some(found), None) => {
            let secret = secret::secret(found)?;
            Some(if posts { IntrospectionAuth::Post(secret) } else { IntrospectionAuth::Basic(secret) })
        }
        (None, Some(key)) => {
            let place = key.place.clone();
            let Some(id) = id else {
                table.missing("key_id", "\"2026-1\", as the issuer knows the key");
                return None;
            };
            match private_key(&secret::secret(key)?) {
                Ok((algorithm, secret)) => Some(IntrospectionAuth::Key { id, algorithm, secret }),
                Err(what) => {
                    place.wrong(what);
                    None
                }
            }
        }
    }
}

/// A private key in PEM, and what it signs with.
fn private_key(pem: &SecretString) -> Result<(SigningAlgorithm, SecretSlice<u8>), &'static str> {
    const WRONG: &str = "is no private key in PEM as PKCS#8 (BEGIN PRIVATE KEY): RSA, or EC on P-256 or P-384";
    let key = PrivateKeyDer::from_pem_slice(pem.expose_secret().as_bytes()).map_err(|_| WRONG)?;
    let PrivateKeyDer::Pkcs8(pkcs8) = &key else { return Err(WRONG) };
    let signing = any_supported_type(&key).map_err(|_| WRONG)?;
    let fits = |(scheme, _): &&(SignatureScheme, _)| signing.choose_scheme(&[*scheme]).is_some();
    let (_, algorithm) = SCHEMES.iter().find(fits).ok_or(WRONG)?;
    Ok((*algorithm, pkcs8.secret_pkcs8_der().to_vec().into()))
}

#[cfg(test)]
#[path = "introspection_tests.rs"]
mod tests;
