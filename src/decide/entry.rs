//! An entry of a batch or transaction as the single request that it stands for (enforcement.md §3).

use http::Method;
use http::header::{self, HeaderName};

use super::asking;
use super::bundle::BUNDLE_ENTRY;
use super::decide;
use super::grant::Grant;
use super::permit::{Action, BodyRule, Permit};
use super::rule::Refusal;
use super::type_of;
use super::write::BODY_OTHER_RESOURCE;
use crate::config::Snapshot;
use crate::fhir::ResourceType;
use crate::fhir::interaction::{Interaction, Request, classify};
use crate::fhir::json::Json;
use crate::fhir::reference::{Literal, is_id};
use crate::fhir::search::Parameter;
use crate::fhir::target::{Target, parse_query};

/// Members of `entry.request` that are headers of a single request.
const CONDITIONS: [(&str, HeaderName); 3] = [
    ("ifMatch", header::IF_MATCH),
    ("ifNoneMatch", header::IF_NONE_MATCH),
    ("ifModifiedSince", header::IF_MODIFIED_SINCE),
];

/// An entry that passes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub request: Request,
    pub permit: Permit,
    /// Its target below the FHIR base, as the gate prints it.
    pub original: String,
    /// `ifMatch` and its like, as the headers that they stand for.
    pub conditions: Vec<(HeaderName, String)>,
    /// `fullUrl`, by which other entries may refer to this one; none where it says what the URL says.
    pub full_url: Option<String>,
}

impl Entry {
    /// Whether it only reads.
    pub fn reads(&self) -> bool {
        self.request.method == Method::GET
    }
}

/// An entry that does not pass.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedEntry {
    /// None where it cannot be read as a request.
    pub request: Option<Request>,
    pub refusal: Refusal,
}

/// Decides one entry.
pub(super) fn decide_entry(snapshot: &Snapshot, grant: &Grant, entry: Json<'_>) -> Result<Entry, Box<RefusedEntry>> {
    let refused = |request, refusal| Box::new(RefusedEntry { request, refusal });
    let (request, original) = entry_request(snapshot, entry).map_err(|refusal| refused(None, refusal))?;
    let rest = permit(snapshot, grant, entry, &request)
        .and_then(|permit| Ok((permit, conditions(entry)?, full_url(snapshot, grant, &request.interaction, entry)?)));
    match rest {
        Ok((permit, conditions, full_url)) => Ok(Entry { request, permit, original, conditions, full_url }),
        Err(refusal) => Err(refused(Some(request), refusal)),
    }
}

fn permit(snapshot: &Snapshot, grant: &Grant, entry: Json<'_>, request: &Request) -> Result<Permit, Refusal> {
    let interaction = &request.interaction;
    if matches!(interaction, Interaction::Operation { .. } | Interaction::Capabilities | Interaction::Bundle)
        || request.method == Method::HEAD
    {
        return Err(BUNDLE_ENTRY.refuse().because(format!("{} in an entry", interaction.name())));
    }
    let resource = entry.get("resource");
    if matches!(request.method, Method::GET | Method::DELETE) == resource.is_some() {
        return Err(BUNDLE_ENTRY.refuse());
    }
    let permit = decide(snapshot, grant, request)?;
    // Some servers put the id that they give to it wherever the other entries say `Patient/id`, and so change whom they are about.
    let names_patient = *interaction == (Interaction::Create { of: ResourceType::PATIENT });
    if names_patient && !grant.is_unrestricted() && resource.is_some_and(|resource| resource.get("id").is_some()) {
        return Err(BODY_OTHER_RESOURCE.refuse());
    }
    if let (Action::Write { body, readable, .. }, Some(resource)) = (permit.action(), resource) {
        match (body, interaction.resource_type()) {
            (BodyRule::Resource { of, id }, _) => {
                check_resource(snapshot, resource, *of, id.as_deref())?;
                asking::check_references(snapshot, grant, resource)?;
            }
            (BodyRule::Patch, Some(of)) => asking::check_patch_in(snapshot, grant, of, *readable, resource)?,
            (BodyRule::Patch | BodyRule::None, _) => {}
        }
    }
    Ok(permit)
}

fn conditions(entry: Json<'_>) -> Result<Vec<(HeaderName, String)>, Refusal> {
    let asked = entry.get("request");
    let given = CONDITIONS.into_iter().filter_map(|(name, header)| Some((header, asked?.get(name)?)));
    given
        .map(|(header, value)| {
            value.as_str().map(|text| (header, text.to_owned())).ok_or_else(|| BUNDLE_ENTRY.refuse())
        })
        .collect()
}

/// A `fullUrl` is a name for within the Bundle, or says what the URL says (enforcement.md §5). Where nothing is restricted it
/// may be any name.
fn full_url(
    snapshot: &Snapshot,
    grant: &Grant,
    interaction: &Interaction,
    entry: Json<'_>,
) -> Result<Option<String>, Refusal> {
    let Some(full_url) = entry.get("fullUrl") else { return Ok(None) };
    let text = full_url.as_str().ok_or_else(|| BUNDLE_ENTRY.refuse())?;
    if grant.is_unrestricted() || text.strip_prefix("urn:uuid:").is_some_and(is_id) {
        return Ok(Some(text.to_owned()));
    }
    let (Interaction::Read { of, id }
    | Interaction::Update { of, id }
    | Interaction::Patch { of, id }
    | Interaction::Delete { of, id }) = interaction
    else {
        return Err(BUNDLE_ENTRY.refuse());
    };
    let literal = Literal::parse(text, &[&snapshot.fhir.public_base]);
    let agrees = literal.is_some_and(|literal| literal.resource_type == of.name() && literal.id == id);
    if agrees { Ok(None) } else { Err(BUNDLE_ENTRY.refuse()) }
}

/// The single request that an entry stands for, and its target as the gate prints it.
fn entry_request(snapshot: &Snapshot, entry: Json<'_>) -> Result<(Request, String), Refusal> {
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
    // One plain spelling only, so that whoever reads it reads the same.
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
    if criteria.is_some() && !matches!(interaction, Interaction::Create { .. }) {
        return Err(wrong());
    }
    let parameters = Parameter::parse_all(&target.query).map_err(|_| wrong())?;
    let request = Request { method, interaction, parameters, if_none_exist: criteria, page: None, accepts_json: true };
    let original = request.target(&path);
    Ok((request, original))
}

/// `resourceType` and `id` of a body must be what the URL names.
///
/// # Errors
/// [`BODY_OTHER_RESOURCE`].
pub fn check_resource(
    snapshot: &Snapshot,
    resource: Json<'_>,
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
