//! What one request was and what became of it: the audit line, the metrics, the log.

mod span;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use pingora::http::RequestHeader;
use tokio::time::Instant;

use super::cors::{self, Origins};
use crate::address::ClientAddress;
use crate::ambient::{Ambient, UnixSeconds};
use crate::config::Snapshot;
use crate::decide::{Decided, Grant, Permit, Refusal, UpstreamRequest};
use crate::fhir::interaction::{Interaction, Request};
use crate::guard::{EntryAnswer, Waited, Would};
use crate::telemetry::{AuditLog, AuditRecord, DecisionRecord, Metrics, PathTaken, Span};

/// The rule of an answer that could not be finished.
pub const ANSWER_CUT_OFF: &str = "answer-cut-off";

/// The interaction of a request that did not get as far as to have one.
const NOTHING: &str = "none";

/// One request being answered.
pub(super) struct Visit {
    pub(super) request_id: String,
    /// Who asks, where the connection has an address.
    pub(super) address: Option<ClientAddress>,
    pub(super) method: Method,
    pub(super) origin: Option<HeaderValue>,
    pub(super) origins: Origins,
    pub(super) waited: Arc<Waited>,
    /// What enforcement would have done, in report mode.
    pub(super) would: Would,
    /// The request's, if it is recorded.
    pub(super) span: Option<Span>,
    pub(super) time: UnixSeconds,
    pub(super) started: Instant,
    grant: Option<Arc<Grant>>,
    interaction: &'static str,
    /// The path of an endpoint of the authorization server.
    endpoint: Option<&'static str>,
    resource_type: Option<&'static str>,
    resource_id: Option<String>,
    parameters: Vec<String>,
    query: Option<String>,
    sent: Option<String>,
    path: PathTaken,
    /// Whether the decision let it pass; none while there was no decision.
    permitted: Option<bool>,
    rule: &'static str,
    detail: Option<String>,
    status: StatusCode,
    upstream_status: Option<StatusCode>,
    removed: usize,
    entries: Vec<EntryAnswer>,
}

impl Visit {
    pub(super) fn new(ambient: &Ambient, request: &RequestHeader, address: Option<ClientAddress>) -> Self {
        Self {
            request_id: ambient.id(),
            method: request.method.clone(),
            origin: request.headers.get(header::ORIGIN).cloned(),
            origins: Origins::Registered,
            waited: Arc::default(),
            would: Would::default(),
            span: None,
            time: ambient.now(),
            started: Instant::now(),
            address,
            grant: None,
            interaction: NOTHING,
            endpoint: None,
            resource_type: None,
            resource_id: None,
            parameters: Vec::new(),
            query: None,
            sent: None,
            path: PathTaken::Answer,
            permitted: None,
            rule: "",
            detail: None,
            status: StatusCode::INTERNAL_SERVER_ERROR,
            upstream_status: None,
            removed: 0,
            entries: Vec::new(),
        }
    }

    pub(super) fn auth_endpoint(&mut self, endpoint: &'static str) {
        self.path = PathTaken::Auth;
        self.interaction = "auth";
        self.endpoint = Some(endpoint);
    }

    pub(super) fn preflight(&mut self) {
        self.interaction = "preflight";
        self.permitted = Some(true);
        self.rule = "public";
    }

    pub(super) fn granted(&mut self, grant: &Arc<Grant>) {
        self.grant = Some(grant.clone());
    }

    pub(super) fn interaction(&mut self, request: &Request) {
        self.interaction = request.interaction.name();
        self.resource_type = request.interaction.resource_type().map(|of| of.name());
        if let Interaction::Operation { name, .. } = &request.interaction {
            // Which one it was tells an auditor more than that it was one; the metric's label stays bounded.
            self.detail = Some(format!("${name}"));
        }
        self.resource_id = request.interaction.resource_id().map(str::to_owned);
        self.parameters = parameters(request);
    }

    /// What was asked, search values and all.
    pub(super) fn asked(&mut self, original: &str) {
        self.query = Some(original.to_owned());
    }

    /// What goes to the FHIR server first.
    pub(super) fn sends(&mut self, permit: &Permit, search_values: bool) {
        self.sent = permit.request().map(|request| line_of(request, search_values));
    }

    pub(super) fn permitted(&mut self, permit: &Permit) {
        self.permitted = Some(true);
        self.rule = permit.rule();
        self.path = match permit.path() {
            "stream" => PathTaken::Stream,
            "guard" => PathTaken::Guard,
            _ => PathTaken::Answer,
        };
    }

    pub(super) fn decided(&mut self, decided: &Decided) {
        self.permitted(decided.permit());
        self.rule = decided.rule();
        if let Decided::Reported(reported) = decided {
            self.would.rule = reported.rule();
        }
    }

    pub(super) fn refused(&mut self, refusal: &Refusal) {
        self.permitted = Some(false);
        self.rule = refusal.rule.name;
        let entry = refusal.entry.map(|index| format!("entry {index}"));
        let why = entry.into_iter().chain(refusal.detail.clone().or(self.detail.take())).collect::<Vec<_>>();
        self.detail = (!why.is_empty()).then(|| why.join(": "));
    }

    /// The id that a created resource got, from the `Location` of its answer.
    pub(super) fn created(&mut self, headers: &HeaderMap) {
        let Some(of) = self.resource_type.filter(|_| self.resource_id.is_none()) else { return };
        let location = headers.get(header::LOCATION).and_then(|location| location.to_str().ok()).unwrap_or_default();
        let mut segments = location.split('/').skip_while(|segment| *segment != of);
        self.resource_id = segments.nth(1).map(str::to_owned);
    }

