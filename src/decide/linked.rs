//! Resources that are a patient's through others: Provenance by its targets, Binary by its security context or a document
//! (enforcement.md §5).
//!
//! [`visible`](super::visible) stays a function of the resource and of what was looked up before; here is what is to be looked
//! up, and what it comes to. Every question has a bound, and whatever cannot be told is not visible.

use std::collections::HashMap;

use super::grant::Grant;
use super::look_up::{LinkLookUp, documents, look_up};
use super::reach::{Reach, membership, patients_of, reach, type_of, visible};
use crate::config::Snapshot;
use crate::fhir::ResourceType;
use crate::fhir::interaction::{Interaction, Request};
use crate::fhir::json::Json;
use crate::fhir::reference::Literal;
use crate::scope::Letter;

/// Whether resources of this type are a patient's through others only.
pub fn is_linked(of: ResourceType) -> bool {
    matches!(of, ResourceType::PROVENANCE | ResourceType::BINARY)
}

/// A resource that another leads to, in the version that it names.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Target {
    pub(super) of: ResourceType,
    pub(super) id: String,
    pub(super) version: Option<String>,
}

impl Target {
    /// Reads a literal reference to a resource of this server.
    pub(super) fn parse(snapshot: &Snapshot, text: &str, bases: &[&str]) -> Option<Self> {
        let literal = Literal::parse(text, bases)?;
        let of = ResourceType::parse(snapshot.fhir.version, literal.resource_type)?;
        let version = text.rsplit_once("/_history/").map(|(_, version)| version.to_owned());
        Some(Self { of, id: literal.id.to_owned(), version })
    }

    pub(super) fn print(&self) -> String {
        let Self { of, id, version } = self;
        version.as_ref().map_or_else(|| format!("{of}/{id}"), |version| format!("{of}/{id}/_history/{version}"))
    }

    /// The resource that this body is.
    pub(super) fn of_body(snapshot: &Snapshot, body: Json<'_>) -> Option<Self> {
        let id = body.get("id").and_then(Json::as_str)?.to_owned();
        let version = body.get("meta").and_then(|meta| meta.get("versionId")).and_then(Json::as_str);
        Some(Self { of: type_of(snapshot, body)?, id, version: version.map(str::to_owned) })
    }

    fn is_one_of(&self, patients: &[&str]) -> bool {
        self.of == ResourceType::PATIENT && patients.contains(&self.id.as_str())
    }

    /// Whether the grant sees a Patient by its id alone; none where the body must say it.
    pub(super) fn own_patient(&self, snapshot: &Snapshot, grant: &Grant) -> Option<bool> {
        if self.of != ResourceType::PATIENT {
            return None;
        }
        match reach(snapshot, grant, self.of, Letter::Read) {
            Ok(Reach::Everything) => Some(true),
            Ok(Reach::Patients { patients, .. }) => Some(patients.contains(&self.id.as_str())),
            Ok(Reach::Constrained { .. }) => None,
            _ => Some(false),
        }
    }
}

/// What is known of resources that others lead to: the patients whose they are, where the grant can see them; none where not.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Seen(HashMap<Target, Vec<String>>);

impl Seen {
    /// Takes in a resource of the same answer, if it may be read; `current` says whether it is the newest version.
    pub fn note(&mut self, snapshot: &Snapshot, grant: &Grant, resource: Json<'_>, current: bool) {
        let Some(target) = Target::of_body(snapshot, resource) else { return };
        if is_linked(target.of) || !visible(snapshot, grant, Letter::Read, resource) {
            return;
        }
        let patients = patients_of(snapshot, target.of, resource);
        if current {
            self.0.insert(Target { version: None, ..target.clone() }, patients.clone());
        }
        if target.version.is_some() {
            self.0.insert(target, patients);
        }
    }

    /// Takes in whose a target is; true once it is somebody's.
    pub(super) fn learn(&mut self, target: &Target, patients: Vec<String>) -> bool {
        let whose = self.0.entry(target.clone()).or_default();
        whose.extend(patients);
        !whose.is_empty()
    }

    /// Whether the target can be seen and is about one of `patients`.
    pub(super) fn own(&self, target: &Target, patients: &[&str]) -> bool {
        self.0.get(target).is_some_and(|whose| whose.iter().any(|patient| patients.contains(&patient.as_str())))
    }

    /// Whether some version of the target is known to be about one of `patients`.
    fn anchors(&self, target: &Target, patients: &[&str]) -> bool {
        let mut versions = self.0.keys().filter(|known| known.of == target.of && known.id == target.id);
        versions.any(|known| self.own(known, patients))
    }
}

/// Where a resource is met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Occasion {
    /// It was read by its id, in its newest version.
    Read,
    /// It is one version of several, or was found by its id.
    Version,
    /// It stands in an answer because of others: nothing is looked up for it unless one of its targets was seen already, so that
    /// what the FHIR server adds unasked costs nothing.
    Among,
}

