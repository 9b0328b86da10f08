//! Batch and transaction. Without a patient context the permitted entries go up together; under one each entry of a batch is
//! carried out by itself ([`alone`]). A refused entry of a batch is answered in its place.

use http::StatusCode;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use super::alone;
use super::bundle::{print_entry, unreadable, without_outcome};
use super::links::move_urls;
use super::write::is_json;
use super::{Answer, Exchange, Guard, own_words};
use crate::decide::{
    BODY_AMBIGUOUS, BODY_NOT_FHIR_JSON, BundleDecision, EntryPermit, Processing, Refusal, bundle_request,
    decide_bundle, visible,
};
use crate::fhir::bundle::{NewBundle, NewEntry, RawBundle, RawEntry};
use crate::fhir::json::Json;
use crate::scope::Letter;

/// The entries of the client's Bundle as its own bytes.
#[derive(Deserialize)]
struct Entries<'a> {
    #[serde(borrow, default)]
    entry: Vec<&'a RawValue>,
}

pub(super) async fn carry_out(guard: &Guard, exchange: &Exchange<'_>) -> Result<Answer, Refusal> {
    if !is_json(exchange.headers, false) {
        return Err(BODY_NOT_FHIR_JSON.refuse());
    }
    let ambiguous = |why: String| BODY_AMBIGUOUS.refuse().because(why);
    let depth = exchange.snapshot.limits.json_depth;
    let body = Json::parse(&exchange.body, depth).map_err(|error| ambiguous(error.to_string()))?;
    let decision = decide_bundle(exchange.snapshot, exchange.grant, &body)?;
    let entries: Entries<'_> = serde_json::from_slice(&exchange.body).map_err(|error| ambiguous(error.to_string()))?;
    if decision.entries.iter().any(|decided| matches!(decided, Ok(EntryPermit::Alone(_)))) {
        return alone::carry_out(guard, exchange, &decision.entries, &entries.entry).await;
    }
    let kind = match decision.processing {
        Processing::Batch => "batch",
        Processing::Transaction => "transaction",
    };
    let permitted: Vec<&RawValue> = entries
        .entry
        .iter()
        .zip(&decision.entries)
        .filter(|(_, decided)| decided.is_ok())
        .map(|(entry, _)| *entry)
        .collect();
    let answers = if permitted.is_empty() { None } else { Some(send(guard, exchange, kind, &permitted).await?) };
    assemble(exchange, &decision, kind, answers.as_deref().unwrap_or_default())
}

async fn send(guard: &Guard, exchange: &Exchange<'_>, kind: &str, entries: &[&RawValue]) -> Result<Vec<u8>, Refusal> {
    let body = serde_json::json!({ "resourceType": "Bundle", "type": kind, "entry": entries }).to_string();
    let answer = guard.send(exchange, &bundle_request(), Some(body.into())).await?;
    let status = answer.status;
    if status != StatusCode::OK {
        return Err(own_words(status));
    }
    let body = exchange.collect(answer).await?;
    Ok(body.to_vec())
}

fn assemble(
    exchange: &Exchange<'_>,
    decision: &BundleDecision,
    kind: &str,
    upstream: &[u8],
) -> Result<Answer, Refusal> {
    let source = match upstream {
        [] => None,
        bytes => Some(RawBundle::parse(bytes).map_err(|error| unreadable(&error.to_string()))?),
    };
    let mut answered = source.as_ref().map(|bundle| bundle.entry.iter()).into_iter().flatten();
    let kind = format!("{kind}-response");
    let mut bundle = NewBundle::new(&kind);
    let mut removed = 0;
    for decided in &decision.entries {
        let printed = match decided {
            Ok(EntryPermit::Alone(_)) => return Err(unreadable("an entry was to go up by itself")),
            Ok(EntryPermit::Together { readable }) => {
                let entry = answered.next().ok_or_else(|| unreadable("an entry was not answered"))?;
                let (printed, kept) = answered_entry(exchange, *readable, entry)?;
                removed += usize::from(!kept);
                printed
            }
            Err(refusal) => print_entry(&NewEntry { response: Some(&*refused(refusal)?), ..NewEntry::default() })?,
        };
        bundle.entry.push(printed);
    }
    let fhir = &exchange.snapshot.fhir;
    let printed = serde_json::to_vec(&bundle).map_err(|error| unreadable(&error.to_string()))?;
    let printed = move_urls(printed, fhir).map_err(|error| unreadable(&error.to_string()))?;
    Ok(Answer { removed, ..Answer::fhir(StatusCode::OK, printed.into()) })
}

/// The answer to one entry, and whether its resource was kept.
fn answered_entry(
    exchange: &Exchange<'_>,
    readable: bool,
    entry: &RawEntry<'_>,
) -> Result<(Box<RawValue>, bool), Refusal> {
    let readable = match entry.resource {
        Some(raw) => readable && may_leave(exchange, raw).map_err(|why| unreadable(&why))?,
        None => readable,
    };
    let bare = if readable { None } else { entry.response.map(without_outcome).transpose()? };
    let answer = NewEntry {
        resource: entry.resource.filter(|_| readable),
        response: bare.as_deref().or(entry.response),
        ..NewEntry::default()
    };
    Ok((print_entry(&answer)?, readable || entry.resource.is_none()))
}

/// Whether the answer of one entry holds nothing but what the token may read: the resource itself, or each entry of a Bundle.
fn may_leave(exchange: &Exchange<'_>, raw: &RawValue) -> Result<bool, String> {
    let depth = exchange.snapshot.limits.json_depth;
    let resource = Json::parse(raw.get().as_bytes(), depth).map_err(|error| error.to_string())?;
    let readable = |resource: &Json<'_>| {
        let of = resource.get("resourceType").and_then(Json::as_str);
        of == Some("OperationOutcome")
            || visible(exchange.snapshot, exchange.grant, Letter::Read, resource)
            || visible(exchange.snapshot, exchange.grant, Letter::Search, resource)
    };
    if resource.get("resourceType").and_then(Json::as_str) != Some("Bundle") {
        return Ok(readable(&resource));
    }
    let entries = resource.get("entry").and_then(Json::as_array).unwrap_or_default();
    Ok(entries.iter().all(|entry| entry.get("resource").is_none_or(readable)))
}

pub(super) fn refused(refusal: &Refusal) -> Result<Box<RawValue>, Refusal> {
    let answer = Answer::refusal(refusal);
    let outcome: Box<RawValue> =
        serde_json::from_slice(&answer.body).map_err(|error| unreadable(&error.to_string()))?;
    to_raw_value(&serde_json::json!({ "status": answer.status.as_u16().to_string(), "outcome": outcome }))
        .map_err(|error| unreadable(&error.to_string()))
}
