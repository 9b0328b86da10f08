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
use super::throttle::{Refusal, digest};
use crate::config::{Client, ClientAuth};
use crate::store::Tried;
use crate::telemetry::LoginOutcome;
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
        let client = self.authenticated(call, form, endpoint).await;
        self.count(&client);
        let client = client?;
        if form.get("client_id").is_some_and(|id| id != client.id) {
            return Err(ClientError::TwoClients);
        }
        Ok(Arc::clone(call.caller.get_or_init(|| client)))
    }

    async fn authenticated(
        &self,
        call: &Call<'_>,
        form: &Form,
        endpoint: Endpoint,
    ) -> Result<Arc<Client>, ClientError> {
        Ok(match presented(call, form)? {
            Presented::Basic(credentials) => {
                let readings = basic(credentials).ok_or(ClientError::Refused { basic: true })?;
                self.by_secret(call, &readings, true).await?
            }
            Presented::Post { id, secret } => {
                self.by_secret(call, &[(id.to_owned(), secret.to_owned())], false).await?
            }
            Presented::Assertion(assertion) => self.by_assertion(call, assertion, endpoint).await?,
            Presented::Nothing(id) => registered(call, id)
                .filter(|client| matches!(client.auth, ClientAuth::Public))
                .ok_or(ClientError::Refused { basic: false })?,
        })
    }

    fn count(&self, outcome: &Result<Arc<Client>, ClientError>) {
        match outcome {
            Ok(client) if matches!(client.auth, ClientAuth::Public) => {}
            Ok(_) => self.parts.metrics.client_authentication(LoginOutcome::Success),
            Err(ClientError::Refused { .. }) => self.parts.metrics.client_authentication(LoginOutcome::Failure),
            Err(ClientError::Throttled { .. }) => self.parts.metrics.client_authentication(LoginOutcome::Refused),
            Err(_) => {}
        }
    }

    /// The client that one of the readings of an id and a secret is of. After too many wrong ones for this client from this place
    /// there is a pause, for right ones too: a stranger somewhere else is held back without the client.
    async fn by_secret(
        &self,
        call: &Call<'_>,
        readings: &[(String, String)],
        basic: bool,
    ) -> Result<Arc<Client>, ClientError> {
        let (id, _) = readings.first().ok_or(ClientError::Refused { basic })?;
        let place = call.from.map(|from| from.block().to_string()).unwrap_or_default();
        let name = digest("client", &format!("{place} {id}"));
        let check = || readings.iter().find_map(|(id, secret)| with_secret(call, id, secret));
        let tried = if readings.iter().any(|(id, _)| has_secret(call, id)) { Tried::Client } else { Tried::NoClient };
        self.parts.secrets.checked(tried, &name, call.now, check).await.map_err(|refusal| match refusal {
            Refusal::Wrong => ClientError::Refused { basic },
            Refusal::Unavailable => ClientError::Unavailable,
            Refusal::Paused(seconds) => {
                let client = registered(call, id).map(|client| client.id.clone());
                tracing::warn!(request_id = call.request_id, client, seconds, "too many wrong secrets for a client");
                ClientError::Throttled { seconds }
            }
        })
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

/// What a Basic header may mean: RFC 6749 §2.3.1 encodes both parts as forms do; many apps send them as they are.
fn basic(credentials: &str) -> Option<Vec<(String, String)>> {
    let text = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decoded = decode(id.as_bytes()).zip(decode(secret.as_bytes()));
    Some(decoded.into_iter().chain([(id.to_owned(), secret.to_owned())]).collect())
}

fn has_secret(call: &Call<'_>, id: &str) -> bool {
    registered(call, id).is_some_and(|client| matches!(client.auth, ClientAuth::Secret(_)))
}

fn with_secret(call: &Call<'_>, id: &str, secret: &str) -> Option<Arc<Client>> {
    let client = registered(call, id);
    // Compared with something also where there is nothing: the time tells nothing of which clients there are.
    let expected = match client.as_deref().map(|client| &client.auth) {
        Some(ClientAuth::Secret(expected)) => Some(expected),
        _ => None,
    };
    let fits = verify_slices_are_equal(&Sha256::digest(secret.as_bytes()), expected.unwrap_or(&[0; 32])).is_ok();
    let fits = fits && expected.is_some();
    client.filter(|_| fits)
}

#[cfg(test)]
#[path = "client_auth_tests.rs"]
mod tests;
