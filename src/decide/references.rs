//! What a written body may point at under the FHIR base: the patient, what the grant can see, shared types (enforcement.md §5).
//!
//! Anything else would tie the patient's data to another's, or tell by the server's answer whether the other's exists.

use std::collections::HashSet;

use http::Method;
use percent_encoding::percent_decode_str;
use url::Url;

use super::grant::Grant;
use super::permit::{Action, UpstreamRequest};
use super::reach::{type_of, visible};
use super::read::read;
use super::rule::{Refusal, Rule};
use crate::config::Snapshot;
use crate::fhir::ResourceType;
use crate::fhir::interaction::{Interaction, Request};
use crate::fhir::json::{Json, Value};
use crate::fhir::reference::Literal;
use crate::scope::Letter;

pub(super) const REFERENCE_NOT_ALLOWED: Rule = Rule::forbidden(
    "reference-not-allowed",
    "the body refers to something on this server that this token cannot see, or by a search (`?`), or in a form that could mean it",
);

pub(super) const REFERENCE_SHAPE: Rule =
    Rule::bad_request("reference-shape", "a `reference` or `url` of the body is neither a text nor an object");

pub const REFERENCES_TOO_MANY: Rule = Rule::other(
    "references-too-many",
    413,
    "too-long",
    "the body refers to more resources than are looked up for one write",
);

pub(super) const RULES: &[&Rule] = &[&REFERENCE_NOT_ALLOWED, &REFERENCE_SHAPE, &REFERENCES_TOO_MANY];

/// Resources that other entries of a transaction leave.
pub(super) type Beside = HashSet<(ResourceType, String)>;

/// A reference whose target is fetched, to see whether the grant can see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LookUp {
    of: ResourceType,
    id: String,
    request: UpstreamRequest,
}

impl LookUp {
    pub fn request(&self) -> &UpstreamRequest {
        &self.request
    }

    /// Whether the body may point at what was found.
    ///
    /// # Errors
    /// Nothing was found, something else, or something that the grant cannot see: one answer for all.
    pub fn check(&self, snapshot: &Snapshot, grant: &Grant, found: Option<Json<'_>>) -> Result<(), Refusal> {
        let seen = found.is_some_and(|found| {
            type_of(snapshot, found) == Some(self.of)
                && found.get("id").and_then(Json::as_str) == Some(self.id.as_str())
                && visible(snapshot, grant, Letter::Read, found)
        });
        if seen { Ok(()) } else { Err(REFERENCE_NOT_ALLOWED.refuse()) }
    }
}

/// Judges every reference of a body; those that only a look at the data can judge are returned, each once.
pub(super) fn look_ups(
    snapshot: &Snapshot,
    grant: &Grant,
    patients: &[&str],
    beside: Option<&Beside>,
    body: Json<'_>,
) -> Result<Vec<LookUp>, Refusal> {
    let mut judge = Judge { snapshot, grant, patients, beside, look_ups: Vec::new() };
    judge.value(body)?;
    Ok(judge.look_ups)
}

struct Judge<'s> {
    snapshot: &'s Snapshot,
    grant: &'s Grant,
    /// Patients that may be referred to because the write is about them.
    patients: &'s [&'s str],
    /// What other entries of the same transaction leave.
    beside: Option<&'s Beside>,
    look_ups: Vec<LookUp>,
}

