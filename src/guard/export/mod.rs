//! Bulk export carried out (Bulk Data Access IG 2.0): where an export is leaves in seals only, and each line of its files is looked
//! at before it does.

mod lines;
mod manifest;
mod seal;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use lines::Expected;
pub(super) use lines::Lines;
use manifest::File;
use seal::{Part, Place, Seals};

use super::bundle::unreadable;
use super::links::{OwnBases, moved};
use super::stream::Stream;
use super::{Answer, Exchange, Guard, Outcome, outgoing, own_words, upstream_refusal};
use crate::decide::{
    EXPORT_ASYNC, EXPORT_ELSEWHERE, EXPORT_PARAMETER_NAME, EXPORT_TOO_SOON, Export, ExportStep, Refusal,
    UpstreamRequest,
};
use crate::fhir::json::{Document, Json};
use crate::upstream::UpstreamAnswer;

/// What `X-Progress` says; the FHIR server's own words may be about anybody.
const PROGRESS: &str = "in progress";

static X_PROGRESS: header::HeaderName = header::HeaderName::from_static("x-progress");

pub(super) async fn carry_out(guard: &Guard, exchange: &Exchange<'_>, export: &Export) -> Result<Outcome, Refusal> {
    if let ExportStep::KickOff { request, body } = export.step() {
        return kick_off(guard, exchange, request, body.as_deref()).await.map(Outcome::Whole);
    }
    let sealed = exchange.request.parameters.iter().find(|parameter| parameter.code() == EXPORT_PARAMETER_NAME);
    let part = sealed.and_then(|sealed| Seals::of(guard, exchange).open(&sealed.value));
    match (export.step(), part) {
        (ExportStep::Status, Some(Part::Status { at, original, expires })) => {
            let answer = ask(guard, exchange, export, &at).await?;
            status(guard, exchange, export, answer, &original, expires).await.map(Outcome::Whole)
        }
        (ExportStep::Cancel, Some(Part::Status { at, .. })) => {
            let answer = ask(guard, exchange, export, &at).await?;
            cancelled(answer).map(Outcome::Whole)
        }
        (ExportStep::File, Some(Part::File { at, holds, .. })) => {
            let expected = Expected::read(exchange.snapshot, export, &holds)?;
            let answer = ask(guard, exchange, export, &at).await?;
            file(exchange, answer, expected)
        }
        // Expired, of somebody else, of something else: one answer.
        _ => Ok(Outcome::Whole(Answer::uniform_denial())),
    }
}

async fn kick_off(
    guard: &Guard,
    exchange: &Exchange<'_>,
    request: &UpstreamRequest,
    body: Option<&str>,
) -> Result<Answer, Refusal> {
    if !outgoing::prefers(exchange.headers, "respond-async") {
        return Err(EXPORT_ASYNC.refuse());
    }
    let answer = guard.send(exchange, request, body.map(|body| body.to_owned().into())).await?;
    let status = answer.status;
    if status != StatusCode::ACCEPTED {
        return not_now(exchange, answer).await;
    }
    let link = answer.headers.get(header::CONTENT_LOCATION).and_then(|value| value.to_str().ok());
    let link = link.ok_or_else(|| unreadable("an export was accepted without saying where it is"))?;
    let at = Place::of(exchange, link).ok_or_else(|| EXPORT_ELSEWHERE.refuse())?;
    let seals = Seals::of(guard, exchange);
    let original = exchange.original.to_owned();
    let url = seals.url(&Part::Status { at, original, expires: seals.expiry() })?;
    let mut accepted = empty(StatusCode::ACCEPTED, status);
    accepted.headers.insert(header::CONTENT_LOCATION, value(&url)?);
    Ok(accepted)
}

/// Sends the request of a step to where the part is: with the gate's credentials to the FHIR server, to a file host without any.
async fn ask(guard: &Guard, exchange: &Exchange<'_>, export: &Export, at: &Place) -> Result<UpstreamAnswer, Refusal> {
    let request = export.follow(at.target.clone(), exchange.request.method == Method::HEAD);
    let fhir = &exchange.snapshot.fhir;
    let Some(origin) = &at.origin else {
        exchange.waited.is_at(at.at());
        return guard.send(exchange, &request, None).await;
    };
    let host = fhir.bulk_hosts.iter().find(|host| host.addresses.first.base == *origin);
    let host = host.ok_or_else(|| EXPORT_ELSEWHERE.refuse())?;
    let first = &host.addresses.first;
    let own = fhir.upstream.addresses.iter().any(|own| own.authority == first.authority && own.tls == first.tls);
    let headers = if own { outgoing::headers(exchange, &request, false, None) } else { outgoing::anonymous(&request) };
    let _watch = exchange.waited.start();
    guard.elsewhere.send(host, &request, headers, None, None).await.map_err(|error| upstream_refusal(&error))
}

