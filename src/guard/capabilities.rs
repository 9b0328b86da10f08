//! The CapabilityStatement: the upstream's own, with the gate's URLs and security section, from a copy refreshed in the
//! background (enforcement.md §3, `metadata`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::{Answer, upstream_refusal};
use crate::config::{Addresses, Snapshot};
use crate::decide::{Refusal, capabilities_lookup, request as rules};
use crate::upstream::UpstreamClient;

/// Extension that older clients read the endpoints from (SMART App Launch 1.0, conformance).
const OAUTH_URIS: &str = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris";

/// How long a request waits for the first copy, and how long nobody asks again after that was in vain.
const PATIENCE: Duration = Duration::from_secs(10);
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The copy.
#[derive(Default)]
pub struct Capabilities {
    copy: ArcSwapOption<Copy>,
    /// Held by the one who fetches the first copy; when that failed last, and why.
    fetching: Mutex<Option<(Instant, Refusal)>>,
}

struct Copy {
    addresses: Arc<Addresses>,
    /// As the upstream said it. Some are of hundreds of kilobytes, and several times that as values.
    statement: Bytes,
    /// The URLs that `body` was written for.
    public_url: String,
    public_base: String,
    body: Bytes,
}

impl Copy {
    /// The upstream's statement in the gate's words.
    ///
    /// # Errors
    /// It is no CapabilityStatement.
    fn new(statement: Bytes, snapshot: &Snapshot) -> Result<Self, Refusal> {
        let (public_url, public_base) = (snapshot.server.public_url.clone(), snapshot.fhir.public_base.clone());
        let body = rewritten(&statement, &public_url, &public_base)
            .map_err(|error| rules::UPSTREAM_UNREADABLE.refuse().because(format!("no CapabilityStatement: {error}")))?;
        Ok(Self { addresses: snapshot.fhir.upstream.addresses.clone(), statement, public_url, public_base, body })
    }

    fn is_written_for(&self, snapshot: &Snapshot) -> bool {
        self.public_url == snapshot.server.public_url && self.public_base == snapshot.fhir.public_base
    }
}

impl Capabilities {
    /// The copy. The first one is fetched, by one request for all that wait for it; a configuration with other public URLs gets it
    /// written anew.
    ///
    /// # Errors
    /// There is none yet of this FHIR server, and it does not give one.
    pub async fn answer(&self, upstream: &UpstreamClient, snapshot: &Snapshot) -> Result<Answer, Refusal> {
        let copy = match self.known(snapshot) {
            Some(copy) => copy,
            None => Box::pin(timeout(PATIENCE, self.first(upstream, snapshot)))
                .await
                .unwrap_or_else(|_| Err(rules::UPSTREAM_TIMEOUT.refuse().because("no CapabilityStatement yet")))?,
        };
        if copy.is_written_for(snapshot) {
            return Ok(Answer::fhir(StatusCode::OK, copy.body.clone()));
        }
        let copy = Copy::new(copy.statement.clone(), snapshot)?;
        let body = copy.body.clone();
        self.copy.store(Some(Arc::new(copy)));
        Ok(Answer::fhir(StatusCode::OK, body))
    }

    /// Whether a copy of the present FHIR server is there.
    pub fn is_known(&self, snapshot: &Snapshot) -> bool {
        self.known(snapshot).is_some()
    }

    fn known(&self, snapshot: &Snapshot) -> Option<Arc<Copy>> {
        self.copy.load_full().filter(|copy| copy.addresses == snapshot.fhir.upstream.addresses)
    }

    async fn first(&self, upstream: &UpstreamClient, snapshot: &Snapshot) -> Result<Arc<Copy>, Refusal> {
        let mut failed = self.fetching.lock().await;
        if let Some(copy) = self.known(snapshot) {
            return Ok(copy);
        }
        if let Some((at, refusal)) = failed.as_ref()
            && at.elapsed() < RETRY_AFTER
        {
            return Err(refusal.clone());
        }
        let fetched = self.refresh(upstream, snapshot).await;
        *failed = fetched.err().map(|refusal| (Instant::now(), refusal));
        let unknown = || rules::UPSTREAM_UNREACHABLE.refuse().because("no copy of the CapabilityStatement yet");
        self.known(snapshot).ok_or_else(|| failed.as_ref().map_or_else(unknown, |(_, refusal)| refusal.clone()))
    }

