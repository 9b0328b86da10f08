//! `smartgate check`: the configuration by itself, and with `--upstream` beside the FHIR server that it is for, with `--issuers`
//! beside the other authorization servers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::issuers;
use super::keys::open_store;
use super::statement::{Finding, compare, tried_on};
use super::{Failure, complain, say, small_runtime};
use crate::config::{self, Address, LaunchBinding, Narrowing, OperationAnswer, Snapshot};
use crate::decide::{Obeyed, capabilities_lookup, probe_search};
use crate::fhir::bundle::{RawBundle, RawEntry};
use crate::fhir::json::MAX_DEPTH;
use crate::fhir::search::Parameter;
use crate::guard::{Pins, Probe};
use crate::telemetry::AuditSink;
use crate::upstream::UpstreamClient;

/// What SMART App Launch 2.2 app-launch step 5 advises an access token to live at most.
const ADVISED_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// A patient that no server has.
const NOBODY: &str = "smartgate-probe";

pub(super) fn check(path: &Path, upstream: bool, issuers: bool) -> Result<(), Failure> {
    let loaded = config::load(path).map_err(Failure::new)?;
    let snapshot = &loaded.snapshot;
    let bases: Vec<&str> = snapshot.fhir.upstream.addresses.iter().map(|address| address.base.as_str()).collect();
    say(format_args!(
        "{} is right: {} in front of {}; clients: {}, users: {}, other issuers: {}",
        path.display(),
        snapshot.fhir.public_base,
        bases.join(", "),
        snapshot.clients.configured.len(),
        snapshot.users.len(),
        snapshot.issuers.len(),
    ))?;
    for (place, text) in loaded.sources.warnings.iter().chain(&warnings(path, snapshot)) {
        complain(format_args!("{place}: warning: {text}"));
    }
    let runtime = small_runtime()?;
    let mut findings = Vec::new();
    let mut tell = |found: Vec<Finding>| {
        let told = found.iter().try_for_each(say);
        findings.extend(found);
        told
    };
    for address in snapshot.fhir.upstream.addresses.iter().filter(|_| upstream) {
        if bases.len() > 1 {
            say(format_args!("{}:", address.base))?;
        }
        tell(runtime.block_on(examine(snapshot, address))?)?;
    }
    if issuers {
        tell(runtime.block_on(issuers::examine(snapshot))?)?;
    }
    match findings.iter().filter(|finding| matches!(finding, Finding::Wrong(_))).count() {
        0 => Ok(()),
        wrong => Err(Failure::new(format!("{wrong} of the above make this configuration wrong for what is around it"))),
    }
}

/// What is allowed and yet should be known, with its place.
fn warnings(path: &Path, snapshot: &Snapshot) -> Vec<(String, String)> {
    let unverified = snapshot.operations.iter().filter(|row| row.answer == OperationAnswer::None);
    let unverified = unverified.map(|row| {
        let text = "answers is verified; tokens in a patient context do not get it";
        (row.place.clone(), format!("nothing that ${} {text}", row.name))
    });
    let launchers = snapshot.clients.configured.values().filter(|client| client.enabled).filter_map(|client| {
        client.launcher.as_ref().filter(|launcher| launcher.binding == LaunchBinding::None).map(|it| (client, it))
    });
    let unbound = launchers.map(|(client, launcher)| {
        let text = "is taken for the user of its launch, in any browser (launch_binding = \"none\")";
        (launcher.place.clone(), format!("whoever has a launch value of {:?} {text}", client.id))
    });
    let elsewhere = snapshot.brands.iter().filter(|brands| !brands.names_this_server).map(|_| {
        let text = format!("no Endpoint of [brands] bundle has the address {}, this server", snapshot.fhir.public_base);
        (path.display().to_string(), text)
    });
    let long = (snapshot.tokens.access_lifetime > ADVISED_LIFETIME).then(|| {
        let text = "[tokens] access_lifetime is more than the hour that SMART advises; refresh tokens let access go on";
        (path.display().to_string(), text.to_owned())
    });
    let unseen = (snapshot.audit.sink == AuditSink::Off).then(|| {
        let text = "[audit] file is \"off\": nothing is written of who saw what";
        (path.display().to_string(), text.to_owned())
    });
    let mut warnings: Vec<_> = unverified.chain(unbound).chain(elsewhere).chain(long).chain(unseen).collect();
    let server = &snapshot.server;
    let forwarded = server.forwarded.as_ref().map(|forwarded| (&forwarded.from, "forwarded"));
    for (from, key) in forwarded.into_iter().chain([(&server.proxy_protocol, "proxy_protocol")]) {
        if from.everybody() {
            let text = format!("[server] {key} believes everybody: whoever connects can say to be anybody");
            warnings.push((path.display().to_string(), text));
        }
    }
    if server.tls.is_some() && server.public_url.starts_with("http://") {
        let text = "[server] public_url is http, and with tls nothing but https is answered";
        warnings.push((path.display().to_string(), text.to_owned()));
    }
    warnings.sort();
    warnings
}

