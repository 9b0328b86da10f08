//! Which of the FHIR server's addresses answered.

use std::num::NonZeroU32;

use sha2::{Digest as _, Sha256};

/// Tells the addresses of one FHIR server apart, at every replica and whatever their order: a digest of the base.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressKey(NonZeroU32);

impl AddressKey {
    /// The key of the address with this base.
    pub fn of(base: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(base).into();
        let [a, b, c, d, ..] = digest;
        Self(NonZeroU32::new(u32::from_be_bytes([a, b, c, d])).unwrap_or(NonZeroU32::MIN))
    }

    /// As a number; 0 stands for none.
    pub fn number(key: Option<Self>) -> u32 {
        key.map_or(0, |key| key.0.get())
    }

    /// The key with this number, which is none for 0.
    pub fn numbered(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }
}
