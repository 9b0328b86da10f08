//! One look at somebody's keys over HTTP: bounded in size and time, no redirects.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use reqwest::dns::Resolve;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::public::{self, PublicOnly};
use crate::token::jwks::KeySet;

/// Largest document that is read, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// How long all of it may take.
pub(in crate::token) const TIMEOUT: Duration = Duration::from_secs(3);

/// Where a set is found.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Place {
    Set(String),
    /// At a URL that came from a client.
    ClientSet(String),
    /// `{issuer}/.well-known/openid-configuration` names the set (OpenID Connect Discovery §4).
    Discovery(String),
}

/// A set that was fetched.
pub(super) struct Fetched {
    pub(super) keys: KeySet,
    /// Tells whether a later one is the same.
    pub(super) digest: Vec<u8>,
    /// How long its server lets it be kept; none if it does not say.
    pub(super) lifetime: Option<Duration>,
}

/// The HTTP clients; which one is taken says whose URL it is.
#[derive(Clone)]
pub(super) struct Http {
    /// For URLs of the operator's own configuration.
    pub(super) operator: reqwest::Client,
    /// For URLs that came from clients.
    client: reqwest::Client,
}

impl Http {
    /// Clients' URLs are resolved by `resolver`.
    pub(super) fn new(resolver: Arc<dyn Resolve>) -> Result<Self, reqwest::Error> {
        // Without a pool, so that each connection is to an address that was checked for it.
        let client = builder().https_only(true).dns_resolver(PublicOnly::new(resolver)).pool_max_idle_per_host(0);
        Ok(Self { operator: builder().build()?, client: client.build()? })
    }
}

pub(in crate::token) fn builder() -> reqwest::ClientBuilder {
    // The environment's proxies are not looked at: only the configuration says where the gate connects.
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().timeout(TIMEOUT)
}

/// Fetches the set at `place`; the error is for the log.
pub(super) async fn download(http: &Http, place: &Place) -> Result<Fetched, String> {
    let fetch = async {
        match place {
            Place::Set(url) => set(&http.operator, url).await,
            Place::ClientSet(url) => {
                public::check(url)?;
                set(&http.client, url).await
            }
            Place::Discovery(issuer) => set(&http.operator, &discover(&http.operator, issuer).await?).await,
        }
    };
    match tokio::time::timeout(TIMEOUT, fetch).await {
        Ok(fetched) => fetched,
        Err(_) => Err(format!("{place:?} did not answer in time")),
    }
}

async fn set(client: &reqwest::Client, url: &str) -> Result<Fetched, String> {
    let (headers, body) = get(client, url).await?;
    let keys = KeySet::parse(&body).map_err(|error| format!("`{url}`: {error}"))?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &body).as_ref().to_vec();
    Ok(Fetched { keys, digest, lifetime: lifetime(&headers) })
}

/// What an issuer says of itself (OpenID Connect Discovery §3).
#[derive(Deserialize)]
struct Description<T> {
    issuer: String,
    #[serde(flatten)]
    of: T,
}

#[derive(Deserialize)]
struct Keys {
    jwks_uri: String,
}

async fn discover(client: &reqwest::Client, issuer: &str) -> Result<String, String> {
    let Keys { jwks_uri } = described(client, issuer).await?;
    if !jwks_uri.starts_with("https://") && issuer.starts_with("https://") {
        return Err(format!("`{issuer}` names keys that would be fetched without TLS"));
    }
    Ok(jwks_uri)
}

/// What `{issuer}/.well-known/openid-configuration` says, if it speaks for this issuer.
pub(super) async fn described<T: DeserializeOwned>(client: &reqwest::Client, issuer: &str) -> Result<T, String> {
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let (_, body) = get(client, &url).await?;
    let said: Description<T> = serde_json::from_slice(&body).map_err(|error| format!("`{url}`: {error}"))?;
    if said.issuer != issuer {
        return Err(format!("`{url}` speaks for another issuer"));
    }
    Ok(said.of)
}

pub(super) async fn get(client: &reqwest::Client, url: &str) -> Result<(HeaderMap, Vec<u8>), String> {
    let at = |error: reqwest::Error| format!("`{url}`: {}", root_cause(&error));
    let request = client.get(url).header(header::ACCEPT, "application/json");
    let mut response = request.send().await.map_err(at)?;
    if response.status() != StatusCode::OK {
        return Err(format!("`{url}` answered {}", response.status()));
    }
    let body = body(&mut response, url).await?;
    Ok((response.headers().clone(), body))
}

pub(in crate::token) async fn body(response: &mut reqwest::Response, from: &str) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| format!("`{from}`: {}", root_cause(&error)))? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(format!("`{from}` answered more than {MAX_BYTES} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The innermost cause: reqwest itself says only that it failed.
pub fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// `Cache-Control` less `Age` (RFC 9111 §4.2).
fn lifetime(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut shortest = None;
    for directive in values.flat_map(|value| value.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let seconds = match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => 0,
            "max-age" => value.trim().trim_matches('"').parse::<u64>().unwrap_or(0),
            _ => continue,
        };
        shortest = Some(shortest.map_or(seconds, |shortest: u64| shortest.min(seconds)));
    }
    let age = headers.get(header::AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok()).unwrap_or(0);
    shortest.map(|seconds| Duration::from_secs(seconds.saturating_sub(age)))
}
