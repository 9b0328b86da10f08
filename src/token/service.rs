//! Tokens that the gate itself shows to the FHIR server (RFC 6749 §4.4), by a secret or by a signed assertion (RFC 7523, SMART
//! Backend Services).
//!
//! A token is fetched by one request for all that need it, kept, and fetched anew beside the requests before it expires. Its time is
//! counted by the monotonic clock: steps of the wall clock do not matter to it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use form_urlencoded::Serializer;
use http::{HeaderValue, StatusCode, header};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::fetch::download::{TIMEOUT, body, builder};
use super::proof::{ASSERTION_TYPE, basic};
use crate::ambient::Ambient;
use crate::config::{ClientProof, ServiceClient};

/// How long a token is kept whose server does not say, and at most.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(5 * 60);
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// A token is no longer shown so shortly before it expires.
const MARGIN: Duration = Duration::from_secs(5);

/// Between two attempts after one that failed, and between a new token and the next one that the FHIR server refuses.
const INTERVAL: Duration = Duration::from_secs(5);

/// The token in use.
pub struct ServiceTokens {
    ambient: Ambient,
    held: ArcSwapOption<Held>,
    turn: Mutex<Turn>,
}

struct Held {
    of: Arc<ServiceClient>,
    value: HeaderValue,
    since: Instant,
    /// When it is to be fetched anew, and when it is over.
    renew: Instant,
    until: Instant,
}

/// Held by the one who fetches.
#[derive(Default)]
struct Turn {
    http: Option<reqwest::Client>,
    failed: Option<(Instant, String)>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: String,
    expires_in: Option<u64>,
}

impl Default for ServiceTokens {
    fn default() -> Self {
        Self::new(Ambient::system())
    }
}

impl ServiceTokens {
    /// Nothing is held.
    pub fn new(ambient: Ambient) -> Self {
        Self { ambient, held: ArcSwapOption::empty(), turn: Mutex::default() }
    }

    /// The `Authorization` of `client`.
    ///
    /// # Errors
    /// There is no token, and none can be had; the text is for the log.
    pub async fn authorization(self: &Arc<Self>, client: &Arc<ServiceClient>) -> Result<HeaderValue, String> {
        let now = Instant::now();
        if let Some(held) = self.held.load_full().filter(|held| held.is_good(client, now)) {
            if now >= held.renew
                && let Ok(turn) = self.turn.try_lock()
            {
                drop(turn);
                let (tokens, client) = (self.clone(), client.clone());
                tokio::spawn(async move { tokens.renewed(&client, true).await });
            }
            return Ok(held.value.clone());
        }
        // It goes on when who asked goes away: others wait for it.
        let (tokens, client) = (self.clone(), client.clone());
        let fetch = tokio::spawn(async move { tokens.renewed(&client, false).await });
        fetch.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// The FHIR server refused the token in use: another one is fetched, unless it is new.
    pub fn refused(&self) {
        if self.held.load().as_ref().is_some_and(|held| held.since.elapsed() >= INTERVAL) {
            self.held.store(None);
        }
    }

    async fn renewed(&self, client: &Arc<ServiceClient>, ahead: bool) -> Result<HeaderValue, String> {
        let mut turn = self.turn.lock().await;
        let now = Instant::now();
        // Somebody else may have fetched it while this one waited.
        let good = self.held.load_full().filter(|held| held.is_good(client, now) && (!ahead || now < held.renew));
        if let Some(held) = good {
            return Ok(held.value.clone());
        }
        if let Some((at, why)) = &turn.failed
            && at.elapsed() < INTERVAL
        {
            return Err(why.clone());
        }
        let http = match turn.http.take() {
            Some(http) => http,
            None => builder().build().map_err(|error| error.to_string())?,
        };
        let fetched = timeout(TIMEOUT, self.fetch(&http, client)).await;
        turn.http = Some(http);
        match fetched.unwrap_or_else(|_| Err(format!("`{}` did not answer in time", client.token_url))) {
            Ok(held) => {
                turn.failed = None;
                let value = held.value.clone();
                self.held.store(Some(Arc::new(held)));
                Ok(value)
            }
            Err(why) => {
                tracing::error!(why, "no token for the FHIR server can be had");
                turn.failed = Some((Instant::now(), why.clone()));
                Err(why)
            }
        }
    }

    async fn fetch(&self, http: &reqwest::Client, client: &Arc<ServiceClient>) -> Result<Held, String> {
        let url = &client.token_url;
        let mut form = vec![("grant_type", "client_credentials".to_owned())];
        form.extend(client.scope.clone().map(|scope| ("scope", scope)));
        let mut request = http.post(url).header(header::ACCEPT, "application/json");
        match &client.proof {
            ClientProof::Secret(secret) => {
                let value = basic(&client.client_id, secret.expose_secret());
                request = request.header(header::AUTHORIZATION, value);
            }
            ClientProof::Key { .. } => {
                form.push(("client_assertion_type", ASSERTION_TYPE.to_owned()));
                form.push(("client_assertion", self.assertion(client)?));
            }
        }
        let form = Serializer::new(String::new()).extend_pairs(form).finish();
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        let asked = Instant::now();
        let mut response = request.send().await.map_err(|_| format!("`{url}` cannot be reached"))?;
        if response.status() != StatusCode::OK {
            return Err(format!("`{url}` answered {}", response.status()));
        }
        // The body holds a token and is not quoted.
        let unreadable = || format!("`{url}` answered what cannot be read");
        let granted: Granted = serde_json::from_slice(&body(&mut response, url).await?).map_err(|_| unreadable())?;
        if !granted.token_type.eq_ignore_ascii_case("bearer") {
            return Err(format!("`{url}` gives tokens of another type than Bearer"));
        }
        let mut value = HeaderValue::from_str(&format!("Bearer {}", granted.access_token)).map_err(|_| unreadable())?;
        value.set_sensitive(true);
        let lifetime = granted.expires_in.map_or(DEFAULT_LIFETIME, Duration::from_secs).min(MAX_LIFETIME);
        let until = asked + lifetime.saturating_sub(MARGIN);
        Ok(Held { of: client.clone(), value, since: asked, renew: asked + lifetime * 3 / 4, until })
    }

    /// A signed assertion of who the gate is (SMART Backend Services, "Authentication JWT").
    fn assertion(&self, client: &ServiceClient) -> Result<String, String> {
        let ClientProof::Key { der, id, algorithm } = &client.proof else {
            return Err("there is no key".to_owned());
        };
        super::proof::assertion(&client.client_id, &client.token_url, (id, *algorithm, der), &self.ambient)
    }
}

impl Held {
    fn is_good(&self, client: &Arc<ServiceClient>, now: Instant) -> bool {
        Arc::ptr_eq(&self.of, client) && now < self.until
    }
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
