//! Audit lines as FHIR R4 AuditEvents, by the Basic Audit Log Patterns of IHE (BALP 1.1, <https://profiles.ihe.net/ITI/BALP>).
//!
//! The profiles are of successful reads, searches and writes. Everything else, refusals above all, is an AuditEvent of the same
//! form that claims no profile.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::line::Line;

const PROFILES: &str = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.";
const DCM: &str = "http://dicom.nema.org/resources/ontology/DCM";
const EVENT: &str = "http://terminology.hl7.org/CodeSystem/audit-event-type";
const INTERACTION: &str = "http://hl7.org/fhir/restful-interaction";
const PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
const ENTITY: &str = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
const ROLE: &str = "http://terminology.hl7.org/CodeSystem/object-role";
const TRANSACTION: &str = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType";

/// How this gate is called in what it records.
pub(super) struct Gate<'a> {
    /// The FHIR base as apps see it: what references are absolute to, since the record may be kept elsewhere.
    pub(super) base: &'a str,
    pub(super) url: &'a str,
}

/// One kind of event: its profile and what the profile fixes.
struct Pattern {
    /// The name of the profile after `IHE.BasicAudit.` and `Patient`.
    profile: Option<&'static str>,
    action: &'static str,
    /// Code of FHIR's restful-interaction.
    code: Option<&'static str>,
    client: Value,
    server: Value,
    /// The user's part in it (v3-ParticipationType).
    user: (&'static str, &'static str),
}

const SOURCE: (&str, &str) = ("110153", "Source Role ID");
const DESTINATION: (&str, &str) = ("110152", "Destination Role ID");
const RECIPIENT: (&str, &str) = ("IRCP", "information recipient");
const AUTHOR: (&str, &str) = ("AUT", "author (originator)");

impl Pattern {
    fn of(interaction: &str) -> Self {
        let role = |(code, display)| coding(DCM, code, display);
        let asks = |profile, action, code| Self {
            profile,
            action,
            code,
            client: role(SOURCE),
            server: role(DESTINATION),
            user: RECIPIENT,
        };
        let writes = |profile, action, code| Self { user: AUTHOR, ..asks(Some(profile), action, Some(code)) };
        let reads =
            |code| Self { client: role(DESTINATION), server: role(SOURCE), ..asks(Some("Read"), "R", Some(code)) };
        match interaction {
            "read" => reads("read"),
            "vread" => reads("vread"),
            "search-type" | "search-compartment" => asks(Some("Query"), "E", Some("search-type")),
            "search-system" => asks(Some("Query"), "E", Some("search-system")),
            "create" => writes("Create", "C", "create"),
            "update" | "conditional-update" => writes("Update", "U", "update"),
            "patch" | "conditional-patch" => writes("Update", "U", "patch"),
            "delete" | "conditional-delete" => Self {
                client: coding(DCM, "110150", "Application"),
                server: coding(
                    "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
                    "custodian",
                    "Custodian",
                ),
                ..writes("Delete", "D", "delete")
            },
            "history-instance" => asks(None, "R", Some("history-instance")),
            "history-type" => asks(None, "R", Some("history-type")),
            "history-system" => asks(None, "R", Some("history-system")),
            "capabilities" => asks(None, "R", Some("capabilities")),
            "operation" => asks(None, "E", Some("operation")),
            _ => asks(None, "E", None),
        }
    }
}

/// The AuditEvent of one line.
pub(super) fn event(line: &Line, gate: &Gate<'_>) -> Value {
    match &line.interaction {
        Some(interaction) => decision(line, gate, Pattern::of(interaction)),
        None => authentication(line, gate),
    }
}

fn decision(line: &Line, gate: &Gate<'_>, pattern: Pattern) -> Value {
    let permitted = line.decision.as_deref() == Some("permit");
    let outcome = match line.status {
        _ if !permitted && line.status < 500 => "4",
        200..=399 => "0",
        400..=499 => "4",
        _ => "8",
    };
    let patient = line
        .patient
        .as_deref()
        .or(line.resource_id.as_deref().filter(|_| line.resource_type.as_deref() == Some("Patient")));
    let mut event = json!({
        "resourceType": "AuditEvent",
        "type": coding(EVENT, "rest", "Restful Operation"),
        "action": pattern.action,
        "recorded": line.time,
        "outcome": outcome,
        "agent": agents(line, gate, &pattern),
        "source": source(gate),
        "entity": entities(line, gate, &pattern, patient),
    });
    if let Some(profile) = pattern.profile.filter(|_| outcome == "0") {
        let of_patient = if patient.is_some() { "Patient" } else { "" };
        set(&mut event, "meta", json!({ "profile": [format!("{PROFILES}{of_patient}{profile}")] }));
    }
    if let Some(code) = pattern.code {
        set(&mut event, "subtype", json!([coding(INTERACTION, code, code)]));
    }
    if outcome != "0" {
        set(&mut event, "outcomeDesc", json!(line.rule.as_deref().unwrap_or("refused")));
    }
    event
}

