//! The OpenID provider that people log in at: what it says of itself, and the exchange of its codes. Bounded like the rest.

use std::sync::Arc;
use std::time::Duration;

use form_urlencoded::Serializer;
use http::{StatusCode, header};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use url::Url;

use super::Fetcher;
use super::download::{TIMEOUT, body, get};
use crate::config::Oidc;
use crate::token::proof::basic;

/// How long what a provider says of itself is kept.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// How long it is used when the provider does not answer.
const MAX_STALE: Duration = Duration::from_secs(60 * 60);

/// Between two attempts that failed.
const INTERVAL: Duration = Duration::from_secs(10);

/// What a provider says of itself (OpenID Connect Discovery §3, RFC 8414).
#[derive(Deserialize, Debug)]
pub struct Provider {
    issuer: String,
    pub authorization_endpoint: String,
    token_endpoint: String,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether its answers say who answers (RFC 9207).
    #[serde(default, rename = "authorization_response_iss_parameter_supported")]
    pub names_itself: bool,
}

/// The provider as it was last seen.
#[derive(Default)]
pub(super) struct Known {
    issuer: String,
    provider: Option<Arc<Provider>>,
    /// By the steady clock, both.
    at: Duration,
    retry_after: Duration,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

impl Fetcher {
    /// What the provider says of itself.
    ///
    /// # Errors
    /// It cannot be asked, or speaks for another issuer; the text is for the log.
    pub async fn provider(&self, oidc: &Oidc) -> Result<Arc<Provider>, String> {
        let mut known = self.provider.lock().await;
        let now = self.ambient.steady();
        if known.issuer != oidc.issuer {
            *known = Known { issuer: oidc.issuer.clone(), ..Known::default() };
        }
        let within = |known: &Known, lifetime| now < known.at.saturating_add(lifetime);
        let held = known.provider.clone();
        if let Some(provider) = held.clone().filter(|_| within(&known, LIFETIME)) {
            return Ok(provider);
        }
        let why = if now < known.retry_after {
            "the provider could not be asked a moment ago".to_owned()
        } else {
            match timeout(TIMEOUT, discover(&self.http.operator, &oidc.issuer)).await {
                Ok(Ok(provider)) => {
                    let provider = Arc::new(provider);
                    (known.provider, known.at) = (Some(provider.clone()), now);
                    return Ok(provider);
                }
                Ok(Err(why)) => why,
                Err(_) => "the provider did not answer in time".to_owned(),
            }
        };
        known.retry_after = known.retry_after.max(now.saturating_add(INTERVAL));
        held.filter(|_| within(&known, MAX_STALE)).ok_or(why)
    }

    /// Exchanges a code of the provider for its id_token, which is not verified yet.
    ///
    /// # Errors
    /// The provider cannot be asked or refuses; the text is for the log.
    pub async fn redeem(
        &self,
        oidc: &Oidc,
        provider: &Provider,
        code: &str,
        verifier: &str,
        redirect_uri: &str,
    ) -> Result<String, String> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier),
        ];
        let mut request = self.http.operator.post(&provider.token_endpoint).header(header::ACCEPT, "application/json");
        match (&oidc.client_secret, provider.takes_basic()) {
            (None, _) => form.push(("client_id", &oidc.client_id)),
            (Some(secret), true) => {
                request = request.header(header::AUTHORIZATION, basic(&oidc.client_id, secret.expose_secret()))
            }
            (Some(secret), false) => {
                form.extend([("client_id", oidc.client_id.as_str()), ("client_secret", secret.expose_secret())]);
            }
        }
        let form = Serializer::new(String::new()).extend_pairs(form).finish();
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        let exchange = async {
            let mut response = request.send().await.map_err(|_| "the token endpoint cannot be reached".to_owned())?;
            if response.status() != StatusCode::OK {
                return Err(format!("the token endpoint answered {}", response.status()));
            }
            let tokens: Tokens = read(&body(&mut response, "the token endpoint").await?, "the token endpoint")?;
            Ok(tokens.id_token)
        };
        timeout(TIMEOUT, exchange).await.unwrap_or_else(|_| Err("the token endpoint did not answer in time".to_owned()))
    }
}

impl Provider {
    /// `client_secret_basic`, the default, or else `client_secret_post` (OpenID Connect Discovery §3).
    fn takes_basic(&self) -> bool {
        let supported = self.token_endpoint_auth_methods_supported.as_deref();
        supported.is_none_or(|methods| {
            let has = |name: &str| methods.iter().any(|method| method == name);
            has("client_secret_basic") || !has("client_secret_post")
        })
    }
}

async fn discover(client: &reqwest::Client, issuer: &str) -> Result<Provider, String> {
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let (_, body) = get(client, &url).await?;
    let provider: Provider = read(&body, &url)?;
    if provider.issuer != issuer {
        return Err(format!("`{url}` speaks for another issuer"));
    }
    for endpoint in [&provider.authorization_endpoint, &provider.token_endpoint] {
        let endpoint = Url::parse(endpoint).map_err(|error| format!("`{url}`: {error}"))?;
        let sound = endpoint.scheme() == "https" || endpoint.scheme() == "http" && issuer.starts_with("http://");
        if !sound || endpoint.fragment().is_some() {
            return Err(format!("`{url}` names an endpoint without TLS, or with a fragment"));
        }
    }
    Ok(provider)
}

/// The body may hold tokens and is not quoted.
fn read<T: DeserializeOwned>(body: &[u8], from: &str) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|_| format!("{from} answered what cannot be read"))
}
