//! FHIR search over a list of resources: filters, chains, `_has`, sorting and includes (FHIR R4 search.html).
//!
//! The server searches in all it holds; the model of completeness in what a grant makes visible, with this same code.

use serde_json::Value;

use super::data::{name_of, text};
use super::parameters::{Kind, Parameter, parameter, parameters_of};

/// What is to the left of a `=`.
#[derive(Clone, Debug)]
enum Key {
    Plain { code: String, modifier: Option<String> },
    Chain { code: String, of: Option<String>, rest: Box<Key> },
    Has { of: String, by: String, rest: Box<Key> },
}

impl Key {
    fn parse(text: &str) -> Self {
        if let Some(rest) = text.strip_prefix("_has:") {
            let mut parts = rest.splitn(3, ':');
            let mut part = || parts.next().unwrap_or_default().to_owned();
            let (of, by, rest) = (part(), part(), part());
            return Self::Has { of, by, rest: Box::new(Self::parse(&rest)) };
        }
        let (head, rest) = text.split_once('.').map_or((text, None), |(head, rest)| (head, Some(rest)));
        let (code, after) = head.split_once(':').map_or((head, None), |(code, after)| (code, Some(after.to_owned())));
        match rest {
            Some(rest) => Self::Chain { code: code.to_owned(), of: after, rest: Box::new(Self::parse(rest)) },
            None => Self::Plain { code: code.to_owned(), modifier: after },
        }
    }
}

/// `_include` and `_revinclude`.
#[derive(Clone, Debug)]
struct Include {
    reverse: bool,
    iterate: bool,
    source: String,
    code: String,
    target: Option<String>,
}

impl Include {
    fn parse(name: &str, value: &str) -> Self {
        let mut parts = value.splitn(3, ':');
        let source = parts.next().unwrap_or_default().to_owned();
        let (code, target) = (parts.next().unwrap_or("*").to_owned(), parts.next().map(str::to_owned));
        Self { reverse: name.starts_with("_rev"), iterate: name.contains(':'), source, code, target }
    }

    fn parameters(&self) -> impl Iterator<Item = &'static Parameter> {
        let references = parameters_of(&self.source).filter(|parameter| parameter.kind == Kind::Reference);
        references.filter(|parameter| self.code == "*" || parameter.code == self.code)
    }

    fn follows(&self, of: &str, target: &str) -> bool {
        (self.source == "*" || self.source == of) && self.target.as_deref().is_none_or(|wanted| wanted == target)
    }
}

/// A search, read from its parameters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    filters: Vec<(Key, String)>,
    includes: Vec<Include>,
    sort: Vec<String>,
    pub ignores_case: bool,
    pub count: Option<usize>,
    pub offset: usize,
    pub counted_only: bool,
    pub elements: Vec<String>,
}

/// Name of the server's own parameter for further pages.
pub(crate) const OFFSET: &str = "__offset";

impl Query {
    pub(crate) fn read(pairs: &[(String, String)]) -> Self {
        let mut query = Self::default();
        let list = |value: &str| value.split(',').map(str::to_owned).collect();
        for (name, value) in pairs {
            match name.as_str() {
                "_sort" => query.sort = list(value),
                "_count" => {
                    query.count = value.parse().ok();
                    query.counted_only |= query.count == Some(0);
                }
                OFFSET => query.offset = value.parse().unwrap_or(0),
                "_summary" => query.counted_only |= value == "count",
                "_elements" => query.elements = list(value),
                "_total" | "_format" | "_pretty" | "_page" => {}
                name if name.starts_with("_include") || name.starts_with("_revinclude") => {
                    query.includes.push(Include::parse(name, value));
                }
                name => query.filters.push((Key::parse(name), value.clone())),
            }
        }
        query
    }

