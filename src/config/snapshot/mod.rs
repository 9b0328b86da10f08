//! The compiled configuration: immutable, checked as a whole, one per request from its first byte to its last.
//!
//! Nothing here is read from a file; `compile` makes it. Every value is in the form the request path needs it.

mod fhir;
mod parties;
mod upstream;

use std::collections::HashMap;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::{self, HeaderName};
use rustls::ServerConfig;
use secrecy::SecretString;

use super::{Brands, Clients, Oidc, Pages, RegistrationRules};
use crate::address::Networks;
use crate::ambient::UnixSeconds;
use crate::telemetry::{AuditSink, LogFormat, OnFull, Sampling};

pub use fhir::*;
pub use parties::*;
pub use upstream::*;

/// One consistent configuration.
pub struct Snapshot {
    /// Counts up by one with every snapshot that takes effect; what was derived from an older one is stale.
    pub generation: u64,
    pub server: Server,
    pub admin: Admin,
    pub fhir: Fhir,
    pub enforcement: Enforcement,
    /// Operations that pass besides the built-in ones.
    pub operations: Vec<OperationRow>,
    pub store: StoreSettings,
    pub tokens: Tokens,
    pub audit: Audit,
    /// Where spans go; none where no request is recorded.
    pub traces: Option<Traces>,
    /// Cannot change while running.
    pub log: Log,
    pub limits: Limits,
    /// Other authorization servers whose tokens are accepted, by their `iss`.
    pub issuers: HashMap<String, Arc<Issuer>>,
    pub clients: Clients,
    /// How apps register themselves; none where they cannot.
    pub registration: Option<RegistrationRules>,
    /// Origins that URLs from clients may lead to although they are not public.
    pub fetch_allow: HashSet<String>,
    /// Local users by username.
    pub users: HashMap<String, Arc<User>>,
    /// Where people log in who are no local users.
    pub oidc: Option<Arc<Oidc>>,
    pub pages: Pages,
    /// The organisations behind this server, for apps to show.
    pub brands: Option<Arc<Brands>>,
    /// Patients by `RelatedPerson/id` or `Person/id`.
    pub links: HashMap<String, Vec<String>>,
    /// Origins of issuers and of the configuration's clients; [`Snapshot::knows_origin`] knows all.
    pub(super) origins: HashSet<String>,
}

/// `[server]`: where apps connect.
pub struct Server {
    /// Cannot change while running.
    pub listen: Vec<SocketAddr>,
    /// Without a trailing slash; issuer of the gate's own tokens and root of every published URL.
    pub public_url: String,
    /// How TLS is spoken; none where it ends before the gate.
    pub tls: Option<Tls>,
    /// Proxies whose word on who asks counts.
    pub forwarded: Option<Forwarded>,
    /// Load balancers that begin each connection with the PROXY protocol.
    pub proxy_protocol: Networks,
    /// Connections that are open at a time.
    pub max_connections: usize,
    /// The same of one address, of IPv6 of one /64; load balancers are not counted.
    pub max_connections_per_address: usize,
    /// How long to go on serving after `/readyz` turned red, before the listeners close.
    pub drain_delay: Duration,
    /// How long requests in flight may take to finish after the listeners closed.
    pub drain_timeout: Duration,
    /// How long a connection without a request is kept; of HTTP/2 as it was at the start.
    pub idle_timeout: Duration,
    /// Longest silence of a client in the middle of a request or of its answer.
    pub client_timeout: Duration,
    /// Longest time that a request may take to arrive: its head, and again its body.
    pub request_timeout: Duration,
    /// Worker threads; cannot change while running.
    pub threads: usize,
}

/// TLS as it was read with the configuration: certificates, versions, and what is asked of clients.
#[derive(Clone)]
pub struct Tls {
    pub server: Arc<ServerConfig>,
    /// The end of the certificate that ends first, where that can be read.
    pub not_after: Option<UnixSeconds>,
}

/// Whose word on a client's address counts, and in which header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Forwarded {
    pub from: Networks,
    pub header: ForwardedHeader,
}

/// A header by which proxies tell of whom they heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ForwardedHeader {
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

impl ForwardedHeader {
    pub fn name(self) -> HeaderName {
        match self {
            Self::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
            Self::Forwarded => header::FORWARDED,
        }
    }
}

/// `[admin]`: where Prometheus and the orchestrator connect.
pub struct Admin {
    /// Cannot change while running.
    pub listen: Vec<SocketAddr>,
    pub token: Option<SecretString>,
    /// Bytes of audit lines that are held for the search where there is a token.
    pub recent: usize,
    /// Host values accepted besides loopback names and addresses.
    pub hosts: Vec<String>,
}

