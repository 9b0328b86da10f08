//! Writes under a restricted grant, step by step: what the client sent, what is stored, what is to be stored, and only then the
//! write (enforcement.md §5). `decide` judges each step; here is the order, and what a client hears of each.
//!
//! Nothing is read twice: the bytes that were checked are the bytes that go up, for the version that was checked.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};

use super::bundle::unreadable;
use super::links::moved;
use super::sent::{apply, check_new, patch, sent_patch, sent_text};
use super::write::locations;
use super::{Answer, Exchange, Guard, own_words, precondition};
use crate::decide::{
    CheckedKind, CheckedWrite, LookUp, Obeyed, Pin, Refusal, UpstreamRequest, WRITE_CONFLICT, type_of, visible,
};
use crate::fhir::ResourceType;
use crate::fhir::json::{Document, Json};
use crate::fhir::reference::Literal;
use crate::scope::Letter;
use crate::upstream::UpstreamAnswer;

/// A write that was checked and is still to be sent.
pub(super) struct Ready {
    pub(super) pin: Pin,
    pub(super) body: Option<Bytes>,
    /// What the body refers to, still to be looked at.
    pub(super) look_ups: Vec<LookUp>,
}

pub(super) async fn carry_out(guard: &Guard, exchange: &Exchange<'_>, write: &CheckedWrite) -> Result<Answer, Refusal> {
    match send(guard, exchange, write).await? {
        Some(answer) => finished(exchange, write, answer).await,
        None => Ok(denied()),
    }
}

/// Carries out a creation that the FHIR server makes unless it has such a resource; none if it says that it has.
pub(super) async fn unless_there(
    guard: &Guard,
    exchange: &Exchange<'_>,
    write: &CheckedWrite,
) -> Result<Option<Answer>, Refusal> {
    match send(guard, exchange, write).await? {
        Some(answer) if matches!(answer.status, StatusCode::OK | StatusCode::PRECONDITION_FAILED) => Ok(None),
        Some(answer) => finished(exchange, write, answer).await.map(Some),
        None => Ok(Some(denied())),
    }
}

/// Checks and sends a write; none if what it names is not there or not the token's to write.
async fn send(guard: &Guard, exchange: &Exchange<'_>, write: &CheckedWrite) -> Result<Option<UpstreamAnswer>, Refusal> {
    let Some(ready) = check(guard, exchange, write).await? else { return Ok(None) };
    look_up(guard, exchange, &ready.look_ups).await?;
    guard.send(exchange, &write.send(ready.pin), ready.body).await.map(Some)
}

async fn finished(
    exchange: &Exchange<'_>,
    write: &CheckedWrite,
    mut answer: UpstreamAnswer,
) -> Result<Answer, Refusal> {
    let status = answer.status;
    let body = if status.is_success() { exchange.collect(&mut answer).await? } else { Bytes::new() };
    written(exchange, write, status, &answer.headers, &body)
}

