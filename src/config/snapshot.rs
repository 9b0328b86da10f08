//! The compiled configuration: immutable, checked as a whole, one per request from its first byte to its last.
//!
//! Nothing here is read from a file; `file` and `compile` make it. Every value is in the form the request path needs it.

use std::collections::HashMap;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::sign::CertifiedKey;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{Brands, Clients, Oidc, Pages, RegistrationRules};
use crate::ambient::UnixSeconds;
use crate::fhir::{FhirVersion, ResourceType, Tables, TypeSet};
use crate::scope::{Letter, Scopes};
use crate::telemetry::{AuditSink, LogFormat, OnFull};

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
    pub store_url: StoreUrl,
    pub tokens: Tokens,
    pub audit: Audit,
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
    /// Certificate and key; whether there is one cannot change while running, the files' contents can.
    pub tls: Option<Tls>,
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

/// A server certificate that was read with the configuration.
#[derive(Clone)]
pub struct Tls {
    pub files: TlsFiles,
    /// The chain and the key that belongs to it.
    pub certified: Arc<CertifiedKey>,
}

/// PEM files of a server certificate chain and its private key.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// `[admin]`: where Prometheus and the orchestrator connect.
pub struct Admin {
    /// Cannot change while running.
    pub listen: Vec<SocketAddr>,
    pub token: Option<SecretString>,
    /// Host values accepted besides loopback names and addresses.
    pub hosts: Vec<String>,
}

/// `[fhir]`: the FHIR server behind the gate and how its data is divided among patients.
pub struct Fhir {
    /// Begins with `/`, no trailing slash.
    pub base_path: String,
    /// `public_url` + `base_path`: the `aud` of every token.
    pub public_base: String,
    pub version: FhirVersion,
    /// The specification's tables of `version`.
    pub tables: &'static Tables,
    pub upstream: Upstream,
    pub patient_data: PatientData,
    pub narrowing: Narrowing,
    /// Search parameter to narrow by, for single types.
    pub narrowing_by_type: HashMap<ResourceType, String>,
    /// Types that hold no patient's data.
    pub shared_types: TypeSet,
    /// Methods that a restricted grant may write by although the FHIR server does not obey `If-Match`, or nobody has tried
    /// (enforcement.md §2.7).
    pub unpinned_writes: UnpinnedWrites,
    /// Whether a restricted grant may create by PUT; tells whether an id is taken.
    pub upsert: bool,
    pub identity_headers: IdentityHeaders,
    /// Hosts besides the FHIR server's base that exported files are fetched from, by their origins.
    pub bulk_hosts: Vec<Upstream>,
}

impl Fhir {
    /// The bases under which an absolute reference means a resource of this server (enforcement.md §5).
    pub fn bases(&self) -> [&str; 2] {
        [&self.upstream.base, &self.public_base]
    }
}

/// Methods whose writes may meet a version that was not checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UnpinnedWrites {
    /// PATCH too, which goes up as a PUT.
    pub put: bool,
    pub delete: bool,
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

/// The FHIR server.
#[derive(Clone)]
pub struct Upstream {
    /// Its base without a trailing slash, as its own links begin: `http://127.0.0.1:8090/fhir`.
    pub base: String,
    /// `host` or `host:port` for the `Host` header.
    pub authority: String,
    pub host: String,
    pub port: u16,
    pub tls: bool,
    /// Path of the base, without a trailing slash; may be empty.
    pub base_path: String,
    pub auth: UpstreamAuth,
    /// Private certificate authorities for `https` upstreams, in PEM; without, the machine's own.
    pub ca: Option<Vec<u8>>,
    pub connect_timeout: Duration,
    /// Longest silence while reading an answer.
    pub read_timeout: Duration,
    /// How long an idle connection is kept; must be shorter than the upstream's own keep-alive.
    pub idle_timeout: Duration,
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
}

/// One `[[operations]]` entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OperationRow {
    /// Without the `$`.
    pub name: String,
    /// File and line.
    pub place: String,
    pub system: bool,
    pub of_type: bool,
    pub instance: bool,
    /// Types it is called on; at system level those whose scopes it needs.
    pub types: TypeSet,
    pub get: bool,
    pub post: bool,
    /// What it needs on each of its types.
    pub letter: Letter,
    /// How the patient is named; without it no token in a patient context may call it.
    pub patient: Option<PatientInput>,
    pub answer: OperationAnswer,
}

/// How the input of an operation says whom it is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PatientInput {
    /// By the resource in the path.
    Instance,
    /// By the parameter of this name.
    Parameter(String),
}

/// How the answer of an operator's operation is verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OperationAnswer {
    /// Entry by entry.
    Bundle,
    /// As one resource.
    Resource,
    /// Not at all.
    None,
}

/// Names of the headers that tell the FHIR server who asks; always set or removed, never passed.
#[derive(Clone, Default)]
pub struct IdentityHeaders {
    pub user: Option<http::HeaderName>,
    pub patient: Option<http::HeaderName>,
    pub client: Option<http::HeaderName>,
}

/// Which elements make a resource a patient's (enforcement.md §5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PatientData {
    Subject,
    Compartment,
}

