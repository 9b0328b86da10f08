//! An authorization in progress: kept in the store, tied to one browser.
//!
//! The store's key is the digest of a secret that only a cookie holds; the forms carry an id that names the cookie. A foreign
//! page knows neither (CSRF), another browser has no cookie, and two authorizations in two tabs do not meet.

use std::sync::Arc;

use http::HeaderValue;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::AuthServer;
use super::account::{Federated, account};
use super::call::Call;
use super::cookies;
use super::error::PageError;
use super::launch::Bound;
use super::prompt::Prompt;
use crate::ambient::{Ambient, UnixSeconds};
use crate::config::{Client, Consent, Snapshot, User};
use crate::store::Digest;

/// Seconds from the app's request to the end of consent.
pub(super) const LIFETIME: UnixSeconds = 10 * 60;

/// Who logged in, and when.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(super) struct Login {
    pub(super) username: String,
    /// What is known of somebody who logged in at the provider.
    #[serde(default)]
    pub(super) federated: Option<Federated>,
    pub(super) at: UnixSeconds,
}

/// What the picker was last asked.
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
pub(super) struct Search {
    pub(super) name: String,
    pub(super) birth_date: String,
    pub(super) identifier: String,
}

impl Search {
    pub(super) fn is_empty(&self) -> bool {
        self.name.is_empty() && self.birth_date.is_empty() && self.identifier.is_empty()
    }
}

/// Which encounter is in context.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug, Default)]
pub(super) enum EncounterChoice {
    #[default]
    Open,
    Nothing,
    Chosen(String),
}

/// What is known of an authorization so far.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(super) struct Pending {
    /// Names the cookie; in every form and link of its pages.
    pub(super) id: String,
    pub(super) expires: UnixSeconds,
    pub(super) client: String,
    pub(super) redirect_uri: String,
    pub(super) state: String,
    /// What can be granted, as the app wrote it.
    pub(super) scope: Vec<String>,
    pub(super) nonce: Option<String>,
    pub(super) challenge: String,
    /// What the field for the username shows.
    pub(super) username: String,
    pub(super) login: Option<Login>,
    pub(super) patient: Option<String>,
    pub(super) search: Search,
    #[serde(default)]
    pub(super) encounter: EncounterChoice,
    /// The EHR launch that this belongs to.
    #[serde(default)]
    pub(super) launch: Option<Bound>,
    #[serde(default)]
    pub(super) prompt: Prompt,
    /// Whether the provider was asked, without a page, if it knows the person.
    #[serde(default)]
    pub(super) asked_silently: bool,
    /// The tag of the language that the app asked for.
    #[serde(default)]
    pub(super) language: Option<String>,
}

impl Pending {
    /// The encounter in context: the one that was chosen, or the launch's.
    pub(super) fn encounter(&self) -> Option<&str> {
        match &self.encounter {
            EncounterChoice::Chosen(id) => Some(id),
            _ => self.launch.as_ref().and_then(|launch| launch.context.encounter.as_deref()),
        }
    }

    /// Whether a local user may log in; a launch is for one person, and who is local is so by name.
    pub(super) fn may_log_in(&self, snapshot: &Snapshot) -> bool {
        self.launch.as_ref().is_none_or(|launch| snapshot.users.contains_key(&launch.username))
    }

    /// Whether somebody of the provider may log in.
    pub(super) fn may_federate(&self, snapshot: &Snapshot) -> bool {
        self.launch.as_ref().map_or(snapshot.oidc.is_some(), |launch| snapshot.is_federated(&launch.username))
    }

    /// An EHR may hold the pages in a frame, where browsers keep back what is for this site alone.
    pub(super) fn site(&self) -> cookies::Site {
        if self.launch.is_some() { cookies::Site::Framed } else { cookies::Site::Own }
    }
}

/// An authorization in progress that this browser may go on with.
pub(super) struct Session {
    handle: Digest,
    pub(super) pending: Pending,
    pub(super) client: Arc<Client>,
    /// Cookies to set with the next answer.
    pub(super) cookies: Vec<HeaderValue>,
}

impl Session {
    /// The person who logged in, if the account is still there.
    pub(super) fn user(&self, snapshot: &Snapshot) -> Option<Arc<User>> {
        let login = self.pending.login.as_ref()?;
        account(snapshot, &login.username, login.federated.as_ref())
    }

    /// Whether the person is asked what the app may do.
    pub(super) fn asks_consent(&self) -> bool {
        self.client.consent == Consent::Ask || self.pending.prompt.consent
    }