/// Checks a write as far as that goes without its references; none if what it names is not there or not the token's to write.
pub(super) async fn check(
    guard: &Guard,
    exchange: &Exchange<'_>,
    write: &CheckedWrite,
) -> Result<Option<Ready>, Refusal> {
    // What is wrong with the request is wrong whatever is stored, so that is judged first.
    match write.kind() {
        CheckedKind::Create => {
            let look_ups = check_new(exchange, write, sent_text(exchange)?)?;
            precondition::check(exchange.headers, None)?;
            Ok(Some(Ready { pin: Pin::New, body: Some(exchange.body.clone()), look_ups }))
        }
        CheckedKind::Update(_) => {
            let body = sent_text(exchange)?;
            let look_ups = check_new(exchange, write, body)?;
            let obeyed = pinned(guard, exchange, write).await?;
            let pin = match stored(guard, exchange, write).await? {
                Found::Own(_) if write.only_new() => return Ok(None),
                Found::Own(stored) => {
                    precondition::check(exchange.headers, Some(&stored.version))?;
                    write.check_change(exchange.snapshot, stored.text()?, body)?;
                    Pin::Version(stored.version)
                }
                Found::Nothing if write.may_create(exchange.snapshot) => {
                    precondition::check(exchange.headers, None)?;
                    obeyed.map_or(Ok(()), |obeyed| write.check_absent(obeyed))?;
                    Pin::Absent
                }
                Found::Nothing | Found::NotOwn => return Ok(None),
            };
            Ok(Some(Ready { pin, body: Some(exchange.body.clone()), look_ups }))
        }
        CheckedKind::Patch(_) => {
            let sent = sent_patch(exchange)?;
            let patch = patch(exchange, write, &sent)?;
            let tests = patch.tests();
            pinned(guard, exchange, write).await?;
            let Found::Own(stored) = stored(guard, exchange, write).await? else { return Ok(None) };
            write.check_tests(exchange.grant, stored.readable || !tests)?;
            precondition::check(exchange.headers, Some(&stored.version))?;
            let result = apply(exchange, patch, stored.text()?)?;
            let look_ups = check_new(exchange, write, &result)?;
            write.check_change(exchange.snapshot, stored.text()?, &result)?;
            Ok(Some(Ready { pin: Pin::Version(stored.version), body: Some(result.into()), look_ups }))
        }
        CheckedKind::Delete(_) => {
            pinned(guard, exchange, write).await?;
            let Found::Own(stored) = stored(guard, exchange, write).await? else { return Ok(None) };
            precondition::check(exchange.headers, Some(&stored.version))?;
            Ok(Some(Ready { pin: Pin::Version(stored.version), body: None, look_ups: Vec::new() }))
        }
    }
}

/// Makes sure that the FHIR server applies the write to the checked version only; what else it obeys, where that had to be asked.
/// Before anything is looked at: the answer does not depend on what is stored.
async fn pinned(guard: &Guard, exchange: &Exchange<'_>, write: &CheckedWrite) -> Result<Option<Obeyed>, Refusal> {
    if !write.needs_pin(exchange.snapshot) {
        return Ok(None);
    }
    let obeyed = guard.pins.of(exchange.snapshot).await?;
    write.check_pin(obeyed)?;
    Ok(Some(obeyed))
}

/// The one answer for what is not there and for what is not the token's to write.
pub(super) fn denied() -> Answer {
    Answer { upstream_status: Some(StatusCode::NOT_FOUND), ..Answer::uniform_denial() }
}

/// The resource as it is stored, checked.
struct Stored {
    body: Bytes,
    version: String,
    readable: bool,
}

impl Stored {
    fn text(&self) -> Result<&str, Refusal> {
        std::str::from_utf8(&self.body).map_err(|_| unreadable("no UTF-8"))
    }
}

/// What there is under the id that is written to.
enum Found {
    Nothing,
    NotOwn,
    Own(Stored),
}

async fn stored(guard: &Guard, exchange: &Exchange<'_>, write: &CheckedWrite) -> Result<Found, Refusal> {
    let Some(request) = write.look_up() else { return Ok(Found::Nothing) };
    let Some((headers, body)) = fetch(guard, exchange, &request).await? else { return Ok(Found::Nothing) };
    let depth = exchange.snapshot.limits.json_depth;
    let (version, readable) = {
        let document = Document::parse(&body, depth).map_err(|error| unreadable(&error.to_string()))?;
        let resource = document.root();
        if !write.stored_is_own(exchange.snapshot, resource) {
            return Ok(Found::NotOwn);
        }
        let version = precondition::version(resource, &headers)?;
        (version, visible(exchange.snapshot, exchange.grant, Letter::Read, resource))
    };
    Ok(Found::Own(Stored { body, version, readable }))
}

/// Looks at everything that the body refers to, beyond what can be told without looking.
pub(super) async fn look_up(guard: &Guard, exchange: &Exchange<'_>, look_ups: &[LookUp]) -> Result<(), Refusal> {
    let depth = exchange.snapshot.limits.json_depth;
    for look_up in look_ups {
        let fetched = fetch(guard, exchange, look_up.request()).await?;
        let found = fetched.as_ref().and_then(|(_, body)| Document::parse(body, depth).ok());
        look_up.check(exchange.snapshot, exchange.grant, found.as_ref().map(Document::root))?;
    }
    Ok(())
}

