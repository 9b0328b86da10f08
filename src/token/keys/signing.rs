//! Signing keys: made, read from the store, published, used.
//!
//! A key pair is parsed once and kept: jsonwebtoken would parse it for every signature, and reads RSA keys in another format
//! (PKCS#1) than the one aws-lc writes them in.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use serde::Serialize;
use serde_json::{Value, json};

use super::{KeyError, Life};
use crate::config::SigningAlgorithm;
use crate::store::{KeyPurpose, StoredKey};

/// How an algorithm signs.
#[derive(Clone, Copy)]
enum Scheme {
    Elliptic(&'static EcdsaSigningAlgorithm, &'static str),
    Rsa(&'static dyn RsaEncoding),
}

fn scheme(algorithm: SigningAlgorithm) -> Scheme {
    match algorithm {
        SigningAlgorithm::Es256 => Scheme::Elliptic(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
        SigningAlgorithm::Es384 => Scheme::Elliptic(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
        SigningAlgorithm::Rs256 => Scheme::Rsa(&RSA_PKCS1_SHA256),
        SigningAlgorithm::Rs384 => Scheme::Rsa(&RSA_PKCS1_SHA384),
    }
}

/// The JWS name of an algorithm (RFC 7518 §3.1).
pub(in crate::token) fn name(algorithm: SigningAlgorithm) -> &'static str {
    match algorithm {
        SigningAlgorithm::Es256 => "ES256",
        SigningAlgorithm::Es384 => "ES384",
        SigningAlgorithm::Rs256 => "RS256",
        SigningAlgorithm::Rs384 => "RS384",
    }
}

fn named(text: &str) -> Option<SigningAlgorithm> {
    [SigningAlgorithm::Es256, SigningAlgorithm::Es384, SigningAlgorithm::Rs256, SigningAlgorithm::Rs384]
        .into_iter()
        .find(|algorithm| name(*algorithm) == text)
}

fn jws(algorithm: SigningAlgorithm) -> Algorithm {
    match algorithm {
        SigningAlgorithm::Es256 => Algorithm::ES256,
        SigningAlgorithm::Es384 => Algorithm::ES384,
        SigningAlgorithm::Rs256 => Algorithm::RS256,
        SigningAlgorithm::Rs384 => Algorithm::RS384,
    }
}

/// A new private key as PKCS#8 version 1.
pub(in crate::token) fn generate(algorithm: SigningAlgorithm) -> Result<Vec<u8>, KeyError> {
    let failed = |_| KeyError::Key(format!("no {} key can be made", name(algorithm)));
    match scheme(algorithm) {
        Scheme::Elliptic(scheme, _) => {
            let pair = EcdsaKeyPair::generate(scheme).map_err(failed)?;
            Ok(pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec())
        }
        Scheme::Rsa(_) => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
            let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
            Ok(der.as_ref().to_vec())
        }
    }
}

enum Pair {
    Elliptic(EcdsaKeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

/// A key that signs tokens.
pub(in crate::token) struct SigningKey {
    pub(super) purpose: KeyPurpose,
    pub(super) life: Life,
    id: String,
    algorithm: SigningAlgorithm,
    pair: Pair,
    /// The public key as published.
    pub(in crate::token) jwk: Value,
}

impl SigningKey {
    /// Reads what [`generate`] made.
    pub(in crate::token) fn read(stored: &StoredKey) -> Result<Self, KeyError> {
        let unusable =
            |why: &dyn std::fmt::Display| KeyError::Key(format!("the key `{}` cannot be used: {why}", stored.id));
        let algorithm = named(&stored.algorithm).ok_or_else(|| unusable(&"its algorithm is unknown"))?;
        let number = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
        let (kid, alg) = (&stored.id, name(algorithm));
        let (pair, jwk) = match scheme(algorithm) {
            Scheme::Elliptic(scheme, crv) => {
                let components = DEFAULT_PROVIDER.key_utils.ec_pub_components_from_private_key;
                let (_, x, y) = components(&stored.secret, jws(algorithm)).map_err(|error| unusable(&error))?;
                let pair = EcdsaKeyPair::from_pkcs8(scheme, &stored.secret).map_err(|error| unusable(&error))?;
                let (x, y) = (number(x), number(y));
                let jwk = json!({ "kty": "EC", "kid": kid, "use": "sig", "alg": alg, "crv": crv, "x": x, "y": y });
                (Pair::Elliptic(pair), jwk)
            }
            Scheme::Rsa(padding) => {
                let pair = RsaKeyPair::from_pkcs8(&stored.secret).map_err(|error| unusable(&error))?;
                let components = DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key;
                let (n, e) = components(pair.public_key().as_ref()).map_err(|error| unusable(&error))?;
                let (n, e) = (number(n), number(e));
                (
                    Pair::Rsa(pair, padding),
                    json!({ "kty": "RSA", "kid": kid, "use": "sig", "alg": alg, "n": n, "e": e }),
                )
            }
        };
        Ok(Self { purpose: stored.purpose, life: Life::of(stored), id: stored.id.clone(), algorithm, pair, jwk })
    }

    /// A JWS in compact serialisation with `typ` in its header.
    pub(in crate::token) fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, KeyError> {
        let header = json!({ "typ": typ, "alg": name(self.algorithm), "kid": self.id }).to_string();
        let claims = serde_json::to_vec(claims).map_err(|error| KeyError::Key(error.to_string()))?;
        self.sign_parts(header.as_bytes(), &claims)
    }

    /// Signs these very bytes.
    pub(in crate::token) fn sign_parts(&self, header: &[u8], claims: &[u8]) -> Result<String, KeyError> {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.signature(signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn signature(&self, signed: &[u8]) -> Result<Vec<u8>, KeyError> {
        let failed = |_| KeyError::Key(format!("the key `{}` does not sign", self.id));
        match &self.pair {
            Pair::Elliptic(pair) => Ok(pair.sign(&SystemRandom::new(), signed).map_err(failed)?.as_ref().to_vec()),
            Pair::Rsa(pair, padding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*padding, &SystemRandom::new(), signed, &mut signature).map_err(failed)?;
                Ok(signature)
            }
        }
    }
}
