//! What a FHIR server holds, as a value: cloned for each sequence of requests, so that writes of one do not meet the next.

use std::sync::Arc;

use serde_json::{Value, json};

/// `meta.lastUpdated` of everything: the servers of these tests have a clock that stands still.
pub(crate) const LAST_UPDATED: &str = "2027-01-15T08:00:00Z";

/// One version of a resource; none of a deleted one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Version {
    pub id: String,
    pub body: Option<Value>,
}

/// A resource with all its versions, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub of: String,
    pub id: String,
    pub versions: Vec<Version>,
}

impl Record {
    pub(crate) fn last(&self) -> &Version {
        &self.versions[self.versions.len() - 1]
    }

    pub(crate) fn current(&self) -> Option<&Value> {
        self.last().body.as_ref()
    }
}

/// Everything, in the order in which it came.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Data {
    pub records: Vec<Arc<Record>>,
}

impl Data {
    /// Adds a resource with its versions, numbered from 1; none stands for a deletion.
    pub(crate) fn add(&mut self, bodies: Vec<Option<Value>>) {
        self.add_from(1, bodies);
    }

    /// Adds a resource whose first version that is still known has this number.
    pub(crate) fn add_from(&mut self, number: usize, bodies: Vec<Option<Value>>) {
        let first = bodies.iter().flatten().next().expect("one version at least");
        let (of, id) = (text(first, "resourceType"), text(first, "id"));
        let numbered = bodies.into_iter().zip(number..).map(|(body, number)| version(number.to_string(), body));
        self.records.push(Arc::new(Record { of, id, versions: numbered.collect() }));
    }

    pub(crate) fn find(&self, of: &str, id: &str) -> Option<&Record> {
        self.records.iter().find(|record| record.of == of && record.id == id).map(AsRef::as_ref)
    }

    /// What there is now.
    pub(crate) fn current(&self) -> Vec<&Value> {
        self.records.iter().filter_map(|record| record.current()).collect()
    }

    /// Stores a further version.
    pub(crate) fn put(&mut self, of: &str, id: &str, version_id: String, body: Option<Value>) {
        let new = version(version_id, body);
        match self.records.iter_mut().find(|record| record.of == of && record.id == id) {
            Some(record) => Arc::make_mut(record).versions.push(new),
            None => {
                let record = Record { of: of.to_owned(), id: id.to_owned(), versions: vec![new] };
                self.records.push(Arc::new(record));
            }
        }
    }
}

fn version(id: String, mut body: Option<Value>) -> Version {
    if let Some(body) = &mut body {
        body["meta"]["versionId"] = json!(id);
        body["meta"]["lastUpdated"] = json!(LAST_UPDATED);
    }
    Version { id, body }
}

/// A member that is a text, or nothing.
pub(crate) fn text(resource: &Value, name: &str) -> String {
    resource[name].as_str().unwrap_or_default().to_owned()
}

/// `Type/id`.
pub(crate) fn name_of(resource: &Value) -> String {
    format!("{}/{}", text(resource, "resourceType"), text(resource, "id"))
}
