//! The lines of an exported file: each is held until it is whole, looked at, and only then passed on.

use super::super::bundle::{REQUEST, copy_texts, unreadable};
use super::super::links::OwnBases;
use crate::config::{Limits, Snapshot};
use crate::decide::{Export, Refusal};
use crate::fhir::bundle::{RawBundle, RawEntry, print_bundle};
use crate::fhir::json::ObjectWriter;
use crate::fhir::json::{Document, Json};
use crate::fhir::reference::Literal;
use crate::fhir::rewrite::RewriteError;
use crate::fhir::{FhirVersion, ResourceType, TypeSet};
use crate::guard::moving::Moving;
use RewriteError::{Malformed, Refused};

const NOT_READABLE: RewriteError = Malformed("a line is no JSON of one reading, or not what the file holds");

/// What a seal calls the file that says what was deleted.
pub(super) const DELETED: &str = "deleted";
/// What a seal calls a file of OperationOutcomes.
pub(super) const OUTCOMES: &str = "error";

/// What the lines of a file are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Expected {
    /// Resources of this type.
    Resources(ResourceType),
    Outcomes,
    /// Bundles of deletions; those of other types are left out.
    Deletions(FhirVersion, TypeSet),
}

impl Expected {
    /// What `holds` of a seal says, if the token may have it.
    pub(super) fn read(snapshot: &Snapshot, export: &Export, holds: &str) -> Result<Self, Refusal> {
        match (holds, ResourceType::parse(snapshot.fhir.version, holds)) {
            (OUTCOMES, _) => Ok(Self::Outcomes),
            (DELETED, _) => Ok(Self::Deletions(snapshot.fhir.version, export.types())),
            (_, Some(of)) => export.require(of).map(|()| Self::Resources(of)),
            // Of another FHIR version than the present one.
            (_, None) => Err(unreadable("a file of a type that there is not")),
        }
    }

    fn type_name(self) -> &'static str {
        match self {
            Self::Resources(of) => of.name(),
            Self::Outcomes => ResourceType::OPERATION_OUTCOME.name(),
            Self::Deletions(..) => ResourceType::BUNDLE.name(),
        }
    }
}

/// A file on its way.
pub(in crate::guard) struct Lines {
    expected: Expected,
    /// Longest line, in bytes.
    longest: usize,
    depth: usize,
    bases: OwnBases,
    /// The line that has not ended yet.
    held: Vec<u8>,
}

impl Lines {
    pub(super) fn new(expected: Expected, limits: &Limits, bases: OwnBases) -> Self {
        Self { expected, longest: limits.response_body, depth: limits.json_depth, bases, held: Vec::new() }
    }

    /// Takes the next bytes in and appends the lines that are whole to `out`.
    ///
    /// # Errors
    /// Nothing more may be passed on.
    pub(in crate::guard) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), RewriteError> {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            self.hold(line)?;
            let line = std::mem::take(&mut self.held);
            self.line(line, out)?;
        }
        self.hold(rest)
    }

    /// The end of the file; the last line need not end in a line end.
    ///
    /// # Errors
    /// The last line may not be passed on.
    pub(in crate::guard) fn finish(mut self, out: &mut Vec<u8>) -> Result<(), RewriteError> {
        let line = std::mem::take(&mut self.held);
        self.line(line, out)
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), RewriteError> {
        if self.held.len().saturating_add(bytes.len()) > self.longest {
            return Err(Refused("a line of the file is longer than the gate holds"));
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    fn line(&self, mut line: Vec<u8>, out: &mut Vec<u8>) -> Result<(), RewriteError> {
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if line.is_empty() {
            return Ok(());
        }
        let document = Document::parse(&line, self.depth).map_err(|_| NOT_READABLE)?;
        if document.root().get("resourceType").and_then(Json::as_str) != Some(self.expected.type_name()) {
            return Err(Refused("a line of the file is of another type than the file"));
        }
        let moving = Moving::of(&document, self.bases.get());
        let mut printed = String::with_capacity(line.len());
        match self.expected {
            Expected::Deletions(version, types) => {
                let source = RawBundle::of(&document).map_err(|_| NOT_READABLE)?;
                let kept = deletions(&source, version, types, &moving);
                if kept.is_empty() {
                    return Ok(());
                }
                printed.push_str(&print_bundle("transaction", None, &[], &kept));
            }
            Expected::Resources(_) | Expected::Outcomes => moving.copy(document.root(), &mut printed),
        }
        out.extend_from_slice(printed.as_bytes());
        out.push(b'\n');
        Ok(())
    }
}

/// What was deleted, without what is of other types and without anything but method and URL.
fn deletions(source: &RawBundle<'_>, version: FhirVersion, types: TypeSet, moving: &Moving<'_>) -> String {
    let mut kept = String::new();
    for request in source.entry.iter().filter_map(RawEntry::request) {
        let text = |name| request.get(name).and_then(Json::as_str);
        let literal = text("url").and_then(|url| Literal::parse(url, &[]));
        let of = literal.and_then(|literal| ResourceType::parse(version, literal.resource_type));
        if text("method") == Some("DELETE") && of.is_some_and(|of| types.contains(of)) {
            kept.push_str(if kept.is_empty() { "" } else { "," });
            let mut entry = ObjectWriter::new(&mut kept);
            copy_texts(moving, request, &REQUEST, entry.member("request"));
            entry.end();
        }
    }
    kept
}
