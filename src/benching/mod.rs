//! The steps of a request, each as a plain function: what `benches/` times and counts. As the parts are private, they are called
//! here, in the way that the gate calls them.

#![expect(clippy::panic, reason = "what does not work ends the run")]

pub mod data;
mod steps;

pub use steps::{STEPS, Step};

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::ambient::{Ambient, UnixSeconds};
use crate::config::{Snapshot, load_str};
use crate::decide::{Decided, Grant, Permit, decide_in_mode};
use crate::fhir::interaction::{Request, classify};
use crate::fhir::target::Target;
use crate::guard::{Capabilities, Exchange, Guard, Pins, Waited, benching};
use crate::store::{KeyPurpose, SqliteStore, StoredKey};
use crate::token::{Claims, GateKeys, Revocations, Stamp, TokenCache};
use crate::upstream::UpstreamClient;

const NOW: UnixSeconds = 1_800_000_000;

/// Bytes of a token.
const TOKEN: usize = 900;

/// Tokens in the cache.
const TOKENS: usize = 1000;

const SCOPE: &str = "launch/patient openid fhirUser offline_access patient/Patient.rs patient/Observation.rs patient/Condition.rs \
                     patient/MedicationRequest.rs patient/AllergyIntolerance.rs";

const READ: &str = "/fhir/Observation/1";

const SEARCH_ALL: &str = "/fhir/Observation?patient=amy";

const SEARCH: &str =
    "/fhir/Observation?patient=amy&category=vital-signs&code=http://loinc.org%7C29463-7&_count=50&_sort=-date";

/// What the steps work on.
pub struct Bench {
    snapshot: Snapshot,
    grant: Arc<Grant>,
    token: String,
    tokens: TokenCache<Arc<Grant>>,
    revocations: Revocations,
    guard: Guard,
    waited: Waited,
    read: Asked,
    search: Asked,
    search_all: Asked,
    resource: Bytes,
    bundle: Bytes,
    large: Bytes,
}

/// A request with its decision.
struct Asked {
    request: Request,
    original: String,
    permit: Permit,
}

impl Bench {
    /// Everything in place; `folder` is for the store.
    ///
    /// # Panics
    /// Something cannot be had.
    pub fn new(folder: &Path) -> Self {
        let Ok(loaded) = load_str(include_str!("gate.toml"), folder) else { panic!("the configuration does not load") };
        let snapshot = loaded.snapshot;
        let Ok(grant) = Grant::of(claims(), &snapshot).map(Arc::new) else { panic!("there is no such client or user") };
        let tokens = TokenCache::new(snapshot.limits.token_cache);
        for number in 0..TOKENS {
            tokens.insert(&token_of(number), stamp(&snapshot), std::time::Duration::MAX, grant.clone());
        }
        let [read, search, search_all] = [READ, SEARCH, SEARCH_ALL].map(|raw| asked(&snapshot, &grant, raw));
        Self {
            token: token_of(TOKENS / 2),
            tokens,
            revocations: Revocations::new(),
            guard: guard(folder),
            waited: Waited::default(),
            read,
            search,
            search_all,
            resource: data::resource().into(),
            bundle: data::bundle(50).into(),
            large: data::bundle(1000).into(),
            snapshot,
            grant,
        }
    }

    /// Bytes that a step goes through, where that says how long it may take.
    pub fn bytes(&self, step: &str) -> Option<usize> {
        match step {
            "verify" => Some(self.resource.len()),
            "filter" => Some(self.bundle.len()),
            "filter-large" => Some(self.large.len()),
            _ => None,
        }
    }

