//! Bulk export (Bulk Data Access IG 2.0): kicked off, watched, fetched and cancelled by backend services (enforcement.md §6).
//!
//! Only `system/` scopes count, with `r` and `s`: an export reads resources that nobody has named.

use http::Method;
use serde_json::{Value, json};

use super::{Asked, hosts};
use crate::config::Snapshot;
use crate::decide::grant::Grant;
use crate::decide::permit::{Action, Bulk, Permit, UpstreamRequest};
use crate::decide::reach::SCOPE_MISSING;
use crate::decide::request::METHOD_NOT_ALLOWED;
use crate::decide::rule::{Refusal, Rule};
use crate::fhir::interaction::Level;
use crate::fhir::reference::Literal;
use crate::fhir::search::{Key, Parameter};
use crate::fhir::{ResourceType, TypeSet};
use crate::scope::Letter;

pub(super) const EXPORT_SYSTEM_ONLY: Rule = Rule::forbidden(
    "export-system-only",
    "bulk export is for backend services: it needs `system/` scopes with `r` and `s` and without a constraint",
);

pub(super) const EXPORT_PARAMETER: Rule = Rule::bad_request(
    "export-parameter",
    "bulk export does not take this parameter here or in this form: `_outputFormat` is ndjson, `_typeFilter` is `Type?search` of a type that is exported, `patient` comes in a POST",
);

pub const EXPORT_ASYNC: Rule =
    Rule::bad_request("export-async", "a bulk export is kicked off with `Prefer: respond-async`");

pub const EXPORT_ELSEWHERE: Rule = Rule::other(
    "export-elsewhere",
    502,
    "processing",
    "the FHIR server keeps a part of this export where the gate does not fetch from; its operator can list the host in `[fhir] bulk_hosts`",
);

pub const EXPORT_TOO_SOON: Rule = Rule::other(
    "export-too-soon",
    429,
    "throttled",
    "this export is asked for too often: wait as long as `Retry-After` says",
);

pub(in crate::decide) const RULES: &[&Rule] =
    &[&EXPORT_SYSTEM_ONLY, &EXPORT_PARAMETER, &EXPORT_ASYNC, &EXPORT_ELSEWHERE, &EXPORT_TOO_SOON];

/// The parameter that carries the seal of an export that was kicked off.
pub const EXPORT_PARAMETER_NAME: &str = "_export";

/// What is asked of a bulk export.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Export {
    step: ExportStep,
    /// Types that the token may export.
    types: TypeSet,
}

/// The steps of an export's life.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ExportStep {
    KickOff { request: Box<UpstreamRequest>, body: Option<String> },
    Status,
    Cancel,
    File,
}

impl Export {
    pub fn step(&self) -> &ExportStep {
        &self.step
    }

    /// Whether resources of this type may leave.
    pub fn allows(&self, of: ResourceType) -> bool {
        self.types.contains(of)
    }

    /// That resources of this type may leave.
    ///
    /// # Errors
    /// They may not.
    pub fn require(&self, of: ResourceType) -> Result<(), Refusal> {
        if self.allows(of) { Ok(()) } else { Err(SCOPE_MISSING.refuse().needing(format!("system/{of}.rs"))) }
    }

    /// Types that may leave.
    pub fn types(&self) -> TypeSet {
        self.types
    }

    /// The request for the place that an opened seal names; its path and query are the FHIR server's own.
    pub fn follow(&self, target: String, head: bool) -> UpstreamRequest {
        let method = match self.step {
            ExportStep::Cancel => Method::DELETE,
            _ if head => Method::HEAD,
            _ => Method::GET,
        };
        let mut request = UpstreamRequest::new(method, target).inspected();
        if self.step == ExportStep::File {
            request.bulk = Some(Bulk::File);
        }
        request
    }
}

/// Whether the operation is a step of an export, and whether its input is read as pairs.
pub(super) fn is_export(level: &Level, name: &str) -> bool {
    is_kick_off(level, name) || *level == Level::System && matches!(name, "export-status" | "export-file")
}

pub(super) fn is_kick_off(level: &Level, name: &str) -> bool {
    let there = match level {
        Level::System => true,
        Level::Type(of) => *of == ResourceType::PATIENT,
        Level::Instance(of, _) => *of == ResourceType::GROUP,
    };
    there && name == "export"
}