/// Everything that can be found out about the FHIR server from outside, at one of its addresses.
async fn examine(snapshot: &Snapshot, address: &Address) -> Result<Vec<Finding>, Failure> {
    let client = Arc::new(UpstreamClient::new());
    let probe = Probe { client: &client, upstream: &snapshot.fhir.upstream, at: address.key };
    let statement = match statement(&probe).await {
        Ok(statement) => statement,
        Err(why) => return Ok(vec![Finding::Wrong(format!("metadata: {why}"))]),
    };
    let mut findings = compare(&statement, &snapshot.fhir);
    findings.extend(narrowing(&probe, snapshot, &statement).await);
    match probe.conditions().await {
        Ok(obeyed) => {
            let store = open_store(&snapshot.store.url).await.map_err(Failure::new)?;
            let pins = Pins::new(client.clone(), store);
            pins.record(&address.base, obeyed).await.map_err(Failure::new)?;
            findings.extend(conditions(snapshot, obeyed));
        }
        Err(why) => findings.push(Finding::Note(format!(
            "If-Match: {why}, so it could not be tried; PUT, PATCH and DELETE under patients' scopes are refused \
             (write-unprobed) but for the methods in [fhir] unpinned_writes"
        ))),
    }
    Ok(findings)
}

async fn statement(probe: &Probe<'_>) -> Result<Value, String> {
    let said = probe.ask(&capabilities_lookup(), None).await?;
    if !said.status.is_success() {
        return Err(format!("the FHIR server answers {}", said.status));
    }
    serde_json::from_slice(&said.body).map_err(|error| format!("the answer is not JSON: {error}"))
}

/// What the FHIR server makes of the search that a patient's app is narrowed to, and of a parameter that nobody knows.
async fn narrowing(probe: &Probe<'_>, snapshot: &Snapshot, statement: &Value) -> Vec<Finding> {
    let Some((of, code)) = tried_on(statement, &snapshot.fhir) else {
        return vec![Finding::Note(
            "narrowing: no type of patients' data can be searched, so it was not tried".to_owned(),
        )];
    };
    let count = Parameter::plain("_count", "1".to_owned());
    let narrowed = match snapshot.fhir.narrowing {
        Narrowing::Parameter => {
            let nobody = Parameter::plain(&code, format!("Patient/{NOBODY}"));
            Some((format!("{of}?{code}=…"), found(probe, of.name(), &[nobody, count.clone()]).await))
        }
        Narrowing::Compartment => {
            let path = format!("Patient/{NOBODY}/{of}");
            Some((format!("Patient/…/{of}"), found(probe, &path, std::slice::from_ref(&count)).await))
        }
        Narrowing::None => None,
    };
    let all = found(probe, of.name(), std::slice::from_ref(&count)).await;
    let unknown = found(probe, of.name(), &[Parameter::plain(NOBODY, "x".to_owned()), count]).await;
    let mut findings = Vec::new();
    match (narrowed, all) {
        (None, _) => {}
        (Some((search, Ok(true))), _) => findings.push(Finding::Wrong(format!(
            "narrowing: {search} of a patient that does not exist finds something; write [fhir] narrowing = \"{}\"",
            if snapshot.fhir.narrowing == Narrowing::Parameter { "compartment\" or \"none" } else { "none" }
        ))),
        (Some((search, Ok(false))), Ok(true)) => findings.push(Finding::Right(format!("narrowing: {search} narrows"))),
        (Some((search, Ok(false))), _) => {
            findings
                .push(Finding::Note(format!("narrowing: {search} finds nothing, but there is nothing to be found")));
        }
        (Some((search, Err(why))), _) => findings.push(Finding::Note(format!(
            "narrowing: {search} of a patient that does not exist: {why}; try it with one that does"
        ))),
    }
    findings.push(Finding::Right(match unknown {
        Ok(_) => "narrowing: a parameter that is not known is ignored".to_owned(),
        Err(_) => "narrowing: a parameter that is not known is an error".to_owned(),
    }));
    findings
}

