//! Who may see more than metrics and health: whoever has `[admin] token`, as a bearer token or, in a browser, as the password of
//! HTTP Basic with any user name.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use parking_lot::Mutex;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::address::ClientAddress;

/// Wrong tokens in a row from one address before there is a pause.
const FREE_FAILURES: u32 = 10;

/// How long the pause is; each wrong token after it makes another.
const PAUSE: Duration = Duration::from_secs(60);

/// Addresses remembered.
const MAX_ADDRESSES: usize = 1000;

/// What becomes of somebody who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Admission {
    Granted,
    /// No token was shown.
    Asked,
    Wrong,
    /// Too many wrong ones: how long to wait.
    Paused(Duration),
}

/// Wrong tokens, by the address that they came from, as wide as one owner may have it.
#[derive(Default)]
pub(super) struct Access {
    failures: Mutex<HashMap<Option<IpAddr>, Failures>>,
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    /// By the steady clock.
    last: Duration,
}

impl Access {
    /// Looks at the `Authorization` header of a request from `address`.
    pub(super) fn admit(
        &self,
        authorization: Option<&HeaderValue>,
        token: &SecretString,
        address: Option<IpAddr>,
        now: Duration,
    ) -> Admission {
        let Some(shown) = authorization.and_then(shown) else {
            return Admission::Asked;
        };
        let address = address.map(|address| ClientAddress::new(address).block());
        let mut failures = self.failures.lock();
        if let Some(failed) = failures.get(&address)
            && failed.count >= FREE_FAILURES
            && now < failed.last + PAUSE
        {
            return Admission::Paused(failed.last + PAUSE - now);
        }
        let digest = |text: &[u8]| Sha256::digest(text);
        if verify_slices_are_equal(&digest(&shown), &digest(token.expose_secret().as_bytes())).is_ok() {
            failures.remove(&address);
            return Admission::Granted;
        }
        if failures.len() >= MAX_ADDRESSES && !failures.contains_key(&address) {
            failures.retain(|_, failed| now < failed.last + PAUSE);
            if failures.len() >= MAX_ADDRESSES {
                failures.clear();
            }
        }
        let failed = failures.entry(address).or_insert(Failures { count: 0, last: now });
        *failed = Failures { count: failed.count.saturating_add(1), last: now };
        Admission::Wrong
    }
}

/// The token of a header: what follows `Bearer`, or the password of `Basic` (RFC 7617 §2).
fn shown(header: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, rest) = header.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().as_bytes().to_vec());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(rest.trim()).ok()?;
    let colon = memchr::memchr(b':', &decoded)?;
    decoded.get(colon + 1..).map(<[u8]>::to_vec)
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
