//! JWS in compact serialisation (RFC 7515 §3.1), read strictly and once: what is checked is what is used.
//!
//! The algorithm in the header only chooses among those of the key that was registered; keys and key URLs in the header are
//! not looked at.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::jwks::Key;
use crate::fhir::json::Document;

/// Longest token that is looked at, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// Deepest nesting in a header or in claims.
const MAX_DEPTH: usize = 16;

/// What is wrong with a token before its signature is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flaw {
    /// It is no JWS, too long, or could be read in two ways.
    Malformed,
    /// `alg` names no signature algorithm that the gate knows; `none` is one of those.
    Algorithm,
    /// It has extensions that must be understood (RFC 7515 §4.1.11); the gate understands none.
    Critical,
}

/// The members of a JSON object, read by name and type; `null` is the same as absent. A name that begins with `/` is a JSON
/// Pointer (RFC 6901).
pub(super) struct Members(Map<String, Value>);

impl Members {
    fn decode(part: &str) -> Result<Self, Flaw> {
        Self::read(&URL_SAFE_NO_PAD.decode(part).map_err(|_| Flaw::Malformed)?)
    }

    /// An object that can be read in one way only.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Flaw> {
        Document::parse(bytes, MAX_DEPTH).map_err(|_| Flaw::Malformed)?;
        serde_json::from_slice(bytes).map(Self).map_err(|_| Flaw::Malformed)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        let value = match name.strip_prefix('/') {
            None => self.0.get(name),
            Some(path) => {
                let (first, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
                self.0.get(&first.replace("~1", "/").replace("~0", "~")).and_then(|value| value.pointer(rest))
            }
        };
        value.filter(|value| !value.is_null())
    }

    /// Whether the member is there, whatever its value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Flaw> {
        self.get(name).map(|value| value.as_str().ok_or(Flaw::Malformed)).transpose()
    }

    /// A `NumericDate` (RFC 7519 §2) in whole seconds.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<i64>, Flaw> {
        self.get(name).map(|value| value.as_i64().ok_or(Flaw::Malformed)).transpose()
    }

    /// One string, or an array of strings (RFC 7519 §4.1.3); none when the member is absent.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<&str>, Flaw> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text]),
            Some(Value::Array(elements)) => {
                elements.iter().map(|element| element.as_str().ok_or(Flaw::Malformed)).collect()
            }
            Some(_) => Err(Flaw::Malformed),
        }
    }
}

/// A token whose signature is not verified yet.
pub(super) struct Jws<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
    /// Lower case, without `application/`; media types know no case (RFC 7515 §4.1.9).
    pub(super) media_type: Option<String>,
    pub(super) key_url: Option<String>,
    pub(super) claims: Members,
    signed: &'a str,
    signature: &'a str,
}

impl<'a> Jws<'a> {
    pub(super) fn parse(token: &'a str) -> Result<Self, Flaw> {
        if token.len() > MAX_BYTES {
            return Err(Flaw::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Flaw::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Flaw::Malformed)?;
        let header = Members::decode(header)?;
        if header.has("crit") {
            return Err(Flaw::Critical);
        }
        let algorithm = header.text("alg")?.ok_or(Flaw::Malformed)?;
        let media_type = header.text("typ")?.map(str::to_ascii_lowercase);
        Ok(Self {
            algorithm: algorithm.parse().map_err(|_| Flaw::Algorithm)?,
            key_id: header.text("kid")?.map(str::to_owned),
            media_type: media_type.map(|typ| typ.strip_prefix("application/").unwrap_or(&typ).to_owned()),
            key_url: header.text("jku")?.map(str::to_owned),
            claims: Members::decode(payload)?,
            signed,
            signature,
        })
    }

    /// Whether `token` has the form of a JWS, right or wrong inside: three parts, the first of which is a JSON object.
    pub(super) fn has_form(token: &str) -> bool {
        let header = token.split('.').next().and_then(|header| URL_SAFE_NO_PAD.decode(header).ok());
        let object = header.and_then(|header| serde_json::from_slice::<Map<String, Value>>(&header).ok());
        token.split('.').count() == 3 && object.is_some()
    }

    /// Whether `key` made the signature.
    pub(super) fn is_signed_by(&self, key: &Key) -> bool {
        key.verifies(self.algorithm, self.signed, self.signature)
    }
}

#[cfg(test)]
#[path = "jws_tests.rs"]
mod tests;
