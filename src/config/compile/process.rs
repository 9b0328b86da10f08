//! The sections about the process itself: `[enforcement]`, `[store]`, `[audit]`, `[log]`, `[limits]`.

use tracing_subscriber::EnvFilter;

use crate::config::table::{LATER, Table};
use crate::config::{Audit, Limits, Log, StoreUrl};
use crate::fhir::json::MAX_DEPTH;
use crate::telemetry::{AuditSink, LogFormat, OnFull};

const DEFAULT_STORE: &str = "state/smartgate.db";
const DEFAULT_FILTER: &str = "info";
const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// There is one mode so far; the key says so to whoever asks for another.
pub(super) fn enforcement(mut table: Table<'_>) {
    if let Some(mode) = table.text("mode") {
        match mode.it {
            "enforce" => {}
            "report" => mode.place.wrong(format!("\"report\" {LATER}, or write \"enforce\"")),
            other => mode.place.wrong(format!("{other:?} is no mode; write \"enforce\"")),
        }
    }
    table.later(&["report_until"]);
    table.finish();
}

pub(super) fn store(mut table: Table<'_>) -> Option<StoreUrl> {
    let url = table.text("url");
    let folder = table.document().folder();
    table.finish();
    let Some(url) = url else {
        return Some(StoreUrl::Sqlite(folder.join(DEFAULT_STORE)));
    };
    url.parse(|url| match url.split_once(':') {
        Some(("postgres" | "postgresql", _)) => Err(format!("PostgreSQL {LATER}, or write \"sqlite:{DEFAULT_STORE}\"")),
        Some(("sqlite", path)) if !path.is_empty() && !path.starts_with("//") && !path.starts_with(':') => {
            Ok(StoreUrl::Sqlite(folder.join(path)))
        }
        _ => Err(format!("is no store; write for example \"sqlite:{DEFAULT_STORE}\"")),
    })
}

pub(super) fn audit(mut table: Table<'_>) -> Audit {
    let sink = match table.text("file") {
        None => AuditSink::Stdout,
        Some(file) if file.it == "stdout" => AuditSink::Stdout,
        Some(file) => {
            if file.it.is_empty() {
                file.place.wrong("is empty; write \"stdout\" or a path");
            }
            AuditSink::File(table.document().folder().join(file.it))
        }
    };
    let on_full = table.choice("on_full", OnFull::Block, &[("block", OnFull::Block), ("shed", OnFull::Shed)]);
    let search_values = table.flag("search_values", false);
    table.finish();
    Audit { sink, on_full, search_values }
}

pub(super) fn log(mut table: Table<'_>) -> Log {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let format = table.choice("format", LogFormat::Text, &formats);
    let filter = table.text("level").and_then(|found| found.parse(filter));
    table.finish();
    Log { format, filter: filter.unwrap_or_else(|| DEFAULT_FILTER.to_owned()) }
}

fn filter(text: &str) -> Result<String, String> {
    match EnvFilter::builder().parse(text) {
        Ok(_) if !text.trim().is_empty() => Ok(text.to_owned()),
        _ => Err(format!("{text:?} is no filter; write for example \"info\" or \"info,smartgate::token=debug\"")),
    }
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
        token_cache: table.number("token_cache", 10_000, 1..=10_000_000),
    };
    table.finish();
    limits
}