/// `[enforcement]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Enforcement {
    /// Report mode, where it is configured; whether it is on depends on the time (enforcement.md §9).
    pub report: Option<Report>,
}

/// How long report mode lasts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// From this moment on rules are enforced.
    pub until: UnixSeconds,
    /// The day as the operator wrote it.
    pub day: String,
}

/// `[store]`.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// Cannot change while running.
    pub url: StoreUrl,
    /// How long the gate goes on to take its own tokens after it last heard from the store what is revoked.
    pub stale_max: Duration,
}

/// Which store it is, and all that belongs to it.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    Sqlite(PathBuf),
    Postgres(Box<Postgres>),
}

/// A PostgreSQL database.
#[derive(Clone, PartialEq, Eq)]
pub struct Postgres {
    /// The URL without its `sslmode`, and the password.
    pub config: tokio_postgres::Config,
    pub tls: StoreTls,
    /// The authorities that the server's certificate must come from, PEM; None means the system's.
    pub ca: Option<Vec<u8>>,
    /// Connections held open at most, one more that listens not counted.
    pub connections: usize,
    /// Longest time for one operation, waiting for a connection included.
    pub timeout: Duration,
}

/// `sslmode` of the store's URL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreTls {
    Disable,
    /// TLS where the server offers it; whoever is in the way can keep it from that.
    Prefer,
    Require,
    VerifyFull,
}

/// `[tokens]`.
pub struct Tokens {
    pub algorithm: SigningAlgorithm,
    pub access_lifetime: Duration,
    pub backend_lifetime: Duration,
    /// How long an authorization code lives.
    pub code_lifetime: Duration,
    /// How long a refresh token lives that nobody uses; each use gives a new one.
    pub refresh_lifetime: Duration,
    /// How long after the login `online_access` ends.
    pub session_lifetime: Duration,
    /// How long a new signing key is published before it signs.
    pub key_overlap: Duration,
}

/// Algorithm of the gate's own access tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SigningAlgorithm {
    Es256,
    Es384,
    Rs256,
    Rs384,
}

/// `[audit]`.
pub struct Audit {
    /// Cannot change while running.
    pub sink: AuditSink,
    /// Cannot change while running.
    pub on_full: OnFull,
    /// Whether search values may be written.
    pub search_values: bool,
    /// Where lines go as AuditEvents, too; whether anywhere cannot change while running.
    pub fhir: Option<AuditEndpoint>,
}

/// `[audit.fhir]`: a FHIR server that keeps AuditEvents.
pub struct AuditEndpoint {
    /// Its base, without a trailing slash.
    pub url: String,
    /// Never `Passthrough`.
    pub auth: UpstreamAuth,
    /// Private certificate authorities in PEM; without, the machine's own.
    pub ca: Option<Vec<u8>>,
    /// The folder where lines wait; cannot change while running.
    pub spool: PathBuf,
    /// How many bytes may wait there; cannot change while running.
    pub spool_bytes: u64,
}

/// `[traces]`: a collector that takes spans.
pub struct Traces {
    /// With its path.
    pub url: String,
    pub sampling: Sampling,
    /// What the gate is called there.
    pub service: String,
    /// Secrets, mostly: they are what the gate proves itself with.
    pub headers: HeaderMap,
    /// Private certificate authorities in PEM; without, the machine's own.
    pub ca: Option<Vec<u8>>,
}

/// `[log]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    pub format: LogFormat,
    /// As in `RUST_LOG`.
    pub filter: String,
}

/// How fast requests may come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    pub per_second: NonZeroU32,
    /// How many may come at once after a pause.
    pub burst: NonZeroU32,
}

/// `[limits]`: the bounds of memory and work for one request.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request body the gate holds.
    pub request_body: usize,
    /// Bytes of an answer the gate holds to verify it.
    pub response_body: usize,
    /// Bytes of a request target.
    pub target: usize,
    /// Bytes of the `Authorization` header.
    pub authorization: usize,
    /// Search parameters in one request.
    pub parameters: usize,
    /// Cap on `_count` under a restricted grant.
    pub count: usize,
    /// Upstream pages read to fill one page of a restricted search.
    pub scan_pages: usize,
    /// References of a written body that are looked up under a restricted grant.
    pub write_references: usize,
    /// Resources that are looked up for one answer, to tell whether a Provenance or a Binary may be seen.
    pub look_ups: usize,
    /// Entries of a batch or transaction.
    pub bundle_entries: usize,
    /// Nesting of a JSON body.
    pub json_depth: usize,
    /// How fast requests with a token may come of one client, unless its own says otherwise; none means as fast as they like.
    pub client_rate: Option<Rate>,
    /// How fast requests may come from one address, of IPv6 from one /64.
    pub address_rate: Option<Rate>,
    /// Tokens kept verified; cannot change while running.
    pub token_cache: usize,
}
