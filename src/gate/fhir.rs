//! The FHIR side: token, grant, interaction, decision, guard.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use pingora::protocols::http::ServerSession;

use super::gone::{gone, may_end_early};
use super::head::Head;
use super::record::Visit;
use super::respond::Reply;
use super::{Gate, body, cors};
use crate::ambient::UnixSeconds;
use crate::config::Snapshot;
use crate::decide::{
    BODY_NOT_FHIR_JSON, Decided, Grant, Refusal, decide_in_mode, decide_public, request as rules, takes_pairs,
};
use crate::fhir::input::pairs as pairs_of;
use crate::fhir::interaction::{Interaction, Request, classify};
use crate::fhir::target::{Target, parse_query};
use crate::guard::{Answer, Exchange, Outcome, PAGE_PARAMETER, is_json, needs_body};
use crate::token::{Claims, Stamp};

static IF_NONE_EXIST: header::HeaderName = header::HeaderName::from_static("if-none-exist");

impl Gate {
    /// Answers a request below the FHIR base.
    pub(super) async fn fhir(
        &self,
        session: &mut ServerSession,
        snapshot: &Arc<Snapshot>,
        head: &Head,
        visit: &mut Visit,
    ) -> Reply {
        if head.method == Method::OPTIONS {
            visit.preflight();
            if head.path() == format!("{}/metadata", snapshot.fhir.base_path) {
                visit.origins = cors::Origins::Any;
            }
            return Reply::Whole(Answer {
                headers: Default::default(),
                ..Answer::fhir(StatusCode::NO_CONTENT, Bytes::new())
            });
        }
        match self.decided(session, snapshot, head, visit).await {
            Ok(reply) => reply,
            Err(refusal) => self.refuse(visit, refusal),
        }
    }

