//! `smartgate explain`: the decision on one request, offline.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use http::Method;
use smol_str::SmolStr;

use super::{Failure, keys::open_store, say, small_runtime};
use crate::ambient::Ambient;
use crate::auth::follow_registered;
use crate::config::{self, Snapshot};
use crate::decide::{
    Action, Decided, Export, ExportStep, Grant, Input, Permit, Refusal, UpstreamRequest, decide, decide_bundle,
    decide_in_mode, decide_public, request as rules,
};
use crate::fhir::interaction::{Interaction, Request, classify};
use crate::fhir::json::Document;
use crate::fhir::target::{Target, parse_query};
use crate::telemetry::Metrics;
use crate::token::{Claims, Fetcher, GateKeys, Revocations, Verifier};

/// What to decide on.
#[derive(Args, Debug)]
pub(super) struct Asked {
    /// A bearer token, as an app would show it
    #[arg(long, conflicts_with_all = ["scope", "patient", "fhir_user", "client"])]
    token: Option<String>,
    /// Scopes instead of a token, separated by spaces
    #[arg(long, default_value = "")]
    scope: String,
    /// The patient in context
    #[arg(long)]
    patient: Option<String>,
    /// The user, for `user/` scopes: `Practitioner/p`
    #[arg(long)]
    fhir_user: Option<String>,
    /// The registered client whose scopes bound the grant; without it nothing does
    #[arg(long)]
    client: Option<String>,
    /// Form parameters of a POST `_search`: `patient=A&code=x`
    #[arg(long)]
    form: Option<String>,
    /// File with the Bundle of a batch or transaction
    #[arg(long)]
    body: Option<PathBuf>,
    /// `GET`, `POST` …
    method: String,
    /// Below the FHIR base: `Observation?patient=A`, or the whole URL
    url: String,
}

pub(super) fn explain(path: &Path, asked: &Asked) -> Result<(), Failure> {
    let loaded = config::load(path).map_err(Failure::new)?;
    let snapshot = Arc::new(loaded.snapshot);
    let of_client = asked.client.is_some() || asked.token.is_some();
    if of_client && snapshot.registration.is_some() {
        small_runtime()?.block_on(async {
            let store = open_store(&snapshot.store.url).await.map_err(Failure::new)?;
            follow_registered(&*store, &snapshot).await.map_err(Failure::new)
        })?;
    }
    let text = match explained(&snapshot, asked)? {
        Ok(text) => text,
        Err(refusal) => describe_refusal(&refusal),
    };
    say(text.trim_end())
}