    /// A permitted request whose answer turned out to be a denial.
    pub(super) fn denied(&mut self, rule: &'static str) {
        self.permitted = Some(false);
        self.rule = rule;
    }

    pub(super) fn answered(&mut self, status: StatusCode, upstream: Option<StatusCode>, removed: usize) {
        self.status = status;
        self.upstream_status = upstream;
        self.removed = removed;
    }

    /// What became of each entry of a Bundle.
    pub(super) fn entries(&mut self, entries: Vec<EntryAnswer>) {
        self.entries = entries;
    }

    /// An answer that could not be finished.
    pub(super) fn cut_off(&mut self, why: &str) {
        tracing::warn!(request_id = self.request_id, why, "an answer was cut off");
        self.permitted = Some(false);
        self.rule = ANSWER_CUT_OFF;
        self.detail = Some(why.to_owned());
    }

    pub(super) fn origins(&self, snapshot: &Snapshot) -> Origins {
        match (&self.grant, &self.origins) {
            (Some(grant), Origins::Registered) => {
                cors::of_client(snapshot, grant.claims.client.as_deref(), &grant.claims.issuer)
            }
            (_, origins) => origins.clone(),
        }
    }

    /// Writes the audit line and counts. An authorization server's request has its own audit events.
    pub(super) async fn record(&self, metrics: &Metrics, audit: &AuditLog) {
        let outcome = match self.permitted {
            Some(true) => "permitted",
            Some(false) => "refused",
            None => "answered",
        };
        let total = self.started.elapsed();
        let upstream = self.waited.so_far();
        let gate = total.saturating_sub(upstream.unwrap_or_default());
        metrics.request(self.interaction, outcome, self.path, gate, upstream);
        if self.permitted == Some(false) {
            metrics.refused(self.rule);
        }
        if self.removed > 0 {
            metrics.removed(self.removed as u64);
        }
        metrics.reported(self.would.rule, self.would.removed as u64);
        if self.permitted.is_none() {
            return;
        }
        for entry in &self.entries {
            metrics.entry(entry.interaction(), entry.permitted);
            if !entry.permitted {
                metrics.refused(entry.rule);
            }
        }
        let micros = |duration: std::time::Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let claims = self.grant.as_ref().map(|grant| &grant.claims);
        let record = DecisionRecord {
            time: self.time,
            request_id: &self.request_id,
            issuer: claims.map(|claims| &*claims.issuer),
            client: claims.and_then(|claims| claims.client.as_deref()),
            subject: claims.map(|claims| claims.subject.as_str()),
            fhir_user: claims.and_then(|claims| claims.fhir_user.as_deref()),
            patient: claims.and_then(|claims| claims.patient.as_deref()),
            address: self.address,
            method: self.method.as_str(),
            interaction: self.interaction,
            resource_type: self.resource_type,
            resource_id: self.resource_id.as_deref(),
            parameters: &self.parameters,
            query: self.query.as_deref(),
            sent: self.sent.as_deref(),
            decision: decision(self.permitted == Some(true)),
            rule: self.rule,
            detail: self.detail.as_deref(),
            would: self.would.rule,
            would_remove: self.would.removed,
            status: self.status.as_u16(),
            path: self.path.label(),
            removed: self.removed,
            upstream_status: self.upstream_status.map(|status| status.as_u16()),
            gate_micros: Some(micros(gate)),
            upstream_micros: upstream.map(micros),
            entry: None,
        };
        audit.record(AuditRecord::Decision(record.clone())).await;
        for (index, entry) in self.entries.iter().enumerate() {
            let parameters = entry.request.as_ref().map(parameters).unwrap_or_default();
            audit.record(AuditRecord::Decision(line(&record, index, entry, &parameters))).await;
        }
    }
}

/// The line of one entry, below that of the whole: who asked is said again, so that each line can be searched by itself.
fn line<'a>(
    whole: &DecisionRecord<'a>,
    index: usize,
    entry: &'a EntryAnswer,
    parameters: &'a [String],
) -> DecisionRecord<'a> {
    let request = entry.request.as_ref();
    DecisionRecord {
        entry: Some(index),
        method: request.map_or("", |request| request.method.as_str()),
        interaction: entry.interaction(),
        resource_type: request.and_then(|request| request.interaction.resource_type()).map(|of| of.name()),
        resource_id: request.and_then(|request| request.interaction.resource_id()),
        parameters,
        query: None,
        sent: None,
        decision: decision(entry.permitted),
        rule: entry.rule,
        detail: entry.detail.as_deref(),
        would: None,
        would_remove: 0,
        status: entry.status.as_u16(),
        path: entry.path,
        removed: entry.removed,
        upstream_status: entry.upstream_status.map(|status| status.as_u16()),
        gate_micros: None,
        upstream_micros: None,
        ..whole.clone()
    }
}

/// The names of a request's parameters, never their values.
fn parameters(request: &Request) -> Vec<String> {
    request.parameters.iter().map(|parameter| parameter.key.to_string()).collect()
}

/// A request to the FHIR server in a line; of its search values nothing is left but that they are there.
fn line_of(request: &UpstreamRequest, search_values: bool) -> String {
    let target = request.target();
    let Some((path, query)) = target.split_once('?').filter(|_| !search_values) else {
        return [request.method().as_str(), " ", target].concat();
    };
    let names: Vec<&str> = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default()).collect();
    format!("{} {path}?{}", request.method(), names.join("&"))
}

fn decision(permitted: bool) -> &'static str {
    if permitted { "permit" } else { "refuse" }
}
