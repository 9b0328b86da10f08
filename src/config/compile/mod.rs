//! From files to the snapshot: each section is checked for itself and then against the others.

mod brands;
mod clients;
mod fhir;
mod introspection;
mod issuers;
mod keys;
mod login;
mod operations;
mod pages;
mod process;
mod registration;
mod scopes;
mod server;
mod store;
mod tls;
mod tokens;
mod traces;
mod upstream;
mod upstream_auth;
mod users;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::document::{Document, Found};
use super::reading::Reading;
use super::table::{Table, read_document};
use super::{Client, Clients, Issuer, Snapshot};
use crate::fhir::{FhirVersion, Tables};
pub use clients::redirect_uri;
pub(super) use clients::{origins_of, secret_hash};
pub use keys::check as check_key_set;

/// Compiles the main file and the drop-in folders beside it.
pub(super) fn main_file(reading: &Reading, path: &Path, text: &str) -> Option<Snapshot> {
    read_document(reading, path, text, snapshot)
}

fn snapshot(root: &mut Table<'_>) -> Option<Snapshot> {
    let server = server::server(root.section("server"));
    let admin = server::admin(root.section("admin"), server.as_ref());
    let public_url = server.as_ref().map(|server| server.public_url.as_str());
    let fhir = fhir::fhir(root.section("fhir"), server.as_ref());
    let enforcement = process::enforcement(root.section("enforcement"));
    let store = store::store(root.section("store"));
    let tokens = tokens::tokens(root.section("tokens"));
    let audit = process::audit(root.section("audit"));
    let traces = traces::traces(root);
    let log = process::log(root.section("log"));
    let limits = process::limits(root.section("limits"));
    // Of a version that was not understood the scopes are checked all the same; what is wrong with them is mostly the rest.
    let version = fhir.as_ref().map_or(FhirVersion::R4, |fhir| fhir.version);
    let operations = operations::operations(root, Tables::of(version));
    let links = users::links(root);
    let prefixes = introspection::Prefixes::default();
    let issuers = entries(root, "issuers", |table| issuers::issuer(table, version, public_url, &prefixes));
    let clients = entries(root, "clients", |table| clients::client(table, version, enforcement.report.is_some()));
    let users = entries(root, "users", |table| users::user(table, &links, &clients));
    let oidc = login::oidc(root.section("login"), version, public_url, &users, &clients);
    let pages = pages::pages(root.section("pages"));
    let registration = registration::registration(root, version);
    let fetch_allow = registration::fetch_allow(root.section("auth"));
    let brands = brands::brands(root, fhir.as_ref().map(|fhir| fhir.public_base.as_str()));
    Some(Snapshot {
        generation: 1,
        origins: origins(&issuers, &clients),
        server: server?,
        admin: admin?,
        fhir: fhir?,
        enforcement,
        operations,
        store: store?,
        tokens,
        audit,
        traces,
        log,
        limits,
        issuers,
        clients: Clients::new(clients),
        registration,
        fetch_allow,
        users,
        oidc: oidc.map(Arc::new),
        pages,
        brands: brands.map(Arc::new),
        links,
    })
}

fn origins(issuers: &HashMap<String, Arc<Issuer>>, clients: &HashMap<String, Arc<Client>>) -> HashSet<String> {
    let of_clients = clients.values().filter(|client| client.enabled).flat_map(|client| &client.origins);
    of_clients.chain(issuers.values().flat_map(|issuer| &issuer.origins)).cloned().collect()
}

/// An entry and the name that it is found by.
type Named<'a, T> = (Option<Found<'a, &'a str>>, Option<T>);

/// Every `[[key]]` of the main file and every file of `key.d/`, by name; a name stands for one entry.
fn entries<T>(
    root: &mut Table<'_>,
    key: &'static str,
    entry: impl for<'t> Fn(&mut Table<'t>) -> Named<'t, T>,
) -> HashMap<String, Arc<T>> {
    let mut entries = Entries { by_name: HashMap::new(), places: HashMap::new() };
    let Document { reading, .. } = *root.document();
    for mut table in root.tables(key) {
        entries.add(entry(&mut table));
        table.finish();
    }
    for path in reading.drop_ins(&root.document().folder().join(format!("{key}.d"))) {
        match reading.text(&path) {
            Ok(text) => {
                read_document(reading, &path, &text, |table| {
                    if table.has(key) {
                        table.place(key).wrong(format!("a file of {key}.d is one entry; leave [[{key}]] out"));
                        table.ignore();
                        return None;
                    }
                    entries.add(entry(table));
                    Some(())
                });
            }
            Err(what) => reading.problem(&path, None, what),
        }
    }
    entries.by_name
}

struct Entries<T> {
    by_name: HashMap<String, Arc<T>>,
    /// Where a name was first used, also by an entry that is wrong in other ways.
    places: HashMap<String, String>,
}

impl<T> Entries<T> {
    fn add(&mut self, (name, entry): Named<'_, T>) {
        let Some(name) = name else { return };
        if let Some(first) = self.places.get(name.it) {
            name.place.wrong(format!("{:?} is already used at {first}; names are unique", name.it));
            return;
        }
        self.places.insert(name.it.to_owned(), name.place.name());
        if let Some(entry) = entry {
            self.by_name.insert(name.it.to_owned(), Arc::new(entry));
        }
    }
}
