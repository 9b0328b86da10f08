//! A batch under a patient context: each entry is carried out as the single request that it stands for, by the code of single
//! requests, and the answers are put together (enforcement.md §3 "batch").

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use super::batch::refused;
use super::bundle::{print_entry, unreadable};
use super::{Answer, Exchange, Guard, Outcome};
use crate::decide::{Alone, BODY_AMBIGUOUS, EntryPermit, PATCH_FORMAT, Permit, Refusal, request as rules};
use crate::fhir::bundle::{EntryResponse, NewBundle, NewEntry};
use crate::fhir::outcome::FHIR_JSON;

/// Entries that are carried out at the same time.
const AT_ONCE: usize = 4;

/// Headers of the whole that hold for each of its entries.
const SHARED: [HeaderName; 3] = [header::AUTHORIZATION, header::ACCEPT_LANGUAGE, HeaderName::from_static("prefer")];

/// An entry of the client's Bundle.
#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(borrow, default)]
    resource: Option<&'a RawValue>,
}

/// A patch in a Bundle (FHIR R4 http.html#patch): a Binary that holds it.
#[derive(Deserialize)]
struct PatchInBinary {
    #[serde(rename = "resourceType")]
    resource_type: String,
    #[serde(rename = "contentType")]
    content_type: String,
    data: String,
}

pub(super) async fn carry_out(
    guard: &Guard,
    exchange: &Exchange<'_>,
    decided: &[Result<EntryPermit, Refusal>],
    entries: &[&RawValue],
) -> Result<Answer, Refusal> {
    // All answers together are held to the limit of one.
    let room = AtomicUsize::new(exchange.snapshot.limits.response_body);
    let mut each = Vec::with_capacity(entries.len());
    for (decided, entry) in decided.iter().zip(entries) {
        each.push(boxed(guard, exchange, decided, entry, &room));
    }
    let answers: Vec<_> = stream::iter(each).buffered(AT_ONCE).collect().await;
    let mut bundle = NewBundle::new("batch-response");
    let mut removed = 0;
    for answer in answers {
        let (entry, taken_out) = answer?;
        bundle.entry.push(entry);
        removed += taken_out;
    }
    let printed = serde_json::to_vec(&bundle).map_err(|error| unreadable(&error.to_string()))?;
    Ok(Answer { removed, ..Answer::fhir(StatusCode::OK, printed.into()) })
}

/// A printed entry, and how many resources verification took out of it.
type Printed = Result<(Box<RawValue>, usize), Refusal>;

fn boxed<'f>(
    guard: &'f Guard,
    exchange: &'f Exchange<'_>,
    decided: &'f Result<EntryPermit, Refusal>,
    entry: &'f RawValue,
    room: &'f AtomicUsize,
) -> Pin<Box<dyn Future<Output = Printed> + Send + 'f>> {
    Box::pin(async move {
        let answer = match decided {
            Ok(EntryPermit::Alone(alone)) => one(guard, exchange, alone, entry).await,
            Ok(EntryPermit::Together { .. }) => Err(unreadable("an entry was to go up with the others")),
            Err(refusal) => Err(refusal.clone()),
        };
        let reads = matches!(decided, Ok(EntryPermit::Alone(alone)) if alone.request.method == Method::GET);
        match answer {
            Ok(answer) => print(answer, reads, room),
            Err(refusal) => print_refusal(&refusal),
        }
    })
}

