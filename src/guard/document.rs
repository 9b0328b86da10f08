//! A document (FHIR R4 documents.html): every entry is verified, and it leaves whole or not at all.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::bundle::{Verified, print_entry, unreadable, verify};
use super::links::move_urls;
use super::sight::Sight;
use super::{Answer, Exchange, Guard, Outcome, own_words};
use crate::decide::{Includes, Refusal, Seen, UpstreamRequest};
use crate::fhir::bundle::{NewEntry, RawBundle};
use crate::scope::Letter;
use crate::upstream::UpstreamAnswer;

/// What of a document is not in its entries.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    identifier: Option<&'a RawValue>,
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
}

/// A document in the making. The server's signature is over its own URLs, so it does not go along.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "resourceType")]
    resource_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    identifier: Option<&'a RawValue>,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<&'a RawValue>,
    entry: Vec<Box<RawValue>>,
}

pub(super) async fn carry_out(
    guard: &Guard,
    exchange: &Exchange<'_>,
    request: &UpstreamRequest,
) -> Result<Outcome, Refusal> {
    let answer = guard.send(exchange, request, None).await?;
    verified(guard, exchange, answer).await.map(Outcome::Whole)
}

async fn verified(guard: &Guard, exchange: &Exchange<'_>, answer: UpstreamAnswer) -> Result<Answer, Refusal> {
    let status = answer.status;
    let denial = || Answer { upstream_status: Some(status), ..Answer::uniform_denial() };
    match status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(denial()),
        status => return Err(own_words(status)),
    }
    let body = exchange.collect(answer).await?;
    let broken = |error: serde_json::Error| unreadable(&error.to_string());
    let source = RawBundle::parse(&body).map_err(broken)?;
    let envelope: Envelope<'_> = serde_json::from_slice(&body).map_err(broken)?;
    if source.kind != "document" {
        return Err(unreadable("the document is none"));
    }
    let mut document = Document {
        resource_type: "Bundle",
        identifier: envelope.identifier,
        kind: "document",
        timestamp: envelope.timestamp,
        entry: Vec::with_capacity(source.entry.len()),
    };
    let mut sight = Sight::of(exchange, Seen::default());
    sight.page(guard, exchange, (Letter::Read, true), &source).await?;
    for entry in &source.entry {
        if !matches!(
            verify(exchange, entry, Letter::Read, &Includes::VISIBLE, sight.seen()),
            Verified::Match(_) | Verified::Include(_)
        ) {
            return Ok(Answer { removed: 1, ..denial() });
        }
        let bare = NewEntry { full_url: entry.full_url.clone(), resource: entry.resource, ..NewEntry::default() };
        document.entry.push(print_entry(&bare)?);
    }
    let printed = serde_json::to_vec(&document).map_err(broken)?;
    let moved = move_urls(printed.into(), &exchange.snapshot.fhir).map_err(|error| unreadable(&error.to_string()))?;
    Ok(Answer { upstream_status: Some(status), ..Answer::fhir(StatusCode::OK, moved) })
}
