//! What the gate knows of itself, gathered when somebody asks: the seam between its parts and the admin page.

use tokio::time::Instant;

use super::Watched;
use crate::ambient::UnixSeconds;
use crate::config::{KeySource, Snapshot, StoreUrl};
use crate::decide::reporting;
use crate::store::KeyPurpose;
use crate::telemetry::Refusals;
use crate::upstream::Standing;

/// One line of a section: what, how it is, and whether somebody should look after it.
pub(super) struct Fact {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) wrong: bool,
}

/// Facts that belong together.
pub(super) struct Section {
    pub(super) heading: &'static str,
    pub(super) facts: Vec<Fact>,
}

/// Everything that the page shows besides decisions that were searched for.
pub(super) struct State {
    pub(super) sections: Vec<Section>,
    pub(super) refusals: Refusals,
    /// Lines of the audit log that are held.
    pub(super) held: usize,
}

impl State {
    pub(super) async fn gather(watched: &Watched, snapshot: &Snapshot) -> Self {
        let now = watched.ambient.now();
        let sections = vec![
            Section { heading: "Gate", facts: gate(watched, snapshot, now) },
            Section { heading: "Configuration", facts: configuration(watched, snapshot, now) },
            Section { heading: "FHIR server", facts: upstreams(watched, snapshot) },
            Section { heading: "Store", facts: store(watched, snapshot).await },
            Section { heading: "Audit log", facts: audit(watched) },
            Section { heading: "Own keys", facts: keys(watched, now) },
            Section { heading: "Other issuers", facts: issuers(watched, snapshot, now) },
        ];
        let recent = watched.audit.recent();
        Self {
            sections: sections.into_iter().filter(|section| !section.facts.is_empty()).collect(),
            refusals: recent.refusals(),
            held: recent.held(),
        }
    }
}

fn fact(name: impl Into<String>, value: impl Into<String>) -> Fact {
    Fact { name: name.into(), value: value.into(), wrong: false }
}

fn fact_that(right: bool, name: impl Into<String>, value: impl Into<String>) -> Fact {
    Fact { wrong: !right, ..fact(name, value) }
}

fn gate(watched: &Watched, snapshot: &Snapshot, now: UnixSeconds) -> Vec<Fact> {
    let mode = match reporting(snapshot, now) {
        None => fact("Enforcement", "every rule is enforced"),
        Some(report) => {
            fact_that(false, "Enforcement", format!("REPORT MODE until {}: rules are not enforced", report.day))
        }
    };
    let serving = watched.readiness.is_ready();
    vec![
        fact("Version", env!("CARGO_PKG_VERSION")),
        fact("Running for", ago(now - watched.started)),
        fact_that(serving, "Ready", if serving { "yes" } else { "no: starting or draining" }),
        mode,
        fact("Requests in flight", watched.metrics.requests_in_flight().to_string()),
    ]
}

fn configuration(watched: &Watched, snapshot: &Snapshot, now: UnixSeconds) -> Vec<Fact> {
    let mut facts = vec![fact("Generation in effect", snapshot.generation.to_string())];
    let Some(last) = watched.metrics.last_reload() else {
        facts.push(fact("Last reload", "none: as it was at the start"));
        return facts;
    };
    let right = last.outcome.is_success();
    let outcome = last.outcome.label().replace('_', " ");
    facts.push(fact_that(right, "Last reload", format!("{outcome}, {} ago", ago(now - last.at))));
    facts.extend(last.errors.iter().map(|error| fact_that(false, "Wrong", error)));
    facts
}

