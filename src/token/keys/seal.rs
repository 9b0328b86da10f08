//! Seals: AES-256-GCM under a key that is named in the seal, the plain text padded in steps.
//!
//! ```text
//! base64url( name of the key, 8 │ nonce, 12 │ encrypted( length, 4 │ plain │ zeros ) │ tag, 16 )
//! ```

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{KeyError, Life};
use crate::ambient::Entropy;
use crate::store::StoredKey;

/// What [`StoredKey::algorithm`] says of seal keys.
pub(super) const ALGORITHM: &str = "A256GCM";

/// Bytes of a seal key.
pub(super) const KEY_BYTES: usize = 32;

/// Longest seal that is opened, in characters.
const MAX_SEAL: usize = 64 * 1024;

/// A seal's length tells the length of what is in it only in these steps.
const STEP: usize = 128;

const NAME_BYTES: usize = 8;
const LENGTH_BYTES: usize = 4;

/// What the key of successors is derived for.
const SUCCESSORS: &[u8] = b"smartgate refresh token successors";

/// A key that seals.
pub(super) struct SealKey {
    pub(super) life: Life,
    name: [u8; NAME_BYTES],
    key: LessSafeKey,
    /// Derived, so that one key is never used for two things.
    successors: hmac::Key,
}

impl SealKey {
    pub(super) fn read(stored: &StoredKey) -> Result<Self, KeyError> {
        let unusable = || KeyError::Key(format!("the seal key `{}` cannot be used", stored.id));
        let key = UnboundKey::new(&AES_256_GCM, &stored.secret).map_err(|_| unusable())?;
        let hash = digest(&SHA256, stored.id.as_bytes());
        let name = hash.as_ref().first_chunk().copied().ok_or_else(unusable)?;
        let root = hmac::Key::new(HMAC_SHA256, &stored.secret);
        let successors = hmac::Key::new(HMAC_SHA256, hmac::sign(&root, SUCCESSORS).as_ref());
        Ok(Self { life: Life::of(stored), name, key: LessSafeKey::new(key), successors })
    }

    /// The secret of 256 bits that follows `secret`, base64url.
    pub(super) fn successor(&self, secret: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.successors, secret.as_bytes()))
    }

    pub(super) fn seal(&self, plain: &[u8], binding: &[u8], entropy: &dyn Entropy) -> Result<String, KeyError> {
        let length = u32::try_from(plain.len()).map_err(|_| KeyError::Key("too much to seal".to_owned()))?;
        let mut text = Vec::with_capacity(LENGTH_BYTES + plain.len() + STEP + AES_256_GCM.tag_len());
        text.extend_from_slice(&length.to_be_bytes());
        text.extend_from_slice(plain);
        text.resize(text.len().next_multiple_of(STEP), 0);
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce);
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(binding), &mut text)
            .map_err(|_| KeyError::Key("the seal key does not seal".to_owned()))?;
        Ok(URL_SAFE_NO_PAD.encode([self.name.as_slice(), &nonce, &text].concat()))
    }
}

/// Opens `seal` with the one of `keys` that it names.
pub(super) fn open(keys: &[SealKey], seal: &str, binding: &[u8]) -> Option<Vec<u8>> {
    if seal.len() > MAX_SEAL {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(seal).ok()?;
    let (name, rest) = bytes.split_first_chunk::<NAME_BYTES>()?;
    let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>()?;
    let key = keys.iter().find(|key| key.name == *name)?;
    let mut text = text.to_vec();
    let opened = key.key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(binding), &mut text).ok()?;
    let (length, plain) = opened.split_first_chunk::<LENGTH_BYTES>()?;
    plain.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?).map(<[u8]>::to_vec)
}
