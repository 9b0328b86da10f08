//! What can be observed: event types that log and count at once, the metrics registry, the audit queue.

mod audit;
mod events;
mod logging;
mod metrics;
mod process;
mod spans;
mod trace_context;
mod version;

pub use audit::{
    AuditError, AuditLog, AuditRecord, AuditSink, AuthRecord, Batch, DecisionRecord, OnFull, Position, Recent,
    Refusals, Refused, Spool,
};
pub use events::{IssuerAnswer, LoginOutcome, Reload, ReloadOutcome, TokenGrant, TurnedAway};
pub use logging::{LogFormat, init_logging};
pub use metrics::{InFlight, Metrics, PathTaken, SpanLoss, UpstreamRetry};
pub use spans::{Attribute, Sampling, Span, SpanKind, SpanRecord, Spans, Tracer, method_name};
pub use trace_context::{TraceParent, is_trace_state};
pub use version::version;
