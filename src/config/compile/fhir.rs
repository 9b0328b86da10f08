//! `[fhir]`: the FHIR server behind the gate and how its data is divided among patients.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderName;

use super::upstream::{bulk_hosts, upstream};
use crate::config::table::Table;
use crate::config::{Fhir, IdentityHeaders, Narrowing, PatientData, Server, UnpinnedWrites};
use crate::fhir::{FhirVersion, ResourceType, SearchParameter, SearchParameterKind, Tables, TypeSet};

const DEFAULT_BASE_PATH: &str = "/fhir";

/// Paths that the authorization server answers at.
const TAKEN_PATHS: [&str; 2] = ["/auth", "/.well-known"];

/// Types that say nothing of a patient themselves and hold, or tell of, any patient's data.
const NEVER_SHARED: [&str; 7] = ["AuditEvent", "Binary", "Bundle", "Group", "Linkage", "Parameters", "Provenance"];

/// Headers that mean something to HTTP or to the gate; one that tells who asks must not be among them.
const MANAGED_HEADERS: [&str; 18] = [
    "authorization",
    "connection",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "location",
    "origin",
    "prefer",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-request-id",
];
const MANAGED_PREFIXES: [&str; 5] = ["accept", "content-", "if-", "proxy-", "x-forwarded-"];

/// Reads the section; `server` is where the gate itself listens.
pub(super) fn fhir(mut table: Table<'_>, server: Option<&Server>) -> Option<Fhir> {
    let base_path = table.text_or("base_path", DEFAULT_BASE_PATH).and_then(|found| found.parse(base_path));
    let versions = [("R4", FhirVersion::R4), ("R4B", FhirVersion::R4B), ("R5", FhirVersion::R5)];
    let version = table.choice("version", FhirVersion::R4, &versions);
    let tables = Tables::of(version);
    let (patient_data, narrowing) = patient_data(&mut table);
    let narrowing_by_type = narrowing_by_type(&mut table, tables, patient_data);
    let shared_types = shared_types(&mut table, tables);
    let unpinned_writes = unpinned_writes(&mut table);
    let upsert = table.choice("upsert", false, &[("deny", false), ("allow", true)]);
    let upstream = upstream(&mut table, server);
    let bulk_hosts = bulk_hosts(&mut table, upstream.as_ref());
    let identity_headers = table.table("identity_headers").map(identity_headers).unwrap_or_default();
    table.finish();
    let base_path = base_path?;
    Some(Fhir {
        public_base: format!("{}{base_path}", server?.public_url),
        base_path,
        version,
        tables,
        upstream: Arc::new(upstream?),
        patient_data,
        narrowing,
        narrowing_by_type,
        shared_types,
        unpinned_writes,
        upsert,
        identity_headers,
        bulk_hosts,
    })
}

fn base_path(text: &str) -> Result<String, String> {
    let segment = |segment: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        !matches!(segment, "" | "." | "..") && segment.bytes().all(plain)
    };
    match text.strip_prefix('/') {
        Some(rest) if rest.split('/').all(segment) => {}
        _ => return Err(format!("{text:?} is no path (\"/\" first, none at the end); write for example \"/fhir\"")),
    }
    let below = |taken: &str| text.strip_prefix(taken).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    match TAKEN_PATHS.iter().find(|taken| below(taken)) {
        Some(taken) => Err(format!("{taken} is the authorization server's; write for example \"/fhir\"")),
        None => Ok(text.to_owned()),
    }
}

fn patient_data(table: &mut Table<'_>) -> (PatientData, Narrowing) {
    let choices = [("subject", PatientData::Subject), ("compartment", PatientData::Compartment)];
    let patient_data = table.choice("patient_data", PatientData::Subject, &choices);
    let choices =
        [("parameter", Narrowing::Parameter), ("compartment", Narrowing::Compartment), ("none", Narrowing::None)];
    let narrowing = table.choice("narrowing", Narrowing::Parameter, &choices);
    // One parameter finds fewer resources than the whole definition holds, so that some would be missing (enforcement.md §4).
    if patient_data == PatientData::Compartment && narrowing == Narrowing::Parameter {
        table.place("narrowing").wrong(
            "\"parameter\" cannot find all that patient_data = \"compartment\" shows; write narrowing = \"compartment\", \
             or \"none\"",
        );
    }
    (patient_data, narrowing)
}

