//! The certificates of the app-facing listener, chosen by the name that a client asks for.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// Certificates with their keys; the first answers whoever asks for no name, or for one that none is for.
pub(super) struct Certificates {
    first: Arc<CertifiedKey>,
    by_name: HashMap<String, Arc<CertifiedKey>>,
}

impl Certificates {
    pub(super) fn new(first: CertifiedKey, more: Vec<CertifiedKey>) -> Self {
        let first = Arc::new(first);
        let mut by_name = HashMap::new();
        for certified in std::iter::once(first.clone()).chain(more.into_iter().map(Arc::new)) {
            for name in names(&certified) {
                by_name.entry(name).or_insert_with(|| certified.clone());
            }
        }
        Self { first, by_name }
    }

    /// The certificate for a name: its own, or that of a wildcard for its first label (RFC 9525 §6.3).
    fn of(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let wildcard = || self.by_name.get(&format!("*.{}", name.split_once('.')?.1));
        self.by_name.get(name).or_else(wildcard)
    }
}

/// The DNS names that a certificate is for, in lower case.
fn names(certified: &CertifiedKey) -> Vec<String> {
    let Some((_, parsed)) = certified.cert.first().and_then(|der| X509Certificate::from_der(der).ok()) else {
        return Vec::new();
    };
    let Ok(Some(alternatives)) = parsed.subject_alternative_name() else { return Vec::new() };
    let names = alternatives.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().map(str::to_ascii_lowercase);
        Some(asked.and_then(|name| self.of(&name)).unwrap_or(&self.first).clone())
    }
}
