//! Create, update, patch, delete and their conditional forms (enforcement.md §3, §5).

use http::Method;

use super::checked::{CheckedKind, checked};
use super::conditional::{ConditionalKind, conditional};
use super::grant::Grant;
use super::permit::{Action, BodyRule, Permit, UpstreamRequest};
use super::read::with_query;
use super::rule::{Refusal, Rule};
use super::search::criteria;
use crate::config::Snapshot;
use crate::fhir::ResourceType;
use crate::fhir::interaction::Request;
use crate::fhir::search::{Parameter, or_list, print_parameters};
use crate::scope::Letter;

pub(super) const CRITERIA_MISSING: Rule =
    Rule::bad_request("criteria-missing", "a conditional interaction needs search parameters that select something");

pub const BODY_NOT_FHIR_JSON: Rule = Rule::other(
    "body-not-fhir-json",
    415,
    "not-supported",
    "send the body as `application/fhir+json` in UTF-8, not compressed; patches as `application/json-patch+json`",
);

pub const BODY_AMBIGUOUS: Rule = Rule::bad_request(
    "body-ambiguous",
    "the body is no JSON that can be read in one way only: unique keys, valid UTF-8, no byte order mark, bounded depth",
);

pub const BODY_OTHER_RESOURCE: Rule =
    Rule::bad_request("body-other-resource", "`resourceType` or `id` of the body is not what the URL names");

pub(super) const RULES: &[&Rule] = &[&CRITERIA_MISSING, &BODY_NOT_FHIR_JSON, &BODY_AMBIGUOUS, &BODY_OTHER_RESOURCE];

/// The kinds of single write.
pub(super) enum Write<'r> {
    Create,
    Update(&'r str),
    Patch(&'r str),
    Delete(&'r str),
    ConditionalUpdate,
    ConditionalPatch,
    ConditionalDelete,
}

impl Write<'_> {
    fn letter(&self) -> Letter {
        match self {
            Self::Create => Letter::Create,
            Self::Update(_) | Self::Patch(_) | Self::ConditionalUpdate | Self::ConditionalPatch => Letter::Update,
            Self::Delete(_) | Self::ConditionalDelete => Letter::Delete,
        }
    }

    fn method(&self) -> Method {
        match self {
            Self::Create => Method::POST,
            Self::Update(_) | Self::ConditionalUpdate => Method::PUT,
            Self::Patch(_) | Self::ConditionalPatch => Method::PATCH,
            Self::Delete(_) | Self::ConditionalDelete => Method::DELETE,
        }
    }

    fn id(&self) -> Option<&str> {
        match self {
            Self::Update(id) | Self::Patch(id) | Self::Delete(id) => Some(id),
            _ => None,
        }
    }

    fn body(&self, of: ResourceType) -> BodyRule {
        match self {
            Self::Create | Self::ConditionalUpdate => BodyRule::Resource { of, id: None },
            Self::Update(id) => BodyRule::Resource { of, id: Some((*id).to_owned()) },
            Self::Patch(_) | Self::ConditionalPatch => BodyRule::Patch,
            Self::Delete(_) | Self::ConditionalDelete => BodyRule::None,
        }
    }
}

/// Decides one write.
pub(super) fn write(
    snapshot: &Snapshot,
    grant: &Grant,
    request: &Request,
    of: ResourceType,
    write: &Write<'_>,
) -> Result<Permit, Refusal> {
    let direct = |kind| checked(snapshot, grant, request, of, kind);
    let by_criteria = |kind| conditional(snapshot, grant, request, of, kind);
    if !grant.unrestricted(of, write.letter()) {
        return match write {
            Write::Create if request.if_none_exist.is_none() => direct(CheckedKind::Create),
            Write::Update(id) => direct(CheckedKind::Update((*id).to_owned())),
            Write::Patch(id) => direct(CheckedKind::Patch((*id).to_owned())),
            Write::Delete(id) => direct(CheckedKind::Delete((*id).to_owned())),
            Write::Create => by_criteria(ConditionalKind::Create),
            Write::ConditionalUpdate => by_criteria(ConditionalKind::Update),
            Write::ConditionalPatch => by_criteria(ConditionalKind::Patch),
            Write::ConditionalDelete => by_criteria(ConditionalKind::Delete),
        };
    }
    let target = match write {
        Write::ConditionalUpdate | Write::ConditionalPatch | Write::ConditionalDelete => {
            let accepted = criteria(snapshot, grant, of, &request.parameters)?;
            if !selects(snapshot, of, &accepted.parameters) {
                return Err(CRITERIA_MISSING.refuse());
            }
            with_query(format!("/{of}"), &accepted)
        }
        _ => {
            let accepted = super::parameters::of_read(request, false)?;
            let path = write.id().map_or_else(|| format!("/{of}"), |id| format!("/{of}/{id}"));
            with_query(path, &accepted)
        }
    };
    let readable = grant.unrestricted(of, Letter::Read);
    let mut upstream = UpstreamRequest::new(write.method(), target);
    upstream.json = true;
    upstream.minimal = !readable;
    if let Some(parameters) = &request.if_none_exist {
        let accepted = criteria(snapshot, grant, of, parameters)?;
        if !selects(snapshot, of, &accepted.parameters) {
            return Err(CRITERIA_MISSING.refuse());
        }
        upstream.if_none_exist = Some(print_parameters(&accepted.parameters));
    }
    Ok(Permit { action: Action::Write { request: upstream, body: write.body(of), readable }, rule: "unrestricted" })
}

/// Whether some parameter selects by content. Result parameters alone would mean every resource of the type, and so would a
/// parameter or an empty value that the upstream passes over.
pub(super) fn selects(snapshot: &Snapshot, of: ResourceType, parameters: &[Parameter]) -> bool {
    parameters.iter().any(|parameter| {
        let selecting = match parameter.code() {
            "_id" | "_tag" | "_profile" | "_security" | "_source" | "_has" => true,
            code => !code.starts_with('_') && snapshot.fhir.tables.parameter(of, code).is_some(),
        };
        selecting && or_list(&parameter.value).iter().all(|value| !value.is_empty())
    })
}
