//! An authorization in progress, tied to one browser.
//!
//! Once somebody has logged in, the store keeps it. Until then nothing is kept, so that nobody can fill the store or crowd
//! others out of it: what is known goes with the browser, sealed, in the link and the form of the login page.
//!
//! The store's key, to which the seal is bound too, is the digest of a secret that only a cookie holds; the forms carry an id that
//! names the cookie. A foreign page knows neither (CSRF), another browser has no cookie, and two authorizations in two tabs do not
//! meet.

use std::sync::Arc;

use http::HeaderValue;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::AuthServer;
use super::account::{Federated, account};
use super::call::Call;
use super::cookies;
use super::error::{AuthorizeError, PageError};
use super::form::Form;
use super::launch::Bound;
use super::prompt::Prompt;
use crate::ambient::{Ambient, UnixSeconds};
use crate::config::{Client, Consent, Snapshot, User};
use crate::store::Digest;

/// Seconds from the app's request to the end of consent.
pub(super) const LIFETIME: UnixSeconds = 10 * 60;

/// Bytes that the address of the login page may still grow by: the rest of the path, a notice, and the username that was typed.
const ROOM: usize = 1024;

/// Who logged in, and when.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(super) struct Login {
    pub(super) username: String,
    /// What is known of somebody who logged in at the provider.
    #[serde(default)]
    pub(super) federated: Option<Federated>,
    /// Whether an EHR's word stands for it.
    #[serde(default)]
    pub(super) vouched: bool,
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
    /// What the login page carries while nobody has logged in.
    pub(super) begun: Option<String>,
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
        let begun = self.begun.as_ref().map(|begun| format!("&begun={begun}")).unwrap_or_default();
        format!("{page}?id={}{begun}", self.pending.id)
    }

    /// Whether the store keeps it.
    fn is_kept(&self) -> bool {
        self.pending.login.is_some()
    }
}

impl AuthServer {
    /// Begins an authorization; returns its session with the cookie to set.
    ///
    /// # Errors
    /// More was asked than fits the address of the login page.
    pub(super) async fn begin(
        &self,
        call: &Call<'_>,
        pending: Pending,
        client: &Arc<Client>,
    ) -> Result<Session, AuthorizeError> {
        let (handle, cookie) = fresh_secret(&self.parts.ambient, call.snapshot, &pending);
        let mut session = Session { handle, pending, client: Arc::clone(client), begun: None, cookies: vec![cookie] };
        self.keep(&mut session).await.map_err(|_| AuthorizeError::Unavailable)?;
        if session.link("login").len().saturating_add(ROOM) > call.snapshot.limits.target {
            return Err(AuthorizeError::TooLong);
        }
        Ok(session)
    }

    /// The authorization that the form or link names by `id`, or brings along in `begun`, and the browser by its cookie.
    pub(super) async fn resume(&self, call: &Call<'_>, form: &Form) -> Result<Session, PageError> {
        let id = form.get("id").ok_or(PageError::Gone)?;
        let handle = handle(call, id)?;
        let begun = form.get("begun");
        let state = match begun {
            Some(begun) => {
                self.parts.keys.open_seal(begun, &binding(&handle)).and_then(|it| String::from_utf8(it).ok())
            }
            None => self.parts.store.pending(&handle, call.now).await?,
        };
        let pending = state.and_then(|state| read(&state)).filter(|pending| pending.id == id).ok_or(PageError::Gone)?;
        // Who has logged in is in the store: a seal that says so is not of this gate's making.
        if begun.is_some() && pending.login.is_some() {
            return Err(PageError::Gone);
        }
        Ok(Session { begun: begun.map(str::to_owned), ..session(call, handle, pending)? })
    }

    /// The authorization that came back by another way than a form or link.
    pub(super) async fn resume_with(&self, call: &Call<'_>, pending: Pending) -> Result<Session, PageError> {
        let handle = handle(call, &pending.id)?;
        // Of who has logged in the store alone is believed.
        let login = match &pending.login {
            Some(_) => self.parts.store.pending(&handle, call.now).await?.and_then(|kept| read(&kept)?.login),
            None => None,
        };
        let mut session = session(call, handle, Pending { login, ..pending })?;
        self.keep(&mut session).await?;
        Ok(session)
    }

    /// Keeps what changed.
    pub(super) async fn keep(&self, session: &mut Session) -> Result<(), PageError> {
        let state = serde_json::to_string(&session.pending).map_err(|error| {
            tracing::error!(%error, "an authorization in progress could not be written");
            PageError::Unavailable
        })?;
        if session.is_kept() {
            session.begun = None;
            return Ok(self.parts.store.put_pending(&session.handle, &state, session.pending.expires).await?);
        }
        let begun = self.parts.keys.seal(state.as_bytes(), &binding(&session.handle)).map_err(|error| {
            tracing::error!(%error, "an authorization in progress could not be sealed");
            PageError::Unavailable
        })?;
        session.begun = Some(begun);
        Ok(())
    }

    /// Gives the authorization a new id and a new secret, so that whoever knew the old ones before the login has nothing; nor does
    /// who logs in now get what somebody before them chose.
    pub(super) async fn renew(&self, call: &Call<'_>, session: Session) -> Result<Session, PageError> {
        self.forget(call, &session).await?;
        let Session { mut pending, client, .. } = session;
        let forget = expired_cookie(call.snapshot, &pending);
        pending.id = self.parts.ambient.id();
        pending.login = None;
        pending.patient = None;
        pending.search = Search::default();
        pending.encounter = EncounterChoice::Open;
        let (handle, cookie) = fresh_secret(&self.parts.ambient, call.snapshot, &pending);
        Ok(Session { handle, pending, client, begun: None, cookies: vec![forget, cookie] })
    }

    /// Ends the authorization: of two requests after the login exactly one gets this far.
    pub(super) async fn end(&self, call: &Call<'_>, session: Session) -> Result<Session, PageError> {
        self.forget(call, &session).await?;
        let mut session = session;
        session.cookies.push(expired_cookie(call.snapshot, &session.pending));
        Ok(session)
    }

    /// Takes it out of the store, if it is there to be taken.
    async fn forget(&self, call: &Call<'_>, session: &Session) -> Result<(), PageError> {
        if session.is_kept() {
            self.parts.store.take_pending(&session.handle, call.now).await?.ok_or(PageError::Gone)?;
        }
        Ok(())
    }
}

/// What the browser's cookie of `id` stands for.
fn handle(call: &Call<'_>, id: &str) -> Result<Digest, PageError> {
    let name = Some(id).filter(|id| cookies::is_id(id)).map(|id| cookies::name(call.snapshot, id));
    let secret = name.and_then(|name| cookies::value(call, &name)).ok_or(PageError::Gone)?;
    Ok(Sha256::digest(secret.as_bytes()).into())
}

/// What the seal is bound to: this browser, and nothing else that is sealed.
fn binding(handle: &Digest) -> Vec<u8> {
    [b"authorization ".as_slice(), handle].concat()
}

fn session(call: &Call<'_>, handle: Digest, pending: Pending) -> Result<Session, PageError> {
    if pending.expires <= call.now {
        return Err(PageError::Gone);
    }
    if let Some(language) = &pending.language {
        call.ask_language(language);
    }
    let client = live_client(call.snapshot, &pending).ok_or(PageError::Client)?;
    Ok(Session { handle, pending, client, begun: None, cookies: Vec::new() })
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
