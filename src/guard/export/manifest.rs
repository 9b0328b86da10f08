//! The manifest of a finished export (Bulk Data Access IG 2.0 export.html, "Response - Complete Status"), written anew: files of types
//! that the token may export, behind seals.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::super::bundle::unreadable;
use super::lines::{DELETED, OUTCOMES};
use crate::config::Snapshot;
use crate::decide::{Export, Refusal};
use crate::fhir::ResourceType;

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(rename = "transactionTime", borrow)]
    transaction_time: Cow<'a, str>,
    #[serde(borrow, default)]
    output: Vec<File<'a>>,
    #[serde(borrow, default)]
    error: Vec<File<'a>>,
    #[serde(borrow, default)]
    deleted: Vec<File<'a>>,
}

/// One file of the manifest.
#[derive(Deserialize)]
pub(super) struct File<'a> {
    #[serde(rename = "type", borrow, default)]
    of: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) url: Cow<'a, str>,
    #[serde(default)]
    count: Option<u64>,
}

#[derive(Serialize)]
struct Manifest<'a> {
    #[serde(rename = "transactionTime")]
    transaction_time: Cow<'a, str>,
    request: String,
    #[serde(rename = "requiresAccessToken")]
    requires_access_token: bool,
    output: Vec<Listed>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deleted: Vec<Listed>,
    error: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    #[serde(rename = "type")]
    of: String,
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
}

/// The manifest for the client, and how many files are left out of it.
pub(super) fn rewritten(
    snapshot: &Snapshot,
    export: &Export,
    body: &[u8],
    original: &str,
    seal: impl Fn(&File<'_>, &str) -> Result<String, Refusal>,
) -> Result<(Bytes, usize), Refusal> {
    let source: Source<'_> = serde_json::from_slice(body).map_err(|error| unreadable(&error.to_string()))?;
    let listed = |file: &File<'_>, of: &str, holds: &str| {
        Ok::<_, Refusal>(Listed { of: of.to_owned(), url: seal(file, holds)?, count: file.count })
    };
    let mut output = Vec::new();
    let mut removed = 0;
    for file in &source.output {
        let name = file.of.as_deref().unwrap_or_default();
        match ResourceType::parse(snapshot.fhir.version, name) {
            Some(of) if export.allows(of) => output.push(listed(file, name, name)?),
            // A server that does not look at `_type` exports more than it was asked for.
            _ => removed += 1,
        }
    }
    let each = |files: &[File<'_>], of, holds| files.iter().map(|file| listed(file, of, holds)).collect();
    let deleted: Result<Vec<_>, _> = each(&source.deleted, "Bundle", DELETED);
    let error: Result<Vec<_>, _> = each(&source.error, "OperationOutcome", OUTCOMES);
    let manifest = Manifest {
        transaction_time: source.transaction_time,
        request: format!("{}{original}", snapshot.fhir.public_base),
        requires_access_token: true,
        output,
        deleted: deleted?,
        error: error?,
    };
    let printed = serde_json::to_vec(&manifest).map_err(|error| unreadable(&error.to_string()))?;
    Ok((printed.into(), removed))
}
