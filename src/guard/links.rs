//! URLs in answers: those below the upstream's base point at the gate's public base, page links are sealed
//! (enforcement.md §7).

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::page::Pages;
use crate::config::{Addresses, Fhir};
use crate::fhir::rewrite::{LinkSink, Place, RewriteError, Rewriter};
use crate::fhir::{FhirVersion, ResourceType, TypeSet};

/// Moves `url` from one of the upstream's bases to the public one; none where it does not lie there.
pub(super) fn to_public(url: &str, fhir: &Fhir) -> Option<String> {
    moved(url, &fhir.upstream.addresses, &fhir.public_base)
}

fn moved(url: &str, addresses: &Addresses, public_base: &str) -> Option<String> {
    addresses.below(url).map(|rest| format!("{public_base}{rest}"))
}

/// `url`, moved if it lies at the upstream.
pub(super) fn public<'u>(url: &'u str, fhir: &Fhir) -> Cow<'u, str> {
    to_public(url, fhir).map_or(Cow::Borrowed(url), Cow::Owned)
}

/// The sink of an answer that was verified already: URLs are moved, nothing else.
#[derive(Clone)]
pub(super) struct Moved {
    addresses: Arc<Addresses>,
    pub public_base: String,
}

impl Moved {
    /// From and to the bases of a configuration.
    pub(super) fn of(fhir: &Fhir) -> Self {
        Self { addresses: fhir.upstream.addresses.clone(), public_base: fhir.public_base.clone() }
    }

    /// Moves the URLs of a body that is held; bodies that do not name the upstream are returned as they are.
    ///
    /// # Errors
    /// The body is not JSON.
    pub(super) fn in_body(&self, body: Bytes) -> Result<Bytes, RewriteError> {
        if !names_upstream(&body, &self.addresses) || self.addresses.iter().all(|own| own.base == self.public_base) {
            return Ok(body);
        }
        let mut out = Vec::with_capacity(body.len());
        let mut rewriter = Rewriter::new(self.clone());
        rewriter.push(&body, &mut out)?;
        rewriter.finish(&mut out)?;
        Ok(out.into())
    }
}

impl LinkSink for Moved {
    fn link(&mut self, _: Place<'_>, url: &str) -> Result<Option<String>, RewriteError> {
        Ok(moved(url, &self.addresses, &self.public_base))
    }

    fn entry_type(&mut self, _: &str) -> Result<(), RewriteError> {
        Ok(())
    }
}

/// The sink of a Bundle that flows through: URLs are moved, page links sealed, and an entry of a type that is not granted
/// stops the answer.
pub(super) struct Flowing {
    pub moved: Moved,
    pub pages: Pages,
    pub version: FhirVersion,
    pub entries: TypeSet,
    /// The request's own target below the FHIR base.
    pub original: String,
}

impl LinkSink for Flowing {
    fn link(&mut self, place: Place<'_>, url: &str) -> Result<Option<String>, RewriteError> {
        match place {
            Place::BundleLink { relation: Some("self") } => {
                Ok(Some(format!("{}{}", self.moved.public_base, self.original)))
            }
            Place::BundleLink { .. } => self
                .pages
                .seal(&self.original, url)
                .map(Some)
                .ok_or(RewriteError::Refused("a page link leads away from the FHIR server")),
            place => self.moved.link(place, url),
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

/// Moves the URLs of a body that is held.
///
/// # Errors
/// The body is not JSON.
pub(super) fn move_urls(body: Bytes, fhir: &Fhir) -> Result<Bytes, RewriteError> {
    if names_upstream(&body, &fhir.upstream.addresses) { Moved::of(fhir).in_body(body) } else { Ok(body) }
}

fn names_upstream(body: &[u8], addresses: &Addresses) -> bool {
    addresses.iter().any(|address| memchr::memmem::find(body, address.authority.as_bytes()).is_some())
}
