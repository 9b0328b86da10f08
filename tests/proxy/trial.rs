//! One request of the corpus, its decision and its answer held against what is expected.

use http::Method;
use serde_json::{Map, Value};
use smartgate::config::Snapshot;
use smartgate::decide::{
    Action, ExportStep, Grant, Permit, Refusal, UpstreamRequest, decide, decide_public, request as rules, takes_pairs,
};
use smartgate::fhir::input;
use smartgate::fhir::interaction::{Request, classify};
use smartgate::fhir::target::{Target, TargetError, parse_query};
use smartgate::token::Claims;
use smol_str::SmolStr;

use crate::case::{Case, Decision, Tokens};
use crate::double::Seen;
use crate::resources::OF_ANOTHER;
use crate::tokens::{ISSUER, NOW};
use crate::wire::{self, Reply};
use crate::world::{World, usual_claims};

/// Headers that an answer of the FHIR side may have.
const ALLOWED: [&str; 21] = [
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "allow",
    "cache-control",
    "connection",
    "content-disposition",
    "content-length",
    "content-location",
    "content-security-policy",
    "content-type",
    "date",
    "etag",
    "last-modified",
    "location",
    "retry-after",
    "transfer-encoding",
    "vary",
    "www-authenticate",
];

/// Headers that the FHIR server may be sent.
const SENT: [&str; 13] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "content-length",
    "content-type",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-exist",
    "if-none-match",
    "if-unmodified-since",
    "prefer",
    "x-request-id",
];

/// One request.
pub(crate) struct Trial<'t> {
    pub(crate) world: &'t World,
    pub(crate) tokens: &'t Tokens,
    pub(crate) case: &'t Case,
    pub(crate) target: &'t str,
    /// What the FHIR server has when the request comes.
    pub(crate) held: &'t [Value],
}

