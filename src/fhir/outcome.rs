//! OperationOutcome, the FHIR form of an error (FHIR R4 operationoutcome.html).

use bytes::Bytes;
use serde::Serialize;

/// Code system of the codes in `details.coding`; the codes are the names of the gate's rules.
pub const RULE_SYSTEM: &str = "urn:smartgate:rule";

/// Media type of FHIR in JSON.
pub const FHIR_JSON: &str = "application/fhir+json";

/// One error, ready to be sent.
///
/// `issue` is a code of FHIR's IssueType, `code` the stable name of a rule, `text` a sentence for developers, `entry` the entry of
/// the client's Bundle that it is about.
pub fn outcome(issue: &str, code: &str, text: &str, entry: Option<usize>) -> Bytes {
    let details = Details { coding: [Coding { system: RULE_SYSTEM, code }], text };
    let expression = entry.map(|index| [format!("Bundle.entry[{index}]")]);
    let issue = Issue { severity: "error", code: issue, details, expression };
    // What is made of texts only can always be printed.
    let body = serde_json::to_vec(&Outcome { resource_type: "OperationOutcome", issue: [issue] });
    body.unwrap_or_default().into()
}

#[derive(Serialize)]
struct Outcome<'a> {
    #[serde(rename = "resourceType")]
    resource_type: &'static str,
    issue: [Issue<'a>; 1],
}

#[derive(Serialize)]
struct Issue<'a> {
    severity: &'static str,
    code: &'a str,
    details: Details<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expression: Option<[String; 1]>,
}

#[derive(Serialize)]
struct Details<'a> {
    coding: [Coding<'a>; 1],
    text: &'a str,
}

#[derive(Serialize)]
struct Coding<'a> {
    system: &'static str,
    code: &'a str,
}