    async fn decided(
        &self,
        session: &mut ServerSession,
        snapshot: &Arc<Snapshot>,
        head: &Head,
        visit: &mut Visit,
    ) -> Result<Reply, Refusal> {
        let path = head.below(&snapshot.fhir.base_path).ok_or_else(|| rules::NOT_FHIR.refuse())?;
        if path == ["metadata"] {
            return self.public(snapshot, head, &path, visit).await;
        }
        let grant = self.grant(snapshot, head, visit.time).await?;
        visit.granted(&grant);
        self.rates.of_client(&grant, snapshot, visit.started)?;
        let Asked { request, original, body } = self.request(session, snapshot, head, &path, &grant).await?;
        visit.interaction(&request);
        if snapshot.audit.search_values {
            visit.asked(&original);
        }
        let decided = decide_in_mode(snapshot, &grant, &request, visit.time)?;
        visit.decided(&decided);
        visit.sends(decided.permit(), snapshot.audit.search_values);
        let body = match body {
            Some(body) => body,
            None if needs_body(decided.permit()) => {
                body::read(session, snapshot.limits.request_body, snapshot.server.request_timeout).await?
            }
            None => Bytes::new(),
        };
        let carried = self.carry_out(snapshot, head, visit, &decided, &grant, &request, &original, body);
        if !may_end_early(&request, decided.permit()) {
            return carried.await;
        }
        tokio::select! {
            biased;
            reply = carried => reply,
            () = gone(session) => Ok(Reply::Nobody),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one request's parts, named")]
    async fn carry_out(
        &self,
        snapshot: &Snapshot,
        head: &Head,
        visit: &mut Visit,
        decided: &Decided,
        grant: &Grant,
        request: &Request,
        original: &str,
        body: Bytes,
    ) -> Result<Reply, Refusal> {
        let Visit { waited, request_id, span, would, .. } = visit;
        let exchange = Exchange {
            snapshot,
            grant,
            request,
            original,
            headers: &head.headers,
            request_id,
            body,
            waited,
            span: span.as_ref(),
        };
        let outcome = match decided {
            Decided::Enforced(permit) => self.parts.guard.carry_out(permit, &exchange).await,
            Decided::Reported(reported) => {
                Box::pin(self.parts.guard.carry_out_reported(reported, &exchange, would)).await
            }
        };
        match outcome? {
            Outcome::Whole(answer) => Ok(Reply::Whole(answer)),
            Outcome::Flowing(stream) => Ok(Reply::Flowing(stream)),
        }
    }

    async fn public(
        &self,
        snapshot: &Snapshot,
        head: &Head,
        path: &[&str],
        visit: &mut Visit,
    ) -> Result<Reply, Refusal> {
        visit.origins = cors::Origins::Any;
        let interaction = classify(snapshot.fhir.version, &head.method, path, !head.target.query.is_empty())?;
        let request = parsed(head, interaction, &head.target.query)?;
        visit.interaction(&request);
        let permit = decide_public(&request)?;
        visit.permitted(&permit);
        self.parts.guard.capabilities(snapshot).await.map(Reply::Whole)
    }

    /// The rights of the token that the request shows.
    async fn grant(&self, snapshot: &Arc<Snapshot>, head: &Head, now: UnixSeconds) -> Result<Arc<Grant>, Refusal> {
        no_token_in(&head.target.query)?;
        let token = bearer(head)?;
        let steady = self.parts.ambient.steady();
        let stamp = Stamp {
            configuration: snapshot.generation,
            clients: snapshot.clients.generation(),
            keys: self.parts.verifier.key_generation(),
        };
        if let Some(grant) = self.parts.tokens.get(token, stamp, steady)
            && grant.claims.expires > now
        {
            self.parts.metrics.token_cache(true);
            self.still_valid(snapshot, &grant.claims, steady)?;
            return Ok(grant);
        }
        if !is_token(token) {
            return Err(rules::AUTHORIZATION_AMBIGUOUS.refuse());
        }
        self.parts.metrics.token_cache(false);
        let claims = Box::pin(self.parts.verifier.verify(token, snapshot)).await.map_err(|error| {
            let rule = if error.unavailable() { &rules::TOKEN_UNCHECKED } else { &rules::TOKEN_REFUSED };
            rule.refuse().because(error.rule())
        })?;
        self.still_valid(snapshot, &claims, steady)?;
        let grant = Arc::new(Grant::of(claims, snapshot)?);
        for reason in &grant.ignored {
            tracing::warn!(client = grant.claims.client.as_deref(), reason, "a scope grants nothing");
        }
        let left = u64::try_from(grant.claims.expires.saturating_sub(now)).unwrap_or(0);
        self.parts.tokens.insert(token, stamp, steady.saturating_add(Duration::from_secs(left)), grant.clone());
        Ok(grant)
    }

    fn still_valid(&self, snapshot: &Snapshot, claims: &Claims, now: Duration) -> Result<(), Refusal> {
        if self.parts.revocations.is_revoked(claims) {
            return Err(rules::TOKEN_REFUSED.refuse().because("token-revoked"));
        }
        if claims.own && self.parts.revocations.is_stale(now, snapshot.store.stale_max) {
            return Err(rules::TOKEN_UNCHECKED.refuse().because("the store has not answered for too long"));
        }
        Ok(())
    }

    /// The typed request, and its target below the base as the gate prints it. A sealed page link becomes the request that it
    /// was made for, with the page that it leads to.
    async fn request(
        &self,
        session: &mut ServerSession,
        snapshot: &Snapshot,
        head: &Head,
        path: &[&str],
        grant: &Grant,
    ) -> Result<Asked, Refusal> {
        let query = &head.target.query;
        if let [(name, seal)] = query.as_slice()
            && name == PAGE_PARAMETER
            && matches!(head.method, Method::GET | Method::HEAD)
        {
            let (request, original) = self.page(snapshot, head, grant, seal)?;
            return Ok(Asked { request, original, body: None });
        }
        let interaction = classify(snapshot.fhir.version, &head.method, path, !query.is_empty())?;
        let mut pairs = query.clone();
        if interaction.is_search() && head.method == Method::POST {
            let form = form(session, snapshot, head).await?;
            no_token_in(&form)?;
            pairs.extend(form);
        }
        let mut body = None;
        if head.method == Method::POST && takes_pairs(snapshot, &interaction) {
            let input = input(session, snapshot, head).await?;
            let parameters = pairs_of(&input, snapshot.limits.json_depth, snapshot.limits.parameters)?;
            no_token_in(&parameters)?;
            pairs.extend(parameters);
            body = Some(input);
        }
        let request = parsed(head, interaction, &pairs)?;
        let original = request.target(path);
        Ok(Asked { request, original, body })
    }

    fn page(&self, snapshot: &Snapshot, head: &Head, grant: &Grant, seal: &str) -> Result<(Request, String), Refusal> {
        let refused = || rules::SEAL_REFUSED.refuse();
        let page = self.parts.guard.pages(snapshot, grant).open(seal).ok_or_else(refused)?;
        let (original, position) = page.into_parts();
        let target =
            Target::parse(&format!("/{}", original.trim_start_matches('/')), usize::MAX).map_err(|_| refused())?;
        let path: Vec<&str> = target.path.iter().map(String::as_str).collect();
        let interaction = classify(snapshot.fhir.version, &Method::GET, &path, !target.query.is_empty())?;
        let mut request = parsed(head, interaction, &target.query)?;
        request.page = Some(position);
        Ok((request, original))
    }
}

/// The typed request, its target below the base as the gate prints it, and its body where that was read already.
struct Asked {
    request: Request,
    original: String,
    body: Option<Bytes>,
}

/// A token among the search parameters would go on to the FHIR server and its logs (RFC 6750 §2.2, §2.3).
fn no_token_in(pairs: &[(String, String)]) -> Result<(), Refusal> {
    let found = pairs.iter().any(|(name, _)| name == "access_token");
    if found { Err(rules::TOKEN_IN_QUERY.refuse()) } else { Ok(()) }
}

/// What follows `Bearer` and one space in an `Authorization` header; see [`is_token`].
fn bearer(head: &Head) -> Result<&str, Refusal> {
    let Some(value) = head.headers.get(header::AUTHORIZATION) else {
        return Err(rules::TOKEN_MISSING.refuse());
    };
    let ambiguous = || rules::AUTHORIZATION_AMBIGUOUS.refuse();
    let (scheme, token) =
        std::str::from_utf8(value.as_bytes()).ok().and_then(|text| text.split_once(' ')).ok_or_else(ambiguous)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(rules::TOKEN_MISSING.refuse().because("another scheme than Bearer"));
    }
    Ok(token)
}

/// Whether `text` is a bearer token (RFC 6750 §2.1, `b64token`).
fn is_token(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=');
    !text.is_empty() && text.bytes().all(plain)
}

/// The form body of a POST `_search` (FHIR R4 http.html#search).
async fn form(session: &mut ServerSession, snapshot: &Snapshot, head: &Head) -> Result<Vec<(String, String)>, Refusal> {
    let essence = head.text(&header::CONTENT_TYPE).and_then(|text| text.split(';').next()).unwrap_or_default().trim();
    let body = body::read(session, snapshot.limits.target, snapshot.server.request_timeout).await?;
    if body.is_empty() && essence.is_empty() {
        return Ok(Vec::new());
    }
    let encoded = head.headers.contains_key(header::CONTENT_ENCODING);
    if encoded || !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(rules::BODY_NOT_FORM.refuse());
    }
    let text = std::str::from_utf8(&body).map_err(|_| rules::TARGET_MALFORMED.refuse())?;
    parse_query(text, snapshot.limits.parameters)
        .map_err(|error| rules::TARGET_MALFORMED.refuse().because(error.to_string()))
}

/// The Parameters resource of a POSTed operation, or nothing.
async fn input(session: &mut ServerSession, snapshot: &Snapshot, head: &Head) -> Result<Bytes, Refusal> {
    let body = body::read(session, snapshot.limits.request_body, snapshot.server.request_timeout).await?;
    if !body.is_empty() && !is_json(&head.headers, false) {
        return Err(BODY_NOT_FHIR_JSON.refuse());
    }
    Ok(body)
}

fn parsed(head: &Head, interaction: Interaction, pairs: &[(String, String)]) -> Result<Request, Refusal> {
    let (criteria, accept) = (head.text(&IF_NONE_EXIST), head.text(&header::ACCEPT));
    Ok(Request::new(&head.method, interaction, pairs, criteria, accept)?)
}