fn explained(snapshot: &Arc<Snapshot>, asked: &Asked) -> Result<Result<String, Refusal>, Failure> {
    let method = Method::from_bytes(asked.method.to_ascii_uppercase().as_bytes()).map_err(Failure::new)?;
    let whole = ["http://", "https://"].iter().any(|scheme| asked.url.starts_with(scheme));
    if whole && !asked.url.starts_with(&snapshot.fhir.public_base) {
        return Err(Failure::new(format!("{} is not below {}, the FHIR base", asked.url, snapshot.fhir.public_base)));
    }
    let request = match request(snapshot, asked, &method) {
        Ok(request) => request,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut text = String::new();
    let _ = writeln!(text, "interaction  {}", request.interaction.name());
    if matches!(request.interaction, Interaction::Capabilities) {
        return Ok(decide_public(&request).map(|permit| text + &describe(snapshot, None, &permit)));
    }
    let grant = match grant(snapshot, asked)? {
        Ok(grant) => grant,
        Err(refusal) => return Ok(Err(refusal)),
    };
    for ignored in &grant.ignored {
        let _ = writeln!(text, "grants nothing: {ignored}");
    }
    for constrained in grant.constraints() {
        let _ = writeln!(text, "constrained  {constrained}");
    }
    if let Ok(Decided::Reported(_)) = decide_in_mode(snapshot, &grant, &request, Ambient::system().now()) {
        let until = snapshot.enforcement.report.as_ref().map_or("", |report| report.day.as_str());
        let _ = writeln!(
            text,
            "mode         report until {until}: it passes as if every type were granted; enforced it is"
        );
    }
    let permit = match decide(snapshot, &grant, &request) {
        Ok(permit) => permit,
        Err(refusal) => return Ok(Ok(text + &describe_refusal(&refusal))),
    };
    text.push_str(&describe(snapshot, Some(&grant), &permit));
    if matches!(permit.action(), Action::Bundle)
        && let Some(file) = &asked.body
    {
        let bytes = std::fs::read(file).map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
        let body = Document::parse(&bytes, snapshot.limits.json_depth).map_err(Failure::new)?;
        match decide_bundle(snapshot, &grant, body.root()) {
            Err(refusal) => text.push_str(&describe_refusal(&refusal)),
            Ok(decision) => {
                for (index, entry) in decision.entries.iter().enumerate() {
                    let decided = entry.as_ref().err().map_or("permit", |refused| refused.refusal.rule.name);
                    let _ = writeln!(text, "entry {index:<6} {decided}");
                }
            }
        }
    }
    Ok(Ok(text))
}

fn request(snapshot: &Snapshot, asked: &Asked, method: &Method) -> Result<Request, Refusal> {
    let fhir = &snapshot.fhir;
    let below = [fhir.public_base.as_str(), fhir.base_path.as_str()]
        .iter()
        .find_map(|base| asked.url.strip_prefix(base))
        .unwrap_or(&asked.url);
    let malformed =
        |error: crate::fhir::target::TargetError| rules::TARGET_MALFORMED.refuse().because(error.to_string());
    let max = snapshot.limits.parameters;
    let target = Target::parse(&format!("/{}", below.trim_start_matches('/')), max).map_err(malformed)?;
    let path: Vec<&str> = target.path.iter().map(String::as_str).collect();
    let interaction = classify(fhir.version, method, &path, !target.query.is_empty())?;
    let mut pairs = target.query.clone();
    if let Some(form) = &asked.form {
        pairs.extend(parse_query(form, max).map_err(malformed)?);
    }
    Ok(Request::new(method, interaction, &pairs, None, None)?)
}

fn grant(snapshot: &Arc<Snapshot>, asked: &Asked) -> Result<Result<Grant, Refusal>, Failure> {
    let Some(token) = &asked.token else {
        let claims = claims(snapshot, asked);
        return Ok(if asked.client.is_some() {
            Grant::of(claims, snapshot)
        } else {
            Ok(Grant::unbounded(claims, snapshot))
        });
    };
    small_runtime()?.block_on(async {
        let (ambient, metrics) = (Ambient::system(), Metrics::new().map_err(Failure::new)?);
        let store = open_store(&snapshot.store.url).await.map_err(Failure::new)?;
        let keys = Arc::new(GateKeys::open(&*store, &ambient, &snapshot.tokens).await.map_err(Failure::new)?);
        let fetcher = Arc::new(Fetcher::new(ambient.clone(), metrics).map_err(Failure::new)?);
        let revocations = Revocations::new();
        revocations.sync(&*store, &ambient).await.map_err(Failure::new)?;
        let verifier = Verifier { keys, fetcher, ambient };
        Ok(match verifier.verify(token, snapshot).await {
            Err(error) if error.unavailable() => Err(rules::TOKEN_UNCHECKED.refuse().because(error.to_string())),
            Err(error) => Err(rules::TOKEN_REFUSED.refuse().because(error.to_string())),
            Ok(claims) if revocations.is_revoked(&claims) => {
                Err(rules::TOKEN_REFUSED.refuse().because("token-revoked"))
            }
            Ok(claims) => Grant::of(claims, snapshot),
        })
    })
}

fn claims(snapshot: &Snapshot, asked: &Asked) -> Claims {
    let client = asked.client.clone();
    let user = snapshot.users.values().find(|user| user.fhir_user.is_some() && user.fhir_user == asked.fhir_user);
    let subject = match (user, &asked.fhir_user) {
        (Some(user), _) => user.username.clone(),
        (None, Some(user)) => user.clone(),
        (None, None) => client.clone().unwrap_or_default(),
    };
    Claims {
        issuer: snapshot.server.public_url.as_str().into(),
        own: asked.client.is_some(),
        subject: subject.into(),
        client: client.map(SmolStr::from),
        scope: asked.scope.split_whitespace().map(str::to_owned).collect(),
        patient: asked.patient.as_deref().map(SmolStr::from),
        encounter: None,
        fhir_user: asked.fhir_user.as_deref().map(SmolStr::from),
        expires: i64::MAX,
        token_id: None,
        grant: None,
    }
}

fn describe_refusal(refusal: &Refusal) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "decision     refuse, {}", refusal.rule.status);
    let _ = writeln!(text, "rule         {}", refusal.rule.name);
    let _ = writeln!(text, "because      {}", refusal.rule.text);
    if let Some(detail) = &refusal.detail {
        let _ = writeln!(text, "detail       {detail}");
    }
    if let Some(scope) = &refusal.needed {
        let _ = writeln!(text, "would allow  {scope}");
    }
    text
}

