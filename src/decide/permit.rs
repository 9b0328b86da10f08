//! Permits: the only way to the upstream. Only the decision makes one.

use std::fmt;
use std::sync::Arc;

use http::Method;
use smallstr::SmallString;

use super::checked::CheckedWrite;
use super::conditional::ConditionalWrite;
use super::includes::Includes;
use super::operation::{Call, Export};
use super::provenance::TargetSearch;
use super::references::Beside;
use crate::fhir::{ResourceType, TypeSet};
use crate::scope::Letter;

/// Path and query below the upstream's base; those of an ordinary read take nothing from the heap.
pub type Target = SmallString<[u8; 128]>;

/// An id as FHIR has it, of 64 characters at most (FHIR R4 datatypes.html#id).
pub type Id = SmallString<[u8; 64]>;

/// What may be sent to the FHIR server. Its fields are private to the decision, so no other code can make one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpstreamRequest {
    pub(super) method: Method,
    pub(super) target: Target,
    pub(super) conditional: bool,
    pub(super) json: bool,
    pub(super) minimal: bool,
    pub(super) if_none_exist: Option<String>,
    pub(super) pin: Option<Pin>,
    pub(super) bulk: Option<Bulk>,
}

/// What a request of a bulk export says besides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bulk {
    /// That it does not wait for the answer.
    KickOff,
    /// That it takes lines.
    File,
}

/// What a checked write may meet at the FHIR server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pin {
    /// A resource that does not exist yet and gets its id from the server.
    New,
    /// Nothing under this id.
    Absent,
    /// The version that was checked.
    Version(String),
}

impl UpstreamRequest {
    pub(super) fn new(method: Method, target: impl Into<Target>) -> Self {
        Self {
            method,
            target: target.into(),
            conditional: true,
            json: false,
            minimal: false,
            if_none_exist: None,
            pin: None,
            bulk: None,
        }
    }

    /// Asks for JSON, and without the client's conditional headers: the answer is inspected.
    pub(super) fn inspected(mut self) -> Self {
        self.conditional = false;
        self.json = true;
        self
    }

    /// The same request for another page of its result; `target` is where the upstream's own link leads, below its base.
    pub(crate) fn at_page(&self, target: String) -> Self {
        Self { target: target.into(), ..self.clone() }
    }

    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Path and query below the upstream's base; empty for the base itself.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Whether the client's conditional headers go along (`If-Match`, `If-None-Match`, …).
    pub fn conditional(&self) -> bool {
        self.conditional
    }

    /// Whether the upstream is asked for JSON whatever the client accepts.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Whether the upstream is asked to answer a write without content, because the token may not read.
    pub fn minimal(&self) -> bool {
        self.minimal
    }

    /// Criteria of a conditional create, as they go up.
    pub fn if_none_exist(&self) -> Option<&str> {
        self.if_none_exist.as_deref()
    }

    /// Which request of a bulk export this is, if it is one.
    pub fn bulk(&self) -> Option<Bulk> {
        self.bulk
    }

    /// What a checked write may meet; none for every other request.
    pub fn pin(&self) -> Option<&Pin> {
        self.pin.as_ref()
    }
}

/// An answer that the gate gives without asking the FHIR server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OwnAnswer {
    /// The CapabilityStatement with the gate's own security section.
    Capabilities,
    /// A searchset without entries: the request names only patients that are not the token's.
    EmptySearchset,
    /// The one answer for "does not exist", "deleted" and "exists but is not yours".
    UniformDenial,
}

/// What a body must be before it goes up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BodyRule {
    /// A resource of the type, with this id where the path has one.
    Resource {
        of: ResourceType,
        id: Option<String>,
    },
    /// A JSON Patch, or a FHIRPath Patch in a Parameters resource.
    Patch,
    None,
}

/// How an answer is made sure of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verify {
    /// One resource: this type, this id, visible; else the uniform denial.
    Resource { of: ResourceType, id: Id },
    /// A Bundle: entries that are not visible are dropped. `letter` is what a match needs; includes need `r`.
    Bundle { letter: Letter, kind: BundleKind, pages: PageRule, includes: Includes },
    /// A document: every entry is visible, else the uniform denial.
    Document,
}

impl fmt::Display for Verify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resource { of, id } => {
                write!(f, "{of}/{id} is verified on its own body, or denied as if it did not exist")
            }
            Self::Bundle { letter, kind, .. } => write!(
                f,
                "each entry of the {} is verified on its own body, matches for `{}`, included resources for `r`; others are dropped",
                kind.code(),
                letter.as_char()
            ),
            Self::Document => f.write_str("each entry of the document is verified on its own body; with one that is not visible it is denied as if it did not exist"),
        }
    }
}

/// How the pages of a verified result are cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageRule {
    /// As the upstream cuts them.
    Kept,
    /// By the gate, from visible entries only, so that where a page ends tells nothing of what was removed. `exact` says that
    /// the upstream was asked for nothing but what is visible.
    Filled { exact: bool },
    /// Not at all: the matches are counted, and that is the answer.
    Counted,
}

