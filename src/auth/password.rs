//! Passwords of local users: argon2id, a bounded number at a time, the same cost and the same answer for every failure.

use argon2::password_hash::PasswordHasher as _;
use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use super::HashError;
use super::hashing::{Hashing, Memory};
use super::throttle::digest;
use crate::ambient::{Ambient, UnixSeconds};
use crate::config::Snapshot;
use crate::store::{Attempt, SharedStore, StoreError, Tried};

/// Memory in KiB, passes and lanes as the OWASP Password Storage Cheat Sheet recommends for argon2id.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Bytes of salt.
const SALT: usize = 16;

/// The longest pause after failures under one name, in seconds.
const LONGEST_PAUSE: UnixSeconds = 15 * 60;

/// Logins whose password is looked at or waits for that; more are told to come back.
const AT_ONCE: usize = 36;

/// What is hashed against for a user who does not exist where there is no user at all.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdC4uLg$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What came of a username and a password.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Right,
    /// Wrong password, no such user, or a disabled one; which of them is nobody's business.
    Wrong,
    /// Too many failures under this name; the password was not looked at.
    Throttled,
    /// Too many logins at once.
    Busy,
}

/// Checks passwords without letting them take every core or all memory.
pub(super) struct Passwords {
    places: Semaphore,
    hashing: Hashing,
    store: SharedStore,
}

impl Passwords {
    pub(super) fn new(store: SharedStore) -> Self {
        Self { places: Semaphore::new(AT_ONCE), hashing: Hashing::new(), store }
    }

    /// Whether `password` is that of the enabled user `username`. It counts as wrong until it has turned out right: of many at once
    /// not more are looked at than may be wrong, whichever replicas they come to.
    ///
    /// # Errors
    /// The store cannot count; the password was not looked at.
    pub(super) async fn check(
        &self,
        snapshot: &Snapshot,
        username: &str,
        password: &str,
        now: UnixSeconds,
    ) -> Result<Verdict, StoreError> {
        let Ok(_place) = self.places.try_acquire() else {
            return Ok(Verdict::Busy);
        };
        let name = digest("user", username);
        let user = snapshot.users.get(username);
        let tried = if user.is_some() { Tried::User } else { Tried::NoUser };
        if self.store.attempt(tried, &name, now, LONGEST_PAUSE).await? != Attempt::Counted {
            return Ok(Verdict::Throttled);
        }
        // Another user's hash costs the same to compute as this one's would, if there were one.
        let stand_in = || snapshot.users.values().next().map_or(NOBODY, |other| other.password_hash.as_str());
        let hash = user.map_or_else(stand_in, |user| user.password_hash.as_str()).to_owned();
        let password = password.to_owned();
        let Some(matches) = self.hashing.run(move |memory| matches(&hash, &password, memory)).await else {
            return Ok(Verdict::Busy);
        };
        if matches && user.is_some_and(|user| user.enabled) {
            self.store.forgive(&name).await?;
            Ok(Verdict::Right)
        } else {
            Ok(Verdict::Wrong)
        }
    }
}

fn matches(hash: &str, password: &str, memory: &mut Memory) -> bool {
    compare(hash, password, memory).unwrap_or_else(|error| {
        tracing::error!(%error, "a password cannot be compared with the configured hash");
        false
    })
}

/// As argon2's own `PasswordVerifier`, in memory that is there.
fn compare(hash: &str, password: &str, memory: &mut Memory) -> argon2::password_hash::Result<bool> {
    let hash = PasswordHash::new(hash)?;
    let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else { return Ok(false) };
    let version = hash.version.map(Version::try_from).transpose()?.unwrap_or_default();
    let params = Params::try_from(&hash)?;
    let blocks = memory.blocks(params.block_count());
    let hasher = Argon2::new(hash.algorithm.as_str().try_into()?, version, params);
    let mut computed = [0; Output::MAX_LENGTH];
    let computed = computed.get_mut(..expected.len()).unwrap_or_default();
    hasher.hash_password_into_with_memory(password.as_bytes(), salt, computed, blocks)?;
    // Compared in constant time.
    Ok(Output::new(computed)? == *expected)
}

/// Hashes a password for the configuration.
pub(super) fn hash(password: &str, ambient: &Ambient) -> Result<String, HashError> {
    let failed = |error: argon2::password_hash::Error| HashError(error.to_string());
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| HashError(error.to_string()))?;
    let mut salt = [0u8; SALT];
    ambient.entropy.fill(&mut salt);
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: PasswordHash = hasher.hash_password_with_salt(password.as_bytes(), &salt).map_err(failed)?;
    Ok(hash.to_string())
}

#[cfg(test)]
#[path = "password_tests.rs"]
mod tests;
