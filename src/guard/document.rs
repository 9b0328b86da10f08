//! A document (FHIR R4 documents.html): every entry is verified, and it leaves whole or not at all.

use http::StatusCode;

use super::bundle::{Verified, unreadable, verify};
use super::links::bases;
use super::sight::Sight;
use super::{Answer, Exchange, Guard, Outcome, own_words};
use crate::decide::{Includes, Judge, Refusal, Seen, UpstreamRequest};
use crate::fhir::bundle::RawBundle;
use crate::fhir::json::JsonError;
use crate::fhir::json::ObjectWriter;
use crate::guard::moving::Moving;
use crate::scope::Letter;
use crate::upstream::UpstreamAnswer;

pub(super) async fn carry_out(
    guard: &Guard,
    exchange: &Exchange<'_>,
    request: &UpstreamRequest,
) -> Result<Outcome, Refusal> {
    let answer = guard.send(exchange, request, None).await?;
    verified(guard, exchange, answer).await.map(Outcome::Whole)
}

async fn verified(guard: &Guard, exchange: &Exchange<'_>, mut answer: UpstreamAnswer) -> Result<Answer, Refusal> {
    let status = answer.status;
    let denial = || Answer { upstream_status: Some(status), ..Answer::uniform_denial() };
    match status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(denial()),
        status => return Err(own_words(status)),
    }
    let body = exchange.collect(&mut answer).await?;
    let broken = |error: JsonError| unreadable(&error.to_string());
    let read = RawBundle::document(&body, exchange.snapshot.limits.json_depth).map_err(broken)?;
    let source = RawBundle::of(&read).map_err(broken)?;
    if source.kind != "document" {
        return Err(unreadable("the document is none"));
    }
    let mut sight = Sight::of(exchange, Seen::default());
    sight.page(guard, exchange, (Letter::Read, &Includes::VISIBLE, true), &source).await?;
    let mut judge = Judge::of(exchange.snapshot, exchange.grant);
    let moving = Moving::of(&read, bases(&exchange.snapshot.fhir));
    // The server's signature is over its own URLs, so it does not go along.
    let mut printed = String::with_capacity(body.len());
    let mut document = ObjectWriter::new(&mut printed);
    document.text("resourceType", "Bundle");
    document.text("type", "document");
    for name in ["identifier", "timestamp"] {
        if let Some(value) = read.root().get(name) {
            moving.copy(value, document.member(name));
        }
    }
    let list = document.member("entry");
    list.push('[');
    for (index, entry) in source.entry.iter().enumerate() {
        let verified = verify(exchange, &mut judge, entry, Letter::Read, &Includes::VISIBLE, sight.seen());
        let (Verified::Match(checked) | Verified::Include(checked)) = verified else {
            return Ok(Answer { removed: 1, ..denial() });
        };
        list.push_str(if index == 0 { "" } else { "," });
        let mut bare = ObjectWriter::new(list);
        if let Some(url) = entry.full_url() {
            moving.copy(url, bare.member("fullUrl"));
        }
        moving.copy(checked.resource, bare.member("resource"));
        bare.end();
    }
    list.push(']');
    document.end();
    Ok(Answer { upstream_status: Some(status), ..Answer::fhir(StatusCode::OK, printed.into()) })
}