fn narrowing_by_type(
    table: &mut Table<'_>,
    tables: &Tables,
    patient_data: PatientData,
) -> HashMap<ResourceType, String> {
    let mut by_type = HashMap::new();
    for (name, code) in table.open_table("narrowing_by_type") {
        let Some(of) = name.parse(|name| resource_type(tables, name)) else { continue };
        let code = code.parse(|code| {
            let patient = |kind, targets: &TypeSet| {
                kind == SearchParameterKind::Reference && targets.contains(ResourceType::PATIENT)
            };
            let rule = match patient_data {
                PatientData::Subject => tables.subject(of),
                PatientData::Compartment => tables.compartment(of),
            };
            // What it does not look at, it does not find.
            let missed = |found: &SearchParameter| {
                rule.is_some_and(|rule| rule.elements.iter().any(|element| !found.elements.contains(element)))
            };
            match tables.parameter(of, code) {
                Some(found) if patient(found.kind, &found.targets) && missed(found) => Err(format!(
                    "{code:?} does not look at every element that makes {of} a patient's; write for example \"patient\""
                )),
                Some(found) if patient(found.kind, &found.targets) => Ok(code.to_owned()),
                _ => Err(format!(
                    "{code:?} is no search parameter of {of} that leads to a Patient; write for example \"patient\""
                )),
            }
        });
        if let Some(code) = code {
            by_type.insert(of, code);
        }
    }
    by_type
}

fn shared_types(table: &mut Table<'_>, tables: &Tables) -> TypeSet {
    let shared = |name: &str| {
        let of = resource_type(tables, name)?;
        // Whoever may read a shared type reads every patient's.
        match tables.subject(of) {
            Some(_) => Err(format!(
                "{name:?} says whom it is about, so sharing it would show one patient's to another; leave it out"
            )),
            None if NEVER_SHARED.contains(&name) => {
                Err(format!("{name:?} holds or names anything of anybody, so it cannot be shared; leave it out"))
            }
            None => Ok(of),
        }
    };
    #[cfg(test)]
    table.note("shared_types", |asked| {
        let names: Vec<&str> = tables.default_shared().iter().map(|of| of.name()).collect();
        asked.default = Some(format!("{names:?}"));
    });
    match table.texts("shared_types") {
        None => *tables.default_shared(),
        Some(list) => list.into_iter().filter_map(|found| found.parse(shared)).collect(),
    }
}

fn unpinned_writes(table: &mut Table<'_>) -> UnpinnedWrites {
    let put = UnpinnedWrites { put: true, delete: false };
    let delete = UnpinnedWrites { put: false, delete: true };
    let methods = table.choices("unpinned_writes", &[], &[("PUT", put), ("DELETE", delete)]);
    methods.into_iter().map(|found| found.it).fold(UnpinnedWrites::default(), |open, method| UnpinnedWrites {
        put: open.put || method.put,
        delete: open.delete || method.delete,
    })
}

pub(super) fn resource_type(tables: &Tables, name: &str) -> Result<ResourceType, String> {
    let version = tables.version();
    ResourceType::parse(version, name)
        .ok_or_else(|| format!("{name:?} is no resource type of {}; write for example \"Appointment\"", version.name()))
}

fn identity_headers(mut table: Table<'_>) -> IdentityHeaders {
    let mut taken: Vec<HeaderName> = Vec::new();
    let mut header = |key| {
        let name = table.text(key)?.parse(|text| {
            let name = header_name(text)?;
            if taken.contains(&name) {
                return Err(format!("{text:?} is used twice; write a name of its own"));
            }
            Ok(name)
        })?;
        taken.push(name.clone());
        Some(name)
    };
    let headers = IdentityHeaders { user: header("user"), patient: header("patient"), client: header("client") };
    table.finish();
    headers
}

fn header_name(text: &str) -> Result<HeaderName, String> {
    let example = "write for example \"X-Smart-User\"";
    let name: HeaderName = text.parse().map_err(|_| format!("{text:?} is no name of a header; {example}"))?;
    let managed = MANAGED_HEADERS.contains(&name.as_str())
        || MANAGED_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix));
    if managed { Err(format!("{text:?} has a meaning of its own; {example}")) } else { Ok(name) }
}
