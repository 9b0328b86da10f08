//! The FHIR server of `[fhir]`: where it is, how long to wait for it, and how the gate proves itself there.

use std::time::Duration;

use url::{Host, Url};

use super::tls::certificates;
use crate::config::secret::{header_secret, secret};
use crate::config::table::{LATER, OneOrMany, Table};
use crate::config::{Upstream, UpstreamAuth, value};

const EXAMPLE_UPSTREAM: &str = "http://127.0.0.1:8090/fhir";
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Below the 60 s that many servers keep an idle connection.
const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(50);
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(10);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60 * 60);

pub(super) fn upstream(table: &mut Table<'_>) -> Option<Upstream> {
    let url = match table.one_or_many("upstream") {
        Some(OneOrMany::One(found)) => found.parse(|text| value::http_url(text, EXAMPLE_UPSTREAM)),
        Some(OneOrMany::Many(place, _)) => {
            place.wrong(format!("more than one upstream {LATER}, or write one URL"));
            None
        }
        None => {
            if !table.has("upstream") {
                table.missing("upstream", &format!("\"{EXAMPLE_UPSTREAM}\""));
            }
            None
        }
    };
    let auth = match table.table("upstream_auth") {
        None => Some(UpstreamAuth::None),
        Some(table) => upstream_auth(table),
    };
    let ca = certificate_authority(table, url.as_ref());
    let timeouts = SHORTEST_TIMEOUT..=LONGEST_TIMEOUT;
    let connect_timeout = table.duration("connect_timeout", DEFAULT_CONNECT_TIMEOUT, timeouts.clone());
    let read_timeout = table.duration("read_timeout", DEFAULT_READ_TIMEOUT, timeouts.clone());
    let idle_timeout = table.duration("idle_timeout", DEFAULT_IDLE_TIMEOUT, timeouts);
    let url = url?;
    let host = host_of(&url)?;
    let base_path = url.path().trim_end_matches('/').to_owned();
    Some(Upstream {
        base: format!("{}{base_path}", url.origin().ascii_serialization()),
        authority: url.authority().to_owned(),
        host,
        port: url.port_or_known_default()?,
        tls: url.scheme() == "https",
        base_path,
        auth: auth?,
        ca,
        connect_timeout,
        read_timeout,
        idle_timeout,
    })
}

/// Hosts besides the FHIR server's base that exported files are fetched from. The gate proves itself only to the FHIR server.
pub(super) fn bulk_hosts(table: &mut Table<'_>, upstream: Option<&Upstream>) -> Vec<Upstream> {
    let parse = |text: &str| {
        let origin = value::origin(text, "https://files.example.org")?;
        Url::parse(&origin).map_err(|error| error.to_string())
    };
    let urls = table.texts("bulk_hosts").unwrap_or_default().into_iter().filter_map(|found| found.parse(parse));
    let urls: Vec<Url> = urls.collect();
    let Some(upstream) = upstream else { return Vec::new() };
    let host = |url: &Url| {
        let base = url.origin().ascii_serialization();
        let own = upstream.base == format!("{base}{}", upstream.base_path);
        Some(Upstream {
            authority: url.authority().to_owned(),
            host: host_of(url)?,
            port: url.port_or_known_default()?,
            tls: url.scheme() == "https",
            base_path: String::new(),
            auth: if own { upstream.auth.clone() } else { UpstreamAuth::None },
            base,
            ..upstream.clone()
        })
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

pub(super) fn certificate_authority(table: &mut Table<'_>, upstream: Option<&Url>) -> Option<Vec<u8>> {
    let found = table.text("ca_file")?;
    let document = found.place.document;
    if upstream.is_some_and(|url| url.scheme() == "http") {
        found.place.wrong("is for https, and the upstream is http; leave it out, or write upstream = \"https://…\"");
    }
    found.parse(|path| {
        let path = document.folder().join(path);
        let pem = document.reading.bytes(&path)?;
        certificates(&pem)?;
        Ok(pem)
    })
}

pub(super) fn upstream_auth(mut table: Table<'_>) -> Option<UpstreamAuth> {
    let kind = table.required("kind", "\"bearer\"").and_then(|found| found.parse(auth_kind));
    let token = table.text("token");
    let username = table.text("username");
    let password = table.text("password");
    table.later(&["client_id", "client_secret", "token_url", "scope"]);
    let keys: &[(&str, &str)] = match kind {
        Some("bearer") => &[("token", "\"file:upstream-token\"")],
        Some("basic") => &[("username", "\"smartgate\""), ("password", "\"file:upstream-password\"")],
        _ => &[],
    };
    for (key, example) in keys.iter().filter(|(key, _)| !table.has(key)) {
        table.missing(key, example);
    }
    for key in ["token", "username", "password"].into_iter().filter(|key| kind.is_some() && table.has(key)) {
        if !keys.iter().any(|(needed, _)| *needed == key) {
            let kind = kind.unwrap_or_default();
            table.place(key).wrong(format!("means nothing with kind = \"{kind}\"; leave it out"));
        }
    }
    table.finish();
    match kind? {
        "passthrough" => Some(UpstreamAuth::Passthrough),
        "bearer" => token.and_then(header_secret).map(UpstreamAuth::Bearer),
        "basic" => {
            let username = username.and_then(|found| found.parse(basic_user));
            let password = password.and_then(secret);
            Some(UpstreamAuth::Basic { username: username?, password: password? })
        }
        _ => Some(UpstreamAuth::None),
    }
}

fn auth_kind(text: &str) -> Result<&'static str, String> {
    if text == "client_credentials" {
        return Err(format!("{text:?} {LATER}"));
    }
    value::choice(text, &["none", "passthrough", "bearer", "basic"].map(|kind| (kind, kind)))
}

/// RFC 7617 §2: no colon and no control characters.
fn basic_user(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(':') || text.chars().any(char::is_control) {
        return Err(format!("{text:?} is no user name for Basic; it must not be empty or have \":\" in it"));
    }
    Ok(text.to_owned())
}