fn upstreams(watched: &Watched, snapshot: &Snapshot) -> Vec<Fact> {
    let known = watched.capabilities.is_known(snapshot);
    let told = if known { "is known" } else { "was not told yet" };
    let (with_it, waiting) = watched.upstream.load();
    let mut facts = vec![
        fact_that(known, "CapabilityStatement", told),
        fact_that(waiting == 0, "Requests with it", format!("{with_it}, and {waiting} that wait for their turn")),
    ];
    facts.extend(watched.upstream.addresses(&snapshot.fhir.upstream).into_iter().map(|address| {
        let out = match address.standing {
            Standing::In => return fact(address.base, "is asked"),
            Standing::Trial => "is left out; the next request tries it",
            Standing::Out => "is left out",
        };
        let why = address.fault.as_deref().map_or("requests or checks failed", String::as_str);
        fact_that(false, address.base, format!("{out}: {why}"))
    }));
    facts
}

async fn store(watched: &Watched, snapshot: &Snapshot) -> Vec<Fact> {
    let began = Instant::now();
    let answers = watched.readiness.store_answers(&*watched.store, began.into_std()).await;
    let kind = match snapshot.store.url {
        StoreUrl::Sqlite(_) => "SQLite",
        StoreUrl::Postgres(_) => "PostgreSQL",
    };
    let told = match answers {
        true => format!("answers in {:.1} ms", began.elapsed().as_secs_f64() * 1000.0),
        false => "does not answer: logins and token issue stand still".to_owned(),
    };
    vec![fact_that(answers, kind, told)]
}

fn audit(watched: &Watched) -> Vec<Fact> {
    let (queued, room) = watched.audit.queued();
    // A sink that works empties the queue in milliseconds.
    let mut facts = vec![fact_that(queued <= room / 2, "Lines waiting", format!("{queued} of {room}"))];
    facts.extend(
        watched.audit.spooled_bytes().map(|bytes| fact("Bytes waiting for the FHIR endpoint", bytes.to_string())),
    );
    facts
}

fn keys(watched: &Watched, now: UnixSeconds) -> Vec<Fact> {
    let mut keys = watched.keys.facts();
    keys.sort_by_key(|key| (key.purpose, std::cmp::Reverse(key.active_from)));
    let told = |key: &crate::token::KeyFacts| match key.retired {
        Some(retired) if retired <= now => format!("retired {} ago, only verifies", ago(now - retired)),
        _ if key.active_from > now => format!("published, signs in {}", ago(key.active_from - now)),
        _ => format!("in use for {}", ago(now - key.active_from)),
    };
    keys.iter().map(|key| fact(format!("{} ({})", purpose(key.purpose), key.algorithm), told(key))).collect()
}

fn purpose(of: KeyPurpose) -> &'static str {
    match of {
        KeyPurpose::Access => "Access tokens",
        KeyPurpose::Identity => "id_tokens",
        KeyPurpose::Seal => "Page links and seals",
    }
}

fn issuers(watched: &Watched, snapshot: &Snapshot, now: UnixSeconds) -> Vec<Fact> {
    let mut issuers: Vec<_> = snapshot.issuers.values().collect();
    issuers.sort_by(|one, other| one.issuer.cmp(&other.issuer));
    let told = |source: &KeySource| match (source, watched.fetcher.fetched(source)) {
        (KeySource::Inline(_), _) => (true, "keys are in the configuration".to_owned()),
        (_, Some(at)) => (true, format!("keys fetched {} ago", ago(now - at))),
        (_, None) => (false, "keys could not be fetched yet".to_owned()),
    };
    issuers
        .into_iter()
        .map(|issuer| {
            let (right, told) =
                issuer.keys.as_ref().map_or_else(|| (true, "is asked about each token".to_owned()), told);
            fact_that(right, &*issuer.issuer, told)
        })
        .collect()
}

/// A length of time in its two largest units.
pub(super) fn ago(seconds: UnixSeconds) -> String {
    let seconds = seconds.max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_at_a_glance() {
        for (seconds, told) in [(-5, "0 s"), (59, "59 s"), (3599, "59 min"), (3660, "1 h 1 min"), (90_000, "1 d 1 h")] {
            assert_eq!(ago(seconds), told);
        }
    }
}
