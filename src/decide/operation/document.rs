//! `$summary`: a document about one patient (International Patient Summary IG).
//!
//! A document is one thing: its Composition tells in words what its other entries hold. So it leaves whole or not at all; an
//! entry that is not visible makes it the uniform denial.

use http::Method;

use super::{Asked, hosts, patient};
use crate::decide::permit::{Action, OwnAnswer, Permit, Verify};
use crate::decide::reach::reach;
use crate::decide::rule::Refusal;
use crate::fhir::ResourceType;
use crate::scope::Letter;

/// `Patient/A/$summary`. Needs `r` on Patient and Composition, and on whatever else the document holds.
pub(super) fn summary(asked: &Asked<'_>, id: &str) -> Result<Permit, Refusal> {
    let of_patient = reach(asked.snapshot, asked.grant, ResourceType::PATIENT, Letter::Read)?;
    let of_document = reach(asked.snapshot, asked.grant, ResourceType::COMPOSITION, Letter::Read)?;
    let parameters = asked.parameters(|code| code == "profile")?;
    hosts::check(asked, &parameters)?;
    let rule = of_patient.rule();
    if !patient::may_be(&of_patient, id) || !patient::may_be(&of_document, id) {
        return Ok(Permit { action: Action::Answer(OwnAnswer::UniformDenial), rule });
    }
    let request = asked.upstream(Method::GET, &parameters);
    Ok(Permit { action: Action::Guard { request, verify: Verify::Document }, rule })
}
