//! The CapabilityStatement: the upstream's own, with the gate's URLs and security section, from a copy refreshed in the
//! background (enforcement.md §3, `metadata`).

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
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
    /// As the upstream said it.
    statement: Value,
    /// The URLs that `body` was written for.
    public_url: String,
    public_base: String,
    body: Bytes,
}

impl Copy {
    fn new(statement: Value, snapshot: &Snapshot) -> Self {
        let mut own = statement.clone();
        rewrite(&mut own, snapshot);
        Self {
            addresses: snapshot.fhir.upstream.addresses.clone(),
            statement,
            public_url: snapshot.server.public_url.clone(),
            public_base: snapshot.fhir.public_base.clone(),
            body: Bytes::from(own.to_string()),
        }
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
        let copy = Copy::new(copy.statement.clone(), snapshot);
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
        let unreadable = |why: String| rules::UPSTREAM_UNREADABLE.refuse().because(why);
        let statement: Value = serde_json::from_slice(&body).map_err(|error| unreadable(error.to_string()))?;
        if statement.get("resourceType").and_then(Value::as_str) != Some("CapabilityStatement") {
            return Err(unreadable("no CapabilityStatement".to_owned()));
        }
        self.copy.store(Some(Arc::new(Copy::new(statement, snapshot))));
        Ok(())
    }
}

/// Puts the gate's URL and security section in the place of the upstream's.
fn rewrite(statement: &mut Value, snapshot: &Snapshot) {
    let base = &snapshot.fhir.public_base;
    if let Some(statement) = statement.as_object_mut() {
        statement.remove("url");
        // No message passes the gate, and its endpoints are addresses behind it.
        statement.remove("messaging");
        let implementation = statement
            .entry("implementation")
            .or_insert_with(|| json!({ "description": "FHIR server behind Smartgate" }));
        if let Some(implementation) = implementation.as_object_mut() {
            implementation.insert("url".to_owned(), Value::from(base.as_str()));
        }
    }
    for rest in statement.get_mut("rest").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(rest) = rest.as_object_mut() {
            rest.insert("security".to_owned(), security(&snapshot.server.public_url));
        }
    }
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
