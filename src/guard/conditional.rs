//! Conditional writes under a restricted grant: what the criteria mean is looked for first; then it is a write to an id, checked
//! and pinned like any other (enforcement.md §3).

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, StatusCode};

use super::bundle::unreadable;
use super::checked::{self, denied};
use super::criteria::{Found, Matched, matched};
use super::links::moved;
use super::sent::id_of_new;
use super::{Answer, Exchange, Guard, precondition};
use crate::decide::{
    BODY_OTHER_RESOURCE, CRITERIA_SEVERAL, CheckedWrite, ConditionalKind, ConditionalWrite, Refusal, visible,
};
use crate::fhir::json::{Document, Json};
use crate::fhir::reference::is_id;
use crate::scope::Letter;

/// What a conditional write comes to.
pub(super) enum Resolved {
    /// Nothing is to be written.
    Answered(Answer),
    /// What was to be created is there, under this id.
    There {
        id: String,
        answer: Answer,
    },
    To {
        write: CheckedWrite,
        body: Bytes,
    },
}

pub(super) async fn carry_out(
    guard: &Guard,
    exchange: &Exchange<'_>,
    conditional: &ConditionalWrite,
) -> Result<Answer, Refusal> {
    let (write, body) = match resolve(guard, exchange, conditional).await? {
        Resolved::Answered(answer) | Resolved::There { answer, .. } => return Ok(answer),
        Resolved::To { write, body } => (write, body),
    };
    let direct = exchange.with_body(body);
    if !write.is_unless() {
        return checked::carry_out(guard, &direct, &write).await;
    }
    let Some(answer) = checked::unless_there(guard, &direct, &write).await? else {
        // Somebody else was faster, or the FHIR server takes the criteria for more than they are: what counts is what is there.
        return match matched(guard, exchange, conditional).await? {
            Matched::One(found) => there(exchange, &found),
            Matched::Several => Err(CRITERIA_SEVERAL.refuse()),
            Matched::Nothing => checked::carry_out(guard, &direct, &write.anyway()).await,
        };
    };
    Ok(answer)
}

/// Finds out what is to be written where; that of a creation is not sent yet, and neither is any other.
pub(super) async fn resolve(
    guard: &Guard,
    exchange: &Exchange<'_>,
    conditional: &ConditionalWrite,
) -> Result<Resolved, Refusal> {
    // What is wrong with the body is wrong whatever meets the criteria.
    let own_id = match conditional.kind() {
        ConditionalKind::Create | ConditionalKind::Update => id_of_new(exchange, conditional)?,
        ConditionalKind::Patch | ConditionalKind::Delete => None,
    };
    let matched = matched(guard, exchange, conditional).await?;
    let body = exchange.body.clone();
    let write = match (conditional.kind(), matched) {
        (_, Matched::Several) => return Err(CRITERIA_SEVERAL.refuse()),
        (ConditionalKind::Create, Matched::One(found)) => {
            let answer = there(exchange, &found)?;
            return Ok(Resolved::There { id: found.id, answer });
        }
        (ConditionalKind::Create, Matched::Nothing) => conditional.creation()?,
        (ConditionalKind::Update, Matched::One(found)) if own_id.is_none() => {
            let body = with_id(&exchange.body, &found.id);
            return Ok(Resolved::To { write: conditional.on(&found.id), body });
        }
        (_, Matched::One(found)) => conditional.on(&found.id),
        (ConditionalKind::Update, Matched::Nothing) => match own_id {
            None => conditional.creation()?,
            Some(id) if !is_id(&id) => return Err(BODY_OTHER_RESOURCE.refuse()),
            // Whether an id is taken would tell of others' resources.
            Some(_) if !exchange.snapshot.fhir.upsert => return Ok(Resolved::Answered(denied())),
            Some(id) => conditional.creation_at(&id),
        },
        (ConditionalKind::Patch | ConditionalKind::Delete, Matched::Nothing) => {
            return Ok(Resolved::Answered(denied()));
        }
    };
    Ok(Resolved::To { write, body })
}

/// A resource without an id gets that of what it replaces. It is checked as it then is.
fn with_id(body: &[u8], id: &str) -> Bytes {
    let members = body.trim_ascii_start().strip_prefix(b"{").unwrap_or_default();
    Bytes::from([format!("{{\"id\":\"{id}\",").as_bytes(), members].concat())
}

/// The answer to a creation of what is there already (FHIR R4 http.html#ccreate): where it is, and what it is only if it may be read.
fn there(exchange: &Exchange<'_>, found: &Found) -> Result<Answer, Refusal> {
    let Exchange { snapshot, grant, .. } = exchange;
    precondition::check(exchange.headers, None)?;
    let document = Document::parse(&found.resource, snapshot.limits.json_depth);
    let document = document.map_err(|error| unreadable(&error.to_string()))?;
    let resource = document.root();
    let mut answer = Answer { upstream_status: Some(StatusCode::OK), ..Answer::fhir(StatusCode::OK, Bytes::new()) };
    let of = resource.get("resourceType").and_then(Json::as_str).unwrap_or_default();
    let mut location = format!("{}/{of}/{}", snapshot.fhir.public_base, found.id);
    if let Ok(version) = precondition::version(resource, &HeaderMap::new()) {
        location.push_str(&format!("/_history/{version}"));
        let tag = HeaderValue::from_str(&format!("W/\"{version}\"")).ok();
        tag.map(|tag| answer.headers.insert(header::ETAG, tag));
    }
    let location = HeaderValue::from_str(&location).map_err(|_| unreadable("a match whose id is none"))?;
    answer.headers.insert(header::LOCATION, location);
    if visible(snapshot, grant, Letter::Read, resource) && !prefers_minimal(exchange.headers) {
        answer.body = moved(&document, &found.resource, &snapshot.fhir);
    } else {
        answer.headers.remove(header::CONTENT_TYPE);
    }
    Ok(answer)
}

fn prefers_minimal(headers: &HeaderMap) -> bool {
    let prefer = headers.get("prefer").and_then(|prefer| prefer.to_str().ok()).unwrap_or_default();
    prefer.split([',', ';']).any(|preference| preference.trim() == "return=minimal")
}