impl Trial<'_> {
    /// Everything that is not as expected.
    pub(crate) async fn run(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if !self.case.wire_only {
            self.decided(&mut wrong);
        }
        self.answered(&mut wrong).await;
        wrong
    }

    fn claims(&self) -> Option<Map<String, Value>> {
        let name = self.case.token.as_ref()?;
        let mut claims = usual_claims();
        claims.extend(self.tokens.get(name).unwrap_or_else(|| panic!("no token {name}")).clone());
        claims.extend(self.case.claims.clone());
        for name in &self.case.without {
            claims.remove(name);
        }
        Some(claims)
    }

    fn token(&self) -> Option<String> {
        Some(self.world.issuer.token(&self.claims()?, &self.case.jose, self.case.signature))
    }

    fn target(&self) -> String {
        self.fill_in(self.target)
    }

    /// Puts in what a data file cannot hold.
    fn fill_in(&self, text: &str) -> String {
        let long = |thousands: usize| "a".repeat(thousands * 1000);
        text.replace("{upstream}", self.world.upstream.base())
            .replace("{token}", &self.token().unwrap_or_default())
            .replace("{many}", &"&x=1".repeat(5000))
            .replace("{9k}", &long(9))
            .replace("{17k}", &long(17))
            .replace("{70k}", &long(70))
    }

    fn goes_up(&self) -> Vec<String> {
        self.case.expect.goes_up.iter().map(|line| self.fill_in(&line.replace("{target}", self.target))).collect()
    }

    /// What `decide` says, without a socket.
    fn decided(&self, wrong: &mut Vec<String>) {
        let snapshot = self.world.config.load_full();
        let expected = &self.case.expect;
        let decided = self.decide(&snapshot);
        let (decision, rule, goes_up) = match &decided {
            Ok(permit) => (Decision::Permit, permit.rule(), goes_up(permit)),
            Err(refusal) => (Decision::Refuse, refusal.rule.name, Vec::new()),
        };
        if (decision, rule) != (expected.decision, expected.rule.as_str()) {
            wrong.push(format!("decided {decision:?} by {rule}, not {:?} by {}", expected.decision, expected.rule));
        }
        if let Err(refusal) = &decided
            && refusal.rule.status != expected.status
        {
            wrong.push(format!("refused with {}, not {}", refusal.rule.status, expected.status));
        }
        // One page only: what follows it depends on data.
        if let (Some(sent), Some(first)) = (goes_up.first(), self.goes_up().first())
            && sent != first
        {
            wrong.push(format!("decided to send {sent}, not {first}"));
        }
    }

    fn decide(&self, snapshot: &Snapshot) -> Result<Permit, Refusal> {
        let target = Target::parse(&self.target(), snapshot.limits.parameters).map_err(|error| match error {
            TargetError::TooMany => rules::TARGET_TOO_LONG.refuse(),
            _ => rules::TARGET_MALFORMED.refuse(),
        })?;
        let path: Vec<&str> = target.path.iter().map(String::as_str).collect();
        let below = path.strip_prefix(&["fhir"]).ok_or_else(|| rules::NOT_FHIR.refuse())?;
        if target.trailing_slash && !below.is_empty() {
            return Err(rules::NOT_FHIR.refuse());
        }
        let Ok(method) = Method::from_bytes(self.case.method.as_bytes()) else {
            return Err(rules::METHOD_NOT_ALLOWED.refuse());
        };
        let grant = match self.claims() {
            Some(claims) => Some(Grant::of(verified(&claims), snapshot)?),
            None if below == ["metadata"] => None,
            None => return Err(rules::TOKEN_MISSING.refuse()),
        };
        let interaction = classify(snapshot.fhir.version, &method, below, !target.query.is_empty())?;
        let mut pairs = target.query.clone();
        if interaction.is_search() && method == Method::POST {
            pairs.extend(parse_query(&self.case.body, snapshot.limits.parameters).unwrap());
        }
        if method == Method::POST && takes_pairs(snapshot, &interaction) {
            pairs.extend(input::pairs(self.case.body.as_bytes(), snapshot.limits.json_depth, 100)?);
        }
        let header = |name: &str| {
            let found = self.case.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str())
        };
        let request = Request::new(&method, interaction, &pairs, header("if-none-exist"), header("accept"))?;
        match grant {
            Some(grant) => decide(snapshot, &grant, &request),
            None => decide_public(&request),
        }
    }

    /// The status of the answer, whatever is expected.
    pub(crate) async fn status(&self) -> u16 {
        self.ask().await.status
    }

    /// Sends the request to the gate, before a FHIR server that has what it had at first.
    async fn ask(&self) -> Reply {
        let case = self.case;
        let token = self.token();
        let mut headers: Vec<(String, String)> =
            case.headers.iter().map(|(name, value)| (name.clone(), self.fill_in(value))).collect();
        if let Some(token) = &token
            && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        {
            headers.push(("Authorization".to_owned(), format!("Bearer {token}")));
        }
        // Without a value the header is not sent at all.
        headers.retain(|(name, value)| !(name == "Authorization" && value.is_empty()));
        self.world.upstream.behave(case.upstream);
        self.world.upstream.hold(self.held.to_vec());
        self.world.upstream.take();
        let body = case.body.repeat(case.body_times);
        wire::send(self.world.address(), &case.method, &self.target(), &headers, body.as_bytes()).await
    }

    /// What the running gate answers, and what it sent to the FHIR server.
    async fn answered(&self, wrong: &mut Vec<String>) {
        let (case, expected) = (self.case, &self.case.expect);
        let reply = self.ask().await;
        let seen = self.world.upstream.take();
        if reply.status != expected.status {
            wrong.push(format!("answered {}, not {}: {}", reply.status, expected.status, reply.text()));
        }
        let refused_by = expected.then.as_deref().or((expected.decision == Decision::Refuse).then_some(&expected.rule));
        if let Some(rule) = refused_by
            && case.method != "HEAD"
            && !rule.is_empty()
            && reply.rule().as_deref() != Some(rule)
        {
            wrong.push(format!("the answer names {:?}, not {rule}", reply.rule()));
        }
        let mut sent: Vec<String> = seen.iter().map(Seen::line).collect();
        let mut goes_up = self.goes_up();
        if case.at_once {
            sent.sort_unstable();
            goes_up.sort_unstable();
        }
        if sent != goes_up {
            wrong.push(format!("the FHIR server got {sent:?}, not {goes_up:?}"));
        }
        if let Some(resources) = &expected.resources
            && reply.resources() != *resources
        {
            wrong.push(format!("the answer has {:?}, not {resources:?}", reply.resources()));
        }
        self.texts(&reply, &seen, wrong);
        self.always(&reply, &seen, wrong);
    }

    fn texts(&self, reply: &Reply, seen: &[Seen], wrong: &mut Vec<String>) {
        let expected = &self.case.expect;
        // Its letters are random, and now and then those of a needle.
        let headers: Vec<_> = reply.headers.iter().filter(|(name, _)| name != "x-request-id").collect();
        let answer = format!("{headers:?} {}", reply.text());
        let sent: String = seen.iter().map(|seen| seen.raw.as_str()).collect();
        for (haystack, needles, present) in [
            (&answer, &expected.holds, true),
            (&answer, &expected.lacks, false),
            (&sent, &expected.sends, true),
            (&sent, &expected.keeps, false),
        ] {
            for needle in needles.iter().filter(|needle| haystack.contains(needle.as_str()) != present) {
                let how = if present { "is missing in" } else { "is in" };
                wrong.push(format!("{needle:?} {how} {haystack}"));
            }
        }
    }

    /// What holds of every answer, whatever the case is about.
    fn always(&self, reply: &Reply, seen: &[Seen], wrong: &mut Vec<String>) {
        let answer = format!("{:?} {}", reply.headers, reply.text());
        let restricted = self.claims().is_some_and(|claims| claims.contains_key("patient"));
        // A Bundle that nothing is hidden in keeps the upstream's own id.
        let secrets = ["X-Internal", "x-internal", "double/1", self.world.upstream.base(), "upstream-bundle"];
        for secret in secrets.into_iter().take(if restricted { 5 } else { 4 }) {
            if answer.contains(secret) {
                wrong.push(format!("the answer has {secret:?}: {answer}"));
            }
        }
        if restricted && answer.contains(OF_ANOTHER) {
            wrong.push(format!("the answer holds what is not the patient's: {answer}"));
        }
        let own = |name: &str| ["x-request-id", "x-content-type-options"].contains(&name) || ALLOWED.contains(&name);
        // The HTTP server's own answer to what is no HTTP is bare.
        let bare = self.case.expect.rule.is_empty();
        for (name, _) in reply.headers.iter().filter(|(name, _)| !bare && !own(name)) {
            wrong.push(format!("the answer has the header {name}"));
        }
        if !bare && (reply.header("cache-control") != Some("no-store") || reply.header("x-request-id").is_none()) {
            wrong.push("the answer has no `Cache-Control: no-store` or no request id".to_owned());
        }
        let challenge = reply.header("www-authenticate").unwrap_or_default();
        match reply.status {
            401 if !challenge.starts_with("Bearer") => wrong.push("401 without a challenge".to_owned()),
            403 if !challenge.contains("error=\"insufficient_scope\"") => {
                wrong.push("403 without `insufficient_scope`".to_owned());
            }
            _ => {}
        }
        for seen in seen {
            for (name, value) in &seen.headers {
                if !SENT.contains(&name.as_str()) {
                    wrong.push(format!("the FHIR server got the header {name}: {value}"));
                }
            }
            if seen.header("accept-encoding") != Some("identity") {
                wrong.push("the FHIR server may compress its answer".to_owned());
            }
        }
    }
}

