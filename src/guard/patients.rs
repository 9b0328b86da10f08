//! Where the picker finds patients and their visits: the FHIR server itself, asked with the gate's own permit.

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;

use crate::auth::{DirectoryError, EncounterSummary, PatientDirectory, PatientQuery, PatientSummary};
use crate::config::Snapshot;
use crate::decide::{UpstreamRequest, encounters_lookup, patients_lookup};
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

    async fn encounters(&self, snapshot: &Snapshot, patient: &str) -> Result<Vec<EncounterSummary>, DirectoryError> {
        let entries = self.search(snapshot, &encounters_lookup(patient, SHOWN)).await?;
        let own = entries.iter().filter(|encounter| is_of(snapshot, encounter, patient));
        Ok(own.filter_map(encounter_summary).take(SHOWN).collect())
    }
}

impl UpstreamPatients {
    /// The resources of a searchset.
    async fn search(&self, snapshot: &Snapshot, request: &UpstreamRequest) -> Result<Vec<Value>, DirectoryError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(FHIR_JSON));
        let failed = |why: String| DirectoryError(why);
        let answer = self
            .upstream
            .send(&snapshot.fhir.upstream, request, headers, None)
            .await
            .map_err(|error| failed(error.to_string()))?;
        if answer.status != StatusCode::OK {
            return Err(failed(format!("the FHIR server answered {}", answer.status)));
        }
        let body = answer.collect(snapshot.limits.response_body).await.map_err(|error| failed(error.to_string()))?;
        let mut bundle: Value = serde_json::from_slice(&body).map_err(|error| failed(error.to_string()))?;
        let entries = match bundle.get_mut("entry").map(Value::take) {
            Some(Value::Array(entries)) => entries,
            _ => Vec::new(),
        };
        Ok(entries.into_iter().filter_map(|mut entry| entry.get_mut("resource").map(Value::take)).collect())
    }
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
        what: kinds.into_iter().find_map(text).unwrap_or_else(|| "Visit".to_owned()),
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
