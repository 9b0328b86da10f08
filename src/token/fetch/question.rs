//! One question to an issuer about a token (RFC 7662 §2).

use form_urlencoded::Serializer;
use http::{StatusCode, header};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::download::{body, described, root_cause};
use crate::ambient::{Ambient, UnixSeconds};
use crate::config::{Introspection, IntrospectionAuth, Issuer};
use crate::token::jws::Members;
use crate::token::proof::{ASSERTION_TYPE, assertion, basic};

/// How long the endpoint's address is kept that the issuer's discovery document names, in seconds.
const LIFETIME: UnixSeconds = 10 * 60;

/// The address that the issuer's discovery document named, and when.
#[derive(Default)]
pub(super) struct Endpoint(Mutex<Option<(String, UnixSeconds)>>);

#[derive(Deserialize)]
struct Provider {
    introspection_endpoint: String,
}

impl Endpoint {
    async fn url(&self, http: &reqwest::Client, issuer: &str, now: UnixSeconds) -> Result<String, String> {
        let mut known = self.0.lock().await;
        if let Some((url, at)) = known.as_ref()
            && (*at..at.saturating_add(LIFETIME)).contains(&now)
        {
            return Ok(url.clone());
        }
        let Provider { introspection_endpoint: url } = described(http, issuer).await?;
        if !url.starts_with("https://") && issuer.starts_with("https://") {
            return Err("it names an endpoint without TLS".to_owned());
        }
        *known = Some((url.clone(), now));
        Ok(url)
    }
}

/// What the issuer says of an active token and how many bytes that were, or nothing of another; the error is for the log.
pub(super) async fn question(
    http: &reqwest::Client,
    ambient: &Ambient,
    endpoint: &Endpoint,
    issuer: &Issuer,
    token: &str,
) -> Result<Option<(Members, u64)>, String> {
    let introspection = issuer.introspection.as_ref().ok_or("there is nowhere to ask")?;
    let url = match &introspection.url {
        Some(url) => url.clone(),
        None => endpoint.url(http, &issuer.issuer, ambient.now()).await?,
    };
    let (form, authorization) = form(introspection, &url, token, ambient)?;
    let mut request = http.post(&url).header(header::ACCEPT, "application/json");
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
    let mut response = request.send().await.map_err(|error| format!("`{url}`: {}", root_cause(&error)))?;
    if response.status() != StatusCode::OK {
        return Err(format!("`{url}` answered {}", response.status()));
    }
    // The body says whose the token is, and is not quoted.
    let body = body(&mut response, &url).await?;
    let members = Members::read(&body).map_err(|_| format!("`{url}` answered what cannot be read"))?;
    match members.get("active") {
        Some(Value::Bool(active)) => Ok(active.then_some((members, body.len() as u64))),
        _ => Err(format!("`{url}` does not say whether the token is active")),
    }
}

/// The body of the question, and the `Authorization` where that says who asks.
fn form(
    introspection: &Introspection,
    url: &str,
    token: &str,
    ambient: &Ambient,
) -> Result<(String, Option<String>), String> {
    let client_id = &introspection.client_id;
    let mut form = Serializer::new(String::new());
    form.append_pair("token", token).append_pair("token_type_hint", "access_token");
    let authorization = match &introspection.auth {
        IntrospectionAuth::Basic(secret) => Some(basic(client_id, secret.expose_secret())),
        IntrospectionAuth::Post(secret) => {
            form.append_pair("client_id", client_id).append_pair("client_secret", secret.expose_secret());
            None
        }
        IntrospectionAuth::Key { id, algorithm, secret } => {
            form.append_pair("client_id", client_id)
                .append_pair("client_assertion_type", ASSERTION_TYPE)
                .append_pair("client_assertion", &assertion(client_id, url, (id, *algorithm, secret), ambient)?);
            None
        }
    };
    Ok((form.finish(), authorization))
}
