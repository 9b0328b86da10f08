//! `conf/smartgate.schema.json`: the main file as a JSON Schema, by which editors complete and check it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Asked, Key, Name, Shape, lines, parts};

/// Lengths of time, as the checks read them.
const TIME: &str = "^[0-9]+(ms|s|m|h|d)$";

/// The schema, as it stands in the file.
pub(super) fn schema(asked: &BTreeMap<Name, Asked>) -> String {
    let mut root = object(Map::new(), Vec::new());
    let named = asked.keys().map(|(section, _)| (section.trim_matches(['[', ']']), section.as_str()));
    // In this order `audit` comes before `audit.fhir`, which is put into it.
    for (path, section) in named.collect::<BTreeSet<_>>() {
        let mut place = &mut root;
        for name in path.split('.') {
            let properties = &mut place["properties"];
            if properties.get(name).is_none() {
                properties[name] = object(Map::new(), Vec::new());
            }
            place = &mut properties[name];
        }
        let table = table(section, "", asked);
        *place = if section.starts_with("[[") { json!({ "type": "array", "items": table }) } else { table };
    }
    root["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    root["title"] = "Smartgate".into();
    format!("{}\n", serde_json::to_string_pretty(&root).unwrap())
}

fn object(properties: Map<String, Value>, required: Vec<&str>) -> Value {
    let mut object = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        object["required"] = required.into();
    }
    object
}

/// A section, or the table that is the value of the key that `prefix` names.
fn table(section: &str, prefix: &str, asked: &BTreeMap<Name, Asked>) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (name, known) in asked.iter().filter(|((of, _), _)| of == section) {
        let Some(key) = name.1.strip_prefix(prefix).filter(|key| !key.contains('.')) else { continue };
        let described = described(name);
        if known.is_required && described.is_some_and(|key| key.default.is_none()) {
            required.push(key);
        }
        let mut value = value(section, &format!("{}.", name.1), known, asked);
        if let Some(key) = described {
            value["description"] = plain(&lines(key.doc).collect::<Vec<_>>().join(" ")).into();
            let default = known.default.as_ref().filter(|_| key.default.is_none() && !known.is_required);
            if let Some(default) = default {
                let parsed: toml::Table = format!("it = {default}").parse().unwrap();
                value["default"] = serde_json::to_value(&parsed["it"]).unwrap();
            }
        }
        properties.insert(key.to_owned(), value);
    }
    object(properties, required)
}

fn value(section: &str, prefix: &str, known: &Asked, asked: &BTreeMap<Name, Asked>) -> Value {
    let text = json!({ "type": "string" });
    match &known.shape {
        Shape::Text => text,
        Shape::Texts { filled: true } => json!({ "type": "array", "items": text, "minItems": 1 }),
        Shape::Texts { filled: false } => json!({ "type": "array", "items": text }),
        Shape::OneOrMany => json!({ "type": ["string", "array"], "items": text }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Number(range) => json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() }),
        Shape::Time(_) => json!({ "type": "string", "pattern": TIME }),
        Shape::Choice(words) => json!({ "enum": words }),
        Shape::Choices(words) => json!({ "type": "array", "items": { "enum": words } }),
        Shape::Table => table(section, prefix, asked),
        Shape::OpenTable => json!({ "type": "object", "additionalProperties": text }),
        Shape::Tables => json!({ "type": "array", "items": table(section, prefix, asked) }),
    }
}

fn described(name: &Name) -> Option<&'static Key> {
    parts().find_map(|part| part.keys.iter().find(|key| part.names(key).contains(name)))
}

/// Markdown without its links, which lead nowhere in an editor.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, label, after)) = next_link(rest) {
        plain.extend([before, label]);
        rest = after;
    }
    plain + rest
}

/// What is before the next `[label](target)`, its label, and what is after it.
fn next_link(text: &str) -> Option<(&str, &str, &str)> {
    let (before, target) = text.split_once("](")?;
    let (before, label) = before.rsplit_once('[')?;
    Some((before, label, target.split_once(')')?.1))
}
