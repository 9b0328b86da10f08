//! The authorization request (RFC 6749 §4.1.1, RFC 7636, RFC 9207, SMART App Launch 2.2 app-launch step 4).

use std::sync::Arc;

use bytes::Bytes;
use form_urlencoded::byte_serialize;
use http::Response;

use super::AuthServer;
use super::answer;
use super::call::Call;
use super::error::{AuthorizeError, PageError};
use super::form::Form;
use super::granted::{Bearer, MAX_SCOPE_LIST, within_registration};
use super::language;
use super::pages;
use super::pending::{EncounterChoice, LIFETIME, Login, Pending, Search};
use super::prompt::Prompt;
use super::record::{FAILURE, SUCCESS};
use crate::config::{Client, GrantType, Snapshot};
use crate::telemetry::AuthRecord;

/// Longest `state` and `nonce`.
const MAX_OPAQUE: usize = 8192;

/// Longest username that is read.
pub(super) const MAX_USERNAME: usize = 256;

/// Where an answer goes that the app gets.
pub(super) struct ReturnTo<'a> {
    pub(super) redirect_uri: &'a str,
    pub(super) state: Option<&'a str>,
}

impl ReturnTo<'_> {
    /// The redirect URI with the parameters of an answer; `state` exactly as it came, and who answers (RFC 9207).
    pub(super) fn with(&self, snapshot: &Snapshot, parameters: &[(&str, &str)]) -> String {
        let mut uri = self.redirect_uri.to_owned();
        let mut separator = if uri.contains('?') { '&' } else { '?' };
        let state = self.state.map(|state| ("state", state));
        let issuer = ("iss", snapshot.server.public_url.as_str());
        for (name, value) in parameters.iter().copied().chain(state).chain([issuer]) {
            uri.push(separator);
            uri.push_str(name);
            uri.push('=');
            uri.extend(byte_serialize(value.as_bytes()));
            separator = '&';
        }
        uri
    }

    /// The redirect that carries an error.
    pub(super) fn error(&self, snapshot: &Snapshot, error: AuthorizeError) -> Response<Bytes> {
        let (code, text) = error.public();
        answer::see_other(&self.with(snapshot, &[("error", code), ("error_description", text)]))
    }
}

impl AuthServer {
    /// `GET` and `POST /auth/authorize`.
    pub(super) async fn authorize(&self, call: &Call<'_>) -> Response<Bytes> {
        let form = match call.parameters() {
            Ok(form) => form,
            Err(error) => {
                return self
                    .authorize_failed(
                        call,
                        None,
                        "parameters",
                        &error.to_string(),
                        pages::error(call, PageError::Parameters),
                    )
                    .await;
            }
        };
        call.ask_language(form.get("ui_locales").unwrap_or_default());
        let (client, redirect_uri) = match known_client(call, &form) {
            Ok(known) => known,
            Err(error) => return self.authorize_failed(call, None, error.name(), "", pages::error(call, error)).await,
        };
        let return_to = ReturnTo { redirect_uri, state: form.get("state") };
        let begun = match self.asked(call, &form, &client, redirect_uri).await {
            Ok((pending, login)) => self.begin(call, pending, &client).await.map(|session| (session, login)),
            Err(error) => Err(error),
        };
        let (session, login) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                let response = return_to.error(call.snapshot, error);
                let detail = format!("{error:?}");
                return self.authorize_failed(call, Some(&client), error.public().0, &detail, response).await;
            }
        };
        let record = AuthRecord {
            event: "authorize",
            outcome: SUCCESS,
            client: Some(client.id.clone()),
            scope: Some(session.pending.scope.join(" ")),
            ..AuthRecord::default()
        };
        self.record(call, record).await;
        let entered = match login {
            Some(login) => self.enter(call, session, login).await,
            None => self.begin_login(call, session).await,
        };
        match entered {
            Ok(response) => response,
            Err(error) => {
                let response = return_to.error(call.snapshot, AuthorizeError::Unavailable);
                self.authorize_failed(call, Some(&client), error.name(), "", response).await
            }
        }
    }

    /// What is asked for, and the login that it comes with where an EHR launched the app.
    async fn asked(
        &self,
        call: &Call<'_>,
        form: &Form,
        client: &Client,
        redirect_uri: &str,
    ) -> Result<(Pending, Option<Login>), AuthorizeError> {
        let mut pending = read(call, form, client, redirect_uri, self.parts.ambient.id())?;
        let login = match form.get("launch") {
            Some(launch) => self.bind_launch(call, launch, &mut pending).await?,
            None => {
                // Nobody launched it: there is no context to give.
                pending.scope.retain(|scope| scope != "launch");
                None
            }
        };
        if pending.scope.is_empty() { Err(AuthorizeError::ScopeRefused) } else { Ok((pending, login)) }
    }

    async fn authorize_failed(
        &self,
        call: &Call<'_>,
        client: Option<&Client>,
        error: &'static str,
        detail: &str,
        response: Response<Bytes>,
    ) -> Response<Bytes> {
        let record = AuthRecord {
            event: "authorize",
            outcome: FAILURE,
            client: client.map(|client| client.id.clone()),
            error: Some(error),
            detail: Some(detail.to_owned()).filter(|detail| !detail.is_empty()),
            ..AuthRecord::default()
        };
        self.record(call, record).await;
        response
    }
}

