//! The FHIR server of `[fhir]`: where it is, how long to wait for it, and how many requests it gets at a time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use url::{Host, Url};

use super::tls::{self, certificates};
use super::upstream_auth::{EVERY, upstream_auth};
use crate::config::table::Table;
use crate::config::typed::OneOrMany;
use crate::config::{Address, Addresses, Check, Health, Server, Upstream, UpstreamAuth, UpstreamTls, value};
use crate::fhir::AddressKey;

const EXAMPLE_UPSTREAM: &str = "http://127.0.0.1:8090/fhir";
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Below the 60 s that many servers keep an idle connection.
const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(50);
const NO_HTTPS: &str = "is for https, and the upstream is http; leave it out, or write upstream = \"https://…\"";
const DEFAULT_EXCHANGE_TIMEOUT: Duration = Duration::from_secs(5 * 60);
const DEFAULT_CONCURRENT: usize = 512;
const DEFAULT_WAITING: usize = 512;
const DEFAULT_WAIT: Duration = Duration::from_secs(1);
const MAX_CONCURRENT: usize = 1_000_000;
/// Addresses of one FHIR server: so many series each metric of theirs may have.
const MAX_ADDRESSES: usize = 16;
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(10);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60 * 60);

pub(super) fn upstream(table: &mut Table<'_>, server: Option<&Server>) -> Option<Upstream> {
    let urls = urls(table, server);
    let auth = match table.table("upstream_auth") {
        None => Some(UpstreamAuth::None),
        Some(table) => upstream_auth(table, &EVERY),
    };
    let tls = upstream_tls(table, &urls);
    let timeouts = SHORTEST_TIMEOUT..=LONGEST_TIMEOUT;
    let connect_timeout = table.duration("connect_timeout", DEFAULT_CONNECT_TIMEOUT, timeouts.clone());
    let read_timeout = table.duration("read_timeout", DEFAULT_READ_TIMEOUT, timeouts.clone());
    let idle_timeout = table.duration("idle_timeout", DEFAULT_IDLE_TIMEOUT, timeouts.clone());
    let exchange_timeout = table.duration("exchange_timeout", DEFAULT_EXCHANGE_TIMEOUT, timeouts.clone());
    let max_concurrent = table.number("max_concurrent", DEFAULT_CONCURRENT, 1..=MAX_CONCURRENT);
    let max_waiting = table.number("max_waiting", DEFAULT_WAITING, 0..=MAX_CONCURRENT);
    let max_wait = table.duration("max_wait", DEFAULT_WAIT, timeouts);
    let health = health(table.table("health"));
    let mut addresses = urls.iter().filter_map(address);
    let first = addresses.next()?;
    Some(Upstream {
        addresses: Arc::new(Addresses { first, others: addresses.collect() }),
        auth: auth?,
        tls: tls?,
        connect_timeout,
        read_timeout,
        idle_timeout,
        exchange_timeout,
        max_concurrent,
        max_waiting,
        max_wait,
        health,
    })
}

/// The addresses of the FHIR server, each once.
fn urls(table: &mut Table<'_>, server: Option<&Server>) -> Vec<Url> {
    table.demand("upstream", &format!("\"{EXAMPLE_UPSTREAM}\""));
    let found = match table.one_or_many("upstream") {
        Some(OneOrMany::One(found)) => vec![found],
        Some(OneOrMany::Many(place, list)) => {
            if list.is_empty() || list.len() > MAX_ADDRESSES {
                place.wrong(format!(
                    "has no address, or more than {MAX_ADDRESSES}; write for example [\"{EXAMPLE_UPSTREAM}\"]"
                ));
            }
            list
        }
        None => Vec::new(),
    };
    let mut urls: Vec<Url> = Vec::new();
    for found in found {
        let place = found.place.clone();
        let Some(url) = found.parse(|text| value::http_url(text, EXAMPLE_UPSTREAM)) else { continue };
        if urls.iter().any(|other| base_of(other) == base_of(&url)) {
            place.wrong(format!("{:?} is there twice; leave one of them out", base_of(&url)));
        }
        if server.is_some_and(|server| is_gate(&url, server)) {
            place.wrong(format!("{:?} is the gate itself; write where the FHIR server is", base_of(&url)));
        }
        urls.push(url);
    }
    urls
}

