//! Bundles as they were read, and as they are printed: entries are looked at, kept or dropped whole, and what stays is copied
//! byte for byte.

use bytes::Bytes;

use super::json::{Document, Json, JsonError, ObjectWriter, Offset, Value};
use super::types::{FhirVersion, ResourceType};

/// How deep the resource of an entry is in its Bundle.
const RESOURCE_DEPTH: usize = 3;

/// A Bundle of which every resource has been read.
pub struct RawBundle<'d> {
    pub kind: &'d str,
    pub total: Option<u64>,
    pub link: Vec<RawLink<'d>>,
    pub entry: Vec<RawEntry<'d>>,
}

/// `Bundle.link`.
pub struct RawLink<'d> {
    pub relation: &'d str,
    pub url: &'d str,
}

/// `Bundle.entry`.
pub struct RawEntry<'d> {
    json: Json<'d>,
    parts: Parts,
    mode: Option<&'d str>,
    /// The name of the resource's type, and that type, if it has one reading.
    name: Option<&'d str>,
    of: Option<ResourceType>,
    like: Option<Json<'d>>,
}

/// Where the parts of an entry are; entries that have the same nodes have them at the same places.
#[derive(Clone, Copy, Default)]
struct Parts {
    /// A text.
    full_url: Option<Offset>,
    /// What is there under that name; it may have several readings.
    resource: Option<Offset>,
    /// What says which type the resource is of.
    name: Option<Offset>,
    /// An object.
    search: Option<Offset>,
    mode: Option<Offset>,
    /// An object.
    request: Option<Offset>,
    /// An object.
    response: Option<Offset>,
}

impl<'d> RawBundle<'d> {
    /// Reads the document of a Bundle whose resources are nested at most `max_depth` deep.
    ///
    /// # Errors
    /// Not JSON.
    pub fn document(bytes: &'d [u8], max_depth: usize) -> Result<Document<'d>, JsonError> {
        Document::parse_flawed(bytes, max_depth + RESOURCE_DEPTH)
    }

    /// The Bundle that a document is. A resource in it that has several readings is an entry's own affair; anything else that has,
    /// is an error.
    ///
    /// # Errors
    /// Not a Bundle with one reading.
    pub fn of(document: &'d Document<'d>) -> Result<Self, JsonError> {
        let root = document.root();
        let broken = || JsonError::of("it is no Bundle of one reading");
        let mut bundle = Self { kind: "", total: None, link: Vec::new(), entry: Vec::new() };
        let (mut named, mut flaws) = (false, 0);
        for (name, value) in root.members() {
            match name {
                "resourceType" => named = value.as_str() == Some("Bundle"),
                "type" => bundle.kind = value.as_str().ok_or_else(broken)?,
                "total" => bundle.total = total(value).ok_or_else(broken)?,
                "link" if value.is_array() => {
                    bundle.link = value.elements().map(RawLink::of).collect::<Option<_>>().ok_or_else(broken)?;
                }
                "entry" if value.is_array() => {
                    bundle.entry = RawEntry::all(value).ok_or_else(broken)?;
                }
                "link" | "entry" => return Err(broken()),
                _ => {}
            }
        }
        if document.flaws() > 0 {
            flaws = bundle.entry.iter().filter_map(|entry| entry.part(entry.parts.resource)).map(Json::flaws).sum();
        }
        if named && flaws == document.flaws() { Ok(bundle) } else { Err(broken()) }
    }
}

/// A number that counts, or nothing.
fn total(value: Json<'_>) -> Option<Option<u64>> {
    match value.value() {
        Value::Null => Some(None),
        Value::Number(number) => number.parse().ok().map(Some),
        _ => None,
    }
}

impl<'d> RawLink<'d> {
    fn of(link: Json<'d>) -> Option<Self> {
        let text = |name| link.get(name).and_then(Json::as_str);
        Some(Self { relation: text("relation")?, url: text("url")? })
    }
}

impl<'d> RawEntry<'d> {
    fn all(list: Json<'d>) -> Option<Vec<Self>> {
        let mut entries: Vec<Self> = Vec::new();
        for json in list.elements() {
            let entry = match entries.last() {
                Some(before) if json.has_nodes_of(before.json) => before.again(json),
                _ => Self::of(json)?,
            };
            entries.push(entry);
        }
        Some(entries)
    }

    /// The entry that `json` is, which has the nodes of this one.
    fn again(&self, json: Json<'d>) -> Self {
        let text = |offset: Option<Offset>| json.inside(offset?).as_str();
        let (mode, name) = (text(self.parts.mode), text(self.parts.name));
        let of = if name == self.name { self.of } else { name.and_then(ResourceType::known) };
        Self { json, parts: self.parts, mode, name, of, like: self.part(self.parts.resource) }
    }

