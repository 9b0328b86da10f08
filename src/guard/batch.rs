//! Bundles sent to the base: decided entry by entry, carried out together as they are, one by one ([`alone`]), or checked first and
//! then as one ([`transaction`]), and answered entry by entry. A refused entry of a batch is answered in its place.

use http::StatusCode;

use super::bundle::unreadable;
use super::entries::{Done, Sent};
use super::links::move_urls;
use super::write::is_json;
use super::{Answer, Exchange, Guard, alone, together, transaction};
use crate::decide::{BODY_AMBIGUOUS, BODY_NOT_FHIR_JSON, Processing, Refusal, decide_bundle};
use crate::fhir::bundle::print_bundle;
use crate::fhir::json::Document;

pub(super) async fn carry_out(guard: &Guard, exchange: &Exchange<'_>) -> Result<Answer, Refusal> {
    if !is_json(exchange.headers, false) {
        return Err(BODY_NOT_FHIR_JSON.refuse());
    }
    let ambiguous = |why: String| BODY_AMBIGUOUS.refuse().because(why);
    let decision = {
        let depth = exchange.snapshot.limits.json_depth;
        let body = Document::parse(&exchange.body, depth).map_err(|error| ambiguous(error.to_string()))?;
        decide_bundle(exchange.snapshot, exchange.grant, body.root())?
    };
    let sent: Sent<'_> = serde_json::from_slice(&exchange.body).map_err(|error| ambiguous(error.to_string()))?;
    let (entries, sent) = (&decision.entries, &sent.entry);
    let done = match decision.processing {
        kind if decision.together => together::carry_out(guard, exchange, kind, entries, sent).await?,
        Processing::Batch => alone::carry_out(guard, exchange, entries, sent).await?,
        Processing::Transaction => transaction::carry_out(guard, exchange, entries, sent).await?,
    };
    assemble(exchange, decision.processing, done)
}

fn assemble(exchange: &Exchange<'_>, processing: Processing, done: Vec<Done>) -> Result<Answer, Refusal> {
    let kind = format!("{}-response", processing.code());
    let (printed, records): (Vec<_>, Vec<_>) = done.into_iter().map(|done| (done.printed, done.record)).unzip();
    let printed = print_bundle(&kind, None, &[], &printed.join(","));
    let printed = move_urls(printed.into(), &exchange.snapshot.fhir).map_err(|error| unreadable(&error.to_string()))?;
    let removed = records.iter().map(|record| record.removed).sum();
    Ok(Answer { removed, entries: records, ..Answer::fhir(StatusCode::OK, printed) })
}
