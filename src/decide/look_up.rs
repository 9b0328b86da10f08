//! Look-ups for resources that are a patient's through others: what is fetched or searched for, and what counts as found.

use http::Method;

use super::grant::Grant;
use super::linked::{Seen, Target};
use super::permit::{Action, UpstreamRequest};
use super::reach::{Reach, membership, patients_of, reach, type_of, visible};
use super::read::read;
use super::references;
use super::search::search_type;
use crate::config::Snapshot;
use crate::fhir::ResourceType;
use crate::fhir::interaction::{Interaction, Request};
use crate::fhir::json::Json;
use crate::fhir::search::Parameter;
use crate::scope::Letter;

/// One look-up; only the decision makes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkLookUp {
    target: Target,
    request: UpstreamRequest,
    by: By,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum By {
    /// The target is fetched.
    Itself,
    /// Documents that point at the target are searched for.
    Documents,
}

impl LinkLookUp {
    pub fn request(&self) -> &UpstreamRequest {
        &self.request
    }

    /// Whether the answer is a searchset, each of whose resources is to be [taken](Self::take).
    pub fn searches(&self) -> bool {
        self.by == By::Documents
    }

    /// Takes in what was found, none if it was nothing; true once there is no need to look on.
    pub fn take(&self, snapshot: &Snapshot, grant: &Grant, found: Option<Json<'_>>, seen: &mut Seen) -> bool {
        let found = found.filter(|found| visible(snapshot, grant, Letter::Read, *found));
        let patients = found.filter(|found| self.is_found(snapshot, *found)).and_then(|found| {
            let of = type_of(snapshot, found)?;
            Some(patients_of(snapshot, of, found))
        });
        seen.learn(&self.target, patients.unwrap_or_default()) || self.by == By::Itself
    }

    fn is_found(&self, snapshot: &Snapshot, found: Json<'_>) -> bool {
        match self.by {
            By::Itself => Target::of_body(snapshot, found).is_some_and(|body| {
                let same_version = self.target.version.is_none() || body.version == self.target.version;
                body.of == self.target.of && body.id == self.target.id && same_version
            }),
            By::Documents => points_at(snapshot, found, &self.target),
        }
    }
}

/// Whether a document's attachment is the Binary.
fn points_at(snapshot: &Snapshot, document: Json<'_>, binary: &Target) -> bool {
    let bases = snapshot.fhir.bases();
    let mut found = false;
    if type_of(snapshot, document) == Some(ResourceType::DOCUMENT_REFERENCE) {
        document.visit(&["content", "attachment", "url"], &mut |url| {
            let target = url.as_str().and_then(|url| Target::parse(snapshot, url, &bases));
            found |= target.is_some_and(|target| target == *binary);
        });
    }
    found
}

/// The look-up of a target; none if the grant sees nothing of its type.
pub(super) fn look_up(snapshot: &Snapshot, grant: &Grant, target: &Target) -> Option<LinkLookUp> {
    let Target { of, id, version } = target;
    let request = references::request(*of, id, version.as_deref());
    let permit = read(snapshot, grant, &request, *of, id, version.as_deref()).ok()?;
    let request = sent(permit.action)?.inspected();
    Some(LinkLookUp { target: target.clone(), request, by: By::Itself })
}

/// The search for documents of `patients` that point at a Binary.
pub(super) fn documents(snapshot: &Snapshot, grant: &Grant, binary: Target, patients: &[&str]) -> Option<LinkLookUp> {
    let of = ResourceType::DOCUMENT_REFERENCE;
    let mut urls = vec![binary.print()];
    for base in snapshot.fhir.bases().into_iter().map(|base| format!("{base}/{}", binary.print())) {
        if !urls.contains(&base) {
            urls.push(base);
        }
    }
    let mut parameters = Vec::new();
    let whole = matches!(reach(snapshot, grant, of, Letter::Search), Ok(Reach::Everything));
    // By one of several elements it would find fewer documents than there are.
    if let Some(code) = membership(snapshot, of).and_then(|rule| rule.narrow_by).filter(|_| whole || !is_wide(snapshot))
    {
        let patients: Vec<String> = patients.iter().map(|patient| format!("Patient/{patient}")).collect();
        parameters.push(Parameter::plain(code, patients.join(",")));
    }
    parameters.push(Parameter::plain("location", urls.join(",")));
    let request = Request {
        method: Method::GET,
        interaction: Interaction::SearchType { of },
        parameters,
        if_none_exist: None,
        page: None,
        accepts_json: true,
    };
    let permit = search_type(snapshot, grant, &request, of).ok()?;
    let request = sent(permit.action)?.inspected();
    Some(LinkLookUp { target: binary, request, by: By::Documents })
}

/// Whether documents are a patient's by several elements.
fn is_wide(snapshot: &Snapshot) -> bool {
    membership(snapshot, ResourceType::DOCUMENT_REFERENCE).is_some_and(|rule| rule.elements.len() > 1)
}

fn sent(action: Action) -> Option<UpstreamRequest> {
    match action {
        Action::Stream { request, .. } | Action::Guard { request, .. } => Some(request),
        _ => None,
    }
}
