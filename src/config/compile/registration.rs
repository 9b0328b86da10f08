//! `[registration]` and `[auth]`: what apps that register themselves may have, and where their URLs may lead besides the public
//! internet.

use std::collections::HashSet;

use url::Url;

use super::{clients, scopes};
use crate::config::table::Table;
use crate::config::{RegistrationRules, value};
use crate::fhir::FhirVersion;
use crate::scope::Context;

/// So many may register by default; their number bounds memory.
const DEFAULT_CLIENTS: usize = 1000;
const MAX_CLIENTS: usize = 100_000;

pub(super) fn registration(root: &mut Table<'_>, version: FhirVersion) -> Option<RegistrationRules> {
    let is_there = root.has("registration");
    let mut table = root.section("registration");
    if !is_there {
        return None;
    }
    table.demand("tokens", "[\"sha256:…\"], made by `smartgate hash-password --secret`");
    let tokens = table.texts("tokens").into_iter().flatten();
    let tokens = tokens.filter_map(|found| found.parse(clients::secret_hash)).collect();
    let scopes = scopes::scopes(&mut table, version);
    if scopes.iter().flat_map(|scopes| &scopes.fhir).any(|scope| scope.context == Context::System) {
        let place = table.place("scopes");
        place.wrong("holds system/ scopes, which no app gets that registered itself; leave them out");
    }
    let max_clients = table.number("max_clients", DEFAULT_CLIENTS, 0..=MAX_CLIENTS);
    table.finish();
    Some(RegistrationRules { tokens, scopes: scopes?, max_clients })
}

/// Origins that URLs of clients may lead to although they are not public.
pub(super) fn fetch_allow(mut table: Table<'_>) -> HashSet<String> {
    let list = table.texts("fetch_allow").into_iter().flatten();
    let origins = list.filter_map(|found| found.parse(origin)).collect();
    table.finish();
    origins
}

fn origin(text: &str) -> Result<String, String> {
    let example = "https://jwks.internal.example:8443";
    let origin = value::origin(text, example)?;
    let url = Url::parse(&origin).map_err(|error| error.to_string())?;
    if url.scheme() == "https" || value::is_loopback(&url) {
        return Ok(origin);
    }
    Err(format!("{text:?} is http, and whoever is on the way could change the keys; write for example \"{example}\""))
}

#[cfg(test)]
#[path = "registration_tests.rs"]
mod tests;
