//! `[traces]`: where spans go, and of which requests.

use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret as _;

use super::upstream::certificate_authority;
use crate::config::secret::header_secret;
use crate::config::table::Table;
use crate::config::{Traces, value};
use crate::telemetry::Sampling;

/// Whether this build sends spans. Tests read the section in every build.
const CAN_SEND: bool = cfg!(any(feature = "otel", test));

const EXAMPLE: &str = "http://127.0.0.1:4318/v1/traces";
const SERVICE: &str = "smartgate";

/// One request in so many is recorded where nothing else is said, and the fewest that can be.
const ONE_IN: usize = 100;
const MAX_ONE_IN: usize = 1_000_000_000;

pub(super) fn traces(root: &mut Table<'_>) -> Option<Traces> {
    let is_there = root.has("traces");
    let table = root.section("traces");
    is_there.then(|| section(table, CAN_SEND)).flatten()
}

fn section(mut table: Table<'_>, can_send: bool) -> Option<Traces> {
    let url = table.required("url", &format!("\"{EXAMPLE}\""));
    if !can_send {
        let place = url.as_ref().map_or_else(|| table.place("url"), |found| found.place.clone());
        place.wrong(
            "this binary sends no spans; leave [traces] out, or build it with `cargo build --release --features otel`",
        );
    }
    let url = url.and_then(|found| found.parse(|text| value::http_url(text, EXAMPLE)));
    let one_in = table.number("one_in", ONE_IN, 0..=MAX_ONE_IN);
    let service = table.text_or("service_name", SERVICE).map_or(SERVICE, |found| found.it).to_owned();
    let headers = headers(&mut table);
    let ca = certificate_authority(&mut table, url.as_slice());
    table.finish();
    Some(Traces { url: url?.into(), sampling: Sampling::one_in(one_in), service, headers, ca })
}

fn headers(table: &mut Table<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, reference) in table.open_table("headers") {
        let name = name.parse(|name| {
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is no name of a header"))
        });
        let value = header_secret(reference).and_then(|secret| HeaderValue::from_str(secret.expose_secret()).ok());
        if let (Some(name), Some(mut value)) = (name, value) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
    headers
}

#[cfg(test)]
#[path = "traces_tests.rs"]
mod tests;