    /// The matches of type `of`, sorted.
    pub(crate) fn matches<'v>(&self, all: &[&'v Value], of: &str) -> Vec<&'v Value> {
        let mut found: Vec<&Value> = all.iter().filter(|resource| resource["resourceType"] == of).copied().collect();
        found.retain(|resource| self.filters.iter().all(|(key, value)| self.holds(all, resource, key, value)));
        for term in self.sort.iter().rev() {
            let (code, down) = term.strip_prefix('-').map_or((term.as_str(), false), |code| (code, true));
            found.sort_by(|a, b| {
                let order = sort_key(of, code, a).cmp(&sort_key(of, code, b));
                if down { order.reverse() } else { order }
            });
        }
        found
    }

    fn holds(&self, all: &[&Value], resource: &Value, key: &Key, value: &str) -> bool {
        let of = text(resource, "resourceType");
        match key {
            Key::Plain { code, modifier } => {
                // A parameter that is not known is passed over.
                parameter(&of, code).is_none_or(|parameter| self.plain(parameter, resource, modifier.as_deref(), value))
            }
            Key::Chain { code, of: wanted, rest } => parameter(&of, code).is_some_and(|parameter| {
                let targets = parameter.references(resource).into_iter();
                targets
                    .filter(|(of, _)| wanted.as_deref().is_none_or(|wanted| wanted == *of))
                    .any(|(of, id)| all.iter().any(|target| is(target, of, id) && self.holds(all, target, rest, value)))
            }),
            Key::Has { of: source, by, rest } => parameter(source, by).is_some_and(|parameter| {
                let sources = all.iter().filter(|other| other["resourceType"] == source.as_str());
                sources.into_iter().any(|source| {
                    parameter.references(source).iter().any(|(of, id)| is(resource, of, id))
                        && self.holds(all, source, rest, value)
                })
            }),
        }
    }

    fn plain(&self, parameter: &Parameter, resource: &Value, modifier: Option<&str>, value: &str) -> bool {
        let values = parameter.values(resource);
        let any = || {
            value.split(',').any(|wanted| {
                values.iter().any(|found| match parameter.kind {
                    Kind::Token => token(found, wanted, self.ignores_case),
                    Kind::String => string(found, wanted, modifier),
                    Kind::Date => date(found, wanted),
                    Kind::Quantity => quantity(found, wanted),
                    Kind::Uri => found.as_str() == Some(wanted),
                    Kind::Reference => reference(parameter, found, wanted, modifier),
                })
            })
        };
        match modifier {
            Some("missing") => values.is_empty() == (value == "true"),
            Some("not") => !any(),
            _ => any(),
        }
    }

    /// What `matches` bring along out of `all`, themselves excepted.
    pub(crate) fn included<'v>(&self, all: &[&'v Value], matches: &[&'v Value]) -> Vec<&'v Value> {
        let mut found: Vec<&Value> = Vec::new();
        let mut frontier: Vec<&Value> = matches.to_vec();
        let mut first = true;
        while !frontier.is_empty() {
            let mut next: Vec<&Value> = Vec::new();
            for include in self.includes.iter().filter(|include| first || include.iterate) {
                for candidate in all {
                    let linked = frontier.iter().any(|from| brings(include, from, candidate));
                    let known = |list: &[&Value]| list.iter().any(|known| name_of(known) == name_of(candidate));
                    if linked && !known(matches) && !known(&found) && !known(&next) {
                        next.push(candidate);
                    }
                }
            }
            found.extend(&next);
            frontier = next;
            first = false;
        }
        found
    }
}

fn brings(include: &Include, from: &Value, candidate: &Value) -> bool {
    let (source, target) = if include.reverse { (candidate, from) } else { (from, candidate) };
    let (of, to) = (text(source, "resourceType"), text(target, "resourceType"));
    if !include.follows(&of, &to) {
        return false;
    }
    let linked = |parameter: &Parameter| parameter.references(source).iter().any(|(of, id)| is(target, of, id));
    if include.source == "*" {
        return parameters_of(&of).filter(|parameter| parameter.kind == Kind::Reference).any(linked);
    }
    include.parameters().any(linked)
}

pub(crate) fn is(resource: &Value, of: &str, id: &str) -> bool {
    resource["resourceType"] == of && resource["id"] == id
}

fn sort_key(of: &str, code: &str, resource: &Value) -> (bool, String) {
    let value = parameter(of, code).and_then(|parameter| parameter.values(resource).into_iter().next().map(first_text));
    (value.is_none(), value.unwrap_or_default())
}