/// The client and where it may be answered; without both there is no redirect (RFC 6749 §4.1.2.1).
fn known_client<'a>(call: &Call<'_>, form: &'a Form) -> Result<(Arc<Client>, &'a str), PageError> {
    let client = form.get("client_id").and_then(|id| call.snapshot.clients.get(id)).filter(|client| client.enabled);
    let client = client.ok_or(PageError::Client)?;
    let redirect_uri = form.get("redirect_uri").ok_or(PageError::RedirectUri)?;
    if client.redirect_uris.iter().any(|registered| registered == redirect_uri) {
        Ok((client, redirect_uri))
    } else {
        Err(PageError::RedirectUri)
    }
}

fn read(
    call: &Call<'_>,
    form: &Form,
    client: &Client,
    redirect_uri: &str,
    id: String,
) -> Result<Pending, AuthorizeError> {
    check_kind(form, client)?;
    check_audience(form, call.snapshot)?;
    let challenge = form.get("code_challenge").filter(|text| is_challenge(text)).ok_or(AuthorizeError::Challenge)?;
    if form.get("code_challenge_method") != Some("S256") {
        return Err(AuthorizeError::ChallengeMethod);
    }
    let prompt = Prompt::read(form)?;
    let state = form.get("state").ok_or(AuthorizeError::State)?;
    let nonce = form.get("nonce");
    let hint = form.get("login_hint").unwrap_or_default();
    if state.len() > MAX_OPAQUE || nonce.is_some_and(|nonce| nonce.len() > MAX_OPAQUE) || hint.len() > MAX_USERNAME {
        return Err(AuthorizeError::TooLong);
    }
    Ok(Pending {
        id,
        expires: call.now.saturating_add(LIFETIME),
        client: client.id.clone(),
        redirect_uri: redirect_uri.to_owned(),
        state: state.to_owned(),
        scope: scopes(form, client, call.snapshot)?,
        nonce: nonce.map(str::to_owned),
        challenge: challenge.to_owned(),
        username: hint.to_owned(),
        login: None,
        patient: None,
        search: Search::default(),
        encounter: EncounterChoice::Open,
        launch: None,
        prompt,
        asked_silently: false,
        language: language::asked(form.get("ui_locales").unwrap_or_default(), &call.snapshot.pages)
            .map(|language| language.tag().to_owned()),
    })
}

fn check_kind(form: &Form, client: &Client) -> Result<(), AuthorizeError> {
    if !client.grant_types.contains(&GrantType::AuthorizationCode) {
        return Err(AuthorizeError::GrantNotRegistered);
    }
    if form.get("request").is_some() {
        return Err(AuthorizeError::RequestObject);
    }
    if form.get("request_uri").is_some() {
        return Err(AuthorizeError::RequestUri);
    }
    if form.get("response_type") != Some("code") {
        return Err(AuthorizeError::ResponseType);
    }
    if form.get("response_mode").is_some_and(|mode| mode != "query") {
        return Err(AuthorizeError::ResponseMode);
    }
    Ok(())
}

/// `aud`, and `resource` as its synonym (RFC 8707), name this FHIR server; what keeps an app from carrying a token for it to a
/// counterfeit one.
fn check_audience(form: &Form, snapshot: &Snapshot) -> Result<(), AuthorizeError> {
    let is_here = |url: &str| url.strip_suffix('/').unwrap_or(url) == snapshot.fhir.public_base;
    let mut named = ["aud", "resource"].into_iter().filter_map(|name| form.get(name)).peekable();
    if named.peek().is_some() && named.all(is_here) { Ok(()) } else { Err(AuthorizeError::Audience) }
}

fn scopes(form: &Form, client: &Client, snapshot: &Snapshot) -> Result<Vec<String>, AuthorizeError> {
    let asked = form.get("scope").ok_or(AuthorizeError::ScopeMissing)?;
    if asked.len() > MAX_SCOPE_LIST {
        return Err(AuthorizeError::TooLong);
    }
    let granted = within_registration(asked, client, snapshot.fhir.version, Bearer::User);
    let length: usize = granted.iter().map(|scope| scope.len() + 1).sum();
    if granted.is_empty() || length > MAX_SCOPE_LIST { Err(AuthorizeError::ScopeRefused) } else { Ok(granted) }
}

/// Whether `text` is a challenge: 43 to 128 characters of base64url (RFC 7636 §4.2).
fn is_challenge(text: &str) -> bool {
    (43..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
#[path = "authorize_tests.rs"]
mod tests;
