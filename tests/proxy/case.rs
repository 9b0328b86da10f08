//! The corpus as data: strict, so that a misspelt expectation is an error and not a case that passes.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::double::Manners;
use crate::tokens::Signature;

/// One file: a section of attacks.md.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Section {
    /// Lines of `[fhir]`.
    #[serde(default)]
    pub fhir: String,
    /// Lines at the end of the configuration.
    #[serde(default)]
    pub rest: String,
    /// FHIR versions in which its cases hold.
    #[serde(default = "r4")]
    pub versions: Vec<String>,
    pub case: Vec<Case>,
}

/// What some requests have in common, and what must become of them.
#[derive(Deserialize, Debug, Clone)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    /// The row of attacks.md.
    pub row: u32,
    /// What sets it apart from the other cases of the row.
    pub about: String,
    /// A name of `tokens.toml`; none sends no token.
    pub token: Option<String>,
    /// FHIR versions in which it holds, if not in all of the section.
    #[serde(default)]
    pub versions: Vec<String>,
    /// Claims that the token has besides or instead.
    #[serde(default)]
    pub claims: Map<String, Value>,
    /// Claims that it lacks.
    #[serde(default)]
    pub without: Vec<String>,
    /// Entries of the token's header that it has besides or instead.
    #[serde(default)]
    pub jose: Map<String, Value>,
    #[serde(default)]
    pub signature: Signature,
    #[serde(default = "get")]
    pub method: String,
    /// Each is one request; `{upstream}` stands for the FHIR server's base, `{token}` for the token, `{many}` and `{9k}` for too
    /// much of something.
    pub targets: Vec<String>,
    /// Name and value; `{token}` stands for the token. `Authorization` is added unless it is here.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    #[serde(default)]
    pub body: String,
    /// The body, so many times.
    #[serde(default = "one")]
    pub body_times: usize,
    #[serde(default)]
    pub upstream: Manners,
    /// Decided by what only a connection has (framing, several headers): not asked of `decide` alone.
    #[serde(default)]
    pub wire_only: bool,
    /// What goes up goes up at the same time, in any order.
    #[serde(default)]
    pub at_once: bool,
    pub expect: Expect,
}

#[derive(Deserialize, Debug, Clone)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    pub decision: Decision,
    /// The rule that decides; of a refusal by the HTTP server itself there is none.
    #[serde(default)]
    pub rule: String,
    pub status: u16,
    /// The rule of the answer, where the decision permitted and the answer is a denial all the same.
    pub then: Option<String>,
    /// What reaches the FHIR server, method and target; nothing unless it is said. `{target}` is the request's own.
    #[serde(default)]
    pub goes_up: Vec<String>,
    /// Resources in the answer, in order.
    pub resources: Option<Vec<String>>,
    /// Text that must be in the answer's head or body.
    #[serde(default)]
    pub holds: Vec<String>,
    /// Text that must not be there. What belongs to B never may under a patient's token.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// Text that must be in the bytes that go up.
    #[serde(default)]
    pub sends: Vec<String>,
    /// Text that must not be there.
    #[serde(default)]
    pub keeps: Vec<String>,
}

#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Decision {
    Permit,
    Refuse,
}

fn get() -> String {
    "GET".to_owned()
}

fn r4() -> Vec<String> {
    vec!["R4".to_owned()]
}

fn one() -> usize {
    1
}

/// The tokens of attacks.md's conventions, by name.
pub(crate) type Tokens = BTreeMap<String, Map<String, Value>>;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn tokens() -> Tokens {
    toml::from_str(&read("tokens.toml")).unwrap_or_else(|error| panic!("tokens.toml: {error}"))
}

pub(crate) fn section(name: &str) -> Section {
    toml::from_str(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
