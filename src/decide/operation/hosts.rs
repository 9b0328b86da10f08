//! Values that could make the FHIR server fetch from somewhere on the gate's behalf (attacks.md 173).
//!
//! Canonical URLs name what somebody has published: their host is a name with a dot in it. An address, `localhost` or the name of
//! a neighbour is a place to fetch from, and so is any scheme but http, https and urn.

use url::{Host, Url};

use super::{Asked, OPERATION_PARAMETER};
use crate::config::Snapshot;
use crate::decide::rule::Refusal;
use crate::fhir::json::{Json, Value};
use crate::fhir::reference::Literal;
use crate::fhir::search::Parameter;

/// Schemes that a server may follow, besides http and https.
const FETCHED: [&str; 11] =
    ["dict:", "file:", "ftp:", "ftps:", "gopher:", "jar:", "ldap:", "ldaps:", "netdoc:", "sftp:", "tftp:"];

/// Last labels of names that are nobody's in public (RFC 6761, RFC 6762, RFC 8375, ICANN `internal`).
const PRIVATE: [&str; 8] = ["arpa", "corp", "home", "internal", "lan", "local", "localdomain", "localhost"];

/// Checks the values of parameters.
pub(super) fn check(asked: &Asked<'_>, parameters: &[Parameter]) -> Result<(), Refusal> {
    parameters.iter().try_for_each(|parameter| value(asked.snapshot, &parameter.value, parameter.code()))
}

/// Checks every text of a body.
pub(super) fn check_body(snapshot: &Snapshot, body: Json<'_>) -> Result<(), Refusal> {
    match body.value() {
        Value::Text(text) => value(snapshot, text, "a text of the body"),
        Value::Array(mut elements) => elements.try_for_each(|element| check_body(snapshot, element)),
        Value::Object(mut members) => members.try_for_each(|(_, member)| check_body(snapshot, member)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn value(snapshot: &Snapshot, text: &str, what: &str) -> Result<(), Refusal> {
    let bases = snapshot.fhir.bases();
    let own = |part: &str| Literal::parse(part, &bases).is_some();
    let fine = text.split([',', '|']).map(str::trim).all(|part| own(part) || !leads_inside(part));
    if fine { Ok(()) } else { Err(OPERATION_PARAMETER.refuse().because(what)) }
}

/// Whether a server that followed this would ask a host that is nobody's public name.
fn leads_inside(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    if lower.starts_with("http:") || lower.starts_with("https:") {
        let Ok(url) = Url::parse(text) else { return true };
        let credentials = !url.username().is_empty() || url.password().is_some();
        return credentials
            || match url.host() {
                Some(Host::Domain(name)) => !is_public(name),
                _ => true,
            };
    }
    let relative = text.starts_with("//") || text.starts_with("\\\\");
    relative || FETCHED.iter().any(|scheme| lower.starts_with(scheme))
}

fn is_public(name: &str) -> bool {
    let mut labels = name.trim_end_matches('.').rsplit('.');
    let last = labels.next().unwrap_or_default();
    labels.next().is_some() && !PRIVATE.contains(&last)
}

#[cfg(test)]
#[path = "hosts_tests.rs"]
mod tests;
