//! Who the client is: `client_secret_basic`, `client_secret_post`, `private_key_jwt`, or a public client's bare `client_id` (RFC 6749 §2.3).

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header;
use sha2::{Digest as _, Sha256};

use super::AuthServer;
use super::call::Call;
use super::endpoints::Endpoint;
use super::error::ClientError;
use super::form::{Form, decode};
use crate::config::{Client, ClientAuth};
use crate::token::{AssertionError, Assertions};

/// `client_assertion_type` of RFC 7523 §2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How a request says who its client is.
enum Presented<'a> {
    Basic(&'a str),
    Post { id: &'a str, secret: &'a str },
    Assertion(&'a str),
    Nothing(&'a str),
}

impl AuthServer {
    /// The enabled client that sent this request to `endpoint`.
    pub(super) async fn client(
        &self,
        call: &Call<'_>,
        form: &Form,
        endpoint: Endpoint,
    ) -> Result<Arc<Client>, ClientError> {
        let client = match presented(call, form)? {
            Presented::Basic(credentials) => by_basic(call, credentials)?,
            Presented::Post { id, secret } => {
                by_secret(call, id, secret).ok_or(ClientError::Refused { basic: false })?
            }
            Presented::Assertion(assertion) => self.by_assertion(call, assertion, endpoint).await?,
            Presented::Nothing(id) => registered(call, id)
                .filter(|client| matches!(client.auth, ClientAuth::Public))
                .ok_or(ClientError::Refused { basic: false })?,
        };
        if form.get("client_id").is_some_and(|id| id != client.id) {
            return Err(ClientError::TwoClients);
        }
        Ok(Arc::clone(call.caller.get_or_init(|| client)))
    }

    async fn by_assertion(
        &self,
        call: &Call<'_>,
        assertion: &str,
        endpoint: Endpoint,
    ) -> Result<Arc<Client>, ClientError> {
        const REFUSED: ClientError = ClientError::Refused { basic: false };
        let id = Assertions::claimed_client(assertion).ok_or(REFUSED)?;
        let client = registered(call, &id).ok_or(REFUSED)?;
        if !matches!(client.auth, ClientAuth::PrivateKeyJwt(_)) {
            return Err(REFUSED);
        }
        let urls = [Endpoint::Token.url(call.snapshot), endpoint.url(call.snapshot)];
        let [token_url, endpoint_url] = &urls;
        let audiences = [token_url.as_str(), call.snapshot.server.public_url.as_str(), endpoint_url.as_str()];
        match self.parts.assertions.check(assertion, &client, &audiences).await {
            Ok(()) => Ok(client),
            Err(AssertionError::Refused(why)) => {
                tracing::info!(request_id = call.request_id, client = client.id, why, "a client assertion was refused");
                Err(REFUSED)
            }
            Err(AssertionError::Unavailable(why)) => {
                tracing::warn!(
                    request_id = call.request_id,
                    client = client.id,
                    why,
                    "a client assertion went unchecked"
                );
                Err(ClientError::Unavailable)
            }
        }
    }
}

fn presented<'a>(call: &'a Call<'_>, form: &'a Form) -> Result<Presented<'a>, ClientError> {
    let header = call.headers.get(header::AUTHORIZATION);
    let assertion = form.get("client_assertion");
    let assertion_type = form.get("client_assertion_type");
    let secret = form.get("client_secret");
    let ways = [header.is_some(), assertion.or(assertion_type).is_some(), secret.is_some()];
    if ways.into_iter().filter(|way| *way).count() > 1 {
        return Err(ClientError::TwoMethods);
    }
    if let Some(secret) = secret {
        return form.get("client_id").map(|id| Presented::Post { id, secret }).ok_or(ClientError::Missing);
    }
    if let Some(header) = header {
        let credentials = header.to_str().ok().and_then(|text| text.split_once(' '));
        return match credentials {
            Some((scheme, credentials)) if scheme.eq_ignore_ascii_case("basic") => {
                Ok(Presented::Basic(credentials.trim()))
            }
            _ => Err(ClientError::Refused { basic: true }),
        };
    }
    match (assertion, assertion_type) {
        (Some(assertion), Some(JWT_BEARER)) => Ok(Presented::Assertion(assertion)),
        (None, None) => form.get("client_id").map(Presented::Nothing).ok_or(ClientError::Missing),
        _ => Err(ClientError::AssertionType),
    }
}

fn registered(call: &Call<'_>, id: &str) -> Option<Arc<Client>> {
    call.snapshot.clients.get(id).filter(|client| client.enabled)
}

fn by_basic(call: &Call<'_>, credentials: &str) -> Result<Arc<Client>, ClientError> {
    const REFUSED: ClientError = ClientError::Refused { basic: true };
    let bytes = STANDARD.decode(credentials).map_err(|_| REFUSED)?;
    let text = String::from_utf8(bytes).map_err(|_| REFUSED)?;
    let (id, secret) = text.split_once(':').ok_or(REFUSED)?;
    let decoded = decode(id.as_bytes()).zip(decode(secret.as_bytes()));
    // RFC 6749 §2.3.1 encodes both parts as forms do; many apps send them as they are, so both readings are tried.
    let readings = decoded.into_iter().chain([(id.to_owned(), secret.to_owned())]);
    readings.filter_map(|(id, secret)| by_secret(call, &id, &secret)).next().ok_or(REFUSED)
}

fn by_secret(call: &Call<'_>, id: &str, secret: &str) -> Option<Arc<Client>> {
    registered(call, id).filter(|client| has_secret(client, secret))
}

fn has_secret(client: &Client, secret: &str) -> bool {
    let ClientAuth::Secret(expected) = &client.auth else {
        return false;
    };
    verify_slices_are_equal(&Sha256::digest(secret.as_bytes()), expected).is_ok()
}

#[cfg(test)]
#[path = "client_auth_tests.rs"]
mod tests;
