//! Login at an existing OpenID provider (OpenID Connect Core §3.1): authorization code, PKCE, `nonce`, and a `state` that only the
//! browser which began can come back with. What it began waits sealed in a cookie: who has not logged in leaves nothing in the store.

mod failed;
mod mapping;
mod silent;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use url::Url;

use super::AuthServer;
use super::answer;
use super::call::Call;
use super::cookies::{self, Site};
use super::endpoints::Endpoint;
use super::error::{AuthorizeError, PageError};
use super::form::Form;
use super::grant_types::challenge_of;
use super::pages;
use super::pending::{LIFETIME, Login, Pending, Session};
use super::prompt::Prompt;
use super::record::{FAILURE, SUCCESS};
use super::steps::Step;
use crate::ambient::UnixSeconds;
use crate::config::Oidc;
use crate::telemetry::{AuthRecord, LoginOutcome};
use crate::token::{Provider, TokenError};
pub(super) use failed::Failed;
use mapping::Person;

/// How far the provider's clock may be behind, in seconds.
const CLOCK_SKEW: UnixSeconds = 30;

/// Longest code that is exchanged.
const MAX_CODE: usize = 4096;

/// Longest value of a cookie: browsers take 4096 bytes with its name (RFC 6265bis §5.6).
const MAX_COOKIE: usize = 4000;

/// What the seal of an attempt is for, so that no other seal passes for it.
const BINDING: &[u8] = b"federation";

/// A login that went to the provider, until the browser comes back.
#[derive(Serialize, Deserialize)]
struct Attempt {
    /// Names the cookie.
    id: String,
    state: String,
    nonce: String,
    verifier: String,
    issuer: String,
    /// The authorization that it is for; none for the page where a person manages their apps.
    pending: Option<Pending>,
    /// Whether the provider was asked to show no page.
    silent: bool,
    expires: UnixSeconds,
}

impl Attempt {
    /// How the app wants the person to be asked.
    fn prompt(&self) -> Prompt {
        self.pending.as_ref().map(|pending| pending.prompt).unwrap_or_default()
    }

    fn site(&self) -> Site {
        self.pending.as_ref().map_or(Site::Own, Pending::site)
    }
}

impl AuthServer {
    /// `GET /auth/federate`: sends the browser to the provider.
    pub(super) async fn federate(&self, call: &Call<'_>) -> Result<Response<Bytes>, PageError> {
        let query = call.query().map_err(|_| PageError::Parameters)?;
        let oidc = call.snapshot.oidc.as_ref().ok_or(PageError::Gone)?;
        let mut session = match query.get("id") {
            Some(_) => Some(self.resume(call, &query).await?),
            None => None,
        };
        let mut silent = false;
        if let Some(session) = &mut session {
            if Step::of(session, call.snapshot) != Step::Login || !session.pending.may_federate(call.snapshot) {
                return Ok(pages::go_on(session, &session.link("login")));
            }
            silent = silent::is_to_be_tried(&session.pending, call.snapshot);
            session.pending.asked_silently |= silent;
            self.keep(session).await?;
        }
        let provider = match self.parts.verifier.fetcher.provider(oidc).await {
            Ok(provider) => provider,
            Err(why) => {
                tracing::warn!(request_id = call.request_id, %why, "nobody can log in at the provider");
                self.record_failed(call, session.as_ref(), Failed::Unavailable, None).await;
                return self.turn_back(call, session, Failed::Unavailable).await;
            }
        };
        let id = self.parts.ambient.id();
        let attempt = Attempt {
            state: format!("{id}{}", self.parts.ambient.secret()),
            id,
            nonce: self.parts.ambient.secret(),
            verifier: self.parts.ambient.secret(),
            issuer: oidc.issuer.clone(),
            pending: session.as_ref().map(|session| session.pending.clone()),
            silent,
            expires: call.now.saturating_add(LIFETIME),
        };
        let location = request(call, oidc, &provider, &attempt)?;
        let sealed = self.sealed(&attempt)?;
        if let Some(session) = session.filter(|_| sealed.len() > MAX_COOKIE) {
            return self.refuse(call, session, AuthorizeError::TooLong).await;
        }
        let cookie = cookies::set(call.snapshot, &attempt.id, &sealed, LIFETIME, attempt.site());
        Ok(with_cookie(answer::see_other(&location), cookie))
    }

