//! What goes back to the client, before the gate adds what every answer has.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

use crate::decide::{Challenge, Entry, NOT_FOUND_OR_NOT_YOURS, Permit, Refusal, RefusedEntry, Rule};
use crate::fhir::interaction::Request;
use crate::fhir::outcome::{FHIR_JSON, outcome};

/// When to ask again what could not be answered at the moment.
const RETRY: Duration = Duration::from_secs(5);

/// Headers that an answer seldom exceeds, with those that every answer has.
const USUAL_HEADERS: usize = 12;

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Resources that verification took out.
    pub removed: usize,
    /// What the FHIR server answered, where it was asked.
    pub upstream_status: Option<StatusCode>,
    /// The rule behind an answer that is a refusal.
    pub rule: Option<&'static str>,
    /// Where it answers a Bundle: what became of each entry.
    pub entries: Vec<EntryAnswer>,
}

/// What became of one entry of a Bundle, for the audit log.
#[derive(Debug)]
pub struct EntryAnswer {
    /// None where it could not be read as a request.
    pub request: Option<Request>,
    pub permitted: bool,
    pub rule: &'static str,
    pub path: &'static str,
    pub detail: Option<String>,
    pub status: StatusCode,
    pub upstream_status: Option<StatusCode>,
    pub removed: usize,
}

impl EntryAnswer {
    /// The interaction's name, where there is one.
    pub fn interaction(&self) -> &'static str {
        self.request.as_ref().map_or("none", |request| request.interaction.name())
    }

    /// Of an entry's decision and its answer.
    pub fn of(entry: &Result<Entry, Box<RefusedEntry>>, answer: &Answer, detail: Option<String>) -> Self {
        let (request, permit) = match entry {
            Ok(entry) => (Some(entry.request.clone()), Some(&entry.permit)),
            Err(refused) => (refused.request.clone(), None),
        };
        Self {
            request,
            permitted: answer.rule.is_none(),
            rule: answer.rule.or(permit.map(Permit::rule)).unwrap_or_default(),
            path: permit.map_or("answer", Permit::path),
            detail,
            status: answer.status,
            upstream_status: answer.upstream_status,
            removed: answer.removed,
        }
    }
}

impl Answer {
    /// An answer with a FHIR body.
    pub fn fhir(status: StatusCode, body: Bytes) -> Self {
        let mut headers = HeaderMap::with_capacity(USUAL_HEADERS);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FHIR_JSON));
        Self { status, headers, body, removed: 0, upstream_status: None, rule: None, entries: Vec::new() }
    }

    /// The OperationOutcome of a rule: constant, but for the scope that would help (RFC 6750 §3).
    pub fn refusal(refusal: &Refusal) -> Self {
        let rule = refusal.rule;
        let text = match &refusal.needed {
            Some(scope) => format!("{}; `{scope}` would", rule.text),
            None => rule.text.to_owned(),
        };
        let status = StatusCode::from_u16(rule.status).unwrap_or(StatusCode::FORBIDDEN);
        let mut answer = Self::fhir(status, outcome(rule.issue, rule.name, &text, refusal.entry));
        if let Some(challenge) = challenge(rule, refusal.needed.as_deref()) {
            answer.headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        let wait = refusal.wait.or_else(|| (status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY));
        if let Some(wait) = wait {
            answer.headers.insert(header::RETRY_AFTER, retry_after(wait));
        }
        answer.rule = Some(rule.name);
        answer
    }

    /// The one answer for "does not exist", "deleted" and "exists but is not yours" (enforcement.md §1).
    pub fn uniform_denial() -> Self {
        Self::refusal(&NOT_FOUND_OR_NOT_YOURS.refuse())
    }

    /// Takes over one header of another answer.
    pub fn copy(&mut self, from: &HeaderMap, name: &HeaderName) {
        if let Some(value) = from.get(name) {
            self.headers.insert(name.clone(), value.clone());
        }
    }
}

/// Whole seconds, after which it is not too early (RFC 9110 §10.2.3).
pub fn retry_after(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

fn challenge(rule: &Rule, needed: Option<&str>) -> Option<HeaderValue> {
    if rule.challenge == Challenge::None {
        return None;
    }
    let mut value = String::from("Bearer realm=\"fhir\"");
    if let Some(error) = rule.challenge.error() {
        // The texts hold no quotation marks and no backslashes (RFC 6750 §3).
        let text = rule.text.replace(['"', '\\'], "'").replace('…', "...");
        value.push_str(&format!(", error=\"{error}\", error_description=\"{text}\""));
    }
    if let Some(scope) = needed {
        value.push_str(&format!(", scope=\"{scope}\""));
    }
    HeaderValue::from_str(&value).ok()
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
