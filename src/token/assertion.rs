//! Client assertions: `private_key_jwt` (SMART App Launch 2.2 client-confidential-asymmetric; RFC 7523 §3).

use std::sync::Arc;

use jsonwebtoken::Algorithm;

use super::Fetcher;
use super::fetch::{NoKey, Purpose, Wanted};
use super::jwks::{KeySet, Miss};
use super::jws::{Flaw, Jws};
use crate::ambient::{Ambient, UnixSeconds};
use crate::config::{Client, ClientAuth, KeySource};
use crate::store::SharedStore;

/// Algorithms of client assertions (SMART App Launch 2.2 client-confidential-asymmetric).
const ALGORITHMS: [Algorithm; 2] = [Algorithm::RS384, Algorithm::ES384];

/// How far ahead `exp` may be, in seconds.
const MAX_LIFETIME: i64 = 5 * 60;

/// How far the client's clock may be ahead, in seconds.
const CLOCK_SKEW: i64 = 10;

/// Longest `jti` and `client_id`, in bytes.
const MAX_ID: usize = 256;

/// Why an assertion does not authenticate a client.
#[derive(Debug, thiserror::Error)]
pub enum AssertionError {
    /// The assertion is wrong; the text is for the log.
    #[error("{0}")]
    Refused(&'static str),
    /// It cannot be checked at the moment.
    #[error("the assertion cannot be checked: {0}")]
    Unavailable(String),
}

impl From<Flaw> for AssertionError {
    fn from(flaw: Flaw) -> Self {
        Self::Refused(match flaw {
            Flaw::Malformed => "the assertion is no JWS, or a claim has the wrong type",
            Flaw::Algorithm => NOT_SUPPORTED,
            Flaw::Critical => "the assertion has critical extensions",
        })
    }
}

impl From<NoKey> for AssertionError {
    fn from(no_key: NoKey) -> Self {
        Self::Refused(match no_key {
            NoKey::Unavailable(why) => return Self::Unavailable(why),
            NoKey::Missing(Miss::Unknown) => "the client's keys have none with the assertion's `kid`",
            NoKey::Missing(Miss::Ambiguous) => "the client's keys have several with the assertion's `kid`",
            NoKey::Missing(Miss::Algorithm) => "the client's key is for another algorithm",
        })
    }
}

const NOT_SUPPORTED: &str = "the assertion is signed with another algorithm than RS384 and ES384";

/// Whether an assertion could be signed with one of the keys in this JWK set.
pub fn serves_assertions(set: &str) -> bool {
    KeySet::parse(set.as_bytes()).is_ok_and(|set| set.serves(&ALGORITHMS))
}

/// Checks client assertions; each `jti` counts once.
pub struct Assertions {
    pub fetcher: Arc<Fetcher>,
    pub store: SharedStore,
    pub ambient: Ambient,
}

impl Assertions {
    /// The `client_id` an assertion claims to come from; nothing of it is verified.
    pub fn claimed_client(assertion: &str) -> Option<String> {
        let jws = Jws::parse(assertion).ok()?;
        let client = jws.claims.text("sub").ok()??;
        (client.len() <= MAX_ID).then(|| client.to_owned())
    }

    /// Whether `assertion` authenticates `client` at one of `audiences` (the token endpoint's URL or the issuer).
    ///
    /// # Errors
    /// It does not, or that cannot be found out.
    pub async fn check(&self, assertion: &str, client: &Client, audiences: &[&str]) -> Result<(), AssertionError> {
        let ClientAuth::PrivateKeyJwt(keys) = &client.auth else {
            return Err(AssertionError::Refused("the client is not registered with keys"));
        };
        let jws = Jws::parse(assertion)?;
        let now = self.ambient.now();
        header(&jws, keys)?;
        let replay = claims(&jws, client, audiences, now)?;
        let wanted = Wanted { id: jws.key_id.as_deref(), algorithm: jws.algorithm };
        let key = self.fetcher.key(keys, Purpose::Assertions, wanted).await?;
        if !jws.is_signed_by(&key) {
            return Err(AssertionError::Refused("the assertion's signature is wrong"));
        }
        // Only now: an assertion that nobody signed must not use up an id.
        let first = self.store.first_use(&client.id, replay.id, now, replay.expires).await;
        match first.map_err(|error| AssertionError::Unavailable(error.to_string()))? {
            true => Ok(()),
            false => Err(AssertionError::Refused("the assertion was used before")),
        }
    }
}

fn header(jws: &Jws<'_>, keys: &KeySource) -> Result<(), AssertionError> {
    if !ALGORITHMS.contains(&jws.algorithm) {
        return Err(AssertionError::Refused(NOT_SUPPORTED));
    }
    if !matches!(jws.media_type.as_deref(), None | Some("jwt" | "client-authentication+jwt")) {
        return Err(AssertionError::Refused("the assertion is of another type"));
    }
    if jws.key_id.is_none() {
        return Err(AssertionError::Refused("the assertion names no key"));
    }
    match (&jws.key_url, keys) {
        (None, _) => Ok(()),
        (Some(named), KeySource::Url(registered) | KeySource::ClientUrl(registered)) if named == registered => Ok(()),
        _ => Err(AssertionError::Refused("the assertion's `jku` is not the registered URL")),
    }
}

/// What makes an assertion one of a kind.
struct Replay<'a> {
    id: &'a str,
    expires: UnixSeconds,
}

fn claims<'a>(
    jws: &'a Jws<'_>,
    client: &Client,
    audiences: &[&str],
    now: UnixSeconds,
) -> Result<Replay<'a>, AssertionError> {
    let claims = &jws.claims;
    for name in ["iss", "sub"] {
        if claims.text(name)? != Some(client.id.as_str()) {
            return Err(AssertionError::Refused("the assertion's `iss` and `sub` are not the client"));
        }
    }
    // One audience: what is made for this server must be of no use at another.
    if !matches!(claims.texts("aud")?.as_slice(), [audience] if audiences.contains(audience)) {
        return Err(AssertionError::Refused("the assertion's `aud` is not this server alone"));
    }
    let expires = claims.seconds("exp")?.ok_or(AssertionError::Refused("the assertion has no `exp`"))?;
    if expires <= now {
        return Err(AssertionError::Refused("the assertion has expired"));
    }
    if expires > now.saturating_add(MAX_LIFETIME + CLOCK_SKEW) {
        return Err(AssertionError::Refused("the assertion's `exp` is more than five minutes ahead"));
    }
    for name in ["iat", "nbf"] {
        if claims.seconds(name)?.is_some_and(|from| from > now.saturating_add(CLOCK_SKEW)) {
            return Err(AssertionError::Refused("the assertion is not valid yet"));
        }
    }
    let id = claims.text("jti")?.filter(|id| (1..=MAX_ID).contains(&id.len()));
    Ok(Replay { id: id.ok_or(AssertionError::Refused("the assertion has no `jti`, or one too long"))?, expires })
}

#[cfg(test)]
#[path = "assertion_tests.rs"]
mod tests;
