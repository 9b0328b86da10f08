//! OperationOutcome, the FHIR form of an error (FHIR R4 operationoutcome.html).

use bytes::Bytes;
use serde_json::json;

/// Code system of the codes in `details.coding`; the codes are the names of the gate's rules.
pub const RULE_SYSTEM: &str = "urn:smartgate:rule";

/// Media type of FHIR in JSON.
pub const FHIR_JSON: &str = "application/fhir+json";

/// One error, ready to be sent.
///
/// `issue` is a code of FHIR's IssueType, `code` the stable name of a rule, `text` a sentence for developers, `entry` the entry of
/// the client's Bundle that it is about.
pub fn outcome(issue: &str, code: &str, text: &str, entry: Option<usize>) -> Bytes {
    let mut body = json!({
        "resourceType": "OperationOutcome",
        "issue": [{
            "severity": "error",
            "code": issue,
            "details": { "coding": [{ "system": RULE_SYSTEM, "code": code }], "text": text },
        }],
    });
    if let (Some(index), Some(issue)) = (entry, body.pointer_mut("/issue/0")) {
        issue["expression"] = json!([format!("Bundle.entry[{index}]")]);
    }
    Bytes::from(body.to_string())
}
