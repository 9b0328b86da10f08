//! Where the picker finds patients and their visits: the FHIR server itself, asked with the gate's own permit.

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;

use crate::auth::{DirectoryError, EncounterSummary, PatientDirectory, PatientQuery, PatientSummary};
use crate::config::Snapshot;
use crate::decide::{UpstreamRequest, encounters_lookup, patients_lookup, people_lookup};
use crate::fhir::ResourceType;
use crate::fhir::outcome::FHIR_JSON;
use crate::fhir::reference::{Literal, is_id};
use crate::fhir::search::Parameter;
use crate::upstream::UpstreamClient;

/// Patients shown at once.
const SHOWN: usize = 20;

/// Looks patients up at the FHIR server.
pub struct UpstreamPatients {
    pub upstream: Arc<UpstreamClient>,
}

#[async_trait]
impl PatientDirectory for UpstreamPatients {
    async fn find(&self, snapshot: &Snapshot, query: &PatientQuery) -> Result<Vec<PatientSummary>, DirectoryError> {
        let mut parameters = vec![Parameter::plain("_count", SHOWN.to_string())];
        let ids = query.ids.join(",");
        let wanted = [
            ("_id", Some(ids.as_str()).filter(|ids| !ids.is_empty())),
            ("name", query.name.as_deref()),
            ("birthdate", query.birth_date.as_deref()),
            ("identifier", query.identifier.as_deref()),
        ];
        for (code, value) in wanted {
            if let Some(value) = value {
                parameters.push(Parameter::plain(code, value));
            }
        }
        let entries = self.search(snapshot, &patients_lookup(&parameters)).await?;
        Ok(entries.iter().filter_map(summary).take(SHOWN).collect())
    }

    async fn people(
        &self,
        snapshot: &Snapshot,
        of: ResourceType,
        asked: &[(String, String)],
    ) -> Result<Vec<String>, DirectoryError> {
        let mut parameters = vec![Parameter::plain("_count", "2".to_owned())];
        parameters.extend(asked.iter().map(|(name, value)| Parameter::plain(name, value.as_str())));
        let bundle = self.searchset(snapshot, &people_lookup(of, &parameters), true).await?;
        people(&bundle, of, asked).ok_or_else(|| DirectoryError("the searchset cannot be told to be whole".to_owned()))
    }

    async fn encounters(&self, snapshot: &Snapshot, patient: &str) -> Result<Vec<EncounterSummary>, DirectoryError> {
        let entries = self.search(snapshot, &encounters_lookup(patient, SHOWN)).await?;
        let own = entries.iter().filter(|encounter| is_of(snapshot, encounter, patient));
        Ok(own.filter_map(encounter_summary).take(SHOWN).collect())
    }
}

impl UpstreamPatients {
    /// The resources of a searchset.
    async fn search(&self, snapshot: &Snapshot, request: &UpstreamRequest) -> Result<Vec<Value>, DirectoryError> {
        let mut bundle = self.searchset(snapshot, request, false).await?;
        let entries = match bundle.get_mut("entry").map(Value::take) {
            Some(Value::Array(entries)) => entries,
            _ => Vec::new(),
        };
        Ok(entries.into_iter().filter_map(|mut entry| entry.get_mut("resource").map(Value::take)).collect())
    }

    /// The answer to a search; `strict` where a parameter that the server does not know must not make it wider.
    async fn searchset(
        &self,
        snapshot: &Snapshot,
        request: &UpstreamRequest,
        strict: bool,
    ) -> Result<Value, DirectoryError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(FHIR_JSON));
        if strict {
            headers.insert("prefer", HeaderValue::from_static("handling=strict"));
        }
        let failed = |why: String| DirectoryError(why);
        let mut answer = self
            .upstream
            .send(&snapshot.fhir.upstream, request, headers, None, None)
            .await
            .map_err(|error| failed(error.to_string()))?;
        if answer.status != StatusCode::OK {
            return Err(failed(format!("the FHIR server answered {}", answer.status)));
        }
        let body = answer.collect(snapshot.limits.response_body).await.map_err(|error| failed(error.to_string()))?;
        serde_json::from_slice(&body).map_err(|error| failed(error.to_string()))
    }
}

