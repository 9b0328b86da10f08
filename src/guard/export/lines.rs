//! The lines of an exported file: each is held until it is whole, looked at, and only then passed on.

use serde_json::value::{RawValue, to_raw_value};

use super::super::bundle::unreadable;
use super::super::links::Moved;
use crate::config::{Limits, Snapshot};
use crate::decide::{Export, Refusal};
use crate::fhir::bundle::{NewBundle, NewEntry, RawBundle};
use crate::fhir::json::Json;
use crate::fhir::reference::Literal;
use crate::fhir::rewrite::RewriteError;
use crate::fhir::{FhirVersion, ResourceType, TypeSet};
use RewriteError::{Malformed, Refused};

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
    moved: Moved,
    /// The line that has not ended yet.
    held: Vec<u8>,
}

impl Lines {
    pub(super) fn new(expected: Expected, limits: &Limits, moved: Moved) -> Self {
        Self { expected, longest: limits.response_body, depth: limits.json_depth, moved, held: Vec::new() }
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
        let read = Json::parse(&line, self.depth).map_err(|_| Malformed("a line is no JSON of one reading"))?;
        if read.get("resourceType").and_then(Json::as_str) != Some(self.expected.type_name()) {
            return Err(Refused("a line of the file is of another type than the file"));
        }
        drop(read);
        let line = match self.expected {
            Expected::Deletions(version, types) => match deletions(&line, version, types)? {
                Some(kept) => kept,
                None => return Ok(()),
            },
            Expected::Resources(_) | Expected::Outcomes => line,
        };
        out.extend_from_slice(&self.moved.in_body(line.into())?);
        out.push(b'\n');
        Ok(())
    }
}

/// A Bundle of what was deleted, without what is of other types and without anything but method and URL.
fn deletions(line: &[u8], version: FhirVersion, types: TypeSet) -> Result<Option<Vec<u8>>, RewriteError> {
    let broken = |_| Malformed("a line is no Bundle of deletions");
    let source = RawBundle::parse(line).map_err(broken)?;
    let mut bundle = NewBundle::<Box<RawValue>>::new("transaction");
    for entry in &source.entry {
        let Some(request) = &entry.request else { continue };
        let literal = request.url.as_deref().and_then(|url| Literal::parse(url, &[]));
        let of = literal.and_then(|literal| ResourceType::parse(version, literal.resource_type));
        if request.method.as_deref() == Some("DELETE") && of.is_some_and(|of| types.contains(of)) {
            let kept = NewEntry { request: Some(request.clone()), ..NewEntry::default() };
            bundle.entry.push(to_raw_value(&kept).map_err(broken)?);
        }
    }
    if bundle.entry.is_empty() {
        return Ok(None);
    }
    serde_json::to_vec(&bundle).map(Some).map_err(broken)
}