impl Judge<'_> {
    fn value(&mut self, value: Json<'_>) -> Result<(), Refusal> {
        match value.value() {
            Value::Array(mut elements) => elements.try_for_each(|element| self.value(element)),
            Value::Object(mut members) => members.try_for_each(|(key, value)| match (key, value.value()) {
                ("reference", Value::Text(text)) => self.reference(text),
                ("url", Value::Text(text)) => self.url(text),
                ("reference" | "url", Value::Object(_)) => self.value(value),
                ("reference" | "url", Value::Array(_)) if value.elements().all(Json::is_object) => self.value(value),
                ("reference" | "url", _) => Err(REFERENCE_SHAPE.refuse()),
                _ => self.value(value),
            }),
            _ => Ok(()),
        }
    }

    /// `Reference.reference`.
    fn reference(&mut self, text: &str) -> Result<(), Refusal> {
        if text.contains('?') {
            return Err(REFERENCE_NOT_ALLOWED.refuse());
        }
        if text.starts_with('#') || text.starts_with("urn:uuid:") || text.starts_with("urn:oid:") {
            return Ok(());
        }
        match Literal::parse(text, &self.snapshot.fhir.bases()) {
            Some(literal) => self.literal(text, &literal),
            None if self.elsewhere(text, false) => Ok(()),
            None => Err(REFERENCE_NOT_ALLOWED.refuse()),
        }
    }

    /// `Attachment.url`; the same name also holds canonical URLs and the plain names of extensions inside others.
    fn url(&mut self, text: &str) -> Result<(), Refusal> {
        if let Some(literal) = Literal::parse(text, &self.snapshot.fhir.bases()) {
            return self.literal(text, &literal);
        }
        let name = !text.contains(['/', '?', '\\', ':']);
        if name || text.starts_with('#') || self.elsewhere(text, true) {
            Ok(())
        } else {
            Err(REFERENCE_NOT_ALLOWED.refuse())
        }
    }

    /// Whether an absolute URL leads to another server than this one, however its name is spelt. `beside` lets it lead to this
    /// host, outside the base.
    fn elsewhere(&self, text: &str, beside: bool) -> bool {
        let Ok(url) = Url::parse(text) else { return false };
        let path = percent_decode_str(url.path()).decode_utf8_lossy().to_ascii_lowercase();
        self.snapshot.fhir.bases().iter().filter_map(|base| Url::parse(base).ok()).all(|base| {
            let same_host = url.host_str().map(|host| host.trim_end_matches('.').to_ascii_lowercase())
                == base.host_str().map(str::to_ascii_lowercase);
            let prefix = base.path().trim_end_matches('/').to_ascii_lowercase();
            let below = path.split('/').filter(|part| !part.is_empty());
            let below = below.take(prefix.split('/').count() - 1).eq(prefix.split('/').skip(1));
            !same_host || beside && !below
        })
    }

    fn literal(&mut self, text: &str, literal: &Literal<'_>) -> Result<(), Refusal> {
        let refused = || REFERENCE_NOT_ALLOWED.refuse();
        let of = ResourceType::parse(self.snapshot.fhir.version, literal.resource_type).ok_or_else(refused)?;
        if of == ResourceType::PATIENT && self.patients.contains(&literal.id) {
            return Ok(());
        }
        if self.snapshot.fhir.shared_types.contains(of) {
            return Ok(());
        }
        // A version that was once another's is not the resource as it is now.
        let version = text.rsplit_once("/_history/").map(|(_, version)| version);
        if version.is_none() && self.beside.is_some_and(|beside| beside.contains(&(of, literal.id.to_owned()))) {
            return Ok(());
        }
        let request = request(of, literal.id, version);
        let permit = read(self.snapshot, self.grant, &request, of, literal.id, version).map_err(|_| refused())?;
        match permit.action {
            Action::Stream { .. } => Ok(()),
            Action::Guard { request, .. } => self.look_up(LookUp { of, id: literal.id.to_owned(), request }),
            _ => Err(refused()),
        }
    }

    fn look_up(&mut self, look_up: LookUp) -> Result<(), Refusal> {
        if self.look_ups.contains(&look_up) {
            return Ok(());
        }
        if self.look_ups.len() >= self.snapshot.limits.write_references {
            return Err(REFERENCES_TOO_MANY.refuse());
        }
        self.look_ups.push(look_up);
        Ok(())
    }
}

/// The read that a reference stands for.
pub(super) fn request(of: ResourceType, id: &str, version: Option<&str>) -> Request {
    let id = id.to_owned();
    let interaction = match version {
        Some(version) => Interaction::Vread { of, id, version: version.to_owned() },
        None => Interaction::Read { of, id },
    };
    Request {
        method: Method::GET,
        interaction,
        parameters: Vec::new(),
        if_none_exist: None,
        page: None,
        accepts_json: true,
    }
}

#[cfg(test)]
#[path = "references_tests.rs"]
mod tests;
