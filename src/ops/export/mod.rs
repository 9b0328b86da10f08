//! Audit lines as AuditEvents to a FHIR endpoint (`[audit.fhir]`).
//!
//! Lines wait in a [`Spool`] and are sent in their order, some at a time. What cannot be sent is tried again until it can, with
//! growing pauses; while the spool is full, requests wait or lines are shed, as `on_full` says. What the endpoint will never take is
//! put aside in the spool's folder, counted and logged. After a crash lines may be sent twice.

mod balp;
mod line;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::StatusCode;
use reqwest::{Certificate, Client, RequestBuilder};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::ambient::Ambient;
use crate::config::{AuditEndpoint, Snapshot, UpstreamAuth};
use crate::telemetry::{Batch, Metrics, Position, Spool};
use crate::token::root_cause;
use balp::Gate;
use line::Line;

/// Events that are sent in one request.
const TOGETHER: usize = 50;

/// How often the state of the spool is looked at while nothing comes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The pause after a failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Sends what the spool holds.
pub struct Exporter {
    config: Arc<ArcSwap<Snapshot>>,
    spool: Arc<Spool>,
    metrics: Metrics,
    ambient: Ambient,
    /// Lines that were read and not yet taken, and where those after them begin.
    pending: Batch,
    /// Made for a configuration.
    client: Option<(u64, Client)>,
}

/// What became of one event.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Fate {
    Taken,
    /// It was not looked at, because it came with others.
    Alone,
    /// It is not valid for this endpoint, and will not be next time.
    Never(StatusCode),
    Again(String),
}

impl Fate {
    fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            200..=299 => Self::Taken,
            400 | 409 | 412 | 413 | 422 => Self::Never(status),
            // A wrong address or wrong credentials are no fault of the event.
            _ => Self::Again(format!("it answered {status}")),
        }
    }
}

impl Exporter {
    pub fn new(config: Arc<ArcSwap<Snapshot>>, spool: Arc<Spool>, metrics: Metrics, ambient: Ambient) -> Self {
        Self { config, spool, metrics, ambient, pending: Batch::default(), client: None }
    }

    /// Goes on for ever.
    pub async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        let mut failing = false;
        loop {
            match self.step().await {
                Ok(true) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!("audit events are sent again");
                    }
                    pause = FIRST_PAUSE;
                }
                Ok(false) => {
                    // Nothing to do, or told that there is; a look now and then shows what is late.
                    let _ = timeout(LOOK_EVERY, self.spool.arrived.notified()).await;
                }
                Err(why) => {
                    self.metrics.audit_send_error();
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(%why, "audit events cannot be sent; trying again until they can");
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Sends some lines; whether there were any.
    async fn step(&mut self) -> Result<bool, String> {
        if self.pending.lines.is_empty() {
            self.pending = self.on_disk(|spool| spool.read(spool.position()?, TOGETHER)).await?;
        }
        self.show();
        if self.pending.lines.is_empty() {
            return Ok(false);
        }
        let snapshot = self.config.load_full();
        let Some(endpoint) = &snapshot.audit.fhir else {
            return Err("the configuration has no [audit.fhir] any more".to_owned());
        };
        let client = self.client(endpoint, snapshot.generation)?;
        let gate = Gate { base: &snapshot.fhir.public_base, url: &snapshot.server.public_url };
        let (mut lines, mut events) = (Vec::new(), Vec::new());
        for line in std::mem::take(&mut self.pending.lines) {
            match serde_json::from_slice::<Line>(&line) {
                Ok(read) => {
                    events.push(balp::event(&read, &gate));
                    lines.push(line);
                }
                Err(error) => self.reject(&line, &error.to_string()).await?,
            }
        }
        let fates = send(&client, endpoint, &events).await.unwrap_or_else(|why| vec![Fate::Again(why); events.len()]);
        let alone = events.len() == 1;
        let mut failed = None;
        for ((line, event), fate) in lines.into_iter().zip(&events).zip(fates) {
            let fate = match fate {
                // One by one, for an endpoint that takes no batches, and so that one bad event does not hold up the others.
                Fate::Alone | Fate::Never(_) if !alone && failed.is_none() => single(&client, endpoint, event).await,
                fate => fate,
            };
            match fate {
                Fate::Taken => self.metrics.audit_sent(),
                Fate::Never(status) => self.reject(&line, &format!("the endpoint answered {status}")).await?,
                Fate::Alone => self.pending.lines.push(line),
                Fate::Again(why) => {
                    failed = Some(why);
                    self.pending.lines.push(line);
                }
            }
        }
        match failed {
            Some(why) => Err(why),
            None => self.sent(self.pending.next).await.map(|()| true),
        }
    }

    fn client(&mut self, endpoint: &AuditEndpoint, generation: u64) -> Result<Client, String> {
        if let Some((of, client)) = &self.client
            && *of == generation
        {
            return Ok(client.clone());
        }
        let client = client(endpoint)?;
        self.client = Some((generation, client.clone()));
        Ok(client)
    }

    async fn sent(&self, position: Position) -> Result<(), String> {
        self.on_disk(move |spool| spool.sent(position)).await
    }

    async fn reject(&self, line: &[u8], why: &str) -> Result<(), String> {
        self.metrics.audit_rejected();
        tracing::error!(why, "an audit event was not taken; its line is put aside");
        let line = line.to_vec();
        self.on_disk(move |spool| spool.reject(&line)).await
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Spool) -> io::Result<T> + Send + 'static,
    ) -> Result<T, String> {
        let spool = self.spool.clone();
        let done = tokio::task::spawn_blocking(move || work(&spool)).await.map_err(|error| error.to_string())?;
        done.map_err(|error| format!("the spool cannot be used: {error}"))
    }

