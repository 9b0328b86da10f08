//! `[store]`: where the gate keeps what outlives a request.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokio_postgres::config::Host;

use super::tls::certificates;
use crate::config::document::Found;
use crate::config::secret::secret;
use crate::config::table::Table;
use crate::config::{Postgres, StoreSettings, StoreTls, StoreUrl};

const DEFAULT_STORE: &str = "sqlite:state/smartgate.db";
const EXAMPLE: &str = "\"postgres://smartgate@db.example.org/smartgate\"";

const DEFAULT_STALE_MAX: Duration = Duration::from_secs(60);
const MIN_STALE_MAX: Duration = Duration::from_secs(5);
const MAX_STALE_MAX: Duration = Duration::from_secs(60 * 60);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(3);
const MIN_TIMEOUT: Duration = Duration::from_millis(100);
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
const DEFAULT_CONNECTIONS: usize = 10;
const MAX_CONNECTIONS: usize = 1000;

/// Keys that only PostgreSQL has.
const OF_POSTGRES: [&str; 4] = ["password", "ca_file", "connections", "timeout"];

pub(super) fn store(mut table: Table<'_>) -> Option<StoreSettings> {
    let folder = table.document().folder();
    let url = table.text_or("url", DEFAULT_STORE).and_then(|found| found.parse(parse));
    let beside = Beside {
        password: table.text("password"),
        ca: table.text("ca_file"),
        connections: table.number("connections", DEFAULT_CONNECTIONS, 1..=MAX_CONNECTIONS),
        timeout: table.duration("timeout", DEFAULT_TIMEOUT, MIN_TIMEOUT..=MAX_TIMEOUT),
    };
    let url = url.and_then(|url| match url {
        Parsed::Sqlite(path) => {
            for key in OF_POSTGRES.into_iter().filter(|key| table.has(key)) {
                table.place(key).wrong("is for PostgreSQL; leave it out");
            }
            Some(StoreUrl::Sqlite(folder.join(path)))
        }
        Parsed::Postgres(config, tls) => Some(StoreUrl::Postgres(Box::new(postgres(*config, tls, beside)?))),
    });
    let stale_max = table.duration("stale_max", DEFAULT_STALE_MAX, MIN_STALE_MAX..=MAX_STALE_MAX);
    table.finish();
    Some(StoreSettings { url: url?, stale_max })
}

/// What PostgreSQL has beside its URL.
struct Beside<'a> {
    password: Option<Found<'a, &'a str>>,
    ca: Option<Found<'a, &'a str>>,
    connections: usize,
    timeout: Duration,
}

enum Parsed<'a> {
    Sqlite(&'a str),
    Postgres(Box<tokio_postgres::Config>, StoreTls),
}

fn parse(url: &str) -> Result<Parsed<'_>, String> {
    match url.split_once(':') {
        Some(("postgres" | "postgresql", _)) => {
            postgres_url(url).map(|(config, tls)| Parsed::Postgres(Box::new(config), tls))
        }
        Some(("sqlite", path)) if !path.is_empty() && !path.starts_with("//") && !path.starts_with(':') => {
            Ok(Parsed::Sqlite(path))
        }
        _ => Err(format!("is no store; write for example \"{DEFAULT_STORE}\" or {EXAMPLE}")),
    }
}

/// The URL is never quoted: somebody may have written a password into it.
fn postgres_url(url: &str) -> Result<(tokio_postgres::Config, StoreTls), String> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (modes, others): (Vec<_>, Vec<_>) =
        query.split('&').filter(|pair| !pair.is_empty()).partition(|pair| pair.starts_with("sslmode="));
    let config = format!("{base}?{}", others.join("&"))
        .parse::<tokio_postgres::Config>()
        .map_err(|error| format!("is no URL of PostgreSQL ({error}); write for example {EXAMPLE}"))?;
    if config.get_password().is_some() {
        return Err("has a password in it, which is not written here; write password = \"file:PATH\"".to_owned());
    }
    if config.get_hosts().is_empty() {
        return Err(format!("names no host; write for example {EXAMPLE}"));
    }
    let by_socket = config.get_hosts().iter().all(|host| !matches!(host, Host::Tcp(_)));
    let tls = match modes.as_slice() {
        [] if by_socket => StoreTls::Disable,
        [] | ["sslmode=verify-full"] => StoreTls::VerifyFull,
        ["sslmode=require"] => StoreTls::Require,
        ["sslmode=prefer"] => StoreTls::Prefer,
        ["sslmode=disable"] => StoreTls::Disable,
        _ => return Err("sslmode: write one of disable, prefer, require, verify-full".to_owned()),
    };
    Ok((config, tls))
}

fn postgres(mut config: tokio_postgres::Config, tls: StoreTls, beside: Beside<'_>) -> Option<Postgres> {
    let Beside { password, ca, connections, timeout } = beside;
    if let Some(found) = password {
        config.password(secret(found)?.expose_secret());
    }
    let ca = match ca {
        None => None,
        Some(found) if tls == StoreTls::Disable => {
            found.place.wrong("is for TLS, which sslmode=disable and sockets do without; leave it out");
            return None;
        }
        Some(found) => Some(certificate_authorities(found)?),
    };
    Some(Postgres { config, tls, ca, connections, timeout })
}

fn certificate_authorities(found: Found<'_, &str>) -> Option<Vec<u8>> {
    let document = found.place.document;
    found.parse(|path| {
        let pem = document.reading.bytes(&document.folder().join(path))?;
        certificates(&pem).map(|_| pem)
    })
}
