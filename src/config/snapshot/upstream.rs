//! Where the FHIR server is and how it is asked.

use std::iter;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::sign::SingleCertAndKey;
use secrecy::{SecretSlice, SecretString};

use super::SigningAlgorithm;
use crate::ambient::UnixSeconds;
use crate::fhir::AddressKey;

/// The FHIR server, or another one that files of an export are fetched from.
#[derive(Clone)]
pub struct Upstream {
    pub addresses: Arc<Addresses>,
    pub auth: UpstreamAuth,
    pub tls: UpstreamTls,
    /// How long connecting to one address may take.
    pub connect_timeout: Duration,
    /// Longest silence while an answer is read.
    pub read_timeout: Duration,
    /// How long an idle connection is kept; must be shorter than the upstream's own keep-alive.
    pub idle_timeout: Duration,
    /// How long a request may take to the last byte of its answer, waiting for its turn included; files of an export have as
    /// long as they need.
    pub exchange_timeout: Duration,
    /// Requests at a time.
    pub max_concurrent: usize,
    /// Requests that wait for their turn, and how long they do.
    pub max_waiting: usize,
    pub max_wait: Duration,
    pub health: Health,
}

/// The addresses of one FHIR server in the order of the configuration; there is at least one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Addresses {
    pub first: Address,
    pub others: Vec<Address>,
}

impl Addresses {
    pub fn iter(&self) -> impl Iterator<Item = &Address> {
        iter::once(&self.first).chain(&self.others)
    }

    /// What follows the base of one of them in `url`; where one base lies within another, the inner one is meant.
    pub fn below<'u>(&self, url: &'u str) -> Option<&'u str> {
        let others = self.others.iter().filter_map(|address| below(url, &address.base));
        others.chain(below(url, &self.first.base)).min_by_key(|rest| rest.len())
    }
}

/// One address of a FHIR server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// Its base without a trailing slash, as its own links begin: `http://127.0.0.1:8090/fhir`.
    pub base: String,
    /// `host` or `host:port` for the `Host` header.
    pub authority: String,
    pub host: String,
    pub port: u16,
    pub tls: bool,
    /// Path of the base, without a trailing slash; may be empty.
    pub base_path: String,
    pub key: AddressKey,
}

/// What follows `base` in `url`; none where it does not lie there.
pub fn below<'u>(url: &'u str, base: &str) -> Option<&'u str> {
    let rest = url.strip_prefix(base)?;
    (rest.is_empty() || rest.starts_with(['/', '?', '#'])).then_some(rest)
}

/// How https addresses are spoken to.
#[derive(Clone, Default)]
pub struct UpstreamTls {
    /// Private certificate authorities in PEM; without, the machine's own.
    pub ca: Option<Vec<u8>>,
    /// What the gate shows of itself.
    pub client: Option<ClientCertificate>,
    /// Whether TLS 1.2 is too old.
    pub only_1_3: bool,
}

/// A certificate of the gate's own, with its key.
#[derive(Clone)]
pub struct ClientCertificate {
    pub chain: Vec<CertificateDer<'static>>,
    pub resolver: Arc<SingleCertAndKey>,
    /// When the certificate ends, where that can be read.
    pub not_after: Option<UnixSeconds>,
}

impl PartialEq for UpstreamTls {
    /// A key that changes changes with its certificate.
    fn eq(&self, other: &Self) -> bool {
        self.ca == other.ca && self.only_1_3 == other.only_1_3 && {
            let chain = |tls: &Self| tls.client.as_ref().map(|client| client.chain.clone());
            chain(self) == chain(other)
        }
    }
}

/// When an address is left out, and when it is asked again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Health {
    pub check: Check,
    pub interval: Duration,
    pub timeout: Duration,
    /// Checks in a row that bring an address back, and that take it out.
    pub rise: u32,
    pub fall: u32,
    /// Requests in a row that failed and take an address out, for `out_for`; then one request tries it.
    pub failures: u32,
    pub out_for: Duration,
}

/// How an address is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Check {
    /// By what requests meet only.
    None,
    /// By a connection, with TLS where it has TLS.
    Connect,
    /// By a GET of `metadata`, which any answer below 500 passes.
    Metadata,
}

/// How the gate authenticates itself at the FHIR server.
#[derive(Clone)]
pub enum UpstreamAuth {
    None,
    /// The client's own token goes on.
    Passthrough,
    Bearer(SecretString),
    Basic {
        username: String,
        password: SecretString,
    },
    /// With a token that the gate gets itself.
    ClientCredentials(Arc<ServiceClient>),
}

/// The gate as a client of the authorization server that the FHIR server trusts (RFC 6749 §4.4).
pub struct ServiceClient {
    pub token_url: String,
    pub client_id: String,
    pub scope: Option<String>,
    pub proof: ClientProof,
}

/// How the gate proves itself there.
pub enum ClientProof {
    /// `client_secret_basic`.
    Secret(SecretString),
    /// `private_key_jwt`: a key in PKCS#8, and its `kid`.
    Key { der: SecretSlice<u8>, id: String, algorithm: SigningAlgorithm },
}