    fn exchange<'a>(&'a self, asked: &'a Asked, headers: &'a HeaderMap) -> Exchange<'a> {
        Exchange {
            snapshot: &self.snapshot,
            grant: &self.grant,
            request: &asked.request,
            original: &asked.original,
            headers,
            request_id: "AAAAAAAAAAAAAAAAAAAAAA",
            body: Bytes::new(),
            waited: &self.waited,
            span: None,
        }
    }

    fn answer(&self, asked: &Asked, body: &Bytes) -> usize {
        let headers = HeaderMap::new();
        let answer = benching::answer(&self.guard, &self.exchange(asked, &headers), &asked.permit, body);
        match answer {
            Some(answer) if answer.status.is_success() && answer.removed == 0 => answer.body.len(),
            _ => panic!("the body is not let through"),
        }
    }
}

fn claims() -> Claims {
    Claims {
        issuer: "https://gate.example.org".into(),
        own: true,
        subject: "amy".into(),
        client: Some("growth-chart".into()),
        scope: SCOPE.split(' ').map(str::to_owned).collect(),
        patient: Some("amy".into()),
        encounter: None,
        fhir_user: Some("Patient/amy".into()),
        expires: i64::MAX,
        token_id: Some("AAAAAAAAAAAAAAAAAAAAAA".into()),
        grant: Some("BBBBBBBBBBBBBBBBBBBBBB".into()),
    }
}

fn token_of(number: usize) -> String {
    format!("{number:A>TOKEN$}")
}

fn stamp(snapshot: &Snapshot) -> Stamp {
    Stamp { configuration: snapshot.generation, clients: snapshot.clients.generation(), keys: 0 }
}

fn guard(folder: &Path) -> Guard {
    let ambient = Ambient::system();
    let key = StoredKey {
        id: "seal".to_owned(),
        purpose: KeyPurpose::Seal,
        algorithm: "A256GCM".to_owned(),
        secret: vec![7; 32],
        created: NOW,
        active_from: NOW,
        retired: None,
    };
    let (Ok(keys), Ok(store)) = (GateKeys::of(&[key], &ambient), SqliteStore::open(&folder.join("bench.db"))) else {
        panic!("no keys or no store")
    };
    // The random generator takes a while, and never the same, to seed itself when it is first used.
    if keys.seal(b"", b"").is_err() {
        panic!("no seal")
    }
    let upstream = Arc::new(UpstreamClient::new());
    Guard {
        upstream: upstream.clone(),
        elsewhere: UpstreamClient::new(),
        keys: Arc::new(keys),
        capabilities: Arc::new(Capabilities::default()),
        pins: Arc::new(Pins::new(upstream, Arc::new(store))),
        ambient,
    }
}

fn parsed(snapshot: &Snapshot, target: &Target) -> Option<(Request, String)> {
    let path: Vec<&str> = target.path.iter().skip(1).map(String::as_str).collect();
    let interaction = classify(snapshot.fhir.version, &Method::GET, &path, !target.query.is_empty()).ok()?;
    let request = Request::new(&Method::GET, interaction, &target.query, None, None).ok()?;
    let original = request.target(&path);
    Some((request, original))
}

fn asked(snapshot: &Snapshot, grant: &Grant, raw: &str) -> Asked {
    let target = Target::parse(raw, snapshot.limits.parameters).ok();
    let Some((request, original)) = target.and_then(|target| parsed(snapshot, &target)) else { panic!("{raw}") };
    match decide_in_mode(snapshot, grant, &request, NOW) {
        Ok(Decided::Enforced(permit)) => Asked { request, original, permit },
        _ => panic!("{raw} is not permitted"),
    }
}

#[cfg(test)]
mod tests {
    /// What is measured works, and what comes out of the filter is about as large as what went in.
    #[test]
    fn every_step_works() {
        let folder = tempfile::tempdir().unwrap();
        let bench = super::Bench::new(folder.path());
        for (name, step) in super::STEPS {
            let out = step(&bench);
            assert!(out > 0, "{name}");
            if let Some(bytes) = bench.bytes(name) {
                assert!(out.abs_diff(bytes) < bytes / 10, "{name}: {out} bytes of {bytes}");
            }
        }
    }
}
