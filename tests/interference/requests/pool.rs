//! What requests are made from: the ids and values that occur in the data sets.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::server::data::{Data, text};
use crate::server::parameters::{Kind, PARAMETERS, Parameter, parameters_of};
use crate::server::search::first_text;
use crate::worlds::{CANARY, Others, world};

pub(crate) struct Pool {
    /// Types and ids of the grant's patients and of nobody.
    pub own: Vec<(String, String)>,
    /// Of others.
    pub strangers: Vec<(String, String)>,
    /// Resources of the grant's patients, to be changed and sent back.
    pub bodies: Vec<Value>,
    /// Values that a parameter has somewhere, by type and code.
    values: BTreeMap<(&'static str, &'static str), Vec<String>>,
}

impl Pool {
    pub(crate) fn of(patients: &[&str]) -> Self {
        let alone = world(patients, Others::None).data;
        let names = |data: &Data| -> Vec<(String, String)> {
            data.records.iter().map(|record| (record.of.clone(), record.id.clone())).collect()
        };
        let own = names(&alone);
        let mut strangers = Vec::new();
        let mut values: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for others in [Others::SameIds, Others::Referring] {
            let data = world(patients, others).data;
            strangers.extend(names(&data).into_iter().filter(|name| !own.contains(name)));
            for resource in data.current() {
                for parameter in PARAMETERS.iter().filter(|p| p.of == "*" || resource["resourceType"] == p.of) {
                    let found = parameter.values(resource).into_iter().map(|value| printed(parameter, value));
                    values.entry((parameter.of, parameter.code)).or_default().extend(found);
                }
            }
        }
        for values in values.values_mut() {
            values.sort();
            values.dedup();
            values.retain(|value| !value.is_empty() && !value.contains(CANARY));
        }
        let bodies = alone.current().into_iter().filter(|resource| !shared(resource)).cloned().collect();
        Self { own, strangers, bodies, values }
    }

    /// Values that the parameter has in some resource.
    pub(crate) fn values(&self, parameter: &Parameter) -> &[String] {
        self.values.get(&(parameter.of, parameter.code)).map(Vec::as_slice).unwrap_or_default()
    }

    /// The parameters of a type that have values.
    pub(crate) fn parameters(&self, of: &str) -> Vec<&'static Parameter> {
        parameters_of(of).filter(|parameter| !self.values(parameter).is_empty()).collect()
    }
}

fn shared(resource: &Value) -> bool {
    crate::model::SHARED.contains(&text(resource, "resourceType").as_str())
}

/// The value as a search would name it.
fn printed(parameter: &Parameter, value: &Value) -> String {
    match parameter.kind {
        Kind::Quantity => value["value"].to_string(),
        Kind::Date => first_text(value).get(..10).unwrap_or_default().to_owned(),
        _ => first_text(value),
    }
}