    /// Shows how much waits, and for how long the oldest has.
    fn show(&self) {
        let oldest = self.pending.lines.first().and_then(|line| serde_json::from_slice::<Line>(line).ok());
        let recorded = oldest.and_then(|line| line.time.parse::<jiff::Timestamp>().ok());
        let age = recorded.map_or(0, |at| self.ambient.now().saturating_sub(at.as_second()).max(0));
        self.metrics.audit_backlog(self.spool.waiting(), age);
    }
}

fn client(endpoint: &AuditEndpoint) -> Result<Client, String> {
    // As everywhere: only the configuration says where the gate connects.
    let mut builder = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().timeout(TIMEOUT);
    if let Some(ca) = &endpoint.ca {
        builder = builder.tls_certs_only(Certificate::from_pem_bundle(ca).map_err(|error| error.to_string())?);
    }
    builder.build().map_err(|error| error.to_string())
}

/// One event alone, or several in a batch; a fate for each, in their order.
///
/// # Errors
/// The request as a whole came to nothing.
async fn send(client: &Client, endpoint: &AuditEndpoint, events: &[Value]) -> Result<Vec<Fate>, String> {
    if let [event] = events {
        return Ok(vec![single(client, endpoint, event).await]);
    }
    let entry = |event| json!({ "resource": event, "request": { "method": "POST", "url": "AuditEvent" } });
    let entries: Vec<Value> = events.iter().map(entry).collect();
    let batch = json!({ "resourceType": "Bundle", "type": "batch", "entry": entries });
    let (status, body) = post(client, endpoint, "", &batch).await?;
    match Fate::of(status) {
        Fate::Taken => Ok(fates(&body, events.len())),
        Fate::Again(why) if !matches!(status.as_u16(), 404 | 405 | 415 | 501) => Err(why),
        _ => Ok(vec![Fate::Alone; events.len()]),
    }
}

async fn single(client: &Client, endpoint: &AuditEndpoint, event: &Value) -> Fate {
    match post(client, endpoint, "/AuditEvent", event).await {
        Ok((status, _)) => Fate::of(status),
        Err(why) => Fate::Again(why),
    }
}

/// What a batch-response says of each entry.
fn fates(body: &[u8], count: usize) -> Vec<Fate> {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let status = |index: usize| {
        let status = answer.pointer(&format!("/entry/{index}/response/status"))?.as_str()?;
        StatusCode::from_bytes(status.get(..3)?.as_bytes()).ok()
    };
    (0..count).map(|index| status(index).map_or(Fate::Alone, Fate::of)).collect()
}

async fn post(
    client: &Client,
    endpoint: &AuditEndpoint,
    path: &str,
    body: &Value,
) -> Result<(StatusCode, Vec<u8>), String> {
    let request = client.post(format!("{}{path}", endpoint.url)).body(body.to_string());
    let request = request.header(http::header::CONTENT_TYPE, "application/fhir+json");
    let request = request.header(http::header::ACCEPT, "application/fhir+json");
    let told = |error: reqwest::Error| root_cause(&error.without_url());
    let mut answer = authorized(request, &endpoint.auth).send().await.map_err(told)?;
    let mut read = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(told)? {
        if read.len().saturating_add(chunk.len()) > MAX_ANSWER {
            return Err("its answer is too large".to_owned());
        }
        read.extend_from_slice(&chunk);
    }
    Ok((answer.status(), read))
}

fn authorized(request: RequestBuilder, auth: &UpstreamAuth) -> RequestBuilder {
    match auth {
        UpstreamAuth::Bearer(token) => request.bearer_auth(token.expose_secret()),
        UpstreamAuth::Basic { username, password } => request.basic_auth(username, Some(password.expose_secret())),
        UpstreamAuth::None | UpstreamAuth::Passthrough | UpstreamAuth::ClientCredentials(_) => request,
    }
}
