//! Batch and transaction: every entry through the code of single requests (enforcement.md §3).

use http::Method;
use http::header::{self, HeaderName};

use super::decide;
use super::grant::Grant;
use super::permit::{Action, BodyRule, Permit};
use super::reach::type_of;
use super::rule::{Refusal, Rule};
use super::write::BODY_OTHER_RESOURCE;
use crate::config::Snapshot;
use crate::fhir::ResourceType;
use crate::fhir::interaction::{Interaction, Request, classify};
use crate::fhir::json::Json;
use crate::fhir::reference::Literal;
use crate::fhir::search::Parameter;
use crate::fhir::target::{Target, parse_query};
use crate::scope::Letter;

pub(super) const BUNDLE_TYPE: Rule =
    Rule::bad_request("bundle-type", "a Bundle sent to the base is a `batch` or a `transaction`");

pub(super) const BUNDLE_ENTRY: Rule = Rule::bad_request(
    "bundle-entry",
    "each entry has `request.method`, a relative `request.url` of this server, and a resource that fits them",
);

pub(super) const BUNDLE_TOO_MANY: Rule =
    Rule::other("bundle-too-many", 413, "too-long", "the Bundle has too many entries");

pub(super) const BUNDLE_RESTRICTED: Rule = Rule::forbidden(
    "bundle-restricted",
    "a transaction is not open to a token in a patient context in this version: send a batch, or single requests",
);

pub(super) const RULES: &[&Rule] = &[&BUNDLE_TYPE, &BUNDLE_ENTRY, &BUNDLE_TOO_MANY, &BUNDLE_RESTRICTED];

/// What a Bundle sent to the base asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Processing {
    Batch,
    Transaction,
}

/// How one entry is carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EntryPermit {
    /// In the Bundle that goes up; `readable` says whether the answer's resource may leave.
    Together { readable: bool },
    /// As a request of its own: under a patient context each answer is verified by itself.
    Alone(Box<Alone>),
}

/// An entry as the single request that it stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alone {
    pub request: Request,
    pub permit: Permit,
    /// Its target below the FHIR base, as the gate prints it.
    pub original: String,
    /// `ifMatch` and its like, as the headers that they stand for.
    pub conditions: Vec<(HeaderName, String)>,
}

/// The decision on a Bundle: one result an entry, in order.
#[derive(Debug)]
pub struct BundleDecision {
    pub processing: Processing,
    pub entries: Vec<Result<EntryPermit, Refusal>>,
}

/// Decides each entry of the Bundle in `body`.
///
/// # Errors
/// The Bundle is none that the base takes; a transaction with one refused entry is refused by that entry's rule.
pub fn decide_bundle(snapshot: &Snapshot, grant: &Grant, body: &Json<'_>) -> Result<BundleDecision, Refusal> {
    if type_of(snapshot, body) != Some(ResourceType::BUNDLE) {
        return Err(BODY_OTHER_RESOURCE.refuse());
    }
    let processing = match body.get("type").and_then(Json::as_str) {
        Some("batch") => Processing::Batch,
        Some("transaction") => Processing::Transaction,
        _ => return Err(BUNDLE_TYPE.refuse()),
    };
    let entries = match body.get("entry") {
        None => &[],
        Some(entries) => entries.as_array().ok_or_else(|| BUNDLE_ENTRY.refuse())?,
    };
    if entries.len() > snapshot.limits.bundle_entries {
        return Err(BUNDLE_TOO_MANY.refuse());
    }
    if !grant.is_unrestricted() {
        if processing == Processing::Transaction {
            return Err(BUNDLE_RESTRICTED.refuse());
        }
        let entries = entries.iter().map(|entry| decide_alone(snapshot, grant, entry)).collect();
        return Ok(BundleDecision { processing, entries });
    }
    let entries: Vec<_> = entries.iter().map(|entry| decide_entry(snapshot, grant, entry)).collect();
    if processing == Processing::Transaction
        && let Some(refusal) = entries.iter().find_map(|entry| entry.as_ref().err())
    {
        return Err(refusal.clone());
    }
    Ok(BundleDecision { processing, entries })
}

fn decide_entry(snapshot: &Snapshot, grant: &Grant, entry: &Json<'_>) -> Result<EntryPermit, Refusal> {
    let (request, _) = entry_request(snapshot, entry)?;
    let permit = decide(snapshot, grant, &request)?;
    match permit.action() {
        Action::Write { body, readable, request: upstream } => {
            // The entry goes up as the client wrote it, so what the gate would have rewritten is refused.
            if upstream.minimal() && request.method != Method::DELETE {
                let of = request.interaction.resource_type();
                return Err(super::reach::SCOPE_MISSING.refuse().needing(grant.needed(of, Letter::Read)));
            }
            check_body(snapshot, entry, body)?;
            Ok(EntryPermit::Together { readable: *readable })
        }
        Action::Stream { .. } => Ok(EntryPermit::Together { readable: true }),
        Action::Answer(_)
        | Action::Guard { .. }
        | Action::Checked(_)
        | Action::Conditional(_)
        | Action::Operation(_)
        | Action::Export(_)
        | Action::Bundle => Err(BUNDLE_ENTRY.refuse().because(format!("{} in an entry", request.interaction.name()))),
    }
}

