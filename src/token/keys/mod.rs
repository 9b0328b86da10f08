//! The gate's own keys: made on first start, kept in the store, published, rotated with overlap.
//!
//! What is in memory is replaced as a whole; nothing on the way of a request waits for it.

mod seal;
pub(super) mod signing;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::json;

use super::jwks::KeySet;
use super::{AccessToken, IdToken};
use crate::ambient::{Ambient, UnixSeconds};
use crate::config::{SigningAlgorithm, Tokens};
use crate::store::{KeyPurpose, Store, StoreError, StoredKey};
use seal::SealKey;
use signing::SigningKey;

/// At least this long a retired signing key is published; clocks differ a little.
const KEPT: Duration = Duration::from_secs(3600 + 60);

/// So long a retired key opens seals: those of a bulk export are good for seven days.
const SEALS_KEPT: Duration = Duration::from_secs(7 * 24 * 3600 + 60);

/// A key could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("key trouble: {0}")]
    Key(String),
}

/// From when to when a key is used for anything new.
#[derive(Clone, Copy)]
struct Life {
    active_from: UnixSeconds,
    retired: Option<UnixSeconds>,
}

impl Life {
    fn of(stored: &StoredKey) -> Self {
        Self { active_from: stored.active_from, retired: stored.retired }
    }
}

/// The newest key in use at `now`. Where no key is in use yet, which is so when the clock of the replica that made the first
/// one is ahead, the one that is next.
fn newest<'a, K>(keys: impl Iterator<Item = &'a K>, life: impl Fn(&K) -> Life, now: UnixSeconds) -> Option<&'a K> {
    keys.filter(|key| life(key).retired.is_none_or(|retired| now < retired)).max_by_key(|key| {
        let from = life(key).active_from;
        if from <= now { (true, from) } else { (false, from.saturating_neg()) }
    })
}

/// What may be told of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyFacts {
    pub id: String,
    pub purpose: KeyPurpose,
    /// JWS name for signing keys, `A256GCM` for seal keys.
    pub algorithm: String,
    /// Used from here on.
    pub active_from: UnixSeconds,
    /// Not used for anything new from here on.
    pub retired: Option<UnixSeconds>,
}

impl KeyFacts {
    fn of(stored: &StoredKey) -> Self {
        Self {
            id: stored.id.clone(),
            purpose: stored.purpose,
            algorithm: stored.algorithm.clone(),
            active_from: stored.active_from,
            retired: stored.retired,
        }
    }
}

/// The keys as they were when they were read.
struct Ring {
    /// Those that are not retired.
    signing: Vec<SigningKey>,
    seals: Vec<SealKey>,
    published: Arc<str>,
    verifying: Arc<KeySet>,
    /// What tells this ring from another.
    facts: Vec<KeyFacts>,
}

/// The gate's keys in memory; [`GateKeys::refresh`] brings them in step with the store.
pub struct GateKeys {
    ring: ArcSwap<Ring>,
    generation: AtomicU64,
    ambient: Ambient,
}

impl GateKeys {
    /// Reads the keys, and makes those that are missing for `tokens`.
    ///
    /// # Errors
    /// The store does not answer, or a key in it cannot be used.
    pub async fn open(store: &dyn Store, ambient: &Ambient, tokens: &Tokens) -> Result<Self, KeyError> {
        let ring = Ring::of(&stored(store, ambient, tokens).await?, ambient.now())?;
        Ok(Self { ring: ArcSwap::from_pointee(ring), generation: AtomicU64::new(0), ambient: ambient.clone() })
    }

    /// Reads the keys again, makes those that `tokens` asks for and are missing, and forgets those that are past use.
    /// Returns whether anything changed.
    ///
    /// # Errors
    /// As [`GateKeys::open`]; what was in memory stays.
    pub async fn refresh(&self, store: &dyn Store, ambient: &Ambient, tokens: &Tokens) -> Result<bool, KeyError> {
        let keys = stored(store, ambient, tokens).await?;
        if keys.iter().map(KeyFacts::of).eq(self.ring.load().facts.iter().cloned()) {
            return Ok(false);
        }
        self.ring.store(Arc::new(Ring::of(&keys, ambient.now())?));
        self.generation.fetch_add(1, Ordering::Release);
        Ok(true)
    }

