//! URLs in answers: those below the upstream's base point at the gate's public base, page links are sealed
//! (enforcement.md §7).

use std::sync::Arc;

use bytes::Bytes;
use memchr::memmem;

use super::moving::{Bases, Moving};
use super::page::Pages;
use crate::config::{Addresses, Fhir};
use crate::fhir::json::{Document, JsonError, MAX_DEPTH};
use crate::fhir::rewrite::{LinkSink, Place, RewriteError};
use crate::fhir::{FhirVersion, ResourceType, TypeSet};

/// Where the URLs of answers are moved from and to.
pub(super) fn bases(fhir: &Fhir) -> Bases<'_> {
    Bases { upstream: &fhir.upstream.addresses, public: &fhir.public_base }
}

/// The same for an answer that outlives its request.
pub(super) struct OwnBases {
    upstream: Arc<Addresses>,
    public: String,
}

impl OwnBases {
    pub(super) fn of(fhir: &Fhir) -> Self {
        Self { upstream: fhir.upstream.addresses.clone(), public: fhir.public_base.clone() }
    }

    pub(super) fn get(&self) -> Bases<'_> {
        Bases { upstream: &self.upstream, public: &self.public }
    }
}

/// The body that `document` was read from, with its URLs moved.
pub(super) fn moved(document: &Document<'_>, body: &Bytes, fhir: &Fhir) -> Bytes {
    let moving = Moving::of(document, bases(fhir));
    if moving.is_nothing() {
        return body.clone();
    }
    let mut out = String::with_capacity(body.len());
    moving.copy(document.root(), &mut out);
    out.into()
}

/// Moves the URLs of a body that nobody has read.
///
/// # Errors
/// The body is not JSON.
pub(super) fn move_urls(body: Bytes, fhir: &Fhir) -> Result<Bytes, JsonError> {
    let named = |authority: &str| memmem::find(&body, authority.as_bytes()).is_some();
    if !fhir.upstream.addresses.iter().any(|address| named(&address.authority)) {
        return Ok(body);
    }
    let document = Document::parse_flawed(&body, MAX_DEPTH)?;
    Ok(moved(&document, &body, fhir))
}

/// The sink of a Bundle that flows through: URLs are moved, page links sealed, and an entry of a type that is not granted
/// stops the answer.
pub(super) struct Flowing {
    pub bases: OwnBases,
    pub pages: Pages,
    pub version: FhirVersion,
    pub entries: TypeSet,
    /// The request's own target below the FHIR base.
    pub original: String,
}

impl LinkSink for Flowing {
    fn link(&mut self, place: Place<'_>, url: &str) -> Result<Option<String>, RewriteError> {
        match place {
            Place::BundleLink { relation: Some("self") } => Ok(Some(format!("{}{}", self.bases.public, self.original))),
            Place::BundleLink { .. } => self
                .pages
                .seal(&self.original, url)
                .map(Some)
                .ok_or(RewriteError::Refused("a page link leads away from the FHIR server")),
            _ => Ok(self.bases.get().to_public(url)),
        }
    }

    fn entry_type(&mut self, resource_type: &str) -> Result<(), RewriteError> {
        let granted = ResourceType::parse(self.version, resource_type)
            .is_some_and(|of| self.entries.contains(of) || of == ResourceType::OPERATION_OUTCOME);
        if granted { Ok(()) } else { Err(RewriteError::Refused("an entry is of a type that is not granted")) }
    }

    fn root_type(&mut self, resource_type: &str) -> Result<(), RewriteError> {
        let expected = matches!(resource_type, "Bundle" | "OperationOutcome");
        if expected { Ok(()) } else { Err(RewriteError::Refused("the answer is not the Bundle that was asked for")) }
    }
}
