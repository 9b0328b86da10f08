//! Operations whose answer is no Bundle of entries: terminology, validation, and rows of an operator's.

use http::Method;

use super::{Asked, OPERATION_PARAMETER, OPERATION_RESTRICTED, hosts};
use crate::config::Snapshot;
use crate::decide::grant::Grant;
use crate::decide::permit::{Action, Permit, UpstreamRequest};
use crate::decide::reach::{Reach, reach, type_of, visible};
use crate::decide::rule::Refusal;
use crate::decide::write::BODY_OTHER_RESOURCE;
use crate::fhir::ResourceType;
use crate::fhir::json::Json;
use crate::scope::Letter;

/// What an operation is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// Nothing but its query.
    Query,
    /// A Parameters resource, or nothing.
    Parameters,
    /// The Parameters resource that was read into the request's parameters; where these are some, it must be there.
    Pairs,
    /// A resource of this type, or a Parameters resource that holds no other, or nothing.
    Resource(ResourceType),
    /// Any resource, or nothing.
    Any,
}

/// What its answer must be to leave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answers {
    ValueSet,
    /// Parameters; a resource in them must be visible.
    Parameters,
    /// An OperationOutcome, by itself or in Parameters.
    Outcome,
    /// One visible resource.
    Resource,
    /// Anything: an operator said so, and nothing is hidden from the token by a patient context or a constraint.
    Anything,
}

/// An operation on its way: what it is sent, and what may come back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    pub(super) request: UpstreamRequest,
    pub(super) input: Input,
    pub(super) answers: Answers,
    /// The resource that the path names is read first, and the operation follows only if the token may see it.
    pub(super) first: Option<Box<Permit>>,
}

impl Call {
    pub fn request(&self) -> &UpstreamRequest {
        &self.request
    }

    pub fn answers(&self) -> Answers {
        self.answers
    }

    pub fn input(&self) -> Input {
        self.input
    }

    /// The read that must succeed before.
    pub fn first(&self) -> Option<&Permit> {
        self.first.as_deref()
    }

    /// Checks the body that it is sent.
    ///
    /// # Errors
    /// Another resource than the operation takes, or a text that names a host which is nobody's public name.
    pub fn check_input(&self, snapshot: &Snapshot, body: Json<'_>) -> Result<(), Refusal> {
        let of = type_of(snapshot, body).ok_or_else(|| BODY_OTHER_RESOURCE.refuse())?;
        let fits = match self.input {
            Input::Query => false,
            Input::Parameters | Input::Pairs => of == ResourceType::PARAMETERS,
            Input::Resource(wanted) if of == ResourceType::PARAMETERS => {
                inner(body).into_iter().all(|resource| type_of(snapshot, resource) == Some(wanted))
            }
            Input::Resource(wanted) => of == wanted,
            Input::Any => true,
        };
        if fits { hosts::check_body(snapshot, body) } else { Err(BODY_OTHER_RESOURCE.refuse()) }
    }

    /// Whether `answer` may leave.
    pub fn may_leave(&self, snapshot: &Snapshot, grant: &Grant, answer: Json<'_>) -> bool {
        let of = type_of(snapshot, answer);
        let outcome = |resource: Json<'_>| type_of(snapshot, resource) == Some(ResourceType::OPERATION_OUTCOME);
        let seen = |resource: Json<'_>| {
            type_of(snapshot, resource) != Some(ResourceType::BUNDLE)
                && visible(snapshot, grant, Letter::Read, resource)
        };
        let parameters = of == Some(ResourceType::PARAMETERS);
        match self.answers {
            Answers::ValueSet => of == Some(ResourceType::VALUE_SET) && seen(answer),
            Answers::Parameters => parameters && inner(answer).into_iter().all(|one| outcome(one) || seen(one)),
            Answers::Outcome => outcome(answer) || parameters && inner(answer).into_iter().all(outcome),
            // What stands in Parameters beside resources is of nobody knows whom.
            Answers::Resource if parameters => {
                grant.is_unrestricted() && inner(answer).into_iter().all(|one| outcome(one) || seen(one))
            }
            Answers::Resource => seen(answer),
            Answers::Anything => true,
        }
    }
}

/// The resources in a Parameters resource, however deep.
fn inner(parameters: Json<'_>) -> Vec<Json<'_>> {
    let mut found = Vec::new();
    for name in ["parameter", "part"] {
        for parameter in parameters.list(name) {
            found.extend(parameter.get("resource"));
            found.extend(inner(parameter));
        }
    }
    found
}

/// `$expand`, `$lookup`, `$validate-code`, `$translate`: open wherever the type may be read as a whole, since it is no patient's.
pub(super) fn terminology(asked: &Asked<'_>, of: ResourceType, answers: Answers) -> Result<Permit, Refusal> {
    let reach = reach(asked.snapshot, asked.grant, of, Letter::Read)?;
    if !matches!(reach, Reach::Everything | Reach::Shared) {
        return Err(OPERATION_RESTRICTED.refuse());
    }
    let input = if asked.is_post() { Input::Parameters } else { Input::Query };
    let call = plain(asked, input, answers, |code| !code.starts_with('_'))?;
    Ok(Permit { action: Action::Operation(call), rule: reach.rule() })
}

/// `$validate`: a validator looks up what the resource refers to, so under a patient context its findings would tell what else
/// there is.
pub(super) fn validate(asked: &Asked<'_>, of: ResourceType) -> Result<Permit, Refusal> {
    let reach = reach(asked.snapshot, asked.grant, of, Letter::Read)?;
    if !matches!(reach, Reach::Everything) || !asked.sees_all() {
        return Err(OPERATION_RESTRICTED.refuse());
    }
    let input = if asked.is_post() { Input::Resource(of) } else { Input::Query };
    let call = plain(asked, input, Answers::Outcome, |code| matches!(code, "mode" | "profile"))?;
    Ok(Permit { action: Action::Operation(call), rule: reach.rule() })
}

/// A call of which the query goes up as it is.
pub(super) fn plain(
    asked: &Asked<'_>,
    input: Input,
    answers: Answers,
    takes: impl Fn(&str) -> bool,
) -> Result<Call, Refusal> {
    let parameters = asked.parameters(takes)?;
    hosts::check(asked, &parameters)?;
    if asked.request.page.is_some() {
        return Err(OPERATION_PARAMETER.refuse().because("a page of what has none"));
    }
    let method = if asked.is_post() { Method::POST } else { Method::GET };
    Ok(Call { request: asked.upstream(method, &parameters), input, answers, first: None })
}
