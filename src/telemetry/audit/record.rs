//! What an audit line says. The types hold no token; search values only in the two fields that `[audit] search_values` fills.

use super::line::printed;
use crate::address::ClientAddress;
use crate::ambient::UnixSeconds;

/// One decision on one FHIR request.
#[derive(Debug, Clone)]
pub struct DecisionRecord<'a> {
    pub time: UnixSeconds,
    pub request_id: &'a str,
    /// Where the request came from.
    pub address: Option<ClientAddress>,
    /// The entry of a Bundle that the line is about; none on the line of the whole.
    pub entry: Option<usize>,
    pub issuer: Option<&'a str>,
    pub client: Option<&'a str>,
    pub subject: Option<&'a str>,
    pub fhir_user: Option<&'a str>,
    pub patient: Option<&'a str>,
    pub method: &'a str,
    pub interaction: &'static str,
    pub resource_type: Option<&'static str>,
    /// Of the resource that the path names.
    pub resource_id: Option<&'a str>,
    pub parameters: &'a [String],
    /// What was asked below the FHIR base, search values and all; only where `[audit] search_values` is on.
    pub query: Option<&'a str>,
    /// What went to the FHIR server first; without search values unless they are on.
    pub sent: Option<&'a str>,
    pub decision: &'static str,
    pub rule: &'static str,
    pub detail: Option<&'a str>,
    /// In report mode: the rule by which enforcement refuses this, or a part of it.
    pub would: Option<&'static str>,
    /// In report mode: how many resources enforcement takes out of the answer.
    pub would_remove: usize,
    pub status: u16,
    pub path: &'static str,
    pub removed: usize,
    pub upstream_status: Option<u16>,
    pub gate_micros: Option<u64>,
    pub upstream_micros: Option<u64>,
}

/// One event of the authorization server.
#[derive(Debug, Default)]
pub struct AuthRecord {
    pub time: UnixSeconds,
    pub request_id: String,
    /// Where the request came from.
    pub address: Option<ClientAddress>,
    /// `authorize`, `launch`, `login`, `consent`, `token`, `introspect`, `revoke`, `userinfo`, `register`, `logout`.
    pub event: &'static str,
    /// `success` or `failure`.
    pub outcome: &'static str,
    pub client: Option<String>,
    pub subject: Option<String>,
    pub patient: Option<String>,
    pub scope: Option<String>,
    /// The OAuth error code or the name of what went wrong.
    pub error: Option<&'static str>,
    /// For operators; no secrets.
    pub detail: Option<String>,
}

/// One line of the audit log.
#[derive(Debug)]
pub enum AuditRecord<'a> {
    Decision(DecisionRecord<'a>),
    Auth(AuthRecord),
}

impl AuditRecord<'_> {
    /// The line, with its end; what is not known is left out.
    pub(super) fn print(&self) -> Vec<u8> {
        match self {
            Self::Decision(record) => record.print(),
            Self::Auth(record) => record.print(),
        }
    }
}

impl DecisionRecord<'_> {
    fn print(&self) -> Vec<u8> {
        printed("decision", self.time, |line| {
            line.text("request_id", self.request_id)
                .shown("address", self.address)
                .number("entry", self.entry)
                .text("issuer", self.issuer)
                .text("client", self.client)
                .text("subject", self.subject)
                .text("fhir_user", self.fhir_user)
                .text("patient", self.patient)
                .text("method", self.method)
                .text("interaction", self.interaction)
                .text("resource_type", self.resource_type)
                .text("resource_id", self.resource_id)
                .texts("parameters", self.parameters)
                .text("query", self.query)
                .text("sent", self.sent)
                .text("decision", self.decision)
                .text("rule", self.rule)
                .text("detail", self.detail)
                .text("would", self.would)
                .number("would_remove", Some(self.would_remove).filter(|count| *count > 0))
                .number("status", Some(self.status))
                .text("path", self.path)
                .number("removed", Some(self.removed))
                .number("upstream_status", self.upstream_status)
                .number("gate_micros", self.gate_micros)
                .number("upstream_micros", self.upstream_micros);
        })
    }
}

impl AuthRecord {
    fn print(&self) -> Vec<u8> {
        printed("auth", self.time, |line| {
            line.text("request_id", self.request_id.as_str())
                .shown("address", self.address)
                .text("event", self.event)
                .text("outcome", self.outcome)
                .text("client", self.client.as_deref())
                .text("subject", self.subject.as_deref())
                .text("patient", self.patient.as_deref())
                .text("scope", self.scope.as_deref())
                .text("error", self.error)
                .text("detail", self.detail.as_deref());
        })
    }
}
