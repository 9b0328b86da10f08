//! `smartgate check --issuers`: whether the other authorization servers are reached as configured.

use std::sync::Arc;

use super::Failure;
use super::statement::Finding;
use crate::ambient::Ambient;
use crate::config::{Issuer, Snapshot};
use crate::telemetry::Metrics;
use crate::token::Fetcher;

/// What can be found out about the issuers, and the provider that people log in at, from outside.
pub(super) async fn examine(snapshot: &Snapshot) -> Result<Vec<Finding>, Failure> {
    let metrics = Metrics::new().map_err(Failure::new)?;
    let fetcher = Fetcher::new(Ambient::system(), metrics).map_err(Failure::new)?;
    let mut issuers: Vec<&Arc<Issuer>> = snapshot.issuers.values().collect();
    issuers.sort_by_key(|issuer| &issuer.issuer);
    let mut findings = Vec::new();
    for issuer in issuers {
        let name = &issuer.issuer;
        if let Some(keys) = &issuer.keys {
            findings.push(finding(format!("{name}: keys"), fetcher.reach_keys(keys).await));
        }
        if issuer.introspection.is_some() {
            findings.push(finding(format!("{name}: introspection"), fetcher.reach_introspection(issuer).await));
        }
    }
    if let Some(oidc) = &snapshot.oidc {
        findings.push(finding(format!("{}: login", oidc.issuer), fetcher.provider(oidc).await.map(drop)));
    }
    Ok(findings)
}

fn finding(of: String, reached: Result<(), String>) -> Finding {
    match reached {
        Ok(()) => Finding::Right(of),
        Err(why) => Finding::Wrong(format!("{of}: {why}")),
    }
}