pub(super) fn export(asked: &Asked<'_>) -> Result<Permit, Refusal> {
    let types = exportable(asked.grant);
    if types.is_empty() {
        return Err(EXPORT_SYSTEM_ONLY.refuse().needing("system/*.rs".to_owned()));
    }
    if asked.name != "export" {
        let sealed = asked.parameters(|code| code == EXPORT_PARAMETER_NAME);
        sealed.map_err(|refusal| Refusal { rule: &EXPORT_PARAMETER, ..refusal })?;
    }
    let step = match (asked.name, &asked.request.method) {
        ("export-status", &Method::DELETE) => ExportStep::Cancel,
        ("export-status", &Method::GET) => ExportStep::Status,
        ("export-file", &Method::GET | &Method::HEAD) => ExportStep::File,
        ("export", &Method::GET | &Method::POST) => kick_off(asked, types)?,
        _ => return Err(METHOD_NOT_ALLOWED.refuse()),
    };
    Ok(Permit { action: Action::Export(Export { step, types }), rule: "unrestricted" })
}

/// Types that `system/` scopes let be read and searched as a whole.
fn exportable(grant: &Grant) -> TypeSet {
    grant.system_types(Letter::Read).intersection(&grant.system_types(Letter::Search))
}

/// The kick-off request (Bulk Data Access IG 2.0 export.html, "Bulk Data Kick-off Request").
fn kick_off(asked: &Asked<'_>, granted: TypeSet) -> Result<ExportStep, Refusal> {
    // Whom a Patient or Group export is about is read off these.
    let read: &[ResourceType] = match asked.level {
        Level::System => &[],
        Level::Type(_) => &[ResourceType::PATIENT],
        Level::Instance(..) => &[ResourceType::GROUP, ResourceType::PATIENT],
    };
    if let Some(of) = read.iter().find(|of| !asked.grant.system_types(Letter::Read).contains(**of)) {
        return Err(SCOPE_MISSING.refuse().needing(format!("system/{of}.r")));
    }
    let given = asked.parameters(|code| {
        let known = ["_type", "_since", "_outputFormat", "_typeFilter", "_elements", "includeAssociatedData"];
        known.contains(&code) || code == "patient" && *asked.level != Level::System && asked.is_post()
    });
    let given = given.map_err(|refusal| Refusal { rule: &EXPORT_PARAMETER, ..refusal })?;
    let types = types(asked, &given, granted)?;
    let mut parameters = Vec::new();
    if types != *asked.snapshot.fhir.tables.types() {
        let names: Vec<&str> = types.iter().map(ResourceType::name).collect();
        parameters.push(Parameter::plain("_type", names.join(",")));
    }
    for parameter in given.iter().filter(|parameter| parameter.code() != "_type") {
        judge(asked, parameter, &types, &mut parameters)?;
    }
    let patients = parameters.iter().any(|parameter| parameter.code() == "patient");
    // What a query can say is asked by GET, which every server has to take.
    let method = if patients { Method::POST } else { Method::GET };
    let body = patients.then(|| input(&parameters).to_string());
    let mut request = asked.upstream(method, if patients { &[] } else { &parameters });
    request.bulk = Some(Bulk::KickOff);
    Ok(ExportStep::KickOff { request: Box::new(request), body })
}

/// The types that are asked for, or else all that are granted.
fn types(asked: &Asked<'_>, given: &[Parameter], granted: TypeSet) -> Result<TypeSet, Refusal> {
    let mut types = TypeSet::EMPTY;
    let lists = given.iter().filter(|parameter| parameter.code() == "_type");
    for name in lists.flat_map(|parameter| parameter.value.split(',')) {
        let of = ResourceType::parse(asked.snapshot.fhir.version, name)
            .ok_or_else(|| EXPORT_PARAMETER.refuse().because("_type"))?;
        if !granted.contains(of) {
            return Err(SCOPE_MISSING.refuse().needing(format!("system/{of}.rs")));
        }
        types.insert(of);
    }
    Ok(if types.is_empty() { granted } else { types })
}

