//! The small values of a configuration: lengths of time, URLs, origins, ids.
//!
//! Each says what is wrong and what would be right. The values here are no secrets and may be quoted.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use url::{Host, Url};

/// How lengths of time are written.
pub(super) const LENGTHS: &str = "for example \"500ms\", \"30s\", \"10m\" or \"1h\"";

/// `500ms`, `30s`, `10m`, `1h`, `30d`.
pub(super) fn duration(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000u64)];
    let parsed = units.into_iter().find_map(|(unit, millis)| {
        let digits = text.strip_suffix(unit).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse::<u64>().ok()?.checked_mul(millis).map(Duration::from_millis)
    });
    let (min, max) = (spell(*range.start()), spell(*range.end()));
    match parsed {
        None => Err(format!("{text:?} is no length of time; write {LENGTHS}")),
        Some(length) if !range.contains(&length) => Err(format!("{text:?} is not from \"{min}\" to \"{max}\"")),
        Some(length) => Ok(length),
    }
}

/// A length of time as it is written in a configuration.
pub(super) fn spell(length: Duration) -> String {
    match length.as_millis() {
        millis if millis % 1000 != 0 => format!("{millis}ms"),
        millis if millis == 0 || millis % 60_000 != 0 => format!("{}s", millis / 1000),
        millis if millis % 3_600_000 != 0 => format!("{}m", millis / 60_000),
        millis if millis % 86_400_000 != 0 => format!("{}h", millis / 3_600_000),
        millis => format!("{}d", millis / 86_400_000),
    }
}

/// One of a few words.
pub(super) fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.ok_or_else(|| format!("{text:?} is none of {}", quoted(choices)))
}

/// The words, each in quotes.
pub(super) fn quoted<T>(choices: &[(&str, T)]) -> String {
    choices.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(", ")
}

/// `host:port` with the host as an address.
pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is no address and port; write for example \"127.0.0.1:8080\""))
}

/// An http or https URL without credentials, query and fragment.
pub(super) fn http_url(text: &str, example: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.ok_or_else(|| format!("{text:?} is no http or https URL; write for example \"{example}\""))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("a URL must not have a user or password in it; write for example \"{example}\""));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{text:?} has a query or a fragment; write for example \"{example}\""));
    }
    Ok(url)
}

/// An http or https origin, written as a browser sends it.
pub(super) fn origin(text: &str, example: &str) -> Result<String, String> {
    let url = http_url(text, example)?;
    let origin = url.origin().ascii_serialization();
    if url.path() != "/" || text != origin {
        return Err(format!("{text:?} is no origin (scheme, host and port only); write \"{origin}\""));
    }
    Ok(origin)
}

/// A URL that keys are fetched from: https, on this machine http too, elsewhere http only where `allow_http` says so.
pub(super) fn key_url(text: &str, allow_http: bool) -> Result<String, String> {
    let url = http_url(text, "https://idp.example.org/jwks.json")?;
    if url.scheme() == "http" && !is_loopback(&url) && !allow_http {
        return Err(format!(
            "{text:?} is http, and whoever is on the way could change the keys; write https, or allow_http = true"
        ));
    }
    Ok(text.to_owned())
}

/// Whether the URL's host is this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A FHIR id (FHIR R4 datatypes.html#id).
pub(super) fn fhir_id(text: &str) -> Result<String, String> {
    if is_fhir_id(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no FHIR id: 1 to 64 letters, digits, \"-\" and \".\"; write for example \"example\""))
    }
}

pub(super) fn is_fhir_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
}

/// Whether two addresses could not both be bound.
pub(super) fn clash(a: &SocketAddr, b: &SocketAddr) -> bool {
    let any = |ip: IpAddr| ip.is_unspecified();
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || any(a.ip()) || any(b.ip()))
}
