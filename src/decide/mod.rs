//! The rules of enforcement.md: a pure function of a configuration snapshot, a grant and a request.
//!
//! No I/O, no clock. The result is a [`Refusal`] that names its [`Rule`], or a [`Permit`] that says what to send and what to
//! verify; nothing else can make a permit.

mod asking;
mod bundle;
mod change;
mod checked;
mod conditional;
mod constraint;
mod entry;
mod grant;
mod includes;
mod joins;
mod linked;
mod look_up;
mod naming;
mod operation;
mod parameters;
mod patch;
mod permit;
mod pin;
mod probe;
mod provenance;
mod reach;
mod read;
mod references;
mod report;
pub mod request;
mod rule;
mod search;
mod subjects;
mod write;

pub use asking::{check_patch, check_references};
pub use bundle::{BUNDLE_OVERLAP, BundleDecision, Processing, decide_bundle};
pub use checked::{CheckedKind, CheckedWrite};
pub use conditional::{CRITERIA_SEVERAL, ConditionalKind, ConditionalWrite};
pub use entry::{Entry, RefusedEntry, check_resource};
pub use grant::{Constrained, Grant, MAX_PATIENTS, PatientIds, Restricted};
pub use includes::{Includes, Trail};
pub use linked::{Occasion, Seen, is_linked, look_ups};
pub use look_up::LinkLookUp;
pub use operation::{
    Answers, Call, EXPORT_ASYNC, EXPORT_ELSEWHERE, EXPORT_PARAMETER_NAME, EXPORT_TOO_SOON, Export, ExportStep, Input,
    OPERATION_PARAMETER, takes_pairs,
};
pub use parameters::FORMAT_NOT_JSON;
pub use patch::PATCH_FORMAT;
pub(crate) use patch::patch_refusal;
pub(crate) use permit::bundle_request;
pub use permit::{
    Action, BodyRule, Bulk, BundleKind, Id, OwnAnswer, PageRule, Permit, Pin, Target, UpstreamRequest, Verify,
    capabilities_lookup, encounters_lookup, patients_lookup, people_lookup,
};
pub use pin::{
    Obeyed, ObeyedInTransaction, PRECONDITION_FAILED, PRECONDITION_UNSUPPORTED, VERSION_UNKNOWN, WRITE_CONFLICT,
    WRITE_UNPROBED,
};
pub use probe::{ProbeResource, probe_search};
pub use provenance::TargetSearch;
pub use reach::{Judge, NOT_FOUND_OR_NOT_YOURS, type_of, visible, visible_with};
pub use references::{LookUp, REFERENCES_TOO_MANY};
pub(crate) use report::holds;
pub use report::{Decided, REPORT_MODE, Reported, decide_in_mode, reporting};
pub use rule::{Challenge, Refusal, Rule, all as all_rules};
pub use write::{BODY_AMBIGUOUS, BODY_NOT_FHIR_JSON, BODY_OTHER_RESOURCE};

use crate::config::Snapshot;
use crate::fhir::interaction::{Interaction, Request};
use write::{Write, write};

/// Decides one request.
///
/// # Errors
/// The rule that refuses it. Anything that no rule lets through is refused.
pub fn decide(snapshot: &Snapshot, grant: &Grant, request: &Request) -> Result<Permit, Refusal> {
    let single = |of, kind: Write<'_>| write(snapshot, grant, request, of, &kind);
    match &request.interaction {
        Interaction::Capabilities => decide_public(request),
        Interaction::Read { of, id } => read::read(snapshot, grant, request, *of, id, None),
        Interaction::Vread { of, id, version } => read::read(snapshot, grant, request, *of, id, Some(version)),
        Interaction::HistoryInstance { of, id } => read::history_of_instance(snapshot, grant, request, *of, id),
        Interaction::HistoryType { of } => read::history_of_many(snapshot, grant, request, Some(*of)),
        Interaction::HistorySystem => read::history_of_many(snapshot, grant, request, None),
        Interaction::SearchType { of } => search::search_type(snapshot, grant, request, *of),
        Interaction::SearchCompartment { compartment, id, of } => {
            search::search_compartment(snapshot, grant, request, (*compartment, id), *of)
        }
        Interaction::SearchSystem => search::search_system(snapshot, grant, request),
        Interaction::Create { of } => single(*of, Write::Create),
        Interaction::Update { of, id } => single(*of, Write::Update(id)),
        Interaction::Patch { of, id } => single(*of, Write::Patch(id)),
        Interaction::Delete { of, id } => single(*of, Write::Delete(id)),
        Interaction::ConditionalUpdate { of } => single(*of, Write::ConditionalUpdate),
        Interaction::ConditionalPatch { of } => single(*of, Write::ConditionalPatch),
        Interaction::ConditionalDelete { of } => single(*of, Write::ConditionalDelete),
        Interaction::Bundle => bundle::bundle(request),
        Interaction::Operation { level, name } => operation::operation(snapshot, grant, request, level, name),
    }
}

/// Decides the one FHIR request that needs no token: `metadata` (enforcement.md §2.4).
///
/// # Errors
/// A parameter other than `_format`, `_summary`, `_pretty` and `mode`, or a client that takes no JSON.
pub fn decide_public(request: &Request) -> Result<Permit, Refusal> {
    for parameter in &request.parameters {
        if !matches!(parameter.code(), "_format" | "_summary" | "_pretty" | "mode") {
            return Err(parameters::PARAMETER_UNKNOWN.refuse().because(parameter.code()));
        }
    }
    if !request.accepts_json {
        return Err(FORMAT_NOT_JSON.refuse());
    }
    Ok(Permit { action: Action::Answer(OwnAnswer::Capabilities), rule: "public" })
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