/// Whether the gate itself listens at this URL.
fn is_gate(url: &Url, server: &Server) -> bool {
    let named = match url.host() {
        Some(Host::Ipv4(address)) => vec![IpAddr::V4(address)],
        Some(Host::Ipv6(address)) => vec![IpAddr::V6(address)],
        Some(Host::Domain("localhost")) => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        _ => Vec::new(),
    };
    let is_at = |at: &SocketAddr, ip: &IpAddr| {
        at.ip() == *ip || at.ip().is_unspecified() && ip.is_loopback() && at.is_ipv4() == ip.is_ipv4()
    };
    let mut listens = server.listen.iter().filter(|at| url.port_or_known_default() == Some(at.port()));
    listens.any(|at| named.iter().any(|ip| is_at(at, ip)))
}

fn base_of(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path().trim_end_matches('/'))
}

fn address(url: &Url) -> Option<Address> {
    let base = base_of(url);
    Some(Address {
        authority: url.authority().to_owned(),
        host: host_of(url)?,
        port: url.port_or_known_default()?,
        tls: url.scheme() == "https",
        base_path: url.path().trim_end_matches('/').to_owned(),
        key: AddressKey::of(&base),
        base,
    })
}

fn health(table: Option<Table<'_>>) -> Health {
    let checks = [("none", Check::None), ("connect", Check::Connect), ("metadata", Check::Metadata)];
    let times = Duration::from_millis(100)..=LONGEST_TIMEOUT;
    let mut health = Health {
        check: Check::Connect,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        rise: 2,
        fall: 3,
        failures: 5,
        out_for: Duration::from_secs(10),
    };
    if let Some(mut table) = table {
        health = Health {
            check: table.choice("check", health.check, &checks),
            interval: table.duration("interval", health.interval, times.clone()),
            timeout: table.duration("timeout", health.timeout, times.clone()),
            rise: count(&mut table, "rise", health.rise),
            fall: count(&mut table, "fall", health.fall),
            failures: count(&mut table, "failures", health.failures),
            out_for: table.duration("out_for", health.out_for, times),
        };
        table.finish();
    }
    health
}

fn count(table: &mut Table<'_>, key: &'static str, default: u32) -> u32 {
    u32::try_from(table.number(key, default as usize, 1..=1000)).unwrap_or(default)
}

/// Hosts besides the FHIR server's base that exported files are fetched from. The gate proves itself only to the FHIR server.
pub(super) fn bulk_hosts(table: &mut Table<'_>, upstream: Option<&Upstream>) -> Vec<Arc<Upstream>> {
    let parse = |text: &str| {
        let origin = value::origin(text, "https://files.example.org")?;
        Url::parse(&origin).map_err(|error| error.to_string())
    };
    let urls = table.texts("bulk_hosts").unwrap_or_default().into_iter().filter_map(|found| found.parse(parse));
    let urls: Vec<Url> = urls.collect();
    let Some(upstream) = upstream else { return Vec::new() };
    let host = |url: &Url| {
        let first = address(url)?;
        let own = upstream.addresses.iter().any(|own| own.base == format!("{}{}", first.base, own.base_path));
        let addresses = Arc::new(Addresses { first, others: Vec::new() });
        let mut host = Upstream { addresses, ..upstream.clone() };
        if !own {
            host.auth = UpstreamAuth::None;
            host.tls.client = None;
        }
        Some(Arc::new(host))
    };
    urls.iter().filter_map(host).collect()
}

fn host_of(url: &Url) -> Option<String> {
    Some(match url.host()? {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    })
}

fn upstream_tls(table: &mut Table<'_>, urls: &[Url]) -> Option<UpstreamTls> {
    let ca = certificate_authority(table, urls);
    let has_client = table.has("client_cert");
    if has_client && only_http(urls) {
        table.place("client_cert").wrong(NO_HTTPS);
    }
    let client = table.table("client_cert").and_then(tls::client_certificate);
    let only_1_3 = table.choice("tls_min", false, &[("1.2", false), ("1.3", true)]);
    (client.is_some() || !has_client).then_some(UpstreamTls { ca, client, only_1_3 })
}

fn only_http(urls: &[Url]) -> bool {
    !urls.is_empty() && urls.iter().all(|url| url.scheme() == "http")
}

pub(super) fn certificate_authority(table: &mut Table<'_>, urls: &[Url]) -> Option<Vec<u8>> {
    let found = table.text("ca_file")?;
    let document = found.place.document;
    if only_http(urls) {
        found.place.wrong(NO_HTTPS);
    }
    found.parse(|path| {
        let path = document.folder().join(path);
        let pem = document.reading.bytes(&path)?;
        certificates(&pem)?;
        Ok(pem)
    })
}
