//! Conditional create, update, patch and delete under a restricted grant: the gate finds out by a search of its own what the
//! criteria mean and writes to that id, so that the FHIR server never selects what is written (enforcement.md §3).

use http::Method;

use super::checked::{CheckedKind, CheckedWrite};
use super::grant::Grant;
use super::parameters::{self, FORMAT_NOT_JSON, PARAMETER_UNKNOWN};
use super::permit::{Action, PageRule, Permit, UpstreamRequest, Verify};
use super::reach::{type_of, visible};
use super::rule::{Refusal, Rule};
use super::search::search_type;
use super::write::{CRITERIA_MISSING, selects};
use crate::config::Snapshot;
use crate::fhir::ResourceType;
use crate::fhir::interaction::{Interaction, Request};
use crate::fhir::json::Json;
use crate::fhir::search::Parameter;
use crate::scope::Letter;

pub const CRITERIA_SEVERAL: Rule = Rule::other(
    "criteria-several",
    412,
    "multiple-matches",
    "more than one resource meets the criteria of this conditional interaction",
);

pub(super) const RULES: &[&Rule] = &[&CRITERIA_SEVERAL];

/// Parameters that may stand beside the criteria and are none.
const BESIDE: [&str; 2] = ["_format", "_pretty"];

/// Parameters of a search that shape its result: criteria have none.
const OF_RESULTS: [&str; 7] = ["_count", "_elements", "_include", "_revinclude", "_sort", "_summary", "_total"];

/// What is done by criteria.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConditionalKind {
    Create,
    Update,
    Patch,
    Delete,
}

/// A write by criteria. What they mean is asked first; then it is a write like any other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConditionalWrite {
    kind: ConditionalKind,
    /// The write without an id yet.
    pub(super) write: CheckedWrite,
    /// None where the criteria name only patients that are not the token's, so that nothing meets them.
    search: Option<UpstreamRequest>,
}

/// Decides a conditional write that no permit covers without a patient context or a constraint.
pub(super) fn conditional(
    snapshot: &Snapshot,
    grant: &Grant,
    request: &Request,
    of: ResourceType,
    kind: ConditionalKind,
) -> Result<Permit, Refusal> {
    let mut write = CheckedWrite::new(snapshot, grant, of, kind.of(String::new()))?;
    let parameters = match &request.if_none_exist {
        Some(criteria) if kind == ConditionalKind::Create => {
            parameters::of_read(request, true)?;
            criteria
        }
        _ => &request.parameters,
    };
    if !request.accepts_json {
        return Err(FORMAT_NOT_JSON.refuse());
    }
    let (search, narrowed) = search(snapshot, grant, of, parameters)?;
    if narrowed && kind == ConditionalKind::Create {
        write.unless =
            search.as_ref().and_then(|search| search.target.split_once('?')).map(|(_, query)| query.to_owned());
    }
    let rule = write.rule();
    Ok(Permit { action: Action::Conditional(ConditionalWrite { kind, write, search }), rule })
}

/// The gate's search for what the criteria mean, and whether its parameters alone leave out what is not the token's.
fn search(
    snapshot: &Snapshot,
    grant: &Grant,
    of: ResourceType,
    parameters: &[Parameter],
) -> Result<(Option<UpstreamRequest>, bool), Refusal> {
    if let Some(parameter) = parameters.iter().find(|parameter| OF_RESULTS.contains(&parameter.code())) {
        return Err(PARAMETER_UNKNOWN.refuse().because(parameter.code()));
    }
    let criteria = parameters.iter().filter(|parameter| !BESIDE.contains(&parameter.code())).cloned().collect();
    let request = Request {
        method: Method::GET,
        interaction: Interaction::SearchType { of },
        parameters: criteria,
        if_none_exist: None,
        page: None,
        accepts_json: true,
    };
    let permit = search_type(snapshot, grant, &request, of)?;
    if !selects(snapshot, of, &request.parameters) {
        return Err(CRITERIA_MISSING.refuse());
    }
    Ok(match permit.action {
        Action::Guard { request, verify: Verify::Bundle { pages, .. } } => {
            let by_type = request.target.starts_with(&format!("/{of}?"));
            (Some(request), by_type && pages == PageRule::Filled { exact: true })
        }
        Action::Stream { request, .. } => (Some(request), true),
        _ => (None, false),
    })
}

impl ConditionalKind {
    /// The direct write that it comes to.
    fn of(self, id: String) -> CheckedKind {
        match self {
            Self::Create => CheckedKind::Create,
            Self::Update => CheckedKind::Update(id),
            Self::Patch => CheckedKind::Patch(id),
            Self::Delete => CheckedKind::Delete(id),
        }
    }
}

impl ConditionalWrite {
    pub fn kind(&self) -> ConditionalKind {
        self.kind
    }

    /// The gate's own search; without one nothing meets the criteria.
    pub fn search(&self) -> Option<&UpstreamRequest> {
        self.search.as_ref()
    }

    /// Whether something that the search brought counts: what the token may not search for does not.
    pub fn is_match(&self, snapshot: &Snapshot, grant: &Grant, resource: Json<'_>) -> bool {
        type_of(snapshot, resource) == Some(self.write.of()) && visible(snapshot, grant, Letter::Search, resource)
    }

    /// The write of which only the body is looked at, whatever it is written to.
    pub fn body_alone(&self) -> CheckedWrite {
        self.write.of_kind(CheckedKind::Create)
    }

    /// The write to the one resource that meets the criteria.
    pub fn on(&self, id: &str) -> CheckedWrite {
        self.write.of_kind(self.kind.of(id.to_owned()))
    }

    /// The creation that it comes to where nothing meets the criteria and the body has no id.
    ///
    /// # Errors
    /// It would make a Patient.
    pub fn creation(&self) -> Result<CheckedWrite, Refusal> {
        let write = self.body_alone();
        write.may_be_new().map(|()| write)
    }

    /// The creation, in a transaction, of what is there already under `id`: other entries refer to it by its `fullUrl`, and the FHIR
    /// server puts the id there.
    ///
    /// # Errors
    /// Should it be gone by then, it would make a Patient.
    pub fn creation_beside(&self, id: &str) -> Result<CheckedWrite, Refusal> {
        let mut write = self.creation()?;
        write.unless = Some(format!("_id={id}"));
        Ok(write)
    }

    /// The PUT that creates under the id of the body where nothing meets the criteria; it is no update of what is there already.
    pub fn creation_at(&self, id: &str) -> CheckedWrite {
        let mut write = self.write.of_kind(CheckedKind::Update(id.to_owned()));
        write.only_new = true;
        write
    }
}
