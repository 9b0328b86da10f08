//! The patient picker's directory: the FHIR server itself, asked with the gate's own permit.

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;

use crate::auth::{DirectoryError, PatientDirectory, PatientQuery, PatientSummary};
use crate::config::Snapshot;
use crate::decide::patients_lookup;
use crate::fhir::outcome::FHIR_JSON;
use crate::fhir::reference::is_id;
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
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(FHIR_JSON));
        let failed = |why: String| DirectoryError(why);
        let answer = self
            .upstream
            .send(&snapshot.fhir.upstream, &patients_lookup(&parameters), headers, None)
            .await
            .map_err(|error| failed(error.to_string()))?;
        if answer.status != StatusCode::OK {
            return Err(failed(format!("the FHIR server answered {}", answer.status)));
        }
        let body = answer.collect(snapshot.limits.response_body).await.map_err(|error| failed(error.to_string()))?;
        let bundle: Value = serde_json::from_slice(&body).map_err(|error| failed(error.to_string()))?;
        let entries = bundle.get("entry").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Ok(entries.iter().filter_map(|entry| summary(entry.get("resource")?)).take(SHOWN).collect())
    }
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
