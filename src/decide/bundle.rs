//! Batch and transaction: every entry through the code of single requests (enforcement.md §3).

use std::collections::HashSet;
use std::sync::Arc;

use super::entry::{Entry, RefusedEntry, decide_entry};
use super::grant::Grant;
use super::parameters::{self, FORMAT_NOT_JSON};
use super::permit::{Action, Permit};
use super::reach::type_of;
use super::references::Beside;
use super::rule::{Refusal, Rule};
use super::write::BODY_OTHER_RESOURCE;
use crate::config::Snapshot;
use crate::fhir::ResourceType;
use crate::fhir::interaction::{Interaction, Request};
use crate::fhir::json::Json;

pub(super) const BUNDLE_TYPE: Rule =
    Rule::bad_request("bundle-type", "a Bundle sent to the base is a `batch` or a `transaction`");

pub(super) const BUNDLE_ENTRY: Rule = Rule::bad_request(
    "bundle-entry",
    "each entry has `request.method`, a relative `request.url` of this server, a resource that fits them, and a `fullUrl` that is `urn:uuid:…` or agrees with the URL",
);

pub(super) const BUNDLE_TOO_MANY: Rule =
    Rule::other("bundle-too-many", 413, "too-long", "the Bundle has too many entries");

pub const BUNDLE_OVERLAP: Rule = Rule::bad_request(
    "bundle-overlap",
    "two entries of the transaction write to the same resource, or have the same `fullUrl`",
);

pub(super) const RULES: &[&Rule] = &[&BUNDLE_TYPE, &BUNDLE_ENTRY, &BUNDLE_TOO_MANY, &BUNDLE_OVERLAP];

/// What a Bundle sent to the base asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Processing {
    Batch,
    Transaction,
}

impl Processing {
    /// `Bundle.type`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Transaction => "transaction",
        }
    }
}

/// The decision on a Bundle: one result an entry, in order.
#[derive(Debug)]
pub struct BundleDecision {
    pub processing: Processing,
    /// Whether what passes goes up in one Bundle as it is: nothing of it is to be looked at first, and nothing is hidden in the
    /// answer but whole resources.
    pub together: bool,
    pub entries: Vec<Result<Entry, Box<RefusedEntry>>>,
}

/// `POST [base]`: each entry of the body is still to be decided.
pub(super) fn bundle(request: &Request) -> Result<Permit, Refusal> {
    parameters::of_read(request, true)?;
    if !request.accepts_json {
        return Err(FORMAT_NOT_JSON.refuse());
    }
    Ok(Permit { action: Action::Bundle, rule: "entries" })
}

/// Decides each entry of the Bundle in `body`.
///
/// # Errors
/// The Bundle is none that the base takes; a transaction with one refused entry is refused by that entry's rule.
pub fn decide_bundle(snapshot: &Snapshot, grant: &Grant, body: Json<'_>) -> Result<BundleDecision, Refusal> {
    if type_of(snapshot, body) != Some(ResourceType::BUNDLE) {
        return Err(BODY_OTHER_RESOURCE.refuse());
    }
    let processing = match body.get("type").and_then(Json::as_str) {
        Some("batch") => Processing::Batch,
        Some("transaction") => Processing::Transaction,
        _ => return Err(BUNDLE_TYPE.refuse()),
    };
    if body.get("entry").is_some_and(|entries| !entries.is_array()) {
        return Err(BUNDLE_ENTRY.refuse());
    }
    let entries = body.list("entry");
    if entries.count() > snapshot.limits.bundle_entries {
        return Err(BUNDLE_TOO_MANY.refuse());
    }
    let mut entries: Vec<_> = entries.map(|entry| decide_entry(snapshot, grant, entry)).collect();
    if processing == Processing::Transaction {
        check_whole(&entries)?;
        introduce(&mut entries);
    }
    let together = grant.is_unrestricted() && entries.iter().flatten().all(as_it_is);
    Ok(BundleDecision { processing, together, entries })
}

/// Whether an entry may go up with others as it is. The links of a search's pages are the gate's to make.
fn as_it_is(entry: &Entry) -> bool {
    match entry.permit.action() {
        Action::Write { .. } => true,
        Action::Stream { .. } => {
            matches!(entry.request.interaction, Interaction::Read { .. } | Interaction::Vread { .. })
        }
        _ => false,
    }
}

/// One refused entry refuses a transaction, and so do two that write the same: what the first leaves is not what was checked for
/// the second.
fn check_whole(entries: &[Result<Entry, Box<RefusedEntry>>]) -> Result<(), Refusal> {
    let (mut written, mut names) = (HashSet::new(), HashSet::new());
    for (index, entry) in entries.iter().enumerate() {
        let entry = entry.as_ref().map_err(|refused| refused.refusal.clone().at_entry(index))?;
        let named_twice = entry.full_url.as_ref().is_some_and(|name| !names.insert(name));
        if named_twice || target(entry).is_some_and(|target| !written.insert(target)) {
            return Err(BUNDLE_OVERLAP.refuse().at_entry(index));
        }
    }
    Ok(())
}

/// What an entry writes to, where its URL says it.
fn target(entry: &Entry) -> Option<(ResourceType, &str)> {
    match &entry.request.interaction {
        Interaction::Update { of, id } | Interaction::Patch { of, id } | Interaction::Delete { of, id } => {
            Some((*of, id.as_str()))
        }
        _ => None,
    }
}

/// Tells each write which resources the others leave: its body may refer to them.
fn introduce(entries: &mut [Result<Entry, Box<RefusedEntry>>]) {
    let stays = |entry: &&Entry| !matches!(entry.request.interaction, Interaction::Delete { .. });
    let left = entries.iter().flatten().filter(stays).filter_map(target);
    let left: Arc<Beside> = Arc::new(left.map(|(of, id)| (of, id.to_owned())).collect());
    for entry in entries.iter_mut().flatten() {
        entry.permit.beside(&left);
    }
}