    fn sealed(&self, attempt: &Attempt) -> Result<String, PageError> {
        let state = serde_json::to_vec(attempt).map_err(|error| error.to_string());
        let sealed = state.and_then(|state| self.parts.keys.seal(&state, BINDING).map_err(|error| error.to_string()));
        sealed.map_err(|error| {
            tracing::error!(%error, "a login at the provider could not be sealed");
            PageError::Unavailable
        })
    }

    /// `GET /auth/callback`: the browser comes back from the provider.
    pub(super) async fn callback(&self, call: &Call<'_>) -> Result<Response<Bytes>, PageError> {
        let query = call.query().map_err(|_| PageError::Parameters)?;
        let attempt = self.attempt(call, &query).ok_or(PageError::Gone)?;
        let forget = cookies::set(call.snapshot, &attempt.id, "", 0, attempt.site());
        let session = match &attempt.pending {
            Some(pending) => Some(self.resume_with(call, pending.clone()).await?),
            None => None,
        };
        let response = match self.person(call, &query, &attempt).await {
            Ok(person) => {
                // Of two requests exactly one gets this far.
                if !self.parts.store.first_use(&attempt.issuer, &attempt.id, call.now, attempt.expires).await? {
                    return Err(PageError::Gone);
                }
                match session {
                    Some(session) => self.person_enters(call, session, person).await?,
                    None => self.person_visits(call, person).await?,
                }
            }
            Err((failed, detail)) => {
                self.record_failed(call, session.as_ref(), failed, Some(detail)).await;
                self.turn_back(call, session, failed).await?
            }
        };
        Ok(with_cookie(response, forget))
    }

    /// The login that this browser began with this `state`.
    fn attempt(&self, call: &Call<'_>, query: &Form) -> Option<Attempt> {
        let state = query.get("state")?;
        let id = state.get(..22).filter(|id| cookies::is_id(id))?;
        let sealed = cookies::value(call, &cookies::name(call.snapshot, id))?;
        let opened = self.parts.keys.open_seal(&sealed, BINDING)?;
        let attempt: Attempt = serde_json::from_slice(&opened).ok()?;
        (attempt.id == id && attempt.state == state && attempt.expires > call.now).then_some(attempt)
    }

    /// Who logged in; the text says more to the operator.
    async fn person(&self, call: &Call<'_>, query: &Form, attempt: &Attempt) -> Result<Person, (Failed, String)> {
        let is_same = |oidc: &&std::sync::Arc<Oidc>| oidc.issuer == attempt.issuer;
        let oidc = call.snapshot.oidc.as_ref().filter(is_same);
        let oidc = oidc.ok_or_else(|| (Failed::Answer, "the provider was changed meanwhile".to_owned()))?;
        let fetcher = &self.parts.verifier.fetcher;
        let provider = fetcher.provider(oidc).await.map_err(|why| (Failed::Unavailable, why))?;
        // RFC 9207 §2.4: errors too are the provider's only if they say so.
        let named = query.get("iss");
        if named.map_or(provider.names_itself, |named| named != oidc.issuer) {
            return Err((Failed::Answer, "the answer is from another issuer, or does not say from which".to_owned()));
        }
        if let Some(error) = query.get("error") {
            return Err((silent::failure(error, attempt.silent), code(error).to_owned()));
        }
        let code = query.get("code").filter(|code| (1..=MAX_CODE).contains(&code.len()));
        let code = code.ok_or_else(|| (Failed::Answer, "the answer has no code".to_owned()))?;
        let redirect_uri = Endpoint::Callback.url(call.snapshot);
        let token = fetcher.redeem(oidc, &provider, code, &attempt.verifier, &redirect_uri).await;
        let token = token.map_err(|why| (Failed::Unavailable, why))?;
        let identity =
            self.parts.verifier.identity(&token, oidc, &attempt.nonce).await.map_err(|error| match error {
                TokenError::Refused(rule) => (Failed::Answer, rule.to_owned()),
                TokenError::Unavailable(why) => (Failed::Unavailable, why),
            })?;
        let begun = attempt.expires.saturating_sub(LIFETIME);
        if !attempt.prompt().is_met_by(identity.authenticated(), begun, CLOCK_SKEW) {
            return Err((Failed::Answer, "`auth_time` is missing, or older than was asked for".to_owned()));
        }
        self.known_person(call.snapshot, oidc, &identity).await
    }

