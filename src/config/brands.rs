//! `[brands]`: the organisations behind this FHIR server, as apps show them to people (SMART App Launch 2.2 brands).

use bytes::Bytes;
use serde::Serialize;

/// A User-Access Brands bundle that keeps to its rules.
pub struct Brands {
    /// FHIR JSON, served to anybody as it stands in its file.
    pub bundle: Bytes,
    /// Its weak entity tag, quotation marks and all.
    pub tag: String,
    /// Tells the primary brand from others.
    pub identifier: Option<BrandIdentifier>,
    /// Whether one of its endpoints is this FHIR server.
    pub names_this_server: bool,
}

/// A FHIR Identifier, as smart-configuration has it.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct BrandIdentifier {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    pub value: String,
}
