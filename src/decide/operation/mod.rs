//! Operations: a table names each one that passes, an operator's rows add to it, everything else is refused (enforcement.md §6).

mod call;
mod document;
mod export;
mod hosts;
mod patient;
mod row;
mod table;

use http::Method;

pub use call::{Answers, Call, Input};
pub(super) use export::RULES as EXPORT_RULES;
pub use export::{EXPORT_ASYNC, EXPORT_ELSEWHERE, EXPORT_PARAMETER_NAME, EXPORT_TOO_SOON, Export, ExportStep};
pub use table::takes_pairs;

use super::grant::Grant;
use super::parameters::FORMAT_NOT_JSON;
use super::permit::{Permit, UpstreamRequest};
use super::rule::{Refusal, Rule};
use super::search;
use crate::config::Snapshot;
use crate::fhir::input::InputError;
use crate::fhir::interaction::{Level, Request};
use crate::fhir::search::{Key, Parameter, print_parameters};
use crate::scope::Letter;
use table::{Builtin, listed};

pub(super) const OPERATION_NOT_LISTED: Rule = Rule::forbidden(
    "operation-not-listed",
    "this operation is not among those that the gate lets through at this level",
);

pub(super) const OPERATION_RESTRICTED: Rule = Rule::forbidden(
    "operation-restricted",
    "this operation is not open to a token in a patient context or with a constraint: what comes back could not be verified",
);

pub const OPERATION_PARAMETER: Rule = Rule::bad_request(
    "operation-parameter",
    "the operation does not take this parameter here, or not in this form, or it names a host that is nobody's public name",
);

pub(super) const OPERATION_PATIENT: Rule = Rule::bad_request(
    "operation-patient",
    "say once which patient this is about, by id or as `Patient/id`: the token is for more than one, or the operation needs it said",
);

pub(super) const RULES: &[&Rule] =
    &[&OPERATION_NOT_LISTED, &OPERATION_RESTRICTED, &OPERATION_PARAMETER, &OPERATION_PATIENT];

/// The operation's parameters that shape only the form of the answer, which is JSON.
const FORM: [&str; 2] = ["_format", "_pretty"];

impl From<InputError> for Refusal {
    fn from(error: InputError) -> Self {
        OPERATION_PARAMETER.refuse().because(error.to_string())
    }
}

/// Decides one operation.
pub(super) fn operation(
    snapshot: &Snapshot,
    grant: &Grant,
    request: &Request,
    level: &Level,
    name: &str,
) -> Result<Permit, Refusal> {
    let asked = Asked { snapshot, grant, request, level, name };
    if export::is_export(level, name) {
        return export::export(&asked);
    }
    let Some(builtin) = listed(level, name) else {
        return row::row(&asked);
    };
    let permit = match (builtin, level) {
        (Builtin::Everything, Level::Instance(_, id)) => patient::everything(&asked, id),
        (Builtin::Summary, Level::Instance(_, id)) => document::summary(&asked, id),
        (Builtin::Docref, _) => patient::docref(&asked),
        (Builtin::Lastn, _) => search::last_n(snapshot, grant, request, "/$lastn"),
        (Builtin::Terminology(answers), Level::Type(of) | Level::Instance(of, _)) => {
            call::terminology(&asked, *of, answers)
        }
        (Builtin::Validate, Level::Type(of) | Level::Instance(of, _)) => call::validate(&asked, *of),
        _ => Err(asked.not_listed()),
    }?;
    if request.accepts_json { Ok(permit) } else { Err(FORMAT_NOT_JSON.refuse()) }
}

/// One operation that is asked for.
struct Asked<'a> {
    snapshot: &'a Snapshot,
    grant: &'a Grant,
    request: &'a Request,
    level: &'a Level,
    name: &'a str,
}

impl Asked<'_> {
    fn not_listed(&self) -> Refusal {
        let at = match self.level {
            Level::System => "at system level".to_owned(),
            Level::Type(of) => format!("on {of}"),
            Level::Instance(of, _) => format!("on one {of}"),
        };
        OPERATION_NOT_LISTED.refuse().because(format!("${} {at}", self.name))
    }

    fn is_post(&self) -> bool {
        self.request.method == Method::POST
    }

    /// Whether there is nothing on the server that the token may not read: then an answer cannot tell of it.
    fn sees_all(&self) -> bool {
        self.grant.is_unrestricted()
            || self.snapshot.fhir.tables.types().is_subset(&self.grant.unrestricted_types(Letter::Read))
    }

    /// Path of the operation below the base.
    fn path(&self) -> String {
        match self.level {
            Level::System => format!("/${}", self.name),
            Level::Type(of) => format!("/{of}/${}", self.name),
            Level::Instance(of, id) => format!("/{of}/{id}/${}", self.name),
        }
    }

    /// The request for the FHIR server; the page that an opened seal names, where there is one.
    fn upstream(&self, method: Method, parameters: &[Parameter]) -> UpstreamRequest {
        let target = match (&self.request.page, parameters) {
            (Some(page), _) => page.target.clone(),
            (None, []) => self.path(),
            (None, parameters) => format!("{}?{}", self.path(), print_parameters(parameters)),
        };
        UpstreamRequest::new(method, target).inspected()
    }

    /// The parameters, each of which must be one that `takes` names and come without modifier.
    fn parameters(&self, takes: impl Fn(&str) -> bool) -> Result<Vec<Parameter>, Refusal> {
        let mut taken = Vec::new();
        for parameter in &self.request.parameters {
            match &parameter.key {
                Key::Plain { code, modifier: None } if FORM.contains(&code.as_str()) => {}
                Key::Plain { code, modifier: None } if takes(code) => taken.push(parameter.clone()),
                _ => return Err(OPERATION_PARAMETER.refuse().because(parameter.key.to_string())),
            }
        }
        Ok(taken)
    }
}
