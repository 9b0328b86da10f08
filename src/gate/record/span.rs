//! What a trace tells of a request.

use super::{NOTHING, Visit, decision};
use crate::telemetry::method_name;

impl Visit {
    /// Ends the request's span with what may be told: nothing of who asked, of whom it was, or what for.
    pub(in crate::gate) fn end_span(&mut self) {
        let Some(mut span) = self.span.take() else { return };
        match (self.endpoint, self.resource_type) {
            (Some(endpoint), _) => {
                span.set("http.route", endpoint);
                span.name(format!("{} {endpoint}", method_name(&self.method)));
            }
            (None, Some(of)) => span.name(format!("{} {of}", self.interaction)),
            (None, None) if self.interaction != NOTHING => span.name(self.interaction),
            (None, None) => {}
        }
        span.set("smartgate.request_id", self.request_id.clone());
        span.set("smartgate.interaction", self.interaction);
        if let Some(of) = self.resource_type {
            span.set("smartgate.resource_type", of);
        }
        if let Some(permitted) = self.permitted {
            span.set("smartgate.decision", decision(permitted));
            span.set("smartgate.rule", self.rule);
        }
        span.set("smartgate.path", self.path.label());
        span.answered(self.status);
    }
}
