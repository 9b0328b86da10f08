//! How the gate proves who it is to another authorization server: by a secret, or by an assertion that it signs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::byte_serialize;
use secrecy::{ExposeSecret as _, SecretSlice};
use serde_json::json;

use super::keys::signing::{SigningKey, name};
use crate::ambient::{Ambient, UnixSeconds};
use crate::config::SigningAlgorithm;
use crate::store::{KeyPurpose, StoredKey};

/// `client_assertion_type` of what [`assertion`] makes (RFC 7523 §2.2).
pub(super) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long an assertion is good for, in seconds.
pub(super) const ASSERTION_LIFETIME: UnixSeconds = 60;

/// The gate's `Authorization` by a secret (RFC 6749 §2.3.1: both parts are encoded as in a form first).
pub(super) fn basic(client_id: &str, secret: &str) -> String {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(client_id), encoded(secret))))
}

/// A signed assertion that the gate is `client_id` (RFC 7523 §3; SMART Backend Services, "Authentication JWT"); the audience is the
/// endpoint that is asked. The key is named by `id` and is `secret` in PKCS#8 DER.
///
/// # Errors
/// The key does not fit the algorithm; the text is for the log.
pub(super) fn assertion(
    client_id: &str,
    audience: &str,
    (id, algorithm, secret): (&str, SigningAlgorithm, &SecretSlice<u8>),
    ambient: &Ambient,
) -> Result<String, String> {
    let now = ambient.now();
    let key = StoredKey {
        id: id.to_owned(),
        purpose: KeyPurpose::Access,
        algorithm: name(algorithm).to_owned(),
        secret: secret.expose_secret().to_vec(),
        created: now,
        active_from: now,
        retired: None,
    };
    let claims = json!({
        "iss": client_id, "sub": client_id, "aud": audience, "iat": now, "exp": now + ASSERTION_LIFETIME, "jti": ambient.id(),
    });
    SigningKey::read(&key).and_then(|key| key.sign("JWT", &claims)).map_err(|error| error.to_string())
}
