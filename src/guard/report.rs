//! Report mode: what the decision lets pass against the rules is carried out, and told what enforcement would have done
//! (enforcement.md §9).
//!
//! Only a [`Reported`] comes this way. The rules are asked as ever, by the token's own grant; what they say is noted and the
//! answer leaves as it is.

use bytes::{Bytes, BytesMut};

use super::checked;
use super::conditional::{self, Resolved};
use super::stream::Stream;
use super::{Answer, Exchange, Guard, Outcome};
use crate::decide::{
    Action, CheckedWrite, FORMAT_NOT_JSON, Grant, OwnAnswer, Permit, Refusal, Reported, Verify, decide_bundle, holds,
    request as rules, visible,
};
use crate::fhir::json::{Document, Json};
use crate::scope::Letter;

/// What enforcement would have done to a request that passed.
#[derive(Default, Debug)]
pub struct Would {
    /// The rule that would have refused it, or a part of it.
    pub rule: Option<&'static str>,
    /// Resources that verification would have taken out.
    pub removed: usize,
}

/// Where the gate would have answered that the patient asked for has nothing, without asking.
const OTHER_PATIENT: &str = "other-patient";

impl Guard {
    /// Carries out what report mode lets pass; `would` has what enforcement says of it, also where the FHIR server fails.
    ///
    /// # Errors
    /// The refusal that the client gets: what is wrong in either mode, and failures of the FHIR server.
    pub async fn carry_out_reported(
        &self,
        reported: &Reported,
        exchange: &Exchange<'_>,
        would: &mut Would,
    ) -> Result<Outcome, Refusal> {
        would.rule = self.would_refuse(reported, exchange).await?;
        let relaxed = Exchange { grant: reported.grant(), body: exchange.body.clone(), ..*exchange };
        let outcome = self.carry_out(reported.permit(), &relaxed).await?;
        let (Ok(enforced), None) = (reported.enforced(), would.rule) else { return Ok(outcome) };
        let held = match outcome {
            Outcome::Whole(answer) => Ok(answer),
            Outcome::Flowing(stream) => hold(*stream, exchange.snapshot.limits.response_body).await?,
        };
        match held {
            Ok(answer) => {
                count(exchange, enforced, &answer, would);
                Ok(Outcome::Whole(answer))
            }
            Err(too_large) => {
                would.rule = Some(rules::UPSTREAM_UNREADABLE.name);
                Ok(Outcome::Flowing(too_large))
            }
        }
    }

    /// The rule that refuses the request, as far as that is known without its answer.
    async fn would_refuse(
        &self,
        reported: &Reported,
        exchange: &Exchange<'_>,
    ) -> Result<Option<&'static str>, Refusal> {
        let permit = match reported.enforced() {
            Ok(permit) => permit,
            Err(refusal) => return Ok(Some(refusal.rule.name)),
        };
        let checked = match permit.action() {
            Action::Answer(OwnAnswer::UniformDenial) => Ok(false),
            Action::Answer(OwnAnswer::EmptySearchset) => return Ok(Some(OTHER_PATIENT)),
            Action::Checked(write) => self.checks(exchange, write).await,
            Action::Conditional(write) => match conditional::resolve(self, exchange, write).await {
                Ok(Resolved::Answered(answer) | Resolved::There { answer, .. }) => Ok(answer.rule.is_none()),
                Ok(Resolved::To { write, body }) => self.checks(&exchange.with_body(body), &write).await,
                Err(refusal) => Err(refusal),
            },
            Action::Bundle => return Ok(refused_entry(exchange)),
            Action::Answer(OwnAnswer::Capabilities)
            | Action::Stream { .. }
            | Action::Guard { .. }
            | Action::Write { .. }
            | Action::Targets(_)
            | Action::Operation(_)
            | Action::Export(_) => Ok(true),
        };
        match checked {
            Ok(true) => Ok(None),
            Ok(false) => Ok(Answer::uniform_denial().rule),
            Err(refusal) if holds(&refusal) => Err(refusal),
            Err(refusal) => Ok(Some(refusal.rule.name)),
        }
    }

    /// Every check of a write, and not the write; false if what it names is not there or not the token's to write.
    async fn checks(&self, exchange: &Exchange<'_>, write: &CheckedWrite) -> Result<bool, Refusal> {
        let Some(ready) = checked::check(self, exchange, write).await? else { return Ok(false) };
        checked::look_up(self, exchange, &ready.look_ups).await?;
        Ok(true)
    }
}

