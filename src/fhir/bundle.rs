//! Bundles as they were read, and as they are printed: entries are looked at, kept or dropped whole, and what stays is copied
//! byte for byte.

use bytes::Bytes;

use super::json::{Document, Json, JsonError, ObjectWriter, Value};
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
    /// A text.
    pub full_url: Option<Json<'d>>,
    /// What is there under that name; it may have several readings.
    resource: Option<Json<'d>>,
    /// What says which type it is of.
    named: Option<Json<'d>>,
    of: Option<ResourceType>,
    like: Option<Json<'d>>,
    /// An object.
    pub search: Option<Json<'d>>,
    mode: Option<Json<'d>>,
    /// An object.
    pub request: Option<Json<'d>>,
    /// An object.
    pub response: Option<Json<'d>>,
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
            flaws = bundle.entry.iter().filter_map(|entry| entry.resource).map(Json::flaws).sum();
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
        let there = |value: Option<Json<'d>>| value.map(|value| value.moved(self.json, json));
        let (named, says) = (there(self.named), |named: Option<Json<'d>>| named.and_then(Json::as_str));
        Self {
            json,
            full_url: there(self.full_url),
            resource: there(self.resource),
            named,
            of: if says(named) == says(self.named) { self.of } else { says(named).and_then(ResourceType::known) },
            like: self.resource,
            search: there(self.search),
            mode: there(self.mode),
            request: there(self.request),
            response: there(self.response),
        }
    }

    fn of(json: Json<'d>) -> Option<Self> {
        if !json.is_object() {
            return None;
        }
        let mut entry = Self {
            json,
            full_url: None,
            resource: None,
            named: None,
            of: None,
            like: None,
            search: None,
            mode: None,
            request: None,
            response: None,
        };
        for (name, value) in json.members() {
            let (place, fits) = match name {
                "fullUrl" => (&mut entry.full_url, value.is_text()),
                "resource" => (&mut entry.resource, true),
                "search" => (&mut entry.search, value.is_object()),
                "request" => (&mut entry.request, value.is_object()),
                "response" => (&mut entry.response, value.is_object()),
                _ => continue,
            };
            if value.is_null() && value.flaws() == 0 {
                continue;
            }
            if !fits {
                return None;
            }
            *place = Some(value);
        }
        entry.mode = entry.search.and_then(|search| search.get("mode"));
        entry.named = entry.resource().and_then(ResourceType::member);
        entry.of = entry.named.and_then(|named| ResourceType::known(named.as_str()?));
        Some(entry)
    }

    /// Whether there is a resource.
    pub fn has_resource(&self) -> bool {
        self.resource.is_some()
    }

    /// The resource, if it has one reading. What has not, is not looked at: it may be anything.
    pub fn resource(&self) -> Option<Json<'d>> {
        self.resource.filter(|resource| resource.flaws() == 0)
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
        self.resource.map(Json::raw).unwrap_or_default()
    }

    /// `search.mode`.
    pub fn mode(&self) -> Option<&'d str> {
        self.mode.and_then(Json::as_str)
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