/// The first text in a value.
pub(crate) fn first_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(members) => ["code", "value", "reference", "family", "coding"]
            .iter()
            .find_map(|name| members.get(*name))
            .map(first_text)
            .unwrap_or_default(),
        Value::Array(elements) => elements.first().map(first_text).unwrap_or_default(),
        other => other.to_string(),
    }
}

fn token(found: &Value, wanted: &str, ignores_case: bool) -> bool {
    if let Some(codings) = found.get("coding").and_then(Value::as_array) {
        return codings.iter().any(|coding| token(coding, wanted, ignores_case));
    }
    let (system, code) = match found {
        Value::String(text) => (None, text.clone()),
        Value::Bool(value) => (None, value.to_string()),
        found => (
            found["system"].as_str(),
            found["code"].as_str().or_else(|| found["value"].as_str()).unwrap_or_default().to_owned(),
        ),
    };
    let same = |a: &str, b: &str| if ignores_case { a.eq_ignore_ascii_case(b) } else { a == b };
    match wanted.split_once('|') {
        None => same(&code, wanted),
        Some(("", wanted)) => system.is_none() && same(&code, wanted),
        Some((wanted, "")) => system == Some(wanted),
        Some((wanted_system, wanted)) => system == Some(wanted_system) && same(&code, wanted),
    }
}

fn string(found: &Value, wanted: &str, modifier: Option<&str>) -> bool {
    let Some(found) = found.as_str() else { return false };
    let (lower, wanted_lower) = (found.to_lowercase(), wanted.to_lowercase());
    match modifier {
        Some("exact") => found == wanted,
        Some("contains") => lower.contains(&wanted_lower),
        _ => lower.starts_with(&wanted_lower),
    }
}

/// Dates are compared as texts as long as the value searched for.
fn date(found: &Value, wanted: &str) -> bool {
    let found = found.as_str().unwrap_or_default();
    let (prefix, wanted) = prefixed(wanted);
    let cut = found.get(..wanted.len()).unwrap_or(found);
    compare(prefix, cut.cmp(wanted))
}

fn quantity(found: &Value, wanted: &str) -> bool {
    let (prefix, wanted) = prefixed(wanted);
    let mut parts = wanted.split('|');
    let number: Option<f64> = parts.next().and_then(|number| number.parse().ok());
    let unit = parts.next_back().filter(|unit| !unit.is_empty());
    let unit_fits = unit.is_none_or(|unit| found["code"] == unit || found["unit"] == unit);
    match (found["value"].as_f64(), number) {
        (Some(found), Some(number)) => unit_fits && compare(prefix, found.total_cmp(&number)),
        _ => false,
    }
}

fn prefixed(value: &str) -> (&str, &str) {
    match value.get(..2) {
        Some(prefix @ ("eq" | "ne" | "lt" | "gt" | "le" | "ge" | "sa" | "eb" | "ap")) => (prefix, &value[2..]),
        _ => ("eq", value),
    }
}

fn compare(prefix: &str, order: std::cmp::Ordering) -> bool {
    match prefix {
        "ne" => order.is_ne(),
        "lt" | "eb" => order.is_lt(),
        "gt" | "sa" => order.is_gt(),
        "le" => order.is_le(),
        "ge" => order.is_ge(),
        _ => order.is_eq(),
    }
}

fn reference(parameter: &Parameter, found: &Value, wanted: &str, modifier: Option<&str>) -> bool {
    if modifier == Some("identifier") {
        return token(&found["identifier"], wanted, false);
    }
    let Some((of, id)) = found["reference"].as_str().and_then(|text| text.split_once('/')) else { return false };
    if !parameter.leads_to(of) {
        return false;
    }
    if let Some(wanted_type) = modifier
        && wanted_type != of
    {
        return false;
    }
    // An absolute URL is of this server: whose else it could be is the gate's matter.
    let mut parts = wanted.rsplit('/');
    let (wanted_id, wanted_type) = (parts.next(), parts.next());
    wanted_id == Some(id) && wanted_type.is_none_or(|wanted| wanted == of)
}
