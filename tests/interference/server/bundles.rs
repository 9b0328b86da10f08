//! Batch and transaction (FHIR R4 http.html#transaction).

use std::collections::HashMap;

use serde_json::{Value, json};

use super::data::text;
use super::{Answer, Request, Server, hash};

impl Server {
    pub(super) fn bundle(&mut self, request: &Request) -> Answer {
        let Some(body) = &request.body else { return self.error(400) };
        let entries = body["entry"].as_array().cloned().unwrap_or_default();
        match body["type"].as_str() {
            Some("batch") => {
                let answers = entries.iter().map(|entry| self.entry_answered(request, entry)).collect();
                answered("batch-response", answers)
            }
            Some("transaction") => self.transaction(request, entries),
            _ => self.error(400),
        }
    }

    /// All or nothing: deletions first, then creations, updates and reads.
    fn transaction(&mut self, request: &Request, entries: Vec<Value>) -> Answer {
        let before = self.data.clone();
        let entries = resolved(entries);
        let mut order: Vec<usize> = (0..entries.len()).collect();
        let rank = |index: &usize| match entries[*index]["request"]["method"].as_str() {
            Some("DELETE") => 0,
            Some("POST") => 1,
            Some("PUT" | "PATCH") => 2,
            _ => 3,
        };
        order.sort_by_key(rank);
        let mut answers = vec![Value::Null; entries.len()];
        for index in order {
            let answer = self.entry_answered(request, &entries[index]);
            let status = text(&answer["response"], "status");
            if !status.starts_with('2') {
                self.data = before;
                return self.error(status.get(..3).and_then(|status| status.parse().ok()).unwrap_or(400));
            }
            answers[index] = answer;
        }
        answered("transaction-response", answers)
    }

    fn entry_answered(&mut self, whole: &Request, entry: &Value) -> Value {
        let asked = &entry["request"];
        let mut headers = Vec::new();
        for (name, header) in
            [("ifMatch", "if-match"), ("ifNoneMatch", "if-none-match"), ("ifNoneExist", "if-none-exist")]
        {
            headers.extend(asked[name].as_str().map(|value| (header.to_owned(), value.to_owned())));
        }
        headers.extend(whole.headers.iter().filter(|(name, _)| name == "prefer").cloned());
        let body = entry.get("resource").map(Value::to_string).unwrap_or_default();
        let single = Request::new(&text(asked, "method"), &text(asked, "url"), headers, body.as_bytes());
        let answer = self.answer(&single);
        let mut response = json!({ "status": answer.status.to_string() });
        for (name, header) in [("etag", "ETag"), ("location", "Location")] {
            if let Some((_, value)) = answer.headers.iter().find(|(given, _)| *given == header) {
                response[name] = json!(value);
            }
        }
        let mut printed = json!({});
        match answer.body {
            Some(body) if answer.status < 300 => printed["resource"] = body,
            Some(body) => response["outcome"] = body,
            None => {}
        }
        printed["response"] = response;
        printed
    }
}

fn answered(kind: &str, entries: Vec<Value>) -> Answer {
    Answer::new(200, Some(json!({ "resourceType": "Bundle", "type": kind, "entry": entries })))
}

/// Gives each creation its id and puts it where its `urn:uuid` is referred to.
fn resolved(mut entries: Vec<Value>) -> Vec<Value> {
    let mut ids = HashMap::new();
    for (index, entry) in entries.iter_mut().enumerate() {
        if entry["request"]["method"] != "POST" || entry["request"]["ifNoneExist"].is_string() {
            continue;
        }
        let of = text(&entry["resource"], "resourceType");
        let id = format!("t{:x}", hash(&format!("{index} {entry}")));
        entry["request"] = json!({ "method": "PUT", "url": format!("{of}/{id}") });
        entry["resource"]["id"] = json!(id);
        ids.insert(text(entry, "fullUrl"), format!("{of}/{id}"));
    }
    entries.iter_mut().for_each(|entry| replace(entry, &ids));
    entries
}

fn replace(value: &mut Value, ids: &HashMap<String, String>) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(|element| replace(element, ids)),
        Value::Object(members) => members.iter_mut().for_each(|(name, value)| match value {
            Value::String(text) if name == "reference" => {
                if let Some(id) = ids.get(text) {
                    *text = id.clone();
                }
            }
            value => replace(value, ids),
        }),
        _ => {}
    }
}