    /// Makes new signing and seal keys; they are published at once and used after `tokens.key_overlap`.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn rotate(store: &dyn Store, ambient: &Ambient, tokens: &Tokens) -> Result<(), KeyError> {
        for purpose in PURPOSES {
            store.rotate_key(&make(purpose, ambient, tokens, tokens.key_overlap).await?).await?;
        }
        Ok(())
    }

    /// Makes new keys that are used at once, and ends all that came of the old ones ([`Store::replace_keys`]): no token, seal, code
    /// or login that somebody else made with an old key is taken, nor one that the store had forgotten to be revoked.
    ///
    /// # Errors
    /// The store does not answer; the old keys stay.
    pub async fn replace(store: &dyn Store, ambient: &Ambient, tokens: &Tokens) -> Result<(), KeyError> {
        let mut keys = Vec::new();
        for purpose in PURPOSES {
            keys.push(make(purpose, ambient, tokens, Duration::ZERO).await?);
        }
        Ok(store.replace_keys(&keys).await?)
    }

    /// Every key that is not past use.
    pub fn facts(&self) -> Vec<KeyFacts> {
        self.ring.load().facts.clone()
    }

    /// The published JWK set (RFC 7517 §5) of every key that is not past use.
    pub fn jwks(&self) -> Arc<str> {
        self.ring.load().published.clone()
    }

    /// Signs an access token (RFC 9068: `typ` is `at+jwt`).
    ///
    /// # Errors
    /// There is no key in use at `now`.
    pub fn sign_access(&self, token: &AccessToken<'_>, now: UnixSeconds) -> Result<String, KeyError> {
        self.ring.load().signing(KeyPurpose::Access, now)?.sign("at+jwt", token)
    }

    /// Signs an id_token, always RS256.
    ///
    /// # Errors
    /// There is no key in use at `now`.
    pub fn sign_identity(&self, token: &IdToken<'_>, now: UnixSeconds) -> Result<String, KeyError> {
        self.ring.load().signing(KeyPurpose::Identity, now)?.sign("JWT", token)
    }

    /// Encrypts and authenticates `plain` together with `binding` (AES-256-GCM); base64url, padded in steps.
    ///
    /// # Errors
    /// There is no seal key.
    pub fn seal(&self, plain: &[u8], binding: &[u8]) -> Result<String, KeyError> {
        let ring = self.ring.load();
        let key = newest(ring.seals.iter(), |key| key.life, self.ambient.now())
            .ok_or_else(|| KeyError::Key("there is no seal key in use".to_owned()))?;
        key.seal(plain, binding, &*self.ambient.entropy)
    }

    /// Opens a seal made with the same `binding`.
    pub fn open_seal(&self, seal: &str, binding: &[u8]) -> Option<Vec<u8>> {
        seal::open(&self.ring.load().seals, seal, binding)
    }

    /// The refresh token that follows `token`: whoever holds the token and not the gate's keys cannot know it, and the gate knows
    /// it again without keeping it.
    ///
    /// # Errors
    /// There is no seal key.
    pub fn successor(&self, token: &str) -> Result<String, KeyError> {
        let ring = self.ring.load();
        newest(ring.seals.iter(), |key| key.life, self.ambient.now())
            .map(|key| key.successor(token))
            .ok_or_else(|| KeyError::Key("there is no seal key in use".to_owned()))
    }

    /// Every successor that `token` may have been given: the key may have changed since.
    pub fn successors(&self, token: &str) -> Vec<String> {
        self.ring.load().seals.iter().map(|key| key.successor(token)).collect()
    }

    /// Keys that are in no store.
    #[cfg(any(test, feature = "fuzzing", feature = "bench"))]
    pub(crate) fn of(keys: &[StoredKey], ambient: &Ambient) -> Result<Self, KeyError> {
        let ring = ArcSwap::from_pointee(Ring::of(keys, ambient.now())?);
        Ok(Self { ring, generation: AtomicU64::new(0), ambient: ambient.clone() })
    }

    /// The public keys that access tokens are verified with.
    pub(super) fn verifying(&self) -> Arc<KeySet> {
        self.ring.load().verifying.clone()
    }

    /// Grows when a key came or went.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}

impl Ring {
    fn of(keys: &[StoredKey], now: UnixSeconds) -> Result<Self, KeyError> {
        let (seals, signing): (Vec<_>, Vec<_>) = keys.iter().partition(|key| key.purpose == KeyPurpose::Seal);
        let mut signing = signing.into_iter().map(SigningKey::read).collect::<Result<Vec<_>, _>>()?;
        let set = |of: &dyn Fn(&SigningKey) -> bool| {
            let keys: Vec<_> = signing.iter().filter(|key| of(key)).map(|key| &key.jwk).collect();
            json!({ "keys": keys }).to_string()
        };
        let (published, access) = (set(&|_| true).into(), set(&|key| key.purpose == KeyPurpose::Access));
        // What is retired is verified with, which takes its public half only.
        signing.retain(|key| key.life.retired.is_none_or(|retired| now < retired));
        Ok(Self {
            published,
            verifying: Arc::new(KeySet::parse(access.as_bytes()).map_err(|error| KeyError::Key(error.to_string()))?),
            seals: seals.into_iter().map(SealKey::read).collect::<Result<_, _>>()?,
            facts: keys.iter().map(KeyFacts::of).collect(),
            signing,
        })
    }

