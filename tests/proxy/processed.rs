//! Batches and transactions as the double processes them: in FHIR's order, references resolved, a transaction whole or not at all.

use serde_json::{Value, json};

use crate::double::{Answer, Manners, Seen};
use crate::resources::{OF_ANOTHER, observation};

/// The server below: answers single requests, tells whether an id is taken, and takes everything back.
pub(crate) struct Below<'s> {
    pub ask: &'s dyn Fn(&Seen) -> Answer,
    pub taken: &'s dyn Fn(&str, &str) -> bool,
    pub roll_back: &'s dyn Fn(),
}

pub(crate) fn process(bundle: &str, manners: Manners, below: &Below<'_>) -> Answer {
    let mut bundle: Value = serde_json::from_str(bundle).unwrap_or_default();
    let whole = bundle["type"] == "transaction";
    let mut entries = bundle["entry"].as_array_mut().map(std::mem::take).unwrap_or_default();
    if whole {
        resolve(&mut entries, below);
    }
    let mut order: Vec<usize> = (0..entries.len()).collect();
    if whole {
        order.sort_by_key(|index| rank(entries[*index]["request"]["method"].as_str().unwrap_or_default()));
    }
    let mut answered = vec![Value::Null; entries.len()];
    for index in order {
        let mut single = single(&entries[index]);
        if manners == Manners::IgnoresConditionsInBundles {
            single.headers.clear();
        }
        let answer = (below.ask)(&single);
        if whole && answer.status >= 400 {
            (below.roll_back)();
            return answer;
        }
        answered[index] = printed(&answer);
    }
    misbehave(&mut answered, manners);
    let kind = format!("{}-response", bundle["type"].as_str().unwrap_or("batch"));
    let bundle = json!({ "resourceType": "Bundle", "id": "upstream-bundle", "type": kind, "entry": answered });
    Answer::json(200, &bundle)
}

fn rank(method: &str) -> usize {
    ["DELETE", "POST", "PUT", "PATCH", "GET"].iter().position(|known| *known == method).unwrap_or(4)
}

/// Gives what is created its id, and puts it wherever its `fullUrl` stands.
fn resolve(entries: &mut [Value], below: &Below<'_>) {
    let mut given: Vec<(String, String)> = Vec::new();
    for entry in entries.iter_mut().filter(|entry| entry["request"]["method"] == "POST") {
        let of = entry["request"]["url"].as_str().unwrap_or_default().to_owned();
        if let Some(there) = there(entry, below) {
            given.push((entry["fullUrl"].as_str().unwrap_or_default().to_owned(), there.clone()));
            entry["request"] = json!({ "method": "GET", "url": there });
            continue;
        }
        let mut ids = (0..).map(|n| if n == 0 { "new".to_owned() } else { format!("new-{n}") });
        let free = |id: &String| !(below.taken)(&of, id) && !given.iter().any(|(_, to)| *to == format!("{of}/{id}"));
        let name = format!("{of}/{}", ids.find(free).unwrap());
        given.push((entry["fullUrl"].as_str().unwrap_or_default().to_owned(), name.clone()));
        entry["request"]["url"] = json!(name);
    }
    for entry in entries {
        for (from, to) in given.iter().filter(|(from, _)| !from.is_empty()) {
            let text = entry["resource"].to_string().replace(&format!("\"{from}\""), &format!("\"{to}\""));
            entry["resource"] = serde_json::from_str(&text).unwrap();
        }
    }
}

/// The one resource that meets `ifNoneExist`.
fn there(entry: &Value, below: &Below<'_>) -> Option<String> {
    let (of, criteria) = (entry["request"]["url"].as_str()?, entry["request"]["ifNoneExist"].as_str()?);
    let search = json!({ "request": { "method": "GET", "url": format!("{of}?{criteria}") } });
    let found: Value = serde_json::from_slice(&(below.ask)(&single(&search)).body).ok()?;
    match found["entry"].as_array()?.as_slice() {
        [one] => Some(format!("{of}/{}", one["resource"]["id"].as_str()?)),
        _ => None,
    }
}

/// An entry as a request of its own; what is created was given its id already.
fn single(entry: &Value) -> Seen {
    let asked = &entry["request"];
    let text = |name: &str| asked[name].as_str().map(str::to_owned);
    let (method, url) = (text("method").unwrap_or_default(), text("url").unwrap_or_default());
    let created = method == "POST" && url.contains('/');
    let conditions = [("ifMatch", "if-match"), ("ifNoneMatch", "if-none-match"), ("ifNoneExist", "if-none-exist")];
    let headers = conditions.iter().filter_map(|(name, header)| Some(((*header).to_owned(), text(name)?)));
    let body = if entry["resource"].is_null() { String::new() } else { entry["resource"].to_string() };
    Seen {
        method: if created { "PUT".to_owned() } else { method },
        target: format!("/fhir/{url}"),
        headers: headers.collect(),
        body,
        raw: String::new(),
    }
}

fn printed(answer: &Answer) -> Value {
    let header = |name: &str| {
        let found = answer.headers.iter().find(|(given, _)| *given == name);
        found.map_or(Value::Null, |(_, value)| json!(value))
    };
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let mut response = json!({
        "status": format!("{} Whatever", answer.status),
        "location": header("Location"),
        "etag": header("ETag"),
        "lastModified": "2026-12-01T10:00:00.123Z",
    });
    response.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    if answer.status >= 400 {
        response["outcome"] = body;
        return json!({ "response": response });
    }
    response["outcome"] = json!({ "resourceType": "OperationOutcome", "issue": [{ "diagnostics": "all well" }] });
    if body.is_null() { json!({ "response": response }) } else { json!({ "resource": body, "response": response }) }
}

fn misbehave(answered: &mut Vec<Value>, manners: Manners) {
    let others = observation("b1", "B", "x");
    match manners {
        Manners::FewerEntries => {
            answered.pop();
        }
        Manners::MoreEntries => answered.push(json!({ "resource": others, "response": { "status": "200" } })),
        Manners::OtherOrder => answered.reverse(),
        Manners::OthersEntries => {
            for entry in answered {
                *entry = json!({
                    "fullUrl": "http://elsewhere.example/Patient/B",
                    "resource": others,
                    "search": { "mode": OF_ANOTHER },
                    "response": {
                        "status": format!("200 {OF_ANOTHER}"),
                        "location": "Patient/B/_history/1",
                        "etag": format!("W/\"{OF_ANOTHER}\""),
                        "lastModified": OF_ANOTHER,
                        "outcome": others,
                    },
                });
            }
        }
        Manners::FailsLate => {
            let outcome = json!({ "resourceType": "OperationOutcome", "issue": [{ "diagnostics": OF_ANOTHER }] });
            for entry in answered {
                *entry = json!({ "response": { "status": "422 Patient/B", "outcome": outcome } });
            }
        }
        _ => {}
    }
}