/// An event of the authorization server.
fn authentication(line: &Line, gate: &Gate<'_>) -> Value {
    let event = line.event.as_deref().unwrap_or("unknown");
    let subtype = match event {
        "login" => coding(DCM, "110122", "Login"),
        "logout" => coding(DCM, "110123", "Logout"),
        other => json!({ "code": other, "display": other }),
    };
    let failed = line.outcome.as_deref() != Some("success");
    let patient = line.patient.as_deref();
    let mut pattern = Pattern::of("");
    pattern.client = coding(DCM, "110150", "Application");
    let mut event = json!({
        "resourceType": "AuditEvent",
        "type": coding(DCM, "110114", "User Authentication"),
        "subtype": [subtype],
        "action": "E",
        "recorded": line.time,
        "outcome": if failed { "4" } else { "0" },
        "agent": agents(line, gate, &pattern),
        "source": source(gate),
        "entity": entities(line, gate, &pattern, patient),
    });
    if let Some(error) = line.error.as_deref().filter(|_| failed) {
        set(&mut event, "outcomeDesc", json!(error));
    }
    event
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

fn coding(system: &str, code: &str, display: &str) -> Value {
    json!({ "system": system, "code": code, "display": display })
}

fn concept(coding: &Value) -> Value {
    json!({ "coding": [coding] })
}

fn agents(line: &Line, gate: &Gate<'_>, pattern: &Pattern) -> Value {
    // A backend service acts for itself.
    let user = line.subject.as_ref().filter(|subject| line.client.as_ref() != Some(*subject));
    let identified = |value: &str| match &line.issuer {
        Some(issuer) => json!({ "system": issuer, "value": value }),
        None => json!({ "value": value }),
    };
    let client = match &line.client {
        Some(client) => json!({ "identifier": identified(client), "display": client }),
        None => json!({ "display": "unknown" }),
    };
    let network = match &line.address {
        Some(address) => json!({ "address": address, "type": "2" }),
        None => json!({ "address": "unknown", "type": "1" }),
    };
    let mut agents = vec![
        json!({ "type": concept(&pattern.client), "who": client, "requestor": user.is_none(), "network": network }),
        json!({
            "type": concept(&pattern.server),
            "who": { "identifier": { "value": gate.base }, "display": "FHIR server behind Smartgate" },
            "requestor": false,
            "network": { "address": gate.base, "type": "5" },
        }),
    ];
    if let Some(subject) = user {
        let (code, display) = pattern.user;
        let mut who = json!({ "identifier": identified(subject), "display": subject });
        if let Some(of) = line.fhir_user.as_deref().filter(|of| of.matches('/').count() == 1) {
            set(&mut who, "reference", json!(format!("{}/{of}", gate.base)));
        }
        agents.push(json!({ "type": concept(&coding(PARTICIPATION, code, display)), "who": who, "requestor": true }));
    }
    json!(agents)
}

fn source(gate: &Gate<'_>) -> Value {
    json!({
        "site": gate.url,
        "observer": { "identifier": { "value": gate.url }, "display": "Smartgate" },
        "type": [coding("http://terminology.hl7.org/CodeSystem/security-source-type", "4", "Application Server")],
    })
}

fn entities(line: &Line, gate: &Gate<'_>, pattern: &Pattern, patient: Option<&str>) -> Value {
    let mut transaction = json!({
        "what": { "identifier": { "value": line.request_id } },
        "type": { "system": TRANSACTION, "code": "XrequestId" },
    });
    if let Some(scope) = &line.scope {
        set(&mut transaction, "detail", json!([{ "type": "scope", "valueString": scope }]));
    }
    let mut entities = vec![transaction];
    let object = coding(ENTITY, "2", "System Object");
    match (&line.resource_type, pattern.profile) {
        (_, Some("Query")) => entities.push(json!({
            "type": object,
            "role": coding(ROLE, "24", "Query"),
            "query": STANDARD.encode(query(line)),
        })),
        (Some(of), _) => {
            let mut what = json!({ "type": of });
            if let Some(id) = &line.resource_id {
                set(&mut what, "reference", json!(format!("{}/{of}/{id}", gate.base)));
            }
            entities.push(json!({ "type": object, "role": coding(ROLE, "4", "Domain Resource"), "what": what }));
        }
        (None, _) => {}
    }
    if let Some(patient) = patient {
        entities.push(json!({
            "type": coding(ENTITY, "1", "Person"),
            "role": coding(ROLE, "1", "Patient"),
            "what": { "reference": format!("{}/Patient/{patient}", gate.base), "type": "Patient" },
        }));
    }
    json!(entities)
}

/// What was searched for; where search values are not to be written, their names alone.
fn query(line: &Line) -> String {
    let asked = line.query.clone().unwrap_or_else(|| {
        let of = line.resource_type.as_deref().unwrap_or_default();
        let names = line.parameters.join("&");
        if names.is_empty() { of.to_owned() } else { format!("{of}?{names}") }
    });
    format!("{} {asked}", line.method)
}

#[cfg(test)]
#[path = "balp_tests.rs"]
mod tests;