    fn signing(&self, purpose: KeyPurpose, now: UnixSeconds) -> Result<&SigningKey, KeyError> {
        newest(self.signing.iter().filter(|key| key.purpose == purpose), |key| key.life, now)
            .ok_or_else(|| KeyError::Key("there is no signing key in use".to_owned()))
    }
}

const PURPOSES: [KeyPurpose; 3] = [KeyPurpose::Access, KeyPurpose::Identity, KeyPurpose::Seal];

/// The keys in the store that are not past use, with those that `tokens` asks for and were missing.
async fn stored(store: &dyn Store, ambient: &Ambient, tokens: &Tokens) -> Result<Vec<StoredKey>, KeyError> {
    let past_use = |kept| ambient.now().saturating_sub(seconds(kept));
    let longest = PURPOSES.map(|purpose| kept(purpose, tokens)).into_iter().max().unwrap_or(SEALS_KEPT);
    let oldest = ambient.forgettable().saturating_sub(seconds(longest));
    let mut keys = store.keys().await?;
    if keys.iter().any(|key| key.retired.is_some_and(|retired| retired < oldest)) {
        store.forget_keys(oldest).await?;
    }
    if complete(store, &keys, ambient, tokens).await? {
        keys = store.keys().await?;
    }
    keys.retain(|key| key.retired.is_none_or(|retired| past_use(kept(key.purpose, tokens)) <= retired));
    Ok(keys)
}

/// Makes the keys that `tokens` asks for and are not among `keys`; returns whether there were any.
async fn complete(store: &dyn Store, keys: &[StoredKey], ambient: &Ambient, tokens: &Tokens) -> Result<bool, KeyError> {
    let now = ambient.now();
    let mut made = false;
    for purpose in PURPOSES {
        let mut of_purpose = keys.iter().filter(|key| key.purpose == purpose);
        if of_purpose.clone().all(|key| key.retired.is_some()) {
            store.add_first_key(&make(purpose, ambient, tokens, Duration::ZERO).await?).await?;
            made = true;
        } else if !of_purpose
            .any(|key| key.algorithm == algorithm(purpose, tokens) && key.retired.is_none_or(|retired| now < retired))
        {
            store.rotate_key(&make(purpose, ambient, tokens, tokens.key_overlap).await?).await?;
            made = true;
        }
    }
    Ok(made)
}

async fn make(
    purpose: KeyPurpose,
    ambient: &Ambient,
    tokens: &Tokens,
    overlap: Duration,
) -> Result<StoredKey, KeyError> {
    let secret = match signing_algorithm(purpose, tokens) {
        None => {
            let mut secret = vec![0; seal::KEY_BYTES];
            ambient.entropy.fill(&mut secret);
            secret
        }
        // An RSA key takes a good part of a second.
        Some(algorithm) => tokio::task::spawn_blocking(move || signing::generate(algorithm))
            .await
            .map_err(|error| KeyError::Key(error.to_string()))??,
    };
    let now = ambient.now();
    Ok(StoredKey {
        id: ambient.id(),
        purpose,
        algorithm: algorithm(purpose, tokens).to_owned(),
        secret,
        created: now,
        active_from: now.saturating_add(seconds(overlap)),
        retired: None,
    })
}

fn signing_algorithm(purpose: KeyPurpose, tokens: &Tokens) -> Option<SigningAlgorithm> {
    match purpose {
        KeyPurpose::Access => Some(tokens.algorithm),
        KeyPurpose::Identity => Some(SigningAlgorithm::Rs256),
        KeyPurpose::Seal => None,
    }
}

fn algorithm(purpose: KeyPurpose, tokens: &Tokens) -> &'static str {
    signing_algorithm(purpose, tokens).map_or(seal::ALGORITHM, signing::name)
}

/// How long a key is used after its retirement: until the last token that it signed is gone, and the last seal.
fn kept(purpose: KeyPurpose, tokens: &Tokens) -> Duration {
    if purpose == KeyPurpose::Seal {
        return SEALS_KEPT;
    }
    KEPT.max(tokens.access_lifetime.max(tokens.backend_lifetime).saturating_add(Duration::from_secs(60)))
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
