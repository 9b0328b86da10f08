//! The admin page: one page, read-only, without scripts; and the search for decisions behind it.

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::Watched;
use super::state::State;
use crate::config::Snapshot;

/// What the page adds to the stylesheet of every page.
const STYLE: &str = include_str!("../../templates/operators/admin.css");

/// Fields in the order in which somebody who looks for a reason reads them; others follow by name.
const ORDER: [&str; 20] = [
    "time",
    "decision",
    "event",
    "outcome",
    "rule",
    "error",
    "detail",
    "would",
    "status",
    "method",
    "interaction",
    "resource_type",
    "resource_id",
    "parameters",
    "query",
    "sent",
    "upstream_status",
    "removed",
    "client",
    "patient",
];

/// What was asked of `/decisions`, and what was found.
#[derive(Serialize)]
pub(super) struct Found<'a> {
    request_id: &'a str,
    /// When the oldest line was written that is held: before that, only the audit log itself knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    decisions: Vec<Box<RawValue>>,
}

impl<'a> Found<'a> {
    pub(super) fn of(watched: &Watched, request_id: &'a str) -> Self {
        let recent = watched.audit.recent();
        Self { request_id, since: recent.refusals().since, decisions: recent.of_request(request_id) }
    }
}

#[derive(Template)]
#[template(path = "operators/admin.html")]
struct Page<'a> {
    style: &'a str,
    own_style: &'static str,
    gate: &'a str,
    state: State,
    asked: Option<&'a str>,
    decisions: Vec<Vec<(String, String)>>,
}

/// The page and its content security policy; with `asked`, what is known of that request.
pub(super) async fn page(
    watched: &Watched,
    snapshot: &Snapshot,
    asked: Option<&str>,
) -> Result<(String, String), askama::Error> {
    let lines = asked.map(|id| watched.audit.recent().of_request(id)).unwrap_or_default();
    let page = Page {
        style: &snapshot.pages.style,
        own_style: STYLE,
        gate: &snapshot.server.public_url,
        state: State::gather(watched, snapshot).await,
        asked,
        decisions: lines.iter().map(|line| fields(line)).collect(),
    };
    let own = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src {} 'sha256-{own}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        snapshot.pages.style_source
    );
    Ok((page.render()?, policy))
}

/// Name and value of each field of a line.
fn fields(line: &RawValue) -> Vec<(String, String)> {
    let fields: Map<String, Value> = serde_json::from_str(line.get()).unwrap_or_default();
    let mut fields: Vec<_> = fields.into_iter().collect();
    fields.sort_by_key(|(name, _)| ORDER.iter().position(|known| known == name).unwrap_or(ORDER.len()));
    let text = |value: Value| match value {
        Value::String(text) => text,
        Value::Array(values) => {
            values.iter().map(|value| value.as_str().unwrap_or_default()).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    fields.into_iter().map(|(name, value)| (name.replace('_', " "), text(value))).collect()
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