    fn of(json: Json<'d>) -> Option<Self> {
        if !json.is_object() {
            return None;
        }
        let mut parts = Parts::default();
        for (name, value) in json.members() {
            let (place, fits) = match name {
                "fullUrl" => (&mut parts.full_url, value.is_text()),
                "resource" => (&mut parts.resource, true),
                "search" => (&mut parts.search, value.is_object()),
                "request" => (&mut parts.request, value.is_object()),
                "response" => (&mut parts.response, value.is_object()),
                _ => continue,
            };
            if value.is_null() && value.flaws() == 0 {
                continue;
            }
            if !fits {
                return None;
            }
            *place = Some(value.offset_in(json));
        }
        let mut entry = Self { json, parts, mode: None, name: None, of: None, like: None };
        let mode = entry.search().and_then(|search| search.get("mode"));
        let name = entry.resource().and_then(ResourceType::member);
        (entry.mode, entry.name) = (mode.and_then(Json::as_str), name.and_then(Json::as_str));
        entry.of = entry.name.and_then(ResourceType::known);
        let offset = |value: Option<Json<'d>>| value.map(|value| value.offset_in(json));
        (entry.parts.mode, entry.parts.name) = (offset(mode), offset(name));
        Some(entry)
    }

    fn part(&self, offset: Option<Offset>) -> Option<Json<'d>> {
        offset.map(|offset| self.json.inside(offset))
    }

    /// A text.
    pub fn full_url(&self) -> Option<Json<'d>> {
        self.part(self.parts.full_url)
    }

    /// An object.
    pub fn search(&self) -> Option<Json<'d>> {
        self.part(self.parts.search)
    }

    /// An object.
    pub fn request(&self) -> Option<Json<'d>> {
        self.part(self.parts.request)
    }

    /// An object.
    pub fn response(&self) -> Option<Json<'d>> {
        self.part(self.parts.response)
    }

    /// Whether there is a resource.
    pub fn has_resource(&self) -> bool {
        self.parts.resource.is_some()
    }

    /// The resource, if it has one reading. What has not, is not looked at: it may be anything.
    pub fn resource(&self) -> Option<Json<'d>> {
        self.part(self.parts.resource).filter(|resource| resource.flaws() == 0)
    }

    /// The type of the resource, if it has one reading and `version` has that type.
    pub fn resource_type(&self, version: FhirVersion) -> Option<ResourceType> {
        self.of.filter(|of| of.is_in(version))
    }

    /// The resource of the entry before it, where that is known to have the same nodes.
    pub fn like(&self) -> Option<Json<'d>> {
        self.like
    }

    /// The resource as it is written, however many readings it has.
    pub fn written(&self) -> &'d str {
        self.part(self.parts.resource).map(Json::raw).unwrap_or_default()
    }

    /// `search.mode`.
    pub fn mode(&self) -> Option<&'d str> {
        self.mode
    }

    /// Whether nothing says that it is no match.
    pub fn may_match(&self) -> bool {
        matches!(self.mode(), None | Some("match"))
    }
}

/// A link of a Bundle in the making.
#[derive(PartialEq, Eq, Debug)]
pub struct NewLink {
    pub relation: &'static str,
    pub url: String,
}

/// Entries of a Bundle in the making. They are printed behind room for what comes before them in it and is known only after them:
/// a page is too long to be copied again.
#[derive(Default)]
pub struct Entries(String);

/// Takes two page links as long as they mostly are, and the rest.
const ROOM: usize = 4096;

impl Entries {
    /// Makes room for so many bytes more.
    pub fn reserve(&mut self, bytes: usize) {
        self.0.reserve(ROOM + bytes);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Begins an entry, which is to be written next.
    pub fn begin(&mut self) -> &mut String {
        match self.0.len() {
            0 => self.0.push_str(&" ".repeat(ROOM)),
            _ => self.0.push(','),
        }
        &mut self.0
    }

    /// The Bundle with these entries.
    pub fn print(self, kind: &str, total: Option<u64>, links: &[NewLink]) -> Bytes {
        let mut head = head(kind, total, links);
        if self.is_empty() {
            head.push('}');
            return head.into();
        }
        head.push_str(",\"entry\":[");
        let mut printed = self.0.into_bytes();
        printed.extend_from_slice(b"]}");
        let begin = ROOM.saturating_sub(head.len());
        match printed.get_mut(begin..begin + head.len()) {
            Some(room) if head.len() <= ROOM => room.copy_from_slice(head.as_bytes()),
            _ => drop(printed.splice(..ROOM, head.bytes())),
        }
        Bytes::from(printed).slice(begin..)
    }
}

/// Prints a Bundle around entries that are printed already, with commas between them.
pub fn print_bundle(kind: &str, total: Option<u64>, links: &[NewLink], entries: &str) -> String {
    let mut out = head(kind, total, links);
    if !entries.is_empty() {
        out.reserve_exact(entries.len() + 16);
        for part in [",\"entry\":[", entries, "]"] {
            out.push_str(part);
        }
    }
    out.push('}');
    out
}

/// The beginning of a Bundle, with all but its entries and its end.
fn head(kind: &str, total: Option<u64>, links: &[NewLink]) -> String {
    let mut out = String::with_capacity(links.iter().map(|link| link.url.len() + 64).sum::<usize>() + 128);
    let mut bundle = ObjectWriter::new(&mut out);
    bundle.text("resourceType", "Bundle");
    bundle.text("type", kind);
    if let Some(total) = total {
        bundle.member("total").push_str(&total.to_string());
    }
    if !links.is_empty() {
        let list = bundle.member("link");
        for (index, NewLink { relation, url }) in links.iter().enumerate() {
            list.push(if index == 0 { '[' } else { ',' });
            let mut link = ObjectWriter::new(list);
            link.text("relation", relation);
            link.text("url", url);
            link.end();
        }
        list.push(']');
    }
    out
}

#[cfg(test)]
#[path = "bundle_tests.rs"]
mod tests;
