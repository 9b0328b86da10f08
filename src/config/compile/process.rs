//! The sections about the process itself: `[enforcement]`, `[audit]`, `[log]`, `[limits]`.

use std::num::NonZeroU32;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::upstream::certificate_authority;
use super::upstream_auth::{FIXED, upstream_auth};
use crate::ambient::UnixSeconds;
use crate::config::table::Table;
use crate::config::{Audit, AuditEndpoint, Enforcement, Limits, Log, Rate, Report, UpstreamAuth, value};
use crate::fhir::json::MAX_DEPTH;
use crate::telemetry::{AuditSink, LogFormat, OnFull};

const DEFAULT_FILTER: &str = "info";
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const GIB: usize = 1024 * MIB;
const DEFAULT_SPOOL: &str = "state/audit-spool";

/// Requests a second that a limit can name at most.
const MAX_RATE: usize = 1_000_000;

/// Longest time that report mode may be on, in days (enforcement.md §9).
const MAX_REPORT_DAYS: i64 = 90;
const DAY: UnixSeconds = 86_400;

/// Report mode ends by itself, so it does not begin without a date. A date that has passed is no error: what is restarted then
/// enforces.
pub(super) fn enforcement(mut table: Table<'_>) -> Enforcement {
    let report = table.choice("mode", false, &[("enforce", false), ("report", true)]);
    let until = table.text("report_until").and_then(|found| {
        let until = found.clone().parse(midnight)?;
        if report && until > table.document().reading.now + MAX_REPORT_DAYS * DAY {
            found.place.wrong(format!(
                "{:?} is more than {MAX_REPORT_DAYS} days ahead; write an earlier day, and a later one when it comes",
                found.it
            ));
        }
        Some(Report { until, day: found.it.to_owned() })
    });
    if report && !table.has("report_until") {
        table.missing("report_until", "\"2027-01-31\", the day from which on rules are enforced");
    }
    table.finish();
    Enforcement { report: until.filter(|_| report) }
}

/// When a day begins, UTC.
fn midnight(text: &str) -> Result<UnixSeconds, String> {
    let day = text.parse::<Date>().ok().filter(|day| day.to_string() == text);
    day.and_then(|day| Some(day.to_zoned_datetime(TimeZone::UTC).ok()?.timestamp().as_second()))
        .ok_or_else(|| format!("{text:?} is no day; write for example \"2027-01-31\""))
}

pub(super) fn audit(mut table: Table<'_>) -> Audit {
    let sink = match table.text_or("file", "stdout") {
        None => AuditSink::Stdout,
        Some(file) if file.it == "stdout" => AuditSink::Stdout,
        Some(file) if file.it == "off" => AuditSink::Off,
        Some(file) => {
            if file.it.is_empty() {
                file.place.wrong("is empty; write \"stdout\", a path or \"off\"");
            }
            AuditSink::File(table.document().folder().join(file.it))
        }
    };
    let on_full = table.choice("on_full", OnFull::Block, &[("block", OnFull::Block), ("shed", OnFull::Shed)]);
    let search_values = table.flag("search_values", false);
    let fhir = audit_endpoint(&mut table);
    table.finish();
    Audit { sink, on_full, search_values, fhir }
}

/// `[audit.fhir]`.
fn audit_endpoint(audit: &mut Table<'_>) -> Option<AuditEndpoint> {
    let is_there = audit.has("fhir");
    let mut table = audit.section("fhir");
    let example = "https://audit.example.org/fhir";
    let url = is_there.then(|| table.required("url", &format!("\"{example}\""))).flatten();
    let url = url.and_then(|found| found.parse(|text| value::http_url(text, example)));
    let auth = match table.table("auth") {
        None => Some(UpstreamAuth::None),
        Some(table) => upstream_auth(table, &FIXED),
    };
    let ca = certificate_authority(&mut table, url.as_slice());
    let folder = table.document().folder();
    let spool = table.text_or("spool", DEFAULT_SPOOL).map_or(DEFAULT_SPOOL, |found| found.it);
    let spool_bytes = table.number("spool_bytes", GIB, 64 * KIB..=1024 * GIB);
    table.finish();
    Some(AuditEndpoint {
        url: url?.as_str().trim_end_matches('/').to_owned(),
        auth: auth?,
        ca,
        spool: folder.join(spool),
        spool_bytes: spool_bytes as u64,
    })
}

pub(super) fn log(mut table: Table<'_>) -> Log {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let format = table.choice("format", LogFormat::Text, &formats);
    let filter = table.text_or("level", DEFAULT_FILTER).and_then(|found| found.parse(filter));
    table.finish();
    Log { format, filter: filter.unwrap_or_else(|| DEFAULT_FILTER.to_owned()) }
}

fn filter(text: &str) -> Result<String, String> {
    // By itself such a word is the name of a target: `warning` would be heard on top of the default, and change nothing.
    let is_level = |word: &str| word.contains('=') || word.parse::<LevelFilter>().is_ok();
    if let Some(word) = text.split(',').map(str::trim).find(|word| !word.is_empty() && !is_level(word)) {
        return Err(format!(
            "{word:?} is no level; write \"error\", \"warn\", \"info\", \"debug\", \"trace\" or \"off\""
        ));
    }
    match EnvFilter::builder().parse(text) {
        Ok(_) if !text.trim().is_empty() => Ok(text.to_owned()),
        _ => Err(format!("{text:?} is no filter; write for example \"info\" or \"info,smartgate::token=debug\"")),
    }
}

/// How fast requests may come, where that is limited.
pub(super) fn rate(table: &mut Table<'_>, key: &'static str) -> Option<Rate> {
    let mut table = table.table(key)?;
    let place = table.place("per_second");
    table.demand("per_second", "50");
    let per_second = table.number("per_second", 1, 1..=MAX_RATE);
    let burst = table.number("burst", per_second, 1..=MAX_RATE);
    table.finish();
    let number = |number: usize| u32::try_from(number).ok().and_then(NonZeroU32::new);
    let rate = number(per_second).zip(number(burst)).map(|(per_second, burst)| Rate { per_second, burst });
    if rate.is_none() {
        place.wrong(format!("write a whole number from 1 to {MAX_RATE}"));
    }
    rate
}

pub(super) fn limits(mut table: Table<'_>) -> Limits {
    let limits = Limits {
        request_body: table.number("request_body", 8 * MIB, KIB..=1024 * MIB),
        response_body: table.number("response_body", 16 * MIB, KIB..=1024 * MIB),
        target: table.number("target", 16 * KIB, 256..=MIB),
        authorization: table.number("authorization", 8 * KIB, 256..=64 * KIB),
        parameters: table.number("parameters", 100, 1..=10_000),
        count: table.number("count", 200, 1..=10_000),
        scan_pages: table.number("scan_pages", 20, 1..=1000),
        write_references: table.number("write_references", 20, 0..=1000),
        look_ups: table.number("look_ups", 50, 0..=1000),
        bundle_entries: table.number("bundle_entries", 500, 1..=100_000),
        json_depth: table.number("json_depth", 64, 8..=MAX_DEPTH),
        client_rate: rate(&mut table, "client_rate"),
        address_rate: rate(&mut table, "address_rate"),
        token_cache: table.number("token_cache", 10_000, 1..=10_000_000),
    };
    table.finish();
    limits
}