fn describe(snapshot: &Snapshot, grant: Option<&Grant>, permit: &Permit) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "decision     permit");
    let _ = writeln!(text, "rule         {}", permit.rule());
    let _ = writeln!(text, "path         {}", permit.path());
    let upstream = |request: &UpstreamRequest| {
        format!("{} {}{}", request.method(), snapshot.fhir.upstream.addresses.first.base, request.target())
    };
    let (sent, then) = match permit.action() {
        Action::Answer(answer) => ("nothing".to_owned(), format!("the gate answers by itself: {answer:?}")),
        Action::Stream { request, .. } => (upstream(request), "passed on as it comes".to_owned()),
        Action::Guard { request, verify } => (upstream(request), verify.to_string()),
        Action::Write { request, body, .. } => (upstream(request), format!("the body is checked first: {body:?}")),
        Action::Export(export) => export_step(snapshot, export),
        Action::Operation(call) => {
            let input = match call.input() {
                Input::Query => String::new(),
                input => format!("its body is checked first: {input:?}; "),
            };
            let first = if call.first().is_some() { "the resource in the path is read first; " } else { "" };
            (upstream(call.request()), format!("{input}{first}the answer must be {:?}", call.answers()))
        }
        Action::Checked(write) => (
            write.look_up().as_ref().map_or_else(|| format!("POST {}/{}", snapshot.fhir.upstream.addresses.first.base, write.of()), upstream),
            "the stored version and the new one must both be the patient's, then the write goes up for that version only"
                .to_owned(),
        ),
        Action::Targets(search) => (
            grant.map(|grant| search.look_ups(snapshot, grant)).unwrap_or_default().first().map_or_else(|| "nothing".to_owned(), |first| upstream(first.request())),
            "each `target` is looked up, then the search goes up for those that the token sees".to_owned(),
        ),
        Action::Conditional(write) => (
            write.search().map_or_else(|| "nothing".to_owned(), upstream),
            "what meets the criteria and is the patient's is looked for; one is written to by its id, several are refused".to_owned(),
        ),
        Action::Bundle => (format!("POST {}", snapshot.fhir.upstream.addresses.first.base), "each entry is decided by itself".to_owned()),
    };
    let _ = writeln!(text, "upstream     {sent}");
    let _ = writeln!(text, "answer       {then}");
    text
}

/// What goes up in a step of a bulk export, and what becomes of the answer.
fn export_step(snapshot: &Snapshot, export: &Export) -> (String, String) {
    let base = &snapshot.fhir.upstream.addresses.first.base;
    let (sent, then) = match export.step() {
        ExportStep::KickOff { request, body } => {
            let body = body.as_ref().map(|body| format!(" with {body}")).unwrap_or_default();
            (
                format!("{} {base}{}{body}", request.method(), request.target()),
                "accepted if it prefers `respond-async`; where it can be watched leaves as a seal for issuer and client",
            )
        }
        ExportStep::Status => {
            ("GET where the seal says".to_owned(), "the manifest is written anew, its files behind seals")
        }
        ExportStep::Cancel => ("DELETE where the seal says".to_owned(), "accepted"),
        ExportStep::File => {
            ("GET where the seal says".to_owned(), "each line must be of the file's type, which the token may export")
        }
    };
    (sent, then.to_owned())
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