/// Claims as the verifier would hand them over.
fn verified(claims: &Map<String, Value>) -> Claims {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(SmolStr::from);
    Claims {
        issuer: ISSUER.into(),
        own: false,
        subject: text("sub").unwrap_or_default(),
        client: text("client_id"),
        scope: text("scope").unwrap_or_default().split(' ').filter(|s| !s.is_empty()).map(str::to_owned).collect(),
        patient: text("patient"),
        encounter: None,
        fhir_user: text("fhirUser"),
        expires: NOW + 300,
        token_id: text("jti"),
        grant: None,
    }
}

fn goes_up(permit: &Permit) -> Vec<String> {
    let line = |request: &UpstreamRequest| vec![format!("{} /fhir{}", request.method(), request.target())];
    match permit.action() {
        Action::Stream { request, .. } | Action::Guard { request, .. } | Action::Write { request, .. } => line(request),
        Action::Export(export) => match export.step() {
            ExportStep::KickOff { request, .. } => line(request),
            _ => Vec::new(),
        },
        Action::Operation(call) => match call.first().map(|first| first.action()) {
            Some(Action::Guard { request, .. }) => line(request),
            _ => line(call.request()),
        },
        // What a creation looks up first depends on its body.
        Action::Checked(write) => write.look_up().map(|request| line(&request)).unwrap_or_default(),
        Action::Conditional(write) => write.search().map(line).unwrap_or_default(),
        // What a search by target looks up depends on the grant.
        Action::Answer(_) | Action::Targets(_) | Action::Bundle => Vec::new(),
    }
}
