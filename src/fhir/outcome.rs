//! OperationOutcome, the FHIR form of an error (FHIR R4 operationoutcome.html).

use bytes::Bytes;
use serde_json::json;

/// Code system of the codes in `details.coding`; the codes are the names of the gate's rules.
pub const RULE_SYSTEM: &str = "urn:smartgate:rule";

/// Media type of FHIR in JSON.
pub const FHIR_JSON: &str = "application/fhir+json";

/// One error, ready to be sent.
///
/// `issue` is a code of FHIR's IssueType, `code` the stable name of a rule, `text` a sentence for developers.
pub fn outcome(issue: &str, code: &str, text: &str) -> Bytes {
    let body = json!({
        "resourceType": "OperationOutcome",
        "issue": [{
            "severity": "error",
            "code": issue,
            "details": { "coding": [{ "system": RULE_SYSTEM, "code": code }], "text": text },
        }],
    });
    Bytes::from(body.to_string())
}