/// Checks one parameter and adds what goes up of it.
fn judge(asked: &Asked<'_>, parameter: &Parameter, types: &TypeSet, out: &mut Vec<Parameter>) -> Result<(), Refusal> {
    let code = parameter.code();
    let value = parameter.value.as_str();
    let wrong = || EXPORT_PARAMETER.refuse().because(code);
    let made_of = |more: &[u8]| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || more.contains(&byte);
        !value.is_empty() && value.bytes().all(fits)
    };
    let fine = match code {
        "_since" if made_of(b"-:+. ") => {
            out.push(Parameter::plain(code, value.replace(' ', "+")));
            return Ok(());
        }
        "_elements" => made_of(b",."),
        "_outputFormat" => {
            // A plus that a client did not encode arrives as a space.
            let known = ["application/fhir+ndjson", "application/fhir ndjson", "application/ndjson", "ndjson"];
            if !known.contains(&value) {
                return Err(wrong());
            }
            out.push(Parameter::plain(code, "application/fhir+ndjson"));
            return Ok(());
        }
        "_typeFilter" => {
            for filter in filters(value) {
                out.push(Parameter::plain(code, filter_of(asked.snapshot, asked.grant, filter, types)?));
            }
            return Ok(());
        }
        "includeAssociatedData" if !types.contains(ResourceType::PROVENANCE) => {
            return Err(SCOPE_MISSING.refuse().needing("system/Provenance.rs".to_owned()));
        }
        "includeAssociatedData" => made_of(b",-_"),
        "patient" => {
            let bases = [asked.snapshot.fhir.public_base.as_str()];
            let literal = Literal::parse(value, &bases).filter(|literal| literal.resource_type == "Patient");
            let id = literal.ok_or_else(wrong)?.id;
            out.push(Parameter::plain(code, format!("Patient/{id}")));
            return Ok(());
        }
        _ => false,
    };
    if !fine {
        return Err(wrong());
    }
    hosts::check(asked, std::slice::from_ref(parameter))?;
    out.push(parameter.clone());
    Ok(())
}

/// The searches of a `_typeFilter`: a comma separates two where a type and a question mark follow it.
fn filters(value: &str) -> Vec<&str> {
    let mut filters = Vec::new();
    let mut rest = value;
    let mut from = 0;
    while let Some(at) = rest.get(from..).and_then(|tail| tail.find(',')).map(|at| from + at) {
        let tail = rest.get(at + 1..).unwrap_or_default();
        let name = tail.split('?').next().unwrap_or_default();
        if name.len() < tail.len() && !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            filters.push(rest.get(..at).unwrap_or_default());
            rest = tail;
            from = 0;
        } else {
            from = at + 1;
        }
    }
    filters.push(rest);
    filters
}

/// One search of a `_typeFilter`, judged as a search of its type and printed again.
fn filter_of(snapshot: &Snapshot, grant: &Grant, filter: &str, types: &TypeSet) -> Result<String, Refusal> {
    use crate::decide::joins::Origin;
    use crate::decide::parameters::{Search, of_every_resource, of_search};
    let wrong = || EXPORT_PARAMETER.refuse().because("_typeFilter");
    let (name, query) = filter.split_once('?').ok_or_else(wrong)?;
    let of = ResourceType::parse(snapshot.fhir.version, name).ok_or_else(wrong)?;
    if !types.contains(of) {
        return Err(SCOPE_MISSING.refuse().needing(format!("system/{of}.rs")));
    }
    let pairs = crate::fhir::target::parse_query(query, snapshot.limits.parameters).map_err(|_| wrong())?;
    let parameters = Parameter::parse_all(&pairs).map_err(|_| wrong())?;
    // Result parameters mean nothing here (IG: "shall not be used"), and what they add would be of other types.
    let selects = |parameter: &Parameter| match &parameter.key {
        Key::Plain { code, .. } => !code.starts_with('_') || of_every_resource(code),
        Key::Chain { .. } | Key::Has { .. } => true,
    };
    if parameters.is_empty() || !parameters.iter().all(selects) {
        return Err(wrong());
    }
    let search = Search { snapshot, grant, of: Some(of), restricted: false, origin: Origin::Any };
    let accepted = of_search(&search, &parameters)?;
    // A comma of an OR list stays encoded, or the server would take it for the next search.
    Ok(format!("{of}?{}", crate::fhir::search::print_parameters(&accepted.parameters).replace(',', "%2C")))
}

/// The input of a POST, as a Parameters resource.
fn input(parameters: &[Parameter]) -> Value {
    let list: Vec<Value> = parameters
        .iter()
        .map(|parameter| {
            let (name, value) = (parameter.code(), &parameter.value);
            match name {
                "patient" => json!({ "name": name, "valueReference": { "reference": value } }),
                "_since" => json!({ "name": name, "valueInstant": value }),
                "includeAssociatedData" => json!({ "name": name, "valueCode": value }),
                _ => json!({ "name": name, "valueString": value }),
            }
        })
        .collect();
    json!({ "resourceType": "Parameters", "parameter": list })
}