    /// Origins whose pages may hold those of this authorization in a frame: the EHR's that launched the app.
    pub(super) fn frame_ancestors<'a>(&self, snapshot: &'a Snapshot) -> &'a [String] {
        self.pending.launch.as_ref().map_or(&[], |launch| launch.frame_ancestors(snapshot))
    }

    /// A link to a page of this authorization, relative so that it works under whatever name the browser came by.
    pub(super) fn link(&self, page: &str) -> String {
        format!("{page}?id={}", self.pending.id)
    }
}

impl AuthServer {
    /// Begins an authorization; returns its session with the cookie to set.
    pub(super) async fn begin(
        &self,
        call: &Call<'_>,
        pending: Pending,
        client: Arc<Client>,
    ) -> Result<Session, PageError> {
        let (handle, cookie) = fresh_secret(&self.parts.ambient, call.snapshot, &pending);
        let session = Session { handle, pending, client, cookies: vec![cookie] };
        self.keep(&session).await?;
        Ok(session)
    }

    /// The authorization that the form or link names by `id` and the browser by its cookie.
    pub(super) async fn resume(&self, call: &Call<'_>, id: Option<&str>) -> Result<Session, PageError> {
        let id = id.filter(|id| cookies::is_id(id)).ok_or(PageError::Gone)?;
        let secret = cookies::value(call, &cookies::name(call.snapshot, id)).ok_or(PageError::Gone)?;
        let handle: Digest = Sha256::digest(secret.as_bytes()).into();
        let state = self.parts.store.pending(&handle, call.now).await?.ok_or(PageError::Gone)?;
        let pending = read(&state).filter(|pending| pending.id == id && pending.expires > call.now);
        let pending = pending.ok_or(PageError::Gone)?;
        if let Some(language) = &pending.language {
            call.ask_language(language);
        }
        let client = live_client(call.snapshot, &pending).ok_or(PageError::Client)?;
        Ok(Session { handle, pending, client, cookies: Vec::new() })
    }

    /// Keeps what changed.
    pub(super) async fn keep(&self, session: &Session) -> Result<(), PageError> {
        let state = serde_json::to_string(&session.pending).map_err(|error| {
            tracing::error!(%error, "an authorization in progress could not be written");
            PageError::Unavailable
        })?;
        Ok(self.parts.store.put_pending(&session.handle, &state, session.pending.expires).await?)
    }

    /// Gives the authorization a new id and a new secret, so that whoever knew the old ones before the login has nothing.
    pub(super) async fn renew(&self, call: &Call<'_>, session: Session) -> Result<Session, PageError> {
        let Session { handle, mut pending, client, .. } = session;
        self.parts.store.take_pending(&handle, call.now).await?.ok_or(PageError::Gone)?;
        let forget = expired_cookie(call.snapshot, &pending);
        pending.id = self.parts.ambient.id();
        let (handle, cookie) = fresh_secret(&self.parts.ambient, call.snapshot, &pending);
        Ok(Session { handle, pending, client, cookies: vec![forget, cookie] })
    }

    /// Ends the authorization: of two requests exactly one gets this far.
    pub(super) async fn end(&self, call: &Call<'_>, session: Session) -> Result<Session, PageError> {
        self.parts.store.take_pending(&session.handle, call.now).await?.ok_or(PageError::Gone)?;
        let mut session = session;
        session.cookies.push(expired_cookie(call.snapshot, &session.pending));
        Ok(session)
    }
}

/// The client, if it may still be answered at the place where it wants the answer.
fn live_client(snapshot: &Snapshot, pending: &Pending) -> Option<Arc<Client>> {
    let client = snapshot.clients.get(&pending.client).filter(|client| client.enabled)?;
    client.redirect_uris.contains(&pending.redirect_uri).then_some(client)
}

fn read(state: &str) -> Option<Pending> {
    serde_json::from_str(state)
        .inspect_err(|error| tracing::error!(%error, "the store holds an authorization that cannot be read"))
        .ok()
}

fn fresh_secret(ambient: &Ambient, snapshot: &Snapshot, pending: &Pending) -> (Digest, HeaderValue) {
    let secret = ambient.secret();
    let digest = Sha256::digest(secret.as_bytes()).into();
    (digest, cookies::set(snapshot, &pending.id, &secret, LIFETIME, pending.site()))
}

fn expired_cookie(snapshot: &Snapshot, pending: &Pending) -> HeaderValue {
    cookies::set(snapshot, &pending.id, "", 0, pending.site())
}
