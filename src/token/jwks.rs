//! JWK sets (RFC 7517), filtered before anything is verified with them: RSA of at least 2048 bits and the curves P-256 and
//! P-384, for signatures only. Other keys are as good as absent.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

use crate::fhir::json;

const MAX_DEPTH: usize = 16;

/// Bytes of the smallest and the largest RSA modulus.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

const RSA: &[Algorithm] =
    &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];

/// A document that is no JWK set.
#[derive(Debug, thiserror::Error)]
#[error("it is no JWK set: {0}")]
pub(super) struct KeySetError(String);

/// Why a set has no key for a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Miss {
    /// No key has this id.
    Unknown,
    /// Several keys fit, or the token names none and the set has several.
    Ambiguous,
    /// The key is for other algorithms.
    Algorithm,
}

/// A public key and what it may verify.
pub(super) struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl Key {
    pub(super) fn verifies(&self, algorithm: Algorithm, signed: &str, signature: &str) -> bool {
        self.algorithms.contains(&algorithm)
            && jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &self.key, algorithm).unwrap_or(false)
    }
}

/// The usable keys of a JWK set.
#[derive(Default)]
pub(super) struct KeySet(Vec<Arc<Key>>);

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a set; keys that cannot be used are left out.
    pub(super) fn parse(document: &[u8]) -> Result<Self, KeySetError> {
        json::Document::parse(document, MAX_DEPTH).map_err(|error| KeySetError(error.to_string()))?;
        let document: Document = serde_json::from_slice(document).map_err(|error| KeySetError(error.to_string()))?;
        let jwks = document.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        Ok(Self(jwks.filter_map(|jwk| jwk.usable()).map(Arc::new).collect()))
    }

    /// Whether one of the keys is for one of these algorithms and has an id to be named by.
    pub(super) fn serves(&self, algorithms: &[Algorithm]) -> bool {
        let serves =
            |key: &Key| key.id.is_some() && algorithms.iter().any(|algorithm| key.algorithms.contains(algorithm));
        self.0.iter().any(|key| serves(key))
    }

    /// The one key that a token with this `kid` and `alg` must be signed with.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<&Arc<Key>, Miss> {
        let named: Vec<_> = match id {
            Some(id) => self.0.iter().filter(|key| key.id.as_deref() == Some(id)).collect(),
            None => self.0.iter().collect(),
        };
        // SMART App Launch 2.2 client-confidential-asymmetric: two keys may share an id if they are of different types.
        let fitting = || named.iter().filter(|key| key.algorithms.contains(&algorithm));
        match (id, &*named) {
            (_, []) => Err(Miss::Unknown),
            (None, [_, _, ..]) => Err(Miss::Ambiguous),
            _ => match (fitting().next(), fitting().nth(1)) {
                (Some(key), None) => Ok(key),
                (Some(_), Some(_)) => Err(Miss::Ambiguous),
                (None, _) => Err(Miss::Algorithm),
            },
        }
    }
}

impl Jwk {
    fn usable(&self) -> Option<Key> {
        let forbidden = self.usage.as_deref() == Some("enc")
            || self.key_ops.as_ref().is_some_and(|ops| !ops.iter().any(|op| op == "verify"));
        if forbidden {
            return None;
        }
        let (possible, key) = match self.kty.as_str() {
            "RSA" => (RSA, self.rsa()?),
            "EC" => self.elliptic()?,
            _ => return None,
        };
        let algorithms = match &self.alg {
            None => possible.to_vec(),
            Some(alg) => vec![alg.parse().ok().filter(|alg| possible.contains(alg))?],
        };
        Some(Key { id: self.kid.clone(), algorithms, key })
    }

    fn rsa(&self) -> Option<DecodingKey> {
        let modulus = URL_SAFE_NO_PAD.decode(self.n.as_ref()?).ok()?;
        let exponent = URL_SAFE_NO_PAD.decode(self.e.as_ref()?).ok()?;
        let significant = modulus.iter().skip_while(|byte| **byte == 0);
        let bytes = significant.clone().count();
        let full = bytes > *RSA_BYTES.start() || significant.clone().next().is_some_and(|first| *first >= 0x80);
        (RSA_BYTES.contains(&bytes) && full).then(|| DecodingKey::from_rsa_raw_components(&modulus, &exponent))
    }

    fn elliptic(&self) -> Option<(&'static [Algorithm], DecodingKey)> {
        let (algorithms, bytes): (&[Algorithm], _) = match self.crv.as_deref()? {
            "P-256" => (&[Algorithm::ES256], 32),
            "P-384" => (&[Algorithm::ES384], 48),
            _ => return None,
        };
        let (x, y) = (self.x.as_ref()?, self.y.as_ref()?);
        for coordinate in [x, y] {
            if URL_SAFE_NO_PAD.decode(coordinate).ok()?.len() != bytes {
                return None;
            }
        }
        DecodingKey::from_ec_components(x, y).ok().map(|key| (algorithms, key))
    }
}

#[cfg(test)]
#[path = "jwks_tests.rs"]
mod tests;