async fn status(
    guard: &Guard,
    exchange: &Exchange<'_>,
    export: &Export,
    mut answer: UpstreamAnswer,
    original: &str,
    expires: i64,
) -> Result<Answer, Refusal> {
    let status = answer.status;
    match status {
        StatusCode::OK => {}
        StatusCode::ACCEPTED => {
            let mut waiting = empty(StatusCode::ACCEPTED, status);
            waiting.headers.insert(X_PROGRESS.clone(), HeaderValue::from_static(PROGRESS));
            waiting.copy(&answer.headers, &header::RETRY_AFTER);
            return Ok(waiting);
        }
        _ => return not_now(exchange, answer).await,
    }
    let body = exchange.collect(&mut answer).await?;
    let seals = Seals::of(guard, exchange);
    let seal = |file: &File<'_>, holds: &str| {
        let at = Place::of(exchange, &file.url).ok_or_else(|| EXPORT_ELSEWHERE.refuse())?;
        seals.url(&Part::File { at, holds: holds.to_owned(), expires })
    };
    let (printed, removed) = manifest::rewritten(exchange.snapshot, export, &body, original, seal)?;
    let mut complete = Answer { removed, upstream_status: Some(status), ..Answer::fhir(StatusCode::OK, printed) };
    complete.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    complete.copy(&answer.headers, &header::EXPIRES);
    Ok(complete)
}

fn cancelled(answer: UpstreamAnswer) -> Result<Answer, Refusal> {
    match answer.status {
        status if status.is_success() => Ok(empty(StatusCode::ACCEPTED, status)),
        status @ (StatusCode::NOT_FOUND | StatusCode::GONE) => {
            Ok(Answer { upstream_status: Some(status), ..Answer::uniform_denial() })
        }
        status => Err(own_words(status)),
    }
}

/// A file flows through line by line; redirects are not followed.
fn file(exchange: &Exchange<'_>, answer: UpstreamAnswer, expected: Expected) -> Result<Outcome, Refusal> {
    let status = answer.status;
    match status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            return Ok(Outcome::Whole(Answer { upstream_status: Some(status), ..Answer::uniform_denial() }));
        }
        StatusCode::TOO_MANY_REQUESTS => return Ok(Outcome::Whole(too_soon(&answer.headers))),
        status => return Err(own_words(status)),
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/fhir+ndjson"));
    let lines = Lines::new(expected, &exchange.snapshot.limits, OwnBases::of(&exchange.snapshot.fhir));
    Ok(Outcome::Flowing(Box::new(Stream::of_lines(headers, answer, lines))))
}

/// What the client hears when an export is not begun or not ready: what the FHIR server says of the request, where the token may
/// read everything that could stand in it.
async fn not_now(exchange: &Exchange<'_>, mut answer: UpstreamAnswer) -> Result<Answer, Refusal> {
    let status = answer.status;
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            return Ok(Answer { upstream_status: Some(status), ..Answer::uniform_denial() });
        }
        StatusCode::TOO_MANY_REQUESTS => return Ok(too_soon(&answer.headers)),
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY if exchange.grant.is_unrestricted() => {}
        status => return Err(own_words(status)),
    }
    let body = exchange.collect(&mut answer).await?;
    let read = Document::parse(&body, exchange.snapshot.limits.json_depth).map_err(|_| own_words(status))?;
    if read.root().get("resourceType").and_then(Json::as_str) != Some("OperationOutcome") {
        return Err(own_words(status));
    }
    let moved = moved(&read, &body, &exchange.snapshot.fhir);
    Ok(Answer { upstream_status: Some(status), ..Answer::fhir(status, moved) })
}

fn too_soon(headers: &HeaderMap) -> Answer {
    let mut answer = Answer::refusal(&EXPORT_TOO_SOON.refuse());
    answer.upstream_status = Some(StatusCode::TOO_MANY_REQUESTS);
    answer.copy(headers, &header::RETRY_AFTER);
    answer
}

fn empty(status: StatusCode, upstream: StatusCode) -> Answer {
    let mut answer = Answer { upstream_status: Some(upstream), ..Answer::fhir(status, bytes::Bytes::new()) };
    answer.headers.remove(header::CONTENT_TYPE);
    answer
}

fn value(text: &str) -> Result<HeaderValue, Refusal> {
    HeaderValue::from_str(text).map_err(|error| unreadable(&error.to_string()))
}