/// The body of a look-up; none if there is nothing.
async fn fetch(
    guard: &Guard,
    exchange: &Exchange<'_>,
    request: &UpstreamRequest,
) -> Result<Option<(HeaderMap, Bytes)>, Refusal> {
    let mut answer = guard.send(exchange, request, None).await?;
    match answer.status {
        StatusCode::OK => {
            let body = exchange.collect(&mut answer).await?;
            Ok(Some((answer.headers, body)))
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
        status => Err(own_words(status)),
    }
}

/// What the client hears of a write: never the FHIR server's own words, and a resource only if it was verified.
pub(super) fn written(
    exchange: &Exchange<'_>,
    write: &CheckedWrite,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Answer, Refusal> {
    match status {
        StatusCode::OK | StatusCode::CREATED | StatusCode::NO_CONTENT => {}
        // Between the check and the write it was changed, or made.
        StatusCode::PRECONDITION_FAILED => return Err(WRITE_CONFLICT.refuse()),
        StatusCode::NOT_FOUND | StatusCode::GONE if write.id().is_some() => return Ok(denied()),
        status => return Err(own_words(status)),
    }
    let mut written = Answer { upstream_status: Some(status), ..Answer::fhir(status, Bytes::new()) };
    let deleted = matches!(write.kind(), CheckedKind::Delete(_));
    if write.readable() && !deleted && !body.is_empty() {
        let document = Document::parse(body, exchange.snapshot.limits.json_depth);
        if let Ok(own) = &document
            && is_own(exchange, write, own.root())
        {
            written.body = moved(own, &Bytes::copy_from_slice(body), &exchange.snapshot.fhir);
        } else {
            // Nothing is told of an answer about something else, not even where it is.
            written.headers.remove(header::CONTENT_TYPE);
            return Ok(Answer { removed: 1, ..written });
        }
    } else if !deleted && is_anothers(exchange, write, body) {
        written.headers.remove(header::CONTENT_TYPE);
        return Ok(Answer { removed: 1, ..written });
    }
    if written.body.is_empty() {
        written.headers.remove(header::CONTENT_TYPE);
    }
    if deleted {
        return Ok(written);
    }
    locations(exchange, headers, &mut written);
    let mut of_it = written.removed == 0;
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        let own =
            written.headers.get(&name).and_then(|url| url.to_str().ok()).is_none_or(|url| is_of(exchange, write, url));
        if !own {
            written.headers.remove(name);
            of_it = false;
        }
    }
    // Of an answer about something else nothing is told.
    if of_it {
        written.copy(headers, &header::ETAG);
        written.copy(headers, &header::LAST_MODIFIED);
    }
    Ok(written)
}

/// Whether the answer's body, which the client does not get, is about something else.
fn is_anothers(exchange: &Exchange<'_>, write: &CheckedWrite, body: &[u8]) -> bool {
    let parsed = Document::parse(body, exchange.snapshot.limits.json_depth);
    parsed.is_ok_and(|document| write.is_anothers(exchange.snapshot, document.root()))
}

/// Whether the answer's body is what was written, and may be read.
fn is_own(exchange: &Exchange<'_>, write: &CheckedWrite, resource: Json<'_>) -> bool {
    let id = resource.get("id").and_then(Json::as_str);
    type_of(exchange.snapshot, resource) == Some(write.of())
        && (write.id().is_none() || write.id() == id)
        && visible(exchange.snapshot, exchange.grant, Letter::Read, resource)
}

/// Whether a URL of the answer names what was written.
fn is_of(exchange: &Exchange<'_>, write: &CheckedWrite, url: &str) -> bool {
    Literal::parse(url, &[&exchange.snapshot.fhir.public_base]).is_some_and(|literal| {
        ResourceType::parse(exchange.snapshot.fhir.version, literal.resource_type) == Some(write.of())
            && write.id().is_none_or(|id| id == literal.id)
    })
}