impl Occasion {
    /// Where the resources of the answer to this request are met.
    pub fn of(request: &Request) -> Self {
        let targets = request.parameters.iter().any(|parameter| parameter.code() == "target");
        match request.interaction {
            Interaction::Read { .. } => Self::Read,
            Interaction::Vread { .. } | Interaction::HistoryInstance { .. } => Self::Version,
            Interaction::SearchType { of: ResourceType::PROVENANCE } if !targets => Self::Version,
            _ => Self::Among,
        }
    }
}

/// Whether a Provenance or Binary is of one of `patients`, by what was seen.
pub(super) fn belongs(snapshot: &Snapshot, grant: &Grant, resource: Json<'_>, patients: &[&str], seen: &Seen) -> bool {
    match led_to(snapshot, resource, patients) {
        Led::To(targets) => Judged::of(snapshot, grant, targets, patients, seen).are_own(),
        Led::Patient => true,
        Led::Attachment(binary) => seen.own(&binary, patients),
        Led::Nowhere => false,
    }
}

/// What is to be looked up before it is known whether the resource may leave; nothing if that is known.
pub fn look_ups(
    snapshot: &Snapshot,
    grant: &Grant,
    letter: Letter,
    resource: Json<'_>,
    occasion: Occasion,
    seen: &Seen,
) -> Vec<LinkLookUp> {
    let Some(Ok(Reach::Linked { patients })) = type_of(snapshot, resource).map(|of| reach(snapshot, grant, of, letter))
    else {
        return Vec::new();
    };
    match led_to(snapshot, resource, &patients) {
        Led::To(targets) => {
            let anchored = targets.iter().any(|target| seen.anchors(target, &patients));
            let judged = Judged::of(snapshot, grant, targets, &patients, seen);
            let too_many = judged.unknown.len() > snapshot.limits.look_ups;
            if judged.hidden || too_many || occasion == Occasion::Among && !(anchored || judged.own) {
                return Vec::new();
            }
            // One that cannot be looked up is not granted.
            judged
                .unknown
                .iter()
                .map(|target| look_up(snapshot, grant, target))
                .collect::<Option<_>>()
                .unwrap_or_default()
        }
        Led::Attachment(binary) if occasion == Occasion::Read && !seen.0.contains_key(&binary) => {
            documents(snapshot, grant, binary, &patients).into_iter().collect()
        }
        Led::Attachment(_) | Led::Patient | Led::Nowhere => Vec::new(),
    }
}

/// What a resource is a patient's by.
enum Led {
    /// Each of these must be one that the grant sees, or of a shared type.
    To(Vec<Target>),
    /// It names one of the patients itself.
    Patient,
    /// A Binary without a security context: a document that points at it says whose it is.
    Attachment(Target),
    /// Another patient, or something that is not of this server or has no one meaning.
    Nowhere,
}

fn led_to(snapshot: &Snapshot, resource: Json<'_>, patients: &[&str]) -> Led {
    let bases = snapshot.fhir.bases();
    let target =
        |reference: Json<'_>| Target::parse(snapshot, reference.get("reference").and_then(Json::as_str)?, &bases);
    match type_of(snapshot, resource) {
        Some(ResourceType::PROVENANCE) => {
            // R5 says whom it is about besides.
            let about =
                resource.get("patient").map(|patient| target(patient).filter(|target| target.is_one_of(patients)));
            if about == Some(None) {
                return Led::Nowhere;
            }
            resource.list("target").map(target).collect::<Option<Vec<_>>>().map_or(Led::Nowhere, Led::To)
        }
        Some(ResourceType::BINARY) => match resource.get("securityContext") {
            Some(context) => match target(context) {
                Some(target) if target.is_one_of(patients) => Led::Patient,
                Some(target) if target.of != ResourceType::PATIENT => Led::To(vec![target]),
                _ => Led::Nowhere,
            },
            None => match Target::of_body(snapshot, resource) {
                Some(binary) => Led::Attachment(Target { version: None, ..binary }),
                None => Led::Nowhere,
            },
        },
        _ => Led::Nowhere,
    }
}

/// Targets by what is known of them.
struct Judged {
    own: bool,
    hidden: bool,
    unknown: Vec<Target>,
}

impl Judged {
    fn of(snapshot: &Snapshot, grant: &Grant, targets: Vec<Target>, patients: &[&str], seen: &Seen) -> Self {
        let mut judged = Self { own: false, hidden: false, unknown: Vec::new() };
        for target in targets {
            if snapshot.fhir.shared_types.contains(target.of) {
                continue;
            }
            let known = target.own_patient(snapshot, grant).map(|own| own && patients.contains(&target.id.as_str()));
            match known.or_else(|| seen.0.contains_key(&target).then(|| seen.own(&target, patients))) {
                Some(true) => judged.own = true,
                Some(false) => judged.hidden = true,
                // What is no patient's by its own elements would only lead on.
                None if membership(snapshot, target.of).is_none() => judged.hidden = true,
                None if judged.unknown.contains(&target) => {}
                None => judged.unknown.push(target),
            }
        }
        judged
    }

    fn are_own(&self) -> bool {
        self.own && !self.hidden && self.unknown.is_empty()
    }
}

#[cfg(test)]
#[path = "linked_tests.rs"]
mod tests;
