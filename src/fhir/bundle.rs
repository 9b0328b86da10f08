//! Bundles as raw slices: entries are looked at, kept or dropped whole, and what stays is copied byte for byte.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A Bundle whose resources are still bytes.
#[derive(Deserialize, Debug)]
pub struct RawBundle<'a> {
    #[serde(rename = "resourceType", borrow)]
    pub resource_type: Cow<'a, str>,
    #[serde(rename = "type", borrow, default)]
    pub kind: Cow<'a, str>,
    #[serde(default)]
    pub total: Option<u64>,
    #[serde(borrow, default)]
    pub link: Vec<RawLink<'a>>,
    #[serde(borrow, default)]
    pub entry: Vec<RawEntry<'a>>,
}

/// `Bundle.link`.
#[derive(Deserialize, Debug)]
pub struct RawLink<'a> {
    #[serde(borrow)]
    pub relation: Cow<'a, str>,
    #[serde(borrow)]
    pub url: Cow<'a, str>,
}

/// `Bundle.entry`.
#[derive(Deserialize, Debug)]
pub struct RawEntry<'a> {
    #[serde(rename = "fullUrl", borrow, default)]
    pub full_url: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub resource: Option<&'a RawValue>,
    #[serde(default)]
    pub search: Option<EntrySearch>,
    #[serde(borrow, default)]
    pub request: Option<EntryRequest<'a>>,
    #[serde(borrow, default)]
    pub response: Option<&'a RawValue>,
}

/// `Bundle.entry.request` of a history.
#[derive(Deserialize, Serialize, Debug, Clone)]
pub struct EntryRequest<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Cow<'a, str>>,
}

/// `Bundle.entry.response` without its outcome, which is a resource that nobody has verified.
#[derive(Deserialize, Serialize, Debug, Clone)]
pub struct EntryResponse<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<Cow<'a, str>>,
    #[serde(rename = "lastModified", borrow, default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<Cow<'a, str>>,
}

/// `Bundle.entry.search`; a score is the upstream's and is not kept.
#[derive(Deserialize, Serialize, Debug, Clone)]
pub struct EntrySearch {
    #[serde(default)]
    pub mode: Option<String>,
}

impl<'a> RawBundle<'a> {
    /// Reads a Bundle; a key that is read twice, truncation and trailing bytes are errors.
    ///
    /// # Errors
    /// Not a Bundle in JSON.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, serde_json::Error> {
        // Looked at once for all, not string by string.
        let text = std::str::from_utf8(bytes).map_err(serde::de::Error::custom)?;
        let bundle: Self = serde_json::from_str(text)?;
        if bundle.resource_type != "Bundle" {
            return Err(serde::de::Error::custom("not a Bundle"));
        }
        Ok(bundle)
    }
}

/// A Bundle in the making; its entries are [`NewEntry`] or printed already.
#[derive(Serialize, Debug)]
pub struct NewBundle<'a, E = NewEntry<'a>> {
    #[serde(rename = "resourceType")]
    pub resource_type: &'static str,
    #[serde(rename = "type")]
    pub kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub link: Vec<NewLink>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entry: Vec<E>,
}

/// A link of a Bundle in the making.
#[derive(Serialize, Debug, PartialEq, Eq)]
pub struct NewLink {
    pub relation: String,
    pub url: String,
}

/// An entry of a Bundle in the making.
#[derive(Serialize, Debug, Default)]
pub struct NewEntry<'a> {
    #[serde(rename = "fullUrl", skip_serializing_if = "Option::is_none")]
    pub full_url: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<EntrySearch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<EntryRequest<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<&'a RawValue>,
}

impl<'a, E> NewBundle<'a, E> {
    /// An empty Bundle of this type.
    pub fn new(kind: &'a str) -> Self {
        Self { resource_type: "Bundle", kind, total: None, link: Vec::new(), entry: Vec::new() }
    }
}