    /// Fetches the upstream's statement and keeps it in the gate's words.
    ///
    /// # Errors
    /// The upstream does not answer, or not with a CapabilityStatement; the last copy stays.
    pub async fn refresh(&self, upstream: &UpstreamClient, snapshot: &Snapshot) -> Result<(), Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::ACCEPT, http::HeaderValue::from_static(crate::fhir::outcome::FHIR_JSON));
        let mut answer = upstream
            .send(&snapshot.fhir.upstream, &capabilities_lookup(), headers, None, None)
            .await
            .map_err(|error| upstream_refusal(&error))?;
        if answer.status != StatusCode::OK {
            return Err(super::own_words(answer.status));
        }
        let body = answer.collect(snapshot.limits.response_body).await.map_err(|error| upstream_refusal(&error))?;
        self.copy.store(Some(Arc::new(Copy::new(body, snapshot)?)));
        Ok(())
    }
}

/// An object whose members are known by name and otherwise not looked at.
type Members<'a> = BTreeMap<String, &'a RawValue>;

/// Puts the gate's URL and security section in the place of the upstream's.
fn rewritten(statement: &[u8], public_url: &str, public_base: &str) -> serde_json::Result<Bytes> {
    let mut members: Members<'_> = serde_json::from_slice(statement)?;
    let of = members.get("resourceType").map(|of| serde_json::from_str::<String>(of.get())).transpose()?;
    if of.as_deref() != Some("CapabilityStatement") {
        return Err(serde::de::Error::custom("its resourceType is another"));
    }
    members.remove("url");
    // No message passes the gate, and its endpoints are addresses behind it.
    members.remove("messaging");
    let implementation = match members.get("implementation") {
        Some(implementation) => serde_json::from_str(implementation.get())?,
        None => BTreeMap::from([("description".to_owned(), Value::from("FHIR server behind Smartgate"))]),
    };
    let implementation = with_url(implementation, public_base)?;
    members.insert("implementation".to_owned(), &implementation);
    let security = to_raw_value(&security(public_url))?;
    let rest = members.get("rest").map(|rest| secured(rest, &security)).transpose()?;
    if let Some(rest) = &rest {
        members.insert("rest".to_owned(), rest);
    }
    Ok(Bytes::from(serde_json::to_vec(&members)?.into_boxed_slice()))
}

fn with_url(mut implementation: BTreeMap<String, Value>, url: &str) -> serde_json::Result<Box<RawValue>> {
    implementation.insert("url".to_owned(), Value::from(url));
    to_raw_value(&implementation)
}

/// `CapabilityStatement.rest` with another security section.
fn secured(rest: &RawValue, security: &RawValue) -> serde_json::Result<Box<RawValue>> {
    let mut rest: Vec<Members<'_>> = serde_json::from_str(rest.get())?;
    for rest in &mut rest {
        rest.insert("security".to_owned(), security);
    }
    to_raw_value(&rest)
}

fn security(public_url: &str) -> Value {
    let endpoint = |name: &str, path: &str| json!({ "url": name, "valueUri": format!("{public_url}{path}") });
    json!({
        "cors": true,
        "service": [{
            "coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                "code": "SMART-on-FHIR",
            }],
            "text": "OAuth2 using SMART-on-FHIR profile",
        }],
        "extension": [{
            "url": OAUTH_URIS,
            "extension": [
                endpoint("authorize", "/auth/authorize"),
                endpoint("token", "/auth/token"),
                endpoint("introspect", "/auth/introspect"),
                endpoint("revoke", "/auth/revoke"),
            ],
        }],
    })
}

#[cfg(test)]
#[path = "capabilities_tests.rs"]
mod tests;
