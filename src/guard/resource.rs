//! One resource, verified on its own body or denied uniformly.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};

use super::links::moved;
use super::sight::Sight;
use super::{Answer, Exchange, Guard, binary, own_words};
use crate::decide::{Refusal, Seen, request as rules, type_of};
use crate::fhir::ResourceType;
use crate::fhir::json::{Document, Json};
use crate::scope::Letter;
use crate::upstream::UpstreamAnswer;

pub(super) async fn verified(
    guard: &Guard,
    exchange: &Exchange<'_>,
    mut answer: UpstreamAnswer,
    of: ResourceType,
    id: &str,
) -> Result<Answer, Refusal> {
    let status = answer.status;
    if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
        return Ok(with_status(Answer::uniform_denial(), status));
    }
    if status != StatusCode::OK {
        return Err(own_words(status));
    }
    let body = exchange.collect(&mut answer).await?;
    of_body(guard, exchange, &answer.headers, &body, (of, id)).await
}

/// The answer that a body of the upstream's makes.
pub(super) async fn of_body(
    guard: &Guard,
    exchange: &Exchange<'_>,
    headers: &HeaderMap,
    body: &Bytes,
    (of, id): (ResourceType, &str),
) -> Result<Answer, Refusal> {
    let status = StatusCode::OK;
    let unreadable = |why: &str| rules::UPSTREAM_UNREADABLE.refuse().because(why);
    let document =
        Document::parse(body, exchange.snapshot.limits.json_depth).map_err(|error| unreadable(&error.to_string()))?;
    let resource = document.root();
    let as_asked =
        type_of(exchange.snapshot, resource) == Some(of) && resource.get("id").and_then(Json::as_str) == Some(id);
    let mut sight = Sight::of(exchange, Seen::default());
    if !as_asked || !sight.visible(guard, exchange, Letter::Read, resource).await? {
        let mut denial = with_status(Answer::uniform_denial(), status);
        denial.removed = 1;
        return Ok(denial);
    }
    if of == ResourceType::BINARY && !binary::asked_as_json(exchange) {
        return binary::content(exchange, resource, headers).map(|answer| with_status(answer, status));
    }
    let body = moved(&document, body, &exchange.snapshot.fhir);
    let mut verified = with_status(Answer::fhir(StatusCode::OK, body), status);
    for name in [header::ETAG, header::LAST_MODIFIED] {
        verified.copy(headers, &name);
    }
    Ok(verified)
}

fn with_status(mut answer: Answer, status: StatusCode) -> Answer {
    answer.upstream_status = Some(status);
    answer
}