/// The rule that refuses the Bundle or its first refused entry. What each entry's own checks would find is not asked.
fn refused_entry(exchange: &Exchange<'_>) -> Option<&'static str> {
    let body = Document::parse(&exchange.body, exchange.snapshot.limits.json_depth).ok()?;
    match decide_bundle(exchange.snapshot, exchange.grant, body.root()) {
        Ok(decision) => decision.entries.into_iter().find_map(Result::err).map(|entry| entry.refusal.rule.name),
        Err(refusal) => Some(refusal.rule.name),
    }
}

/// Holds an answer to look at it; one that is larger than the gate holds flows on.
async fn hold(mut stream: Stream, limit: usize) -> Result<Result<Answer, Box<Stream>>, Refusal> {
    let mut held = BytesMut::new();
    loop {
        let chunk = stream.chunk().await.map_err(|why| rules::UPSTREAM_UNREADABLE.refuse().because(why.to_string()))?;
        let Some(chunk) = chunk else { break };
        held.extend_from_slice(&chunk);
        if held.len() > limit {
            return Ok(Err(Box::new(stream.after(held.freeze()))));
        }
    }
    let Stream { status, headers, .. } = stream;
    Ok(Ok(Answer { upstream_status: Some(status), headers, ..Answer::fhir(status, held.freeze()) }))
}

/// Counts what of an answer the token's own grant does not show by itself; what others lead to is not looked for.
fn count(exchange: &Exchange<'_>, enforced: &Permit, answer: &Answer, would: &mut Would) {
    if !answer.status.is_success() || answer.body.is_empty() {
        return;
    }
    let letter = match enforced.action() {
        Action::Guard { verify: Verify::Bundle { letter, .. }, .. } => *letter,
        _ if exchange.request.interaction.is_search() => Letter::Search,
        _ => Letter::Read,
    };
    match Document::parse(&answer.body, exchange.snapshot.limits.json_depth) {
        Ok(body) => would.removed = hidden(exchange, exchange.grant, letter, body.root()),
        // Enforcement asks for what it can inspect.
        Err(_) => would.rule = Some(FORMAT_NOT_JSON.name),
    }
}

fn hidden(exchange: &Exchange<'_>, grant: &Grant, letter: Letter, body: Json<'_>) -> usize {
    let is_visible = |letter, resource: Json<'_>| visible(exchange.snapshot, grant, letter, resource);
    let text = |value: Json<'_>, name: &str| value.get(name).and_then(Json::as_str).map(str::to_owned);
    match text(body, "resourceType").as_deref() {
        Some("OperationOutcome" | "Parameters") => return 0,
        Some("Bundle") => {}
        _ => return usize::from(!is_visible(letter, body)),
    }
    let of_entry = |entry: &Json<'_>| {
        let Some(resource) = entry.get("resource") else { return false };
        let mode = entry.get("search").and_then(|search| text(search, "mode"));
        match (text(resource, "resourceType").as_deref(), mode.as_deref()) {
            (Some("OperationOutcome"), _) => false,
            (_, Some("include")) => !is_visible(Letter::Read, resource),
            _ => !is_visible(letter, resource),
        }
    };
    body.list("entry").filter(of_entry).count()
}

impl Stream {
    /// The same answer with what was already read of it before the rest.
    fn after(mut self, read: Bytes) -> Self {
        self.ahead = Some(read);
        self
    }
}
