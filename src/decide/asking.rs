//! What the body of a write asks the FHIR server, where no resource of its type is hidden from the token: a reference by a search
//! is a search (FHIR R4 http.html#trules, "conditional references"), and a patch that tests what is stored reads it. By its success
//! either would tell of what the token may not search or read. A Subscription is sent what its criteria find (FHIR R4
//! subscription.html).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::grant::Grant;
use super::reach::{SCOPE_MISSING, type_of};
use super::references::REFERENCE_NOT_ALLOWED;
use super::rule::Refusal;
use super::search::criteria;
use super::write::BODY_NOT_FHIR_JSON;
use crate::config::Snapshot;
use crate::fhir::ResourceType;
use crate::fhir::json::{Document, Json, Value};
use crate::fhir::search::Parameter;
use crate::fhir::target::parse_query;
use crate::scope::Letter;

/// Checks a resource that is to be stored.
///
/// # Errors
/// A reference by a search that the token may not make.
pub fn check_references(snapshot: &Snapshot, grant: &Grant, body: Json<'_>) -> Result<(), Refusal> {
    Asker { snapshot, grant, of: type_of(snapshot, body) }.check(Texts::References, body)
}

/// Checks a JSON Patch or a FHIRPath Patch of a resource of the type `of`, which the token may read if it is `readable`.
///
/// # Errors
/// A test without the right to read; a reference by a search that the token may not make.
pub fn check_patch(
    snapshot: &Snapshot,
    grant: &Grant,
    of: ResourceType,
    readable: bool,
    patch: Json<'_>,
) -> Result<(), Refusal> {
    if !readable && tests(patch) {
        let needed = grant.needed(Some(of), Letter::Read);
        return Err(SCOPE_MISSING.refuse().needing(needed).because("a patch that tests what is stored"));
    }
    Asker { snapshot, grant, of: Some(of) }.check(Texts::All, patch)
}

/// The same of a patch in a Bundle: a Parameters resource, or a Binary that holds it (FHIR R4 http.html#patch).
///
/// # Errors
/// As [`check_patch`]; where something is to be checked, a patch that is not in JSON.
pub(super) fn check_patch_in(
    snapshot: &Snapshot,
    grant: &Grant,
    of: ResourceType,
    readable: bool,
    resource: Json<'_>,
) -> Result<(), Refusal> {
    if readable && (Asker { snapshot, grant, of: Some(of) }).may_all() {
        return Ok(());
    }
    let wrong = || BODY_NOT_FHIR_JSON.refuse();
    if type_of(snapshot, resource) == Some(ResourceType::PARAMETERS) {
        return check_patch(snapshot, grant, of, readable, resource);
    }
    let held = resource.get("data").and_then(Json::as_str).and_then(|data| STANDARD.decode(data).ok());
    let held = held.filter(|_| type_of(snapshot, resource) == Some(ResourceType::BINARY)).ok_or_else(wrong)?;
    let patch = Document::parse(&held, snapshot.limits.json_depth).map_err(|_| wrong())?;
    check_patch(snapshot, grant, of, readable, patch.root())
}

/// Which texts are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Texts {
    /// Those of every `reference`, and of `criteria`.
    References,
    /// All: those of a patch may be put where a reference is.
    All,
}

/// Who asks.
struct Asker<'a> {
    snapshot: &'a Snapshot,
    grant: &'a Grant,
    /// The type that is written.
    of: Option<ResourceType>,
}

impl Asker<'_> {
    /// Whether what a search finds is sent to somebody, so that it must be readable, too.
    fn sends(&self) -> bool {
        self.of == Some(ResourceType::SUBSCRIPTION)
    }

    /// Whether there is no search that the token may not make.
    fn may_all(&self) -> bool {
        let all = self.snapshot.fhir.tables.types();
        let covers = |letter| all.is_subset(&self.grant.unrestricted_types(letter));
        covers(Letter::Search) && (!self.sends() || covers(Letter::Read))
    }

    fn check(&self, texts: Texts, body: Json<'_>) -> Result<(), Refusal> {
        if self.may_all() { Ok(()) } else { self.each(texts, "", body) }
    }

    /// Judges the texts of a value that is called `name`.
    fn each(&self, texts: Texts, name: &str, value: Json<'_>) -> Result<(), Refusal> {
        match value.value() {
            Value::Text(text) if texts == Texts::All || matches!(name, "reference" | "criteria") => self.text(text),
            Value::Array(mut elements) => elements.try_for_each(|element| self.each(texts, name, element)),
            Value::Object(mut members) => members.try_for_each(|(name, member)| self.each(texts, name, member)),
            _ => Ok(()),
        }
    }

    /// Judges a text that may be a search: `Type?…`, behind whatever base, which not every server looks at. For a Subscription some
    /// servers also take `[*]` and `[Observation,Patient]`.
    fn text(&self, text: &str) -> Result<(), Refusal> {
        let Self { snapshot, grant, .. } = self;
        let (before, query) = match text.split_once('?') {
            Some(parts) => parts,
            None if self.sends() => (text, ""),
            None => return Ok(()),
        };
        let refused = || REFERENCE_NOT_ALLOWED.refuse().because("a search");
        let name = before.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let Some(of) = ResourceType::parse(snapshot.fhir.version, name) else {
            let of_several = self.sends() && text.starts_with('[');
            return if of_several { Err(refused()) } else { Ok(()) };
        };
        let pairs = parse_query(query, snapshot.limits.parameters).map_err(|_| refused())?;
        let parameters = Parameter::parse_all(&pairs).map_err(|_| refused())?;
        criteria(snapshot, grant, of, &parameters).map_err(|_| refused())?;
        if self.sends() && !grant.unrestricted(of, Letter::Read) { Err(refused()) } else { Ok(()) }
    }
}

/// Whether a patch succeeds or not by what a value is: a `test`, or a path with more than names and indexes.
fn tests(patch: Json<'_>) -> bool {
    match patch.value() {
        Value::Array(mut operations) => operations.any(tests),
        Value::Object(mut members) => {
            let is = |name, wanted: &str| {
                patch.get(name).and_then(Json::as_str).is_some_and(|text| text.eq_ignore_ascii_case(wanted))
            };
            let path = is("name", "path");
            is("op", "test")
                || members.any(|(name, value)| match value.as_str() {
                    Some(text) => path && name.starts_with("value") && !is_plain(text),
                    None => tests(value),
                })
        }
        _ => false,
    }
}

fn is_plain(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._[]".contains(&byte))
}
