//! Operations that an operator added (`[[operations]]`): the same questions as of the built-in ones, answered by the row.

use http::Method;

use super::call::{self, Answers, Input};
use super::{Asked, OPERATION_PATIENT, OPERATION_RESTRICTED, hosts, patient};
use crate::config::{OperationAnswer, OperationRow, PatientInput, Snapshot};
use crate::decide::includes::Includes;
use crate::decide::parameters::FORMAT_NOT_JSON;
use crate::decide::permit::{Action, BundleKind, OwnAnswer, PageRule, Permit, Verify};
use crate::decide::reach::{Reach, reach};
use crate::decide::references;
use crate::decide::request::METHOD_NOT_ALLOWED;
use crate::decide::rule::Refusal;
use crate::fhir::ResourceType;
use crate::fhir::interaction::Level;
use crate::scope::Letter;

/// The row for this operation at this level.
pub(super) fn of<'s>(snapshot: &'s Snapshot, level: &Level, name: &str) -> Option<&'s OperationRow> {
    snapshot.operations.iter().find(|row| {
        row.name == name
            && match level {
                Level::System => row.system,
                Level::Type(of) => row.of_type && row.types.contains(*of),
                Level::Instance(of, _) => row.instance && row.types.contains(*of),
            }
    })
}

pub(super) fn row(asked: &Asked<'_>) -> Result<Permit, Refusal> {
    let row = of(asked.snapshot, asked.level, asked.name).ok_or_else(|| asked.not_listed())?;
    if if asked.is_post() { !row.post } else { !row.get } {
        return Err(METHOD_NOT_ALLOWED.refuse());
    }
    let types: Vec<ResourceType> = match asked.level {
        Level::System => row.types.iter().collect(),
        Level::Type(of) | Level::Instance(of, _) => vec![*of],
    };
    let mut reaches = Vec::new();
    for of in &types {
        reaches.push(reach(asked.snapshot, asked.grant, *of, row.letter)?);
    }
    if !asked.request.accepts_json {
        return Err(FORMAT_NOT_JSON.refuse());
    }
    if reaches.iter().all(|reach| matches!(reach, Reach::Everything)) {
        return whole(asked, row);
    }
    let own = About { asked, row, reaches: &reaches };
    own.judged()
}

/// Without a patient context and without a constraint on the types of the row.
fn whole(asked: &Asked<'_>, row: &OperationRow) -> Result<Permit, Refusal> {
    // The answer may hold other types than the row's.
    if row.answer == OperationAnswer::None && !asked.sees_all() {
        return Err(OPERATION_RESTRICTED.refuse());
    }
    let pages = if asked.grant.is_unrestricted() { PageRule::Kept } else { PageRule::Filled { exact: false } };
    Ok(Permit { action: action(asked, row, pages)?, rule: "unrestricted" })
}

/// Under a patient context: the row says how the patient is named, and the answer is verified.
struct About<'a, 'r> {
    asked: &'a Asked<'a>,
    row: &'a OperationRow,
    reaches: &'a [Reach<'r>],
}

impl About<'_, '_> {
    fn judged(&self) -> Result<Permit, Refusal> {
        let Self { asked, row, reaches } = self;
        let rule = reaches.first().map_or("own-patient", Reach::rule);
        let reads = matches!(row.letter, Letter::Read | Letter::Search);
        if row.answer == OperationAnswer::None || !reads {
            return Err(OPERATION_RESTRICTED.refuse());
        }
        let mut action = action(asked, row, PageRule::Filled { exact: false })?;
        match (&row.patient, asked.level) {
            (None, _) => return Err(OPERATION_RESTRICTED.refuse()),
            (Some(PatientInput::Parameter(name)), _) => {
                let patient = patient::named(asked, name)?.ok_or_else(|| OPERATION_PATIENT.refuse())?;
                if !self.is_own(&patient)? {
                    return Ok(Permit { action: Action::Answer(self.nothing()), rule });
                }
            }
            (Some(PatientInput::Instance), Level::Instance(ResourceType::PATIENT, id)) => {
                if !self.is_own(id)? {
                    return Ok(Permit { action: Action::Answer(OwnAnswer::UniformDenial), rule });
                }
            }
            (Some(PatientInput::Instance), Level::Instance(of, id)) => {
                let request = references::request(*of, id, None);
                let first = super::super::read::read(asked.snapshot, asked.grant, &request, *of, id, None)?;
                match &mut action {
                    Action::Operation(call) => call.first = Some(Box::new(first)),
                    // Whose the instance is must be known before it is asked about.
                    _ => return Err(OPERATION_RESTRICTED.refuse()),
                }
            }
            (Some(PatientInput::Instance), _) => return Err(OPERATION_RESTRICTED.refuse()),
        }
        Ok(Permit { action, rule })
    }

    /// Whether every type's reach takes the patient in; one that is about no patient decides nothing.
    fn is_own(&self, patient: &str) -> Result<bool, Refusal> {
        let about = |reach: &&Reach<'_>| match reach {
            Reach::Patients { .. } | Reach::Linked { .. } => true,
            Reach::Constrained { parts, .. } => parts.iter().all(|part| part.patients.is_some()),
            Reach::Everything | Reach::Shared => false,
        };
        if !self.reaches.iter().any(|reach| about(&reach)) {
            return Err(OPERATION_RESTRICTED.refuse());
        }
        Ok(self.reaches.iter().filter(about).all(|reach| patient::may_be(reach, patient)))
    }

    /// The answer about a patient who is not the token's.
    fn nothing(&self) -> OwnAnswer {
        match self.row.answer {
            OperationAnswer::Bundle => OwnAnswer::EmptySearchset,
            OperationAnswer::Resource | OperationAnswer::None => OwnAnswer::UniformDenial,
        }
    }
}

/// What goes up, and what may come back.
fn action(asked: &Asked<'_>, row: &OperationRow, pages: PageRule) -> Result<Action, Refusal> {
    let pairs = super::takes_pairs(asked.snapshot, &asked.request.interaction);
    if row.answer == OperationAnswer::Bundle {
        let parameters = asked.parameters(|_| true)?;
        hosts::check(asked, &parameters)?;
        // What it is called for is what its entries need.
        let letter = if row.letter == Letter::Search { Letter::Search } else { Letter::Read };
        let verify = Verify::Bundle { letter, kind: BundleKind::Result, pages, includes: Includes::VISIBLE };
        return Ok(Action::Guard { request: asked.upstream(Method::GET, &parameters), verify });
    }
    let answers = if row.answer == OperationAnswer::Resource { Answers::Resource } else { Answers::Anything };
    let input = if asked.is_post() { Input::Any } else { Input::Query };
    let mut call = call::plain(asked, input, answers, |_| true)?;
    if pairs && asked.is_post() {
        // Its parameters are those of the body, which goes up as it is.
        call.request = asked.upstream(Method::POST, &[]);
        call.input = Input::Pairs;
    }
    Ok(Action::Operation(call))
}
