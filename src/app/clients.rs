//! `smartgate clients`: apps that registered themselves, to be approved or removed.

use std::path::Path;

use clap::Subcommand;
use serde::Serialize;

use super::keys::open_store;
use super::{Failure, say, small_runtime};
use crate::config::{self, RegisteredAuth, Registration, UserGrantType};
use crate::store::{Store, StoredClient};

#[derive(Subcommand, Debug)]
pub(super) enum Action {
    /// Every app that registered itself: id, since when, whether a row of the configuration rules, how it authenticates, its name
    List,
    /// Print a registration as a row of the configuration, for a file in clients.d/: with it the app is approved
    Export { id: String },
    /// Forget a registration; without a row of its own the app is unknown from then on
    Remove { id: String },
}

pub(super) fn clients(path: &Path, action: &Action) -> Result<(), Failure> {
    let loaded = config::load(path).map_err(Failure::new)?;
    small_runtime()?.block_on(async {
        let store = open_store(&loaded.snapshot.store.url).await.map_err(Failure::new)?;
        match action {
            Action::List => {
                for client in store.clients().await.map_err(Failure::new)? {
                    let has_row = loaded.snapshot.clients.configured.contains_key(&client.id);
                    say(line(&client, &read(&client)?, has_row))?;
                }
                Ok(())
            }
            Action::Export { id } => say(row(id, &read(&find(&*store, id).await?)?)?.trim_end()),
            Action::Remove { id } => match store.remove_client(id).await.map_err(Failure::new)? {
                true => Ok(()),
                false => Err(unknown(id)),
            },
        }
    })
}

async fn find(store: &dyn Store, id: &str) -> Result<StoredClient, Failure> {
    let clients = store.clients().await.map_err(Failure::new)?;
    clients.into_iter().find(|client| client.id == id).ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> Failure {
    Failure::new(format!("no app of the id {id:?} has registered itself"))
}

fn read(client: &StoredClient) -> Result<Registration, Failure> {
    serde_json::from_str(&client.payload).map_err(|error| Failure::new(format!("{}: {error}", client.id)))
}

fn since(registration: &Registration) -> String {
    jiff::Timestamp::from_second(registration.registered).map(|at| at.to_string()).unwrap_or_default()
}

fn line(client: &StoredClient, registration: &Registration, has_row: bool) -> String {
    let kind = match &registration.auth {
        RegisteredAuth::Public => "public",
        RegisteredAuth::Secret(_) => "secret",
        RegisteredAuth::Keys(_) | RegisteredAuth::KeysUrl(_) => "keys",
    };
    let state = if has_row { "has a row" } else { "not approved" };
    let name = registration.name.as_deref().unwrap_or("-");
    format!("{}\t{}\t{state}\t{kind}\t{name}", client.id, since(registration))
}

/// A file of clients.d/.
#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_hash: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_url: Option<&'a str>,
    redirect_uris: &'a [String],
    scopes: &'a [String],
    grant_types: &'a [UserGrantType],
}

fn row(id: &str, registration: &Registration) -> Result<String, Failure> {
    let (mut secret_hash, mut jwks, mut jwks_url) = (None, None, None);
    let kind = match &registration.auth {
        RegisteredAuth::Public => "public",
        RegisteredAuth::Secret(hash) => {
            secret_hash = Some(hash.as_str());
            "confidential-symmetric"
        }
        RegisteredAuth::Keys(set) => {
            jwks = Some(set.as_str());
            "confidential-asymmetric"
        }
        RegisteredAuth::KeysUrl(url) => {
            jwks_url = Some(url.as_str());
            "confidential-asymmetric"
        }
    };
    let Registration { name, redirect_uris, scopes, grant_types, about, .. } = registration;
    let row = Row { id, name: name.as_deref(), kind, secret_hash, jwks, jwks_url, redirect_uris, scopes, grant_types };
    let row = toml::to_string(&row).map_err(Failure::new)?;
    let mut said = String::new();
    // It says so itself, in words without line ends.
    for line in toml::to_string(about).map_err(Failure::new)?.lines() {
        said.push_str(&format!("#   {line}\n"));
    }
    Ok(format!("# Registered itself on {}, and says of itself:\n{said}{row}", since(registration)))
}

#[cfg(test)]
#[path = "clients_tests.rs"]
mod tests;
