//! What a FHIR server makes of includes, chains and `_has`: as much of it as the tests ask for.

use serde_json::{Value, json};

use crate::resources::conventional;

/// The resources of attacks.md's conventions, with references between them: A's lead to some that are shared, B's to others, and
/// the two Patients to each other.
pub(crate) fn resources() -> Vec<Value> {
    let mut resources = conventional();
    for resource in &mut resources {
        match name_of(resource).as_str() {
            "Observation/a1" => {
                resource["performer"] = json!([{ "reference": "Practitioner/p" }]);
                resource["encounter"] = json!({ "reference": "Encounter/ea" });
            }
            "Observation/b1" => resource["performer"] = json!([{ "reference": "Practitioner/p2" }]),
            "Patient/A" => {
                resource["name"] = json!([{ "text": "Amy" }]);
                resource["link"] = json!([{ "other": { "reference": "Patient/B" }, "type": "seealso" }]);
            }
            _ => {}
        }
    }
    resources.push(json!({ "resourceType": "Practitioner", "id": "p2", "meta": { "versionId": "1" } }));
    resources
}

/// Resources that the includes of `query` add to the page `matches`. A server that goes astray adds them for every resource it has.
pub(crate) fn included(held: &[Value], matches: &[Value], query: &[(String, String)]) -> Vec<Value> {
    let mut there = matches.to_vec();
    let mut from = 0;
    loop {
        let mut added: Vec<Value> = Vec::new();
        for (name, value) in query {
            let (key, iterates) = name.split_once(':').map_or((name.as_str(), false), |(key, _)| (key, true));
            let roots = match (iterates, from) {
                (true, _) => &there[from..],
                (false, 0) => matches,
                (false, _) => &[],
            };
            let mut parts = value.splitn(3, ':');
            let (source, code, target) = (parts.next().unwrap(), parts.next().unwrap_or("*"), parts.next());
            let leads = |from: &Value, to: &Value| {
                (source == "*" || is_of(from, source))
                    && target.is_none_or(|target| is_of(to, target))
                    && references(from, code).contains(&name_of(to))
            };
            let found = held.iter().filter(|resource| match key {
                "_include" => roots.iter().any(|root| leads(root, resource)),
                "_revinclude" => roots.iter().any(|root| leads(resource, root)),
                _ => false,
            });
            added.extend(found.cloned());
        }
        added.retain(|one| !there.contains(one));
        added.dedup();
        if added.is_empty() {
            return there[matches.len()..].to_vec();
        }
        from = there.len();
        there.extend(added);
    }
}

/// Whether a chain or `_has` selects the resource; true for every other parameter.
pub(crate) fn selects(held: &[Value], resource: &Value, name: &str, value: &str) -> bool {
    if let Some(rest) = name.strip_prefix("_has:") {
        let parts: Vec<&str> = rest.splitn(3, ':').collect();
        return held.iter().any(|other| {
            is_of(other, parts[0])
                && references(other, parts[1]).contains(&name_of(resource))
                && says(held, other, parts[2], value)
        });
    }
    let Some((head, rest)) = name.split_once('.') else { return true };
    let (code, of) = head.split_once(':').map_or((head, None), |(code, of)| (code, Some(of)));
    let named = references(resource, code);
    let mut targets = held.iter().filter(|other| named.contains(&name_of(other)));
    targets.any(|other| of.is_none_or(|of| is_of(other, of)) && says(held, other, rest, value))
}

fn says(held: &[Value], resource: &Value, name: &str, value: &str) -> bool {
    match name {
        "code" => resource["code"]["text"] == value,
        "name" => resource["name"][0]["text"] == value,
        "_id" => resource["id"] == value,
        name => name.contains(['.', ':']) && selects(held, resource, name, value),
    }
}

fn is_of(resource: &Value, of: &str) -> bool {
    resource["resourceType"] == of
}

fn name_of(resource: &Value) -> String {
    format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap())
}

/// What a resource refers to by the element that the search parameter `code` looks at; by any of them for `*`.
fn references(resource: &Value, code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let element = |name: &str| match code {
        "*" => true,
        "patient" => matches!(name, "patient" | "subject"),
        "actor" => name == "participant",
        code => name == code,
    };
    for (_, value) in resource.as_object().unwrap().iter().filter(|(name, _)| element(name)) {
        collect(value, &mut found);
    }
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, found)),
        Value::Object(members) => members.iter().for_each(|(name, value)| match value {
            Value::String(text) if name == "reference" => found.push(text.clone()),
            _ => collect(value, found),
        }),
        _ => {}
    }
}