/// What kind of Bundle is expected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BundleKind {
    Searchset,
    History,
    /// What an operation returns; its entries are read.
    Result,
}

impl BundleKind {
    /// `Bundle.type` of an answer of this kind.
    pub fn code(self) -> &'static str {
        match self {
            Self::Searchset | Self::Result => "searchset",
            Self::History => "history",
        }
    }
}

/// What a permitted request leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    Answer(OwnAnswer),
    /// The answer flows through without being held; a Bundle may hold entries of these types only.
    Stream {
        request: UpstreamRequest,
        entries: TypeSet,
    },
    /// The answer is held and verified.
    Guard {
        request: UpstreamRequest,
        verify: Verify,
    },
    /// The body is held and checked, then sent; without `readable` the answer leaves without content.
    Write {
        request: UpstreamRequest,
        body: BodyRule,
        readable: bool,
    },
    /// What is stored and what is to be stored are checked, then the write goes up for the checked version only.
    Checked(CheckedWrite),
    /// What criteria mean is looked for, then it is [`Action::Checked`].
    Conditional(ConditionalWrite),
    /// The values of `target` are looked up, then the search goes up for those that the grant sees.
    Targets(TargetSearch),
    /// An operation whose answer is no Bundle.
    Operation(Call),
    /// A step of a bulk export.
    Export(Export),
    /// Each entry of the body is to be decided: [`super::decide_bundle`].
    Bundle,
}

/// A request that passes, and by which rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Permit {
    pub(super) action: Action,
    pub(super) rule: &'static str,
}

impl Permit {
    /// Names resources that a checked write leaves beside its own, for its body to refer to.
    pub(super) fn beside(&mut self, left: &Arc<Beside>) {
        match &mut self.action {
            Action::Checked(write) => write.beside = Some(left.clone()),
            Action::Conditional(conditional) => conditional.write.beside = Some(left.clone()),
            _ => {}
        }
    }

    pub fn action(&self) -> &Action {
        &self.action
    }

    /// The rule that lets it pass: `public`, `unrestricted`, `own-patient`, `shared-type`, `own-identity`,
    /// `constrained`, `linked`.
    pub fn rule(&self) -> &'static str {
        self.rule
    }

    /// What goes to the FHIR server first, where that is known before anything was looked up.
    pub fn request(&self) -> Option<&UpstreamRequest> {
        match &self.action {
            Action::Stream { request, .. } | Action::Guard { request, .. } | Action::Write { request, .. } => {
                Some(request)
            }
            Action::Operation(call) => Some(call.request()),
            Action::Conditional(write) => write.search(),
            Action::Answer(_) | Action::Checked(_) | Action::Targets(_) | Action::Export(_) | Action::Bundle => None,
        }
    }

    /// The name of the path it takes: `answer`, `stream` or `guard`.
    pub fn path(&self) -> &'static str {
        match &self.action {
            Action::Answer(_) => "answer",
            Action::Stream { .. } => "stream",
            Action::Guard { .. }
            | Action::Write { .. }
            | Action::Checked(_)
            | Action::Conditional(_)
            | Action::Targets(_)
            | Action::Operation(_)
            | Action::Export(_)
            | Action::Bundle => "guard",
        }
    }
}

/// The gate's own request for the FHIR server's CapabilityStatement.
pub fn capabilities_lookup() -> UpstreamRequest {
    UpstreamRequest::new(Method::GET, "/metadata").inspected()
}

/// The gate's own search for patients that a user may choose from; `query` is printed by the caller's parameters.
pub fn patients_lookup(parameters: &[crate::fhir::search::Parameter]) -> UpstreamRequest {
    let query = crate::fhir::search::print_parameters(parameters);
    UpstreamRequest::new(Method::GET, format!("/Patient?{query}")).inspected()
}

/// The gate's own search for somebody who logs in, of a type that people are of.
pub fn people_lookup(of: ResourceType, parameters: &[crate::fhir::search::Parameter]) -> UpstreamRequest {
    let query = crate::fhir::search::print_parameters(parameters);
    UpstreamRequest::new(Method::GET, format!("/{}?{query}", of.name())).inspected()
}

/// The gate's own search for a patient's latest encounters; `patient` is an id.
pub fn encounters_lookup(patient: &str, count: usize) -> UpstreamRequest {
    let target = format!("/Encounter?patient=Patient/{patient}&_sort=-date&_count={count}");
    UpstreamRequest::new(Method::GET, target).inspected()
}

/// Where a Bundle whose entries were decided goes; without `readable` the token may read nothing of what they write.
pub(crate) fn bundle_request(readable: bool) -> UpstreamRequest {
    let mut request = UpstreamRequest::new(Method::POST, "").inspected();
    request.minimal = !readable;
    request
}