/// Decides an entry as the single request that it stands for.
fn decide_alone(snapshot: &Snapshot, grant: &Grant, entry: &Json<'_>) -> Result<EntryPermit, Refusal> {
    let wrong = || BUNDLE_ENTRY.refuse();
    let (request, original) = entry_request(snapshot, entry)?;
    if matches!(request.interaction, Interaction::Operation { .. } | Interaction::Capabilities | Interaction::Bundle)
        || request.method == Method::HEAD
    {
        return Err(wrong().because(format!("{} in an entry", request.interaction.name())));
    }
    let with_body = !matches!(request.method, Method::GET | Method::DELETE);
    if with_body != entry.get("resource").is_some() {
        return Err(wrong());
    }
    check_full_url(snapshot, &request.interaction, entry)?;
    let permit = decide(snapshot, grant, &request)?;
    let conditions = [
        ("ifMatch", header::IF_MATCH),
        ("ifNoneMatch", header::IF_NONE_MATCH),
        ("ifModifiedSince", header::IF_MODIFIED_SINCE),
    ];
    let asked = entry.get("request");
    let given = conditions.into_iter().filter_map(|(name, header)| Some((header, asked?.get(name)?)));
    let conditions = given
        .map(|(header, value)| value.as_str().map(|text| (header, text.to_owned())).ok_or_else(wrong))
        .collect::<Result<_, _>>()?;
    Ok(EntryPermit::Alone(Box::new(Alone { request, permit, original, conditions })))
}

/// A `fullUrl` is a name for within the Bundle, or says what the URL says (enforcement.md §5).
fn check_full_url(snapshot: &Snapshot, interaction: &Interaction, entry: &Json<'_>) -> Result<(), Refusal> {
    let Some(full_url) = entry.get("fullUrl") else { return Ok(()) };
    let text = full_url.as_str().ok_or_else(|| BUNDLE_ENTRY.refuse())?;
    let literal = Literal::parse(text, &[&snapshot.fhir.public_base]);
    let agrees = match (interaction, literal) {
        (Interaction::Update { of, id } | Interaction::Patch { of, id }, Some(literal)) => {
            literal.resource_type == of.name() && literal.id == id
        }
        _ => false,
    };
    if agrees || text.starts_with("urn:uuid:") { Ok(()) } else { Err(BUNDLE_ENTRY.refuse()) }
}

/// The single request that an entry stands for, and its target as the gate prints it.
fn entry_request(snapshot: &Snapshot, entry: &Json<'_>) -> Result<(Request, String), Refusal> {
    let wrong = || BUNDLE_ENTRY.refuse();
    let asked = entry.get("request").ok_or_else(wrong)?;
    let text = |name: &str| match asked.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or_else(wrong),
    };
    let method = match text("method")?.ok_or_else(wrong)? {
        "GET" => Method::GET,
        "HEAD" => Method::HEAD,
        "POST" => Method::POST,
        "PUT" => Method::PUT,
        "PATCH" => Method::PATCH,
        "DELETE" => Method::DELETE,
        _ => return Err(wrong()),
    };
    let url = text("url")?.ok_or_else(wrong)?;
    // The upstream reads this text itself, so the path passes in its one plain spelling only.
    let path = url.split('?').next().unwrap_or_default();
    if path.starts_with('/') || path.contains(['%', '+', ':']) || url.contains(['#', '\\', ';', ' ']) {
        return Err(wrong());
    }
    let max = snapshot.limits.parameters;
    let target = Target::parse(&format!("/{url}"), max).map_err(|_| wrong())?;
    let path: Vec<&str> = target.path.iter().map(String::as_str).collect();
    let interaction = classify(snapshot.fhir.version, &method, &path, !target.query.is_empty())?;
    if target.trailing_slash && !path.is_empty() || interaction.is_search() && method == Method::POST {
        return Err(wrong());
    }
    let criteria = match text("ifNoneExist")? {
        Some(criteria) => {
            let pairs = parse_query(criteria.trim_start_matches('?'), max).map_err(|_| wrong())?;
            Some(Parameter::parse_all(&pairs).map_err(|_| wrong())?)
        }
        None => None,
    };
    let parameters = Parameter::parse_all(&target.query).map_err(|_| wrong())?;
    let request = Request { method, interaction, parameters, if_none_exist: criteria, page: None, accepts_json: true };
    let original = request.target(&path);
    Ok((request, original))
}

fn check_body(snapshot: &Snapshot, entry: &Json<'_>, body: &BodyRule) -> Result<(), Refusal> {
    let resource = entry.get("resource");
    match (body, resource) {
        (BodyRule::None, None) | (BodyRule::Patch, Some(_)) => Ok(()),
        (BodyRule::Resource { of, id }, Some(resource)) => check_resource(snapshot, resource, *of, id.as_deref()),
        _ => Err(BUNDLE_ENTRY.refuse()),
    }
}

/// `resourceType` and `id` of a body must be what the URL names.
///
/// # Errors
/// [`BODY_OTHER_RESOURCE`].
pub fn check_resource(
    snapshot: &Snapshot,
    resource: &Json<'_>,
    of: ResourceType,
    id: Option<&str>,
) -> Result<(), Refusal> {
    if type_of(snapshot, resource) != Some(of) {
        return Err(BODY_OTHER_RESOURCE.refuse());
    }
    match (id, resource.get("id")) {
        (None, _) => Ok(()),
        (Some(id), Some(own)) if own.as_str() == Some(id) => Ok(()),
        _ => Err(BODY_OTHER_RESOURCE.refuse()),
    }
}
