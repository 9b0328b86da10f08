//! Batches and transactions of what could be sent alone, and of entries that refer to each other.

use serde_json::{Value, json};

use super::{Asked, Roller};
use crate::server::data::text;

impl Roller<'_> {
    pub(super) fn bundle(&mut self, kind: &'static str) -> Asked {
        let count = 1 + self.dice.below(4);
        // One entry that is refused refuses a transaction, so half of them are of what mostly passes.
        let simple = kind == "transaction" && self.dice.chance(50);
        let mut entries: Vec<Value> = match simple {
            true => (0..count.min(2)).map(|_| self.creation()).collect(),
            false => (0..count).map(|_| self.entry(kind)).collect(),
        };
        if kind == "transaction" && self.dice.chance(30) {
            entries.extend(self.linked_pair());
        }
        let body = json!({ "resourceType": "Bundle", "type": kind, "entry": entries });
        let asked = Asked {
            interaction: kind,
            method: "POST",
            target: String::new(),
            body: body.to_string(),
            ..Asked::default()
        };
        asked.with("Content-Type", "application/fhir+json")
    }

    /// The creation of something that leads to nothing but the patient.
    fn creation(&mut self) -> Value {
        let mut entry = entry_of(&self.create());
        if let Some(members) = entry["resource"].as_object_mut() {
            for name in ["encounter", "hasMember", "focus", "result", "extension"] {
                members.remove(name);
            }
        }
        entry
    }

    fn entry(&mut self, kind: &str) -> Value {
        let single = match self.dice.below(if kind == "batch" { 10 } else { 14 }) {
            0..=2 => self.read(),
            3..=5 => self.search(),
            6 => self.vread(),
            _ => self.write(),
        };
        entry_of(&single)
    }

    /// Two creations, the second of which refers to the first.
    fn linked_pair(&mut self) -> [Value; 2] {
        let uuid = format!("urn:uuid:00000000-0000-4000-8000-{:012x}", self.dice.below(1 << 20));
        let created = |mut resource: Value, full_url: &str| {
            if let Some(members) = resource.as_object_mut() {
                members.remove("id");
            }
            let of = text(&resource, "resourceType");
            json!({ "fullUrl": full_url, "resource": resource, "request": { "method": "POST", "url": of } })
        };
        let patient = self.dice.pick(&self.patients);
        let encounter = json!({
            "resourceType": "Encounter", "status": "planned", "subject": { "reference": format!("Patient/{patient}") },
            "class": { "code": "AMB" },
        });
        let mut second = self.body();
        second["encounter"] = json!({ "reference": uuid });
        [created(encounter, &uuid), created(second, "urn:uuid:00000000-0000-4000-8000-000000000000")]
    }
}

/// A request as an entry.
fn entry_of(single: &Asked) -> Value {
    // A form body and HEAD have no place in an entry; what is asked for is read instead.
    let (method, target) = match single.method {
        "HEAD" => ("GET", single.target.as_str()),
        "POST" if single.target.contains("_search") => ("GET", "/Observation"),
        method => (method, single.target.as_str()),
    };
    let mut request = json!({ "method": method, "url": target.trim_start_matches('/') });
    for (header, name) in [("If-Match", "ifMatch"), ("If-None-Match", "ifNoneMatch"), ("If-None-Exist", "ifNoneExist")]
    {
        if let Some((_, value)) = single.headers.iter().find(|(given, _)| *given == header) {
            request[name] = json!(value);
        }
    }
    let mut entry = json!({ "request": request });
    if method != "GET" && method != "DELETE" {
        entry["resource"] = serde_json::from_str(&single.body).unwrap_or_default();
    }
    if method == "PATCH" {
        use base64::Engine as _;
        let data = base64::engine::general_purpose::STANDARD.encode(&single.body);
        let content_type = "application/json-patch+json";
        entry["resource"] = json!({ "resourceType": "Binary", "contentType": content_type, "data": data });
    }
    entry
}
