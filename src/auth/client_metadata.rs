//! The metadata that an app registers itself with (RFC 7591 §2): what is understood is checked, what is not is ignored.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::call::Call;
use super::granted::MAX_SCOPE_LIST;
use crate::config::{About, KeySource, RegisteredAuth, UserGrantType, check_key_set, client_key_url, redirect_uri};
use crate::token::{is_public_url, serves_assertions};

/// Redirect URIs, contacts.
const MAX_LIST: usize = 20;

/// Bytes of a URI, and of other texts but the name.
const MAX_TEXT: usize = 2048;

/// Characters of a name, which people must be able to take in.
const MAX_NAME: usize = 80;

/// Bytes of a JWK set, which is kept in memory.
const MAX_KEYS: usize = 16 * 1024;

/// What is wrong with the metadata; the texts are for the app's developer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wrong {
    RedirectUri(&'static str),
    Metadata(&'static str),
}

/// The metadata as it was sent.
#[derive(Deserialize)]
pub(super) struct Metadata {
    redirect_uris: Option<Vec<String>>,
    client_name: Option<String>,
    token_endpoint_auth_method: Option<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    scope: Option<String>,
    jwks: Option<Value>,
    jwks_uri: Option<String>,
    client_uri: Option<String>,
    logo_uri: Option<String>,
    policy_uri: Option<String>,
    tos_uri: Option<String>,
    contacts: Option<Vec<String>>,
    software_id: Option<String>,
    software_version: Option<String>,
}

impl Metadata {
    /// The metadata in the body of a request.
    pub(super) fn parse(call: &Call<'_>) -> Result<Self, Wrong> {
        let body = call.json().ok_or(Wrong::Metadata("the body must be `application/json`"))?;
        let metadata: Self = serde_json::from_slice(body).map_err(|_| {
            Wrong::Metadata("the body is no JSON object, or a member has another type than RFC 7591 says")
        })?;
        let code = metadata.response_types.as_deref().is_none_or(|types| types == ["code"]);
        if !code {
            return Err(Wrong::Metadata("`response_types` can only be `code`"));
        }
        if metadata.scope.as_ref().is_some_and(|scope| scope.len() > MAX_SCOPE_LIST) {
            return Err(Wrong::Metadata("`scope` is too long"));
        }
        Ok(metadata)
    }

    pub(super) fn redirect_uris(&self) -> Result<Vec<String>, Wrong> {
        let uris = self.redirect_uris.as_deref().unwrap_or_default();
        if uris.is_empty() || uris.len() > MAX_LIST {
            return Err(Wrong::RedirectUri("`redirect_uris` must have 1 to 20 URIs"));
        }
        for uri in uris {
            let sound = if uri.len() > MAX_TEXT { Err("is too long".to_owned()) } else { redirect_uri(uri) };
            if let Err(why) = sound {
                tracing::info!(why, "a redirect URI was not registered");
                return Err(Wrong::RedirectUri(
                    "a redirect URI must be https, http on this machine, or of a scheme that is a domain in reverse; exact, and \
                     without fragment and user",
                ));
            }
        }
        Ok(uris.to_vec())
    }

    /// What people read of it; nothing in it may change how the rest of the page reads.
    pub(super) fn name(&self) -> Result<Option<String>, Wrong> {
        let Some(name) = self.client_name.as_deref().map(str::trim).filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        if name.chars().count() > MAX_NAME || name.chars().any(is_unseen) {
            return Err(Wrong::Metadata("`client_name` is longer than 80 characters, or has some that cannot be seen"));
        }
        Ok(Some(name.to_owned()))
    }

    /// How it authenticates at the token endpoint, `client_secret_basic` by default (RFC 7591 §2).
    pub(super) fn method(&self) -> &str {
        self.token_endpoint_auth_method.as_deref().unwrap_or("client_secret_basic")
    }

    pub(super) fn needs_secret(&self) -> bool {
        self.method().starts_with("client_secret_")
    }

    /// `secret` is the hash of the secret that it is given, where it needs one.
    pub(super) fn auth(&self, secret: Option<String>, fetch_allow: &HashSet<String>) -> Result<RegisteredAuth, Wrong> {
        if self.jwks.is_some() && self.jwks_uri.is_some() {
            return Err(Wrong::Metadata("`jwks` and `jwks_uri` do not go together"));
        }
        match (self.method(), secret, &self.jwks, &self.jwks_uri) {
            ("none", ..) => Ok(RegisteredAuth::Public),
            ("client_secret_basic" | "client_secret_post", Some(secret), ..) => Ok(RegisteredAuth::Secret(secret)),
            ("private_key_jwt", _, Some(set), None) => keys(&set.to_string()),
            ("private_key_jwt", _, None, Some(url)) => keys_url(url, fetch_allow),
            ("private_key_jwt", ..) => Err(Wrong::Metadata("`private_key_jwt` needs `jwks` or `jwks_uri`")),
            _ => Err(Wrong::Metadata(
                "`token_endpoint_auth_method` must be `none`, `client_secret_basic`, `client_secret_post` or `private_key_jwt`",
            )),
        }
    }

    /// `authorization_code` alone by default (RFC 7591 §2).
    pub(super) fn grant_types(&self) -> Result<Vec<UserGrantType>, Wrong> {
        let wrong = Wrong::Metadata("`grant_types` can only be `authorization_code`, and `refresh_token` beside it");
        let mut types = vec![UserGrantType::AuthorizationCode];
        let Some(asked) = self.grant_types.as_deref() else { return Ok(types) };
        let known = |name: &String| matches!(name.as_str(), "authorization_code" | "refresh_token");
        let has = |name: &str| asked.iter().any(|asked| asked == name);
        if !asked.iter().all(known) || !has("authorization_code") {
            return Err(wrong);
        }
        types.extend(has("refresh_token").then_some(UserGrantType::RefreshToken));
        Ok(types)
    }

    /// The scopes that are asked for; none leaves them to the server.
    pub(super) fn scopes(&self) -> Option<Vec<String>> {
        let list = self.scope.as_deref()?.split(' ').filter(|scope| !scope.is_empty());
        Some(list.map(str::to_owned).collect::<Vec<_>>()).filter(|scopes| !scopes.is_empty())
    }

    pub(super) fn about(&self) -> Result<About, Wrong> {
        if self.contacts.as_ref().is_some_and(|contacts| contacts.len() > MAX_LIST) {
            return Err(Wrong::Metadata("`contacts` has more than 20"));
        }
        let uris = [&self.client_uri, &self.logo_uri, &self.policy_uri, &self.tos_uri];
        if !uris.into_iter().flatten().all(|uri| is_web_page(uri)) {
            return Err(Wrong::Metadata("`client_uri`, `logo_uri`, `policy_uri` and `tos_uri` must be https"));
        }
        let texts = [&self.software_id, &self.software_version];
        let texts = texts.into_iter().flatten().chain(self.contacts.iter().flatten());
        if !texts.into_iter().all(|text| text.len() <= MAX_TEXT && !text.chars().any(is_unseen)) {
            return Err(Wrong::Metadata("a text is too long, or has characters that cannot be seen"));
        }
        Ok(About {
            client_uri: self.client_uri.clone(),
            logo_uri: self.logo_uri.clone(),
            policy_uri: self.policy_uri.clone(),
            tos_uri: self.tos_uri.clone(),
            contacts: self.contacts.clone(),
            software_id: self.software_id.clone(),
            software_version: self.software_version.clone(),
        })
    }
}

fn keys(set: &str) -> Result<RegisteredAuth, Wrong> {
    if set.len() > MAX_KEYS {
        return Err(Wrong::Metadata("`jwks` is longer than 16 KiB"));
    }
    if check_key_set(set).is_ok() && serves_assertions(set) {
        return Ok(RegisteredAuth::Keys(set.to_owned()));
    }
    Err(Wrong::Metadata("`jwks` must have public keys only, and at least one with a `kid` for RS384 or ES384"))
}

fn keys_url(url: &str, fetch_allow: &HashSet<String>) -> Result<RegisteredAuth, Wrong> {
    let sound = match client_key_url(url, fetch_allow) {
        _ if url.len() > MAX_TEXT => false,
        Ok(KeySource::ClientUrl(url)) => is_public_url(&url),
        listed => listed.is_ok(),
    };
    if sound {
        return Ok(RegisteredAuth::KeysUrl(url.to_owned()));
    }
    Err(Wrong::Metadata("`jwks_uri` must be https at a public address, without query, fragment and user"))
}

fn is_web_page(uri: &str) -> bool {
    let plain = uri.len() <= MAX_TEXT && uri.bytes().all(|byte| byte.is_ascii_graphic());
    plain
        && Url::parse(uri)
            .is_ok_and(|url| url.scheme() == "https" && url.username().is_empty() && url.password().is_none())
}

/// Whether a character has no shape of its own or changes the direction of others (Unicode UAX #9, UTR #36).
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{ffff}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
#[path = "client_metadata_tests.rs"]
mod tests;
