//! A FHIR server in memory: small, honest unless told otherwise, and so made that its answers follow from what it holds and what
//! it is asked alone. Ids and versions come from the request, and its clock stands still.

pub(crate) mod bundles;
pub(crate) mod data;
pub(crate) mod listen;
pub(crate) mod parameters;
pub(crate) mod reads;
pub(crate) mod search;
pub(crate) mod writes;

use data::Data;
use serde_json::{Value, json};

/// How the server behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Manners {
    Good,
    /// Passes over the parameters that name a patient.
    IgnoresNarrowing,
    /// Adds other patients' resources, outcomes and totals that nobody asked for.
    Talkative,
    /// Answers reads and writes with another patient's resource.
    AnswersOthers,
    /// Fails now and then, in words that name other patients.
    NamesOthers,
    NoVersions,
    /// Compares codes without regard to the case of their letters.
    IgnoresCase,
    /// Puts three on a page whatever `_count` says.
    SmallPages,
}

/// One request, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub method: String,
    /// Segments below the base.
    pub path: Vec<String>,
    pub query: Vec<(String, String)>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Option<Value>,
}

impl Request {
    /// Reads a target below the base.
    pub(crate) fn new(method: &str, target: &str, headers: Vec<(String, String)>, body: &[u8]) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let path = path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect();
        Self { method: method.to_owned(), path, query, headers, body: serde_json::from_slice(body).ok() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// A number that follows from what is asked.
    pub(crate) fn hash(&self) -> u64 {
        hash(&format!("{} {:?} {:?} {:?}", self.method, self.path, self.query, self.body))
    }
}

/// FNV-1a, which is the same on every machine.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<Value>,
}

impl Answer {
    pub(crate) fn new(status: u16, body: Option<Value>) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    pub(crate) fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// The server between two requests.
pub(crate) struct Server {
    pub base: String,
    pub data: Data,
    pub manners: Manners,
    /// Resources of other patients, for ill manners; one at least.
    others: Vec<Value>,
}

impl Server {
    pub(crate) fn new(base: String) -> Self {
        Self { base, data: Data::default(), manners: Manners::Good, others: Vec::new() }
    }

    /// Other data and other manners; `others` is what ill manners give away.
    pub(crate) fn hold(&mut self, data: Data, manners: Manners, others: Vec<Value>) {
        (self.data, self.manners, self.others) = (data, manners, others);
    }

    pub(crate) fn answer(&mut self, request: &Request) -> Answer {
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        if path == ["metadata"] {
            return Answer::new(200, Some(json!({ "resourceType": "CapabilityStatement", "fhirVersion": "4.0.1" })));
        }
        if self.manners == Manners::NamesOthers && self.fails(request) {
            return self.error(if request.hash().is_multiple_of(2) { 422 } else { 500 });
        }
        match (request.method.as_str(), path.as_slice()) {
            ("GET" | "HEAD", [of, id]) => self.read(request, of, id, None),
            ("GET" | "HEAD", [of, id, "_history", version]) => self.read(request, of, id, Some(version)),
            ("GET" | "HEAD", [of, id, "_history"]) => self.history(request, of, id),
            ("GET" | "HEAD", [compartment, id, of]) => self.search(request, of, Some((compartment, id))),
            ("GET" | "HEAD", [of]) => self.search(request, of, None),
            ("POST", []) => self.bundle(request),
            ("POST", [of]) => self.create(request, of),
            ("PUT", [of, id]) => self.update(request, of, id),
            ("DELETE", [of, id]) => self.delete(request, of, id),
            ("PUT", [of]) => self.conditional_update(request, of),
            ("DELETE", [of]) => self.conditional_delete(request, of),
            _ => self.error(405),
        }
    }

    /// Whether an ill-mannered server fails this request; never one whose further pages depend on what else is held.
    fn fails(&self, request: &Request) -> bool {
        let paged = request.query.iter().any(|(name, _)| name == search::OFFSET);
        !paged && !request.path.contains(&"_history".to_owned()) && request.hash().is_multiple_of(9)
    }

    /// An error; an ill-mannered server names everybody in it.
    pub(crate) fn error(&self, status: u16) -> Answer {
        let diagnostics = match self.manners {
            Manners::NamesOthers => Value::from(self.others.clone()).to_string(),
            _ => format!("this is {status}"),
        };
        let issue = json!([{ "severity": "error", "code": "processing", "diagnostics": diagnostics }]);
        Answer::new(status, Some(json!({ "resourceType": "OperationOutcome", "issue": issue })))
    }

    /// Another patient's resource, as ill manners have it.
    fn other(&self, request: &Request) -> Value {
        let index = usize::try_from(request.hash() % self.others.len() as u64).unwrap();
        self.others[index].clone()
    }
}
