//! `[server]` and `[admin]`: where apps, Prometheus and the orchestrator connect.

use std::net::SocketAddr;
use std::time::Duration;

use super::tls;
use crate::address::{Networks, network};
use crate::config::secret::secret;
use crate::config::table::Table;
use crate::config::{Admin, Forwarded, ForwardedHeader, Server, value};

const DEFAULT_DRAIN_DELAY: Duration = Duration::from_secs(5);
const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_DRAIN: Duration = Duration::from_secs(60 * 60);
const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(75);
const DEFAULT_CLIENT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(2 * 60);
const MIN_CLIENT_TIMEOUT: Duration = Duration::from_millis(100);
const MAX_THREADS: usize = 1024;
const DEFAULT_CONNECTIONS: usize = 10_000;
const MAX_CONNECTIONS: usize = 10_000_000;
const MIB: usize = 1024 * 1024;

pub(super) fn server(mut table: Table<'_>) -> Option<Server> {
    let listen = listen(&mut table, "127.0.0.1:8080", &[]);
    let example = "http://127.0.0.1:8080";
    let public_url = table
        .required("public_url", &format!("\"{example}\""))
        .and_then(|found| found.parse(|text| value::origin(text, example)));
    let tls = table.table("tls").map(tls::tls);
    let forwarded = table.table("forwarded").map(forwarded);
    let proxy_protocol = table.table("proxy_protocol").map(|mut table| {
        let from = from(&mut table);
        table.finish();
        from
    });
    let max_connections = table.number("max_connections", DEFAULT_CONNECTIONS, 1..=MAX_CONNECTIONS);
    let max_connections_per_address = table.number("max_connections_per_address", max_connections, 1..=MAX_CONNECTIONS);
    let drain_delay = table.duration("drain_delay", DEFAULT_DRAIN_DELAY, Duration::ZERO..=MAX_DRAIN);
    let drain_timeout = table.duration("drain_timeout", DEFAULT_DRAIN_TIMEOUT, Duration::ZERO..=MAX_DRAIN);
    let idle_timeout = table.duration("idle_timeout", DEFAULT_IDLE_TIMEOUT, Duration::from_secs(1)..=MAX_DRAIN);
    let client = MIN_CLIENT_TIMEOUT..=MAX_DRAIN;
    let client_timeout = table.duration("client_timeout", DEFAULT_CLIENT_TIMEOUT, client.clone());
    let request_timeout = table.duration("request_timeout", DEFAULT_REQUEST_TIMEOUT, client);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = table.number("threads", cores, 1..=MAX_THREADS);
    table.finish();
    let tls = match tls {
        None => None,
        Some(tls) => Some(tls?),
    };
    Some(Server {
        listen: listen?,
        public_url: public_url?,
        tls,
        forwarded,
        proxy_protocol: proxy_protocol.unwrap_or_default(),
        max_connections,
        max_connections_per_address,
        drain_delay,
        drain_timeout,
        idle_timeout,
        client_timeout,
        request_timeout,
        threads,
    })
}

pub(super) fn admin(mut table: Table<'_>, server: Option<&Server>) -> Option<Admin> {
    let taken = server.map_or(&[][..], |server| &server.listen);
    let listen = listen(&mut table, "127.0.0.1:9090", taken);
    let token = table.text("token").map(secret);
    let recent = table.number("recent", 8 * MIB, 0..=1024 * MIB);
    let hosts = table.texts("hosts").into_iter().flatten().filter_map(|found| found.parse(host)).collect();
    table.finish();
    let token = match token {
        None => None,
        Some(token) => Some(token?),
    };
    Some(Admin { listen: listen?, token, recent, hosts })
}

/// `forwarded`: whose word counts, and which header carries it.
fn forwarded(mut table: Table<'_>) -> Forwarded {
    let from = from(&mut table);
    let headers = [("X-Forwarded-For", ForwardedHeader::XForwardedFor), ("Forwarded", ForwardedHeader::Forwarded)];
    let header = table.choice("header", ForwardedHeader::XForwardedFor, &headers);
    table.finish();
    Forwarded { from, header }
}

/// `from`: networks of those who are believed.
fn from(table: &mut Table<'_>) -> Networks {
    let listed = table.required_texts("from", "[\"10.0.0.0/8\"]");
    listed.into_iter().filter_map(|found| found.parse(network)).collect()
}

/// The addresses of a listener, none of which may clash with `taken` or with one another.
fn listen(table: &mut Table<'_>, example: &str, taken: &[SocketAddr]) -> Option<Vec<SocketAddr>> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for found in table.required_texts("listen", &format!("[\"{example}\"]")) {
        let place = found.place.clone();
        let Some(address) = found.parse(value::listen) else { continue };
        if let Some(other) = taken.iter().chain(&addresses).find(|other| value::clash(other, &address)) {
            place.wrong(format!("\"{address}\" is already taken by \"{other}\"; write another port"));
        }
        addresses.push(address);
    }
    (!addresses.is_empty()).then_some(addresses)
}

fn host(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!("{text:?} is no host; write for example \"smartgate.internal\""))
    }
}
