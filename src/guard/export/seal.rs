//! Where an export and its files are, sealed for whoever kicked it off (enforcement.md §6).
//!
//! Bound to issuer and client, so that the next token of the service opens it and nobody else's does; no state is kept, so any
//! replica opens it.

use serde::{Deserialize, Serialize};
use url::Url;

use super::super::bundle::unreadable;
use super::super::{Exchange, Guard};
use crate::ambient::UnixSeconds;
use crate::decide::{EXPORT_PARAMETER_NAME, Grant, Refusal};
use crate::fhir::AddressKey;

/// How long an export can be watched and fetched, in seconds.
const LIFETIME: UnixSeconds = 7 * 24 * 3600;

/// A page's seal is none of an export's.
const PURPOSE: &[u8] = b"export";

/// Where a part of an export is: below the FHIR server's base, or at one of the listed hosts.
#[derive(Serialize, Deserialize, PartialEq, Eq, Debug)]
pub(super) struct Place {
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub(super) origin: Option<String>,
    #[serde(rename = "t")]
    pub(super) target: String,
    /// The number of the FHIR server's address that has it.
    #[serde(rename = "a", default)]
    at: u32,
}

impl Place {
    /// Reads a link of the FHIR server's; none where it leads to a host that is not listed.
    pub(super) fn of(exchange: &Exchange<'_>, link: &str) -> Option<Self> {
        let fhir = &exchange.snapshot.fhir;
        let address = exchange.waited.address();
        let at = AddressKey::number(address);
        let addresses = &fhir.upstream.addresses;
        let own = addresses.iter().find(|own| Some(own.key) == address).unwrap_or(&addresses.first);
        let base = Url::parse(&format!("{}/", own.base)).ok()?;
        let mut url = base.join(link).ok()?;
        if !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        url.set_fragment(None);
        let text = url.as_str();
        let below = |base: &str| text.strip_prefix(base).filter(|rest| rest.starts_with(['/', '?'])).map(str::to_owned);
        if let Some(target) = fhir.bases().into_iter().find_map(below) {
            return Some(Self { origin: None, target, at });
        }
        let mut hosts = fhir.bulk_hosts.iter().map(|host| &host.addresses.first.base);
        hosts.find_map(|host| Some(Self { origin: Some(host.clone()), target: below(host)?, at: 0 }))
    }

    /// The FHIR server's address that has it.
    pub(super) fn at(&self) -> Option<AddressKey> {
        AddressKey::numbered(self.at)
    }
}

/// What a seal holds.
#[derive(Serialize, Deserialize, PartialEq, Eq, Debug)]
pub(super) enum Part {
    #[serde(rename = "s")]
    Status {
        #[serde(rename = "p")]
        at: Place,
        /// The kick-off request below the base, for the manifest.
        #[serde(rename = "o")]
        original: String,
        #[serde(rename = "e")]
        expires: UnixSeconds,
    },
    #[serde(rename = "f")]
    File {
        #[serde(rename = "p")]
        at: Place,
        /// What its lines are.
        #[serde(rename = "w")]
        holds: String,
        #[serde(rename = "e")]
        expires: UnixSeconds,
    },
}

/// Makes and opens the seals of one client.
pub(super) struct Seals<'g> {
    guard: &'g Guard,
    public_base: &'g str,
    binding: Vec<u8>,
}

impl<'g> Seals<'g> {
    pub(super) fn of(guard: &'g Guard, exchange: &'g Exchange<'_>) -> Self {
        Self { guard, public_base: &exchange.snapshot.fhir.public_base, binding: binding(exchange.grant) }
    }

    /// When what is sealed now can no longer be opened.
    pub(super) fn expiry(&self) -> UnixSeconds {
        self.guard.ambient.now().saturating_add(LIFETIME)
    }

    /// The public URL of a part.
    pub(super) fn url(&self, part: &Part) -> Result<String, Refusal> {
        let operation = match part {
            Part::Status { .. } => "export-status",
            Part::File { .. } => "export-file",
        };
        let plain = serde_json::to_vec(part).map_err(|error| unreadable(&error.to_string()))?;
        let seal = self.guard.keys.seal(&plain, &self.binding).map_err(|error| unreadable(&error.to_string()))?;
        Ok(format!("{}/${operation}?{EXPORT_PARAMETER_NAME}={seal}", self.public_base))
    }

    /// What `seal` holds, if it was made for this client and is not expired.
    pub(super) fn open(&self, seal: &str) -> Option<Part> {
        let plain = self.guard.keys.open_seal(seal, &self.binding)?;
        let part: Part = serde_json::from_slice(&plain).ok()?;
        let (Part::Status { expires, .. } | Part::File { expires, .. }) = &part;
        (*expires > self.guard.ambient.now()).then_some(part)
    }
}

/// Issuer and client; a token that names no client is bound to its subject.
fn binding(grant: &Grant) -> Vec<u8> {
    let claims = &grant.claims;
    let subject = if claims.client.is_none() { claims.subject.as_str() } else { "" };
    let parts = [&*claims.issuer, claims.client.as_deref().unwrap_or_default(), subject];
    let mut bytes = PURPOSE.to_vec();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}