/// The ids in a searchset of people; none if it is none, or more may follow than are in it.
///
/// Who it is that logs in is not left to how well the server searches: a hit must have the identifier that was asked for.
fn people(bundle: &Value, of: ResourceType, asked: &[(String, String)]) -> Option<Vec<String>> {
    if bundle.get("resourceType")?.as_str()? != "Bundle" {
        return None;
    }
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let list = |value: &Value, name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut ids = Vec::new();
    for entry in list(bundle, "entry") {
        let resource = entry.get("resource")?;
        match text(resource, "resourceType")? {
            kind if kind == of.name() => {}
            kind if kind == "OperationOutcome" => continue,
            _ => return None,
        }
        let has = |wanted: &str| {
            list(resource, "identifier").iter().any(|known| match wanted.split_once('|') {
                None => text(known, "value").as_deref() == Some(wanted),
                Some((system, value)) => {
                    text(known, "value").as_deref() == Some(value)
                        && text(known, "system").unwrap_or_default() == system
                }
            })
        };
        if !asked.iter().filter(|(name, _)| name == "identifier").all(|(_, value)| has(value)) {
            return None;
        }
        ids.push(text(resource, "id")?);
    }
    let total = bundle.get("total").and_then(Value::as_u64);
    let follows = list(bundle, "link").iter().any(|link| text(link, "relation").as_deref() == Some("next"));
    let whole = ids.len() > 1
        || (!follows && total.is_none_or(|total| usize::try_from(total).is_ok_and(|total| total == ids.len())));
    whole.then_some(ids)
}

/// Whether an encounter is this patient's, whatever the FHIR server made of the search.
fn is_of(snapshot: &Snapshot, encounter: &Value, patient: &str) -> bool {
    let reference = encounter.pointer("/subject/reference").and_then(Value::as_str).unwrap_or_default();
    Literal::parse(reference, &snapshot.fhir.bases())
        .is_some_and(|literal| literal.resource_type == "Patient" && literal.id == patient)
}

/// R4 and R4B have `period` and one `class`, R5 `actualPeriod` and several.
fn encounter_summary(encounter: &Value) -> Option<EncounterSummary> {
    let text = |path: &str| encounter.pointer(path).and_then(Value::as_str).map(str::to_owned);
    if text("/resourceType").as_deref() != Some("Encounter") {
        return None;
    }
    let kinds =
        ["/type/0/text", "/type/0/coding/0/display", "/class/display", "/class/0/text", "/class/0/coding/0/display"];
    Some(EncounterSummary {
        id: text("/id").filter(|id| is_id(id))?,
        what: kinds.into_iter().find_map(text),
        began: text("/period/start").or_else(|| text("/actualPeriod/start")),
        status: text("/status"),
    })
}

fn summary(patient: &Value) -> Option<PatientSummary> {
    let text = |name: &str| patient.get(name).and_then(Value::as_str).map(str::to_owned);
    if text("resourceType").as_deref() != Some("Patient") {
        return None;
    }
    let id = text("id").filter(|id| is_id(id))?;
    let name = patient.get("name").and_then(Value::as_array).and_then(|names| names.first()).map(human_name);
    Some(PatientSummary {
        name: name.filter(|name| !name.is_empty()).unwrap_or_else(|| id.clone()),
        id,
        birth_date: text("birthDate"),
        gender: text("gender"),
    })
}

fn human_name(name: &Value) -> String {
    if let Some(text) = name.get("text").and_then(Value::as_str) {
        return text.to_owned();
    }
    let given = name.get("given").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let family = name.get("family").and_then(Value::as_str);
    given.chain(family).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[path = "patients_tests.rs"]
mod tests;
