//! What an audit line says. The types hold no token; search values only in the two fields that `[audit] search_values` fills.

use serde::{Serialize, Serializer};

use crate::address::ClientAddress;
use crate::ambient::UnixSeconds;

/// One decision on one FHIR request.
#[derive(Serialize, Debug, Clone)]
pub struct DecisionRecord<'a> {
    #[serde(serialize_with = "rfc3339")]
    pub time: UnixSeconds,
    pub request_id: &'a str,
    /// Where the request came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<ClientAddress>,
    /// The entry of a Bundle that the line is about; none on the line of the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fhir_user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<&'a str>,
    pub method: &'a str,
    pub interaction: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<&'static str>,
    /// Of the resource that the path names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub parameters: &'a [String],
    /// What was asked below the FHIR base, search values and all; only where `[audit] search_values` is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<&'a str>,
    /// What went to the FHIR server first; without search values unless they are on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<&'a str>,
    pub decision: &'static str,
    pub rule: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'a str>,
    /// In report mode: the rule by which enforcement refuses this, or a part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would: Option<&'static str>,
    /// In report mode: how many resources enforcement takes out of the answer.
    #[serde(skip_serializing_if = "is_zero")]
    pub would_remove: usize,
    pub status: u16,
    pub path: &'static str,
    pub removed: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate_micros: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_micros: Option<u64>,
}

/// One event of the authorization server.
#[derive(Serialize, Debug, Default)]
pub struct AuthRecord {
    #[serde(serialize_with = "rfc3339")]
    pub time: UnixSeconds,
    pub request_id: String,
    /// Where the request came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<ClientAddress>,
    /// `authorize`, `launch`, `login`, `consent`, `token`, `introspect`, `revoke`, `userinfo`, `register`, `logout`.
    pub event: &'static str,
    /// `success` or `failure`.
    pub outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The OAuth error code or the name of what went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// For operators; no secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// One line of the audit log.
#[derive(Serialize, Debug)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AuditRecord<'a> {
    Decision(DecisionRecord<'a>),
    Auth(AuthRecord),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

fn rfc3339<S: Serializer>(time: &UnixSeconds, serializer: S) -> Result<S::Ok, S::Error> {
    let time = jiff::Timestamp::from_second(*time).map_err(serde::ser::Error::custom)?;
    serializer.collect_str(&time)
}