/// How a search under a restricted grant is narrowed before it goes up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Narrowing {
    Parameter,
    Compartment,
    None,
}

/// `[store] url`; cannot change while running.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreUrl {
    Sqlite(PathBuf),
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
#[derive(Clone, PartialEq, Eq)]
pub struct Audit {
    /// Cannot change while running.
    pub sink: AuditSink,
    /// Cannot change while running.
    pub on_full: OnFull,
    /// Whether search values may be written.
    pub search_values: bool,
}

/// `[log]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    pub format: LogFormat,
    /// As in `RUST_LOG`.
    pub filter: String,
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
    /// Tokens kept verified; cannot change while running.
    pub token_cache: usize,
}

/// One `[[issuers]]` entry.
pub struct Issuer {
    pub issuer: String,
    pub audience: Vec<String>,
    pub keys: KeySource,
    pub algorithms: Vec<jsonwebtoken::Algorithm>,
    /// The ceiling of what this issuer may grant.
    pub scopes: Scopes,
    pub token_type: TokenType,
    /// For `iat` and `nbf`; `exp` has none.
    pub leeway: Duration,
    pub claims: ClaimNames,
    pub origins: Vec<String>,
}

/// Where an issuer's or a client's public keys come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeySource {
    /// A JWK set read with the configuration.
    Inline(Arc<str>),
    /// A URL of the operator's own configuration.
    Url(String),
    /// A URL that came from a client: it may lead to the public internet only.
    ClientUrl(String),
    /// `{issuer}/.well-known/openid-configuration` names the JWK set.
    Discovery(String),
}

/// The `typ` header that an issuer's access tokens carry (RFC 9068 §2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenType {
    AtJwt,
    Jwt,
}

/// Names of the claims that carry what SMART needs.
#[derive(Clone, Debug)]
pub struct ClaimNames {
    pub scope: String,
    pub patient: String,
    pub fhir_user: String,
    pub client: String,
}

/// One client.
pub struct Client {
    pub id: String,
    /// What a person reads on the consent page; the id where no name is given.
    pub name: String,
    pub auth: ClientAuth,
    pub redirect_uris: Vec<String>,
    /// Where an EHR launch sends the browser, exactly.
    pub launch_uris: Vec<String>,
    /// What it may be granted at most.
    pub scopes: Scopes,
    pub grant_types: Vec<GrantType>,
    pub origins: Vec<String>,
    pub consent: Consent,
    pub may_introspect: bool,
    /// Whether rules are enforced on it also in report mode.
    pub enforced: bool,
    /// Whether it is an EHR that launches apps, and how.
    pub launcher: Option<Launcher>,
    /// Whether it registered itself, and the operator has not approved it by a row.
    pub self_registered: bool,
    pub enabled: bool,
}

/// What an EHR may do that launches apps (SMART App Launch 2.2 app-launch, "Launch App: EHR Launch").
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Launcher {
    /// File and line of the client.
    pub place: String,
    /// For whom it may launch.
    pub users: LaunchUsers,
    /// How the browser is told from another one.
    pub binding: LaunchBinding,
    /// Origins of the EHR's pages that may hold this server's pages in a frame.
    pub frame_ancestors: Vec<String>,
}

/// The users for whom an EHR may launch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LaunchUsers {
    Any,
    These(Vec<String>),
}

impl LaunchUsers {
    /// Whether `username` is one of them.
    pub fn contains(&self, username: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(names) => names.iter().any(|name| name == username),
        }
    }
}

/// What shows at `/auth/authorize` that the browser is the one that the EHR sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LaunchBinding {
    /// A cookie that it got at the launch's `start_url`.
    Cookie,
    /// Nothing: whoever has the launch value is taken for the EHR's user.
    None,
}

/// How a client proves who it is at the token endpoint.
#[derive(Clone)]
pub enum ClientAuth {
    Public,
    /// SHA-256 of the secret.
    Secret([u8; 32]),
    PrivateKeyJwt(KeySource),
}

/// OAuth grant types that this gate has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GrantType {
    AuthorizationCode,
    RefreshToken,
    ClientCredentials,
}

/// Whether a person is asked before an app gets access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Consent {
    Ask,
    Granted,
}

/// One person with an account.
pub struct User {
    pub username: String,
    /// What the pages call them.
    pub name: String,
    /// PHC string of an argon2id hash.
    pub password_hash: String,
    /// `Patient/example`, `Practitioner/…`, as configured.
    pub fhir_user: Option<String>,
    pub patients: PatientChoice,
    pub enabled: bool,
}

/// Whom a user may choose as the patient in context.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub enum PatientChoice {
    These(Vec<String>),
    Any,
}

impl PatientChoice {
    /// A patient may choose themselves, a clinician anyone, and who is linked to patients those.
    pub fn of(fhir_user: Option<&str>, links: &HashMap<String, Vec<String>>) -> Self {
        match fhir_user.and_then(|reference| reference.split_once('/')) {
            Some(("Patient", id)) => Self::These(vec![id.to_owned()]),
            Some(("Practitioner" | "PractitionerRole", _)) => Self::Any,
            _ => Self::These(fhir_user.and_then(|person| links.get(person)).cloned().unwrap_or_default()),
        }
    }
}
