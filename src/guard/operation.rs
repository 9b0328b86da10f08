//! Operations whose answer is no Bundle: what they are sent is checked, and what comes back is what the decision expects or does
//! not leave.

use bytes::Bytes;
use http::{StatusCode, header};

use super::bundle::unreadable;
use super::links::moved;
use super::write::is_json;
use super::{Answer, Exchange, Guard, Outcome, own_words, resource};
use crate::decide::{
    Action, Answers, BODY_AMBIGUOUS, BODY_NOT_FHIR_JSON, Call, Input, OPERATION_PARAMETER, Permit, Refusal, Verify,
};
use crate::fhir::json::{Document, Json};
use crate::upstream::UpstreamAnswer;

pub(super) async fn carry_out(guard: &Guard, exchange: &Exchange<'_>, call: &Call) -> Result<Outcome, Refusal> {
    let body = input(exchange, call)?;
    if let Some(first) = call.first()
        && let Some(denial) = denied(guard, exchange, first).await?
    {
        return Ok(Outcome::Whole(denial));
    }
    let answer = guard.send(exchange, call.request(), body).await?;
    answered(exchange, call, answer).await.map(Outcome::Whole)
}

/// The client's body, checked.
fn input(exchange: &Exchange<'_>, call: &Call) -> Result<Option<Bytes>, Refusal> {
    match call.input() {
        Input::Query => return Ok(None),
        Input::Pairs if exchange.body.is_empty() && !exchange.request.parameters.is_empty() => {
            return Err(OPERATION_PARAMETER.refuse().because("parameters of a POST that are not in its body"));
        }
        _ if exchange.body.is_empty() => return Ok(None),
        _ => {}
    }
    if !is_json(exchange.headers, false) {
        return Err(BODY_NOT_FHIR_JSON.refuse());
    }
    let body = Document::parse(&exchange.body, exchange.snapshot.limits.json_depth)
        .map_err(|error| BODY_AMBIGUOUS.refuse().because(error.to_string()))?;
    call.check_input(exchange.snapshot, body.root())?;
    Ok(Some(exchange.body.clone()))
}

/// The answer to the read that must succeed before, if it does not.
async fn denied(guard: &Guard, exchange: &Exchange<'_>, first: &Permit) -> Result<Option<Answer>, Refusal> {
    match first.action() {
        Action::Guard { request, verify: Verify::Resource { of, id } } => {
            let answer = guard.send(exchange, request, None).await?;
            let read = resource::verified(guard, exchange, answer, *of, id).await?;
            Ok((read.status != StatusCode::OK).then_some(read))
        }
        Action::Stream { .. } => Ok(None),
        _ => Ok(Some(Answer::uniform_denial())),
    }
}

async fn answered(exchange: &Exchange<'_>, call: &Call, mut answer: UpstreamAnswer) -> Result<Answer, Refusal> {
    let status = answer.status;
    let whole = exchange.grant.is_unrestricted();
    match status {
        StatusCode::OK | StatusCode::CREATED => {}
        StatusCode::NO_CONTENT => {
            let mut empty = Answer { upstream_status: Some(status), ..Answer::fhir(status, Bytes::new()) };
            empty.headers.remove(header::CONTENT_TYPE);
            return Ok(empty);
        }
        StatusCode::NOT_FOUND | StatusCode::GONE if !whole => {
            return Ok(Answer { upstream_status: Some(status), ..Answer::uniform_denial() });
        }
        // What the server says of it is worth more to a developer than what the gate could say.
        StatusCode::BAD_REQUEST
        | StatusCode::NOT_FOUND
        | StatusCode::CONFLICT
        | StatusCode::PRECONDITION_FAILED
        | StatusCode::UNPROCESSABLE_ENTITY
            if whole => {}
        status => return Err(own_words(status)),
    }
    let body = exchange.collect(&mut answer).await?;
    if body.is_empty() && call.answers() == Answers::Anything {
        let mut empty = Answer { upstream_status: Some(status), ..Answer::fhir(status, body) };
        empty.headers.remove(header::CONTENT_TYPE);
        return Ok(empty);
    }
    let document =
        Document::parse(&body, exchange.snapshot.limits.json_depth).map_err(|_| match status.is_success() {
            true => unreadable("an operation's answer is no JSON"),
            false => own_words(status),
        })?;
    let read = document.root();
    let outcome = || read.get("resourceType").and_then(Json::as_str) == Some("OperationOutcome");
    let leaves = if status.is_success() { call.may_leave(exchange.snapshot, exchange.grant, read) } else { outcome() };
    if !leaves && call.answers() == Answers::Resource && status.is_success() {
        return Ok(Answer { removed: 1, upstream_status: Some(status), ..Answer::uniform_denial() });
    }
    if !leaves {
        return Err(unreadable("an operation's answer is not what the operation returns"));
    }
    let moved = moved(&document, &body, &exchange.snapshot.fhir);
    Ok(Answer { upstream_status: Some(status), ..Answer::fhir(status, moved) })
}