    /// Goes on with the authorization, which this browser has begun too.
    async fn person_enters(
        &self,
        call: &Call<'_>,
        session: Session,
        person: Person,
    ) -> Result<Response<Bytes>, PageError> {
        if Step::of(&session, call.snapshot) != Step::Login {
            return Ok(pages::go_on(&session, &session.link("login")));
        }
        self.record_entered(call, Some(&session), &person).await;
        let login = Login { username: person.username, federated: Some(person.account), vouched: false, at: call.now };
        self.logged_in(call, session, login).await
    }

    async fn person_visits(&self, call: &Call<'_>, person: Person) -> Result<Response<Bytes>, PageError> {
        self.record_entered(call, None, &person).await;
        self.begin_visit(call, &person.username, &person.account.name).await
    }

    async fn record_entered(&self, call: &Call<'_>, session: Option<&Session>, person: &Person) {
        self.parts.metrics.login(LoginOutcome::Success);
        let record = AuthRecord {
            event: "login",
            outcome: SUCCESS,
            client: session.map(|session| session.client.id.clone()),
            subject: Some(person.username.clone()),
            ..AuthRecord::default()
        };
        self.record(call, record).await;
    }

    async fn record_failed(&self, call: &Call<'_>, session: Option<&Session>, failed: Failed, detail: Option<String>) {
        if failed == Failed::Page {
            // Nobody has tried anything yet.
            return;
        }
        self.parts.metrics.login(match failed {
            Failed::Unavailable => LoginOutcome::Refused,
            _ => LoginOutcome::Failure,
        });
        let record = AuthRecord {
            event: "login",
            outcome: FAILURE,
            client: session.map(|session| session.client.id.clone()),
            error: Some(failed.name()),
            detail,
            ..AuthRecord::default()
        };
        self.record(call, record).await;
    }
}

/// The authorization request to the provider.
fn request(call: &Call<'_>, oidc: &Oidc, provider: &Provider, attempt: &Attempt) -> Result<String, PageError> {
    let mut url = Url::parse(&provider.authorization_endpoint).map_err(|_| PageError::Unavailable)?;
    let mut query = url.query_pairs_mut();
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", &oidc.client_id)
        .append_pair("redirect_uri", &Endpoint::Callback.url(call.snapshot))
        .append_pair("scope", &oidc.scopes.join(" "))
        .append_pair("state", &attempt.state)
        .append_pair("nonce", &attempt.nonce)
        .append_pair("ui_locales", call.language().tag())
        .append_pair("code_challenge", &challenge_of(&attempt.verifier))
        .append_pair("code_challenge_method", "S256");
    query.extend_pairs(attempt.prompt().at_provider(attempt.silent));
    drop(query);
    Ok(url.into())
}

/// An error code as RFC 6749 §4.1.2.1 has them; anything else may be anything.
fn code(error: &str) -> &str {
    let is_code = error.len() <= 64 && error.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_code { error } else { "an error that has no code" }
}

fn with_cookie(mut response: Response<Bytes>, cookie: HeaderValue) -> Response<Bytes> {
    if response.status() == StatusCode::SEE_OTHER || response.status() == StatusCode::OK {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests;