/// Whether a search finds something.
async fn found(probe: &Probe<'_>, path: &str, parameters: &[Parameter]) -> Result<bool, String> {
    let said = probe.ask(&probe_search(path, parameters), None).await?;
    if !said.status.is_success() {
        return Err(format!("the FHIR server answers {}", said.status));
    }
    let document = RawBundle::document(&said.body, MAX_DEPTH).map_err(|error| error.to_string())?;
    let bundle = RawBundle::of(&document).map_err(|error| error.to_string())?;
    Ok(bundle.entry.iter().any(RawEntry::may_match))
}

fn conditions(snapshot: &Snapshot, obeyed: Obeyed) -> Vec<Finding> {
    let open = snapshot.fhir.unpinned_writes;
    let stale = |method: &str, writes: &str, obeyed: bool, open: bool| match (obeyed, open) {
        (true, _) => Finding::Right(format!(
            "If-Match: a stale one on {method} changes nothing, so {writes} open under patients' scopes"
        )),
        (false, false) => Finding::Note(format!(
            "If-Match: {method} is applied to another version than it names, so {writes} refused under patients' scopes (write-unpinned)"
        )),
        (false, true) => Finding::Note(format!(
            "If-Match: {method} is applied to another version than it names, and {writes} open all the same by [fhir] unpinned_writes: a race"
        )),
    };
    let mut findings = vec![
        stale("PUT", "PUT and PATCH are", obeyed.put, open.put),
        stale("DELETE", "DELETE is", obeyed.delete, open.delete),
    ];
    for (method, obeyed, open) in
        [("PUT", obeyed.transaction.put, open.put), ("DELETE", obeyed.transaction.delete, open.delete)]
    {
        findings.push(match (obeyed, open) {
            (true, _) => Finding::Right(format!("transactions: a stale `ifMatch` of a {method} changes nothing")),
            (false, false) => Finding::Note(format!(
                "transactions: not seen to obey a stale `ifMatch` of a {method}, so one with it is refused under patients' scopes (write-unpinned)"
            )),
            (false, true) => Finding::Note(format!(
                "transactions: not seen to obey a stale `ifMatch` of a {method}, and open all the same by [fhir] unpinned_writes: a race"
            )),
        });
    }
    findings.push(match (obeyed.absent, snapshot.fhir.upsert) {
        (true, _) => Finding::Right("If-None-Match: `*` on PUT overwrites nothing".to_owned()),
        (false, allowed) => Finding::Note(format!(
            "If-None-Match: `*` on PUT overwrites what is there{}",
            match (allowed, open.put) {
                (false, _) => "; with upsert = \"deny\" nothing depends on it",
                (true, false) => ", so PUT does not create under patients' scopes although upsert = \"allow\"",
                (true, true) =>
                    ", and upsert = \"allow\" creates by PUT all the same by [fhir] unpinned_writes: a race",
            }
        )),
    });
    findings
}
