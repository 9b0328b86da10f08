//! Spans to a collector (`[traces]`): OTLP over HTTP, in protobuf (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>).
//!
//! What the collector does not take is lost and counted, and not tried again: spans are for looking into things, the audit log is the
//! record.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::CONTENT_TYPE;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind as Kind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;
use reqwest::{Certificate, Client};

use crate::config::{Snapshot, Traces};
use crate::telemetry::{Attribute, Metrics, SpanKind, SpanLoss, SpanRecord, Spans};
use crate::token::root_cause;

const PROTOBUF: &str = "application/x-protobuf";

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Sends what the tracer lets out.
pub struct SpanExporter {
    config: Arc<ArcSwap<Snapshot>>,
    spans: Spans,
    metrics: Metrics,
    /// Made for a configuration.
    client: Option<(u64, Client)>,
}

impl SpanExporter {
    pub fn new(config: Arc<ArcSwap<Snapshot>>, spans: Spans, metrics: Metrics) -> Self {
        Self { config, spans, metrics, client: None }
    }

    /// Goes on as long as there is a tracer.
    pub async fn run(mut self) {
        let mut failing = false;
        while let Some(mut batch) = self.spans.next().await {
            let spans = std::mem::take(&mut batch.spans);
            if spans.is_empty() {
                continue;
            }
            let count = spans.len() as u64;
            let outcome = self.send(spans).await;
            let lost = outcome.as_ref().map_or(count, |rejected| count.min(*rejected));
            self.metrics.spans_exported(count - lost);
            if lost > 0 {
                self.metrics.spans_lost(SpanLoss::NotTaken, lost);
            }
            match &outcome {
                Err(why) if !failing => tracing::warn!(%why, "the collector does not take spans; they are lost"),
                Ok(0) if failing => tracing::info!("the collector takes spans again"),
                Ok(rejected) if *rejected > 0 && !failing => {
                    tracing::warn!(rejected, "the collector does not take some spans; they are lost");
                }
                Ok(_) | Err(_) => {}
            }
            failing = lost > 0;
        }
    }

    /// Sends a batch; how many spans of it the collector did not take.
    async fn send(&mut self, spans: Vec<SpanRecord>) -> Result<u64, String> {
        let snapshot = self.config.load_full();
        let Some(traces) = &snapshot.traces else {
            return Err("the configuration has no [traces] any more".to_owned());
        };
        let client = self.client(traces, snapshot.generation)?;
        let body = request(spans, &traces.service).encode_to_vec();
        let request =
            client.post(&traces.url).headers(traces.headers.clone()).header(CONTENT_TYPE, PROTOBUF).body(body);
        let told = |error: reqwest::Error| root_cause(&error.without_url());
        let mut answer = request.send().await.map_err(told)?;
        if !answer.status().is_success() {
            return Err(format!("it answered {}", answer.status()));
        }
        let mut read = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(told)? {
            if read.len().saturating_add(chunk.len()) > MAX_ANSWER {
                return Err("its answer is too large".to_owned());
            }
            read.extend_from_slice(&chunk);
        }
        // One that cannot be read says of no span that it was rejected.
        let answer = ExportTraceServiceResponse::decode(read.as_slice()).unwrap_or_default();
        Ok(answer.partial_success.and_then(|partial| u64::try_from(partial.rejected_spans).ok()).unwrap_or_default())
    }

    fn client(&mut self, traces: &Traces, generation: u64) -> Result<Client, String> {
        if let Some((of, client)) = &self.client
            && *of == generation
        {
            return Ok(client.clone());
        }
        let mut builder = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().timeout(TIMEOUT);
        if let Some(ca) = &traces.ca {
            builder = builder.tls_certs_only(Certificate::from_pem_bundle(ca).map_err(|error| error.to_string())?);
        }
        let client = builder.build().map_err(|error| error.to_string())?;
        self.client = Some((generation, client.clone()));
        Ok(client)
    }
}

fn request(spans: Vec<SpanRecord>, service: &str) -> ExportTraceServiceRequest {
    let version = env!("CARGO_PKG_VERSION");
    let attributes = [("service.name", service.to_owned()), ("service.version", version.to_owned())];
    let attributes = attributes.map(|(key, text)| attribute(key, Attribute::Text(text.into()))).to_vec();
    let scope = InstrumentationScope { name: "smartgate".into(), version: version.into(), ..Default::default() };
    let spans = spans.into_iter().map(span).collect();
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_spans: vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    }
}

fn span(record: SpanRecord) -> Span {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let kind = match record.kind {
        SpanKind::Server => Kind::Server,
        SpanKind::Client => Kind::Client,
    };
    Span {
        trace_id: record.trace.to_vec(),
        span_id: record.id.to_vec(),
        parent_span_id: record.parent.map(Vec::from).unwrap_or_default(),
        name: record.name.into_owned(),
        kind: kind.into(),
        start_time_unix_nano: nanos(record.start),
        end_time_unix_nano: nanos(record.start + record.took),
        attributes: record.attributes.into_iter().map(|(key, value)| attribute(key, value)).collect(),
        status: record.failed.then(|| Status { code: StatusCode::Error.into(), ..Status::default() }),
        ..Span::default()
    }
}

fn attribute(key: &str, value: Attribute) -> KeyValue {
    let value = match value {
        Attribute::Text(text) => Value::StringValue(text.into_owned()),
        Attribute::Number(number) => Value::IntValue(number),
    };
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