/// Carries one entry out.
async fn one(guard: &Guard, exchange: &Exchange<'_>, alone: &Alone, entry: &RawValue) -> Result<Answer, Refusal> {
    let mut headers = HeaderMap::new();
    for name in &SHARED {
        if let Some(value) = exchange.headers.get(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
    headers.insert(header::ACCEPT, HeaderValue::from_static(FHIR_JSON));
    for (name, text) in &alone.conditions {
        let value = HeaderValue::from_str(text).map_err(|_| rules::HEADER_AMBIGUOUS.refuse())?;
        headers.insert(name.clone(), value);
    }
    let sent: Sent<'_> = serde_json::from_str(entry.get()).map_err(|error| ambiguous(&error))?;
    let body = match sent.resource {
        None => Bytes::new(),
        Some(resource) if alone.request.method == Method::PATCH => {
            let (content_type, patch) = patch_in(resource)?;
            headers.insert(header::CONTENT_TYPE, content_type);
            patch
        }
        Some(resource) => {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FHIR_JSON));
            Bytes::copy_from_slice(resource.get().as_bytes())
        }
    };
    let single = Exchange {
        snapshot: exchange.snapshot,
        grant: exchange.grant,
        request: &alone.request,
        original: &alone.original,
        headers: &headers,
        request_id: exchange.request_id,
        body,
        waited: exchange.waited,
    };
    match outcome(guard, &alone.permit, &single).await? {
        Outcome::Whole(answer) => Ok(answer),
        Outcome::Flowing(mut flowing) => {
            let limit = exchange.snapshot.limits.response_body;
            let mut held = BytesMut::new();
            while let Some(chunk) = flowing.chunk().await.map_err(|why| unreadable(&why.to_string()))? {
                if held.len() + chunk.len() > limit {
                    return Err(rules::UPSTREAM_UNREADABLE.refuse().because("too large to be held"));
                }
                held.extend_from_slice(&chunk);
            }
            let upstream_status = Some(flowing.status);
            let answer = Answer {
                upstream_status,
                headers: flowing.headers.clone(),
                ..Answer::fhir(flowing.status, held.freeze())
            };
            Ok(answer)
        }
    }
}

/// The permit of one entry carried out; behind a pointer, since a batch is a permit that is carried out, too.
fn outcome<'f>(
    guard: &'f Guard,
    permit: &'f Permit,
    exchange: &'f Exchange<'_>,
) -> Pin<Box<dyn Future<Output = Result<Outcome, Refusal>> + Send + 'f>> {
    Box::pin(guard.carry_out(permit, exchange))
}

fn ambiguous(error: &serde_json::Error) -> Refusal {
    BODY_AMBIGUOUS.refuse().because(error.to_string())
}

fn patch_in(resource: &RawValue) -> Result<(HeaderValue, Bytes), Refusal> {
    let wrong = || PATCH_FORMAT.refuse();
    let binary: PatchInBinary = serde_json::from_str(resource.get()).map_err(|_| wrong())?;
    if binary.resource_type != "Binary" {
        return Err(wrong());
    }
    let content_type = HeaderValue::from_str(&binary.content_type).map_err(|_| wrong())?;
    Ok((content_type, STANDARD.decode(&binary.data).map_err(|_| wrong())?.into()))
}

fn print_refusal(refusal: &Refusal) -> Printed {
    let response = refused(refusal)?;
    Ok((print_entry(&NewEntry { response: Some(&*response), ..NewEntry::default() })?, 0))
}

fn print(answer: Answer, reads: bool, room: &AtomicUsize) -> Printed {
    let taken = room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(answer.body.len()));
    if taken.is_err() && reads {
        return print_refusal(&rules::TOO_COSTLY.refuse());
    }
    let body = if taken.is_err() || answer.body.is_empty() {
        None
    } else {
        let body: Box<RawValue> =
            serde_json::from_slice(&answer.body).map_err(|_| unreadable("an entry's answer is not JSON"))?;
        Some(body)
    };
    let text = |name| answer.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(Into::into);
    let response = EntryResponse {
        status: Some(answer.status.as_u16().to_string().into()),
        location: text(header::LOCATION),
        etag: text(header::ETAG),
        last_modified: None,
    };
    let succeeded = answer.status.is_success();
    let response = match (&body, succeeded) {
        (Some(outcome), false) => to_raw_value(&Denied { response, outcome }),
        _ => to_raw_value(&response),
    };
    let response = response.map_err(|error| unreadable(&error.to_string()))?;
    let entry =
        NewEntry { resource: body.as_deref().filter(|_| succeeded), response: Some(&*response), ..NewEntry::default() };
    Ok((print_entry(&entry)?, answer.removed))
}

/// An answer that is no success: its body is an outcome.
#[derive(serde::Serialize)]
struct Denied<'a> {
    #[serde(flatten)]
    response: EntryResponse<'a>,
    outcome: &'a RawValue,
}
