//! Page links as seals: where the upstream goes on, and which search that belongs to, for nobody else to open or to change
//! (enforcement.md §7).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ambient::UnixSeconds;
use crate::config::{Addresses, Snapshot, below};
use crate::decide::Grant;
use crate::fhir::AddressKey;
use crate::fhir::interaction::PagePosition;
use crate::token::GateKeys;

/// Name of the parameter that carries a seal.
pub const PAGE_PARAMETER: &str = "_page";

/// How long a page link can be followed, in seconds.
const LIFETIME: i64 = 3600;

/// Digits of the longest number that a seal is padded for.
const DIGITS: usize = 20;

/// Longest request that a seal has twice the room for: beyond it the links would grow too long for some clients.
const LONG: usize = 1024;

/// Step in which the room for an upstream's link grows.
const LINK: usize = 512;

/// What a seal holds.
#[derive(Serialize, Deserialize, PartialEq, Eq, Debug)]
pub struct Page {
    /// The original request target below the FHIR base: it is decided again for the token that presents the seal.
    #[serde(rename = "o")]
    pub original: String,
    /// The upstream's link below its base.
    #[serde(rename = "n")]
    next: String,
    #[serde(rename = "s")]
    skip: usize,
    /// 0 where it is not settled.
    #[serde(rename = "c")]
    size: usize,
    #[serde(rename = "d")]
    doubtful: u8,
    /// The number of the address that made that page, eight digits.
    #[serde(rename = "a", default)]
    at: String,
    #[serde(rename = "e")]
    expires: UnixSeconds,
    /// Fills up, so that nothing shows by its length: how far the upstream had to be read tells what it holds of others.
    #[serde(rename = "p")]
    padding: String,
}

/// What fills the upstream's link and the numbers beside it up to a length that follows from the client's own request. Numbers are
/// taken as long as they can be; the link has room for the request with its characters encoded, and for the upstream's own.
fn padding(original: &str, link: &str) -> usize {
    let numbers = link.split(|c: char| !c.is_ascii_digit()).filter(|number| !number.is_empty());
    let digits: usize = numbers.map(|number| DIGITS.saturating_sub(number.len())).sum();
    let room = 2 * original.len().min(LONG) + LINK;
    room.max(link.len() + digits).next_multiple_of(LINK) - link.len()
}

impl Page {
    /// The original target, and where its result goes on.
    pub fn into_parts(self) -> (String, PagePosition) {
        let Self { original, next, skip, size, doubtful, at, .. } = self;
        let size = (size > 0).then_some(size);
        let at = u32::from_str_radix(&at, 16).ok().and_then(AddressKey::numbered);
        (original, PagePosition { target: next, skip, size, doubtful: doubtful != 0, at })
    }
}

/// What a seal is bound to: not the token, which may be renewed, but whose it is and what it reaches.
fn binding(grant: &Grant) -> Vec<u8> {
    let claims = &grant.claims;
    let parts = [
        Some(&*claims.issuer),
        claims.client.as_deref(),
        Some(&claims.subject),
        claims.patient.as_deref(),
        claims.fhir_user.as_deref(),
    ];
    let mut bytes = Vec::new();
    for part in parts {
        let part = part.unwrap_or_default();
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

/// Makes and opens page links.
pub struct Pages {
    keys: Arc<GateKeys>,
    addresses: Arc<Addresses>,
    public_base: String,
    binding: Vec<u8>,
    at: Option<AddressKey>,
    now: UnixSeconds,
}

impl Pages {
    /// Page links of `grant` under `snapshot`, at the moment `now`.
    pub fn new(keys: Arc<GateKeys>, snapshot: &Snapshot, grant: &Grant, now: UnixSeconds) -> Self {
        let fhir = &snapshot.fhir;
        Self {
            keys,
            addresses: fhir.upstream.addresses.clone(),
            public_base: fhir.public_base.clone(),
            binding: binding(grant),
            at: None,
            now,
        }
    }

    /// Links go on at this address.
    #[must_use]
    pub(super) fn at(self, at: Option<AddressKey>) -> Self {
        Self { at, ..self }
    }

    /// The public URL behind which `link` of the upstream is, or none for a link that leads elsewhere.
    pub fn seal(&self, original: &str, link: &str) -> Option<String> {
        let target = self.below_base(link)?;
        self.seal_position(original, PagePosition { target, ..PagePosition::default() })
    }

    /// Where `link` leads below the upstream's base; none for a link that leads elsewhere.
    pub fn below_base(&self, link: &str) -> Option<String> {
        // Where one base lies within the other, the inner one is meant.
        let upstream = self.addresses.below(link);
        let public = below(link, &self.public_base);
        let below = upstream.into_iter().chain(public).min_by_key(|rest| rest.len());
        below.filter(|rest| !rest.starts_with('#')).map(str::to_owned)
    }

    /// The public URL of the page that begins at `position`.
    pub fn seal_position(&self, original: &str, position: PagePosition) -> Option<String> {
        let PagePosition { target, skip, size, doubtful, at: _ } = position;
        let size = size.unwrap_or(0);
        let padding = " ".repeat(padding(original, &format!("{target} {skip} {size}")));
        let expires = self.now + LIFETIME;
        let (original_target, doubtful) = (original.to_owned(), u8::from(doubtful));
        let at = format!("{:08x}", AddressKey::number(self.at));
        let page = Page { original: original_target, next: target, skip, size, doubtful, at, expires, padding };
        let plain = serde_json::to_vec(&page).ok()?;
        let seal = self.keys.seal(&plain, &self.binding).ok()?;
        let path = original.split('?').next().unwrap_or_default();
        Some(format!("{}{path}?{PAGE_PARAMETER}={seal}", self.public_base))
    }

    /// What `seal` holds, if it was made for this grant and is not expired.
    pub fn open(&self, seal: &str) -> Option<Page> {
        let plain = self.keys.open_seal(seal, &self.binding)?;
        let page: Page = serde_json::from_slice(&plain).ok()?;
        (page.expires > self.now).then_some(page)
    }
}
