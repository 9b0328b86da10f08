//! EHR launch (SMART App Launch 2.2 app-launch, "Launch App: EHR Launch").
//!
//! An EHR says beforehand which app is launched for which user, patient and context, and gets the launch value and the URL that
//! its user's browser is to open. There the browser gets a cookie and goes on to the app; at `/auth/authorize` launch and cookie
//! must belong together, and then the user is not asked to log in a second time.

use std::sync::Arc;

use bytes::Bytes;
use form_urlencoded::byte_serialize;
use http::{Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::AuthServer;
use super::answer;
use super::call::Call;
use super::cookies::{self, Site};
use super::endpoints::Endpoint;
use super::error::{ApiError, AuthorizeError, PageError};
use super::form::Form;
use super::launch_context;
use super::pending::{self, Login, Pending};
use super::record::SUCCESS;
use crate::ambient::UnixSeconds;
use crate::config::{Client, LaunchBinding, Launcher, Snapshot};
use crate::fhir::reference::is_id;
use crate::store::Digest;
use crate::telemetry::AuthRecord;
use crate::token::LaunchContext;

/// Seconds from the EHR's request to the app's authorization request.
const LIFETIME: UnixSeconds = 5 * 60;

/// A launch as the store keeps it, until its app got a code.
#[derive(Serialize, Deserialize)]
struct Launch {
    /// Names the cookie.
    id: String,
    ehr: String,
    app: String,
    launch_uri: String,
    username: String,
    patient: Option<String>,
    context: LaunchContext,
    /// SHA-256 of what the browser must have.
    ticket: Digest,
    created: UnixSeconds,
}

/// What an authorization in progress keeps of its launch.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(super) struct Bound {
    handle: Digest,
    ehr: String,
    /// For whom the app was launched; nobody else goes on with it.
    pub(super) username: String,
    pub(super) patient: Option<String>,
    pub(super) context: LaunchContext,
}

impl Bound {
    /// Origins of the EHR's pages, as the configuration has them now.
    pub(super) fn frame_ancestors<'a>(&self, snapshot: &'a Snapshot) -> &'a [String] {
        launcher(snapshot, &self.ehr).map_or(&[], |launcher| &launcher.frame_ancestors)
    }
}

/// The answer to the EHR.
#[derive(Serialize)]
struct Launched<'a> {
    launch: &'a str,
    start_url: String,
    expires_in: UnixSeconds,
}

impl AuthServer {
    /// `POST /auth/launch`, for EHRs.
    pub(super) async fn launch(&self, call: &Call<'_>) -> Response<Bytes> {
        match self.make_launch(call).await {
            Ok(response) => response,
            Err(error) => {
                self.failed(call, "launch", error).await;
                error.response()
            }
        }
    }

    async fn make_launch(&self, call: &Call<'_>) -> Result<Response<Bytes>, ApiError> {
        let form = call.form()?;
        let ehr = self.client(call, &form, Endpoint::Launch).await?;
        let permitted = ehr.launcher.as_ref().ok_or(ApiError::MayNotLaunch)?;
        let (app, launch_uri) = app(call, &form)?;
        let username = username(call, &form, permitted)?;
        let patient = form.get("patient");
        if let Some(patient) = patient
            && !self.may_be_launched(call, username, patient).await?
        {
            return Err(ApiError::Launch("`patient` is no patient whom `user` may choose"));
        }
        let (value, ticket) = (self.parts.ambient.secret(), self.parts.ambient.secret());
        let launch = Launch {
            id: self.parts.ambient.id(),
            ehr: ehr.id.clone(),
            app: app.id.clone(),
            launch_uri: launch_uri.to_owned(),
            username: username.to_owned(),
            patient: patient.map(str::to_owned),
            context: launch_context::read(&form)?,
            ticket: Sha256::digest(ticket.as_bytes()).into(),
            created: call.now,
        };
        let state = serde_json::to_string(&launch).map_err(|error| {
            tracing::error!(%error, "a launch could not be written");
            ApiError::Unavailable
        })?;
        // An authorization that begins in time may take its own time.
        let kept_until = call.now.saturating_add(LIFETIME + pending::LIFETIME);
        self.parts.store.put_pending(&handle(&value), &state, kept_until).await?;
        let record = AuthRecord { outcome: SUCCESS, ..launch_record(&launch) };
        self.record(call, record).await;
        let start_url = format!("{}?launch={value}&ticket={ticket}", Endpoint::LaunchStart.url(call.snapshot));
        Ok(answer::json(StatusCode::OK, &Launched { launch: &value, start_url, expires_in: LIFETIME }))
    }

    /// Whether an app may be launched for this user and patient. Whom somebody of the provider may choose is known when they log
    /// in, and asked then, as it is for everybody.
    async fn may_be_launched(&self, call: &Call<'_>, username: &str, patient: &str) -> Result<bool, ApiError> {
        match call.snapshot.users.get(username) {
            Some(user) => self.may_choose(call, user, patient).await.map_err(|_| ApiError::Unavailable),
            None => Ok(is_id(patient)),
        }
    }

    /// `GET /auth/launch/start`: marks the browser and sends it on to the app. It may be opened again until the app has its code.
    pub(super) async fn start_launch(&self, call: &Call<'_>) -> Result<Response<Bytes>, PageError> {
        let query = call.query().map_err(|_| PageError::Parameters)?;
        let (value, ticket) = query.get("launch").zip(query.get("ticket")).ok_or(PageError::Parameters)?;
        let launch = self.live_launch(call, value).await?.filter(|launch| launch.is_ticket(ticket));
        let launch = launch.ok_or(PageError::Gone)?;
        let app = call.snapshot.clients.get(&launch.app).filter(|app| app.enabled).ok_or(PageError::Client)?;
        if !app.launch_uris.contains(&launch.launch_uri) {
            return Err(PageError::Client);
        }
        let separator = if launch.launch_uri.contains('?') { '&' } else { '?' };
        let base: String = byte_serialize(call.snapshot.fhir.public_base.as_bytes()).collect();
        let mut response = answer::see_other(&format!("{}{separator}iss={base}&launch={value}", launch.launch_uri));
        let cookie = cookies::set(call.snapshot, &launch.id, ticket, LIFETIME, Site::Framed);
        response.headers_mut().append(header::SET_COOKIE, cookie);
        Ok(response)
    }

    /// Ties an authorization to the launch that its request names. Returns the login that the launch stands for, if this is the
    /// browser that the EHR sent and the user is a local one: who somebody of the provider is here, only a login there tells.
    ///
    /// # Errors
    /// There is no such launch of this app any more.
    pub(super) async fn bind_launch(
        &self,
        call: &Call<'_>,
        value: &str,
        pending: &mut Pending,
    ) -> Result<Option<Login>, AuthorizeError> {
        let launch = self.live_launch(call, value).await.map_err(|_| AuthorizeError::Unavailable)?;
        let launch = launch.filter(|launch| launch.app == pending.client).ok_or(AuthorizeError::Launch)?;
        let permitted = launcher(call.snapshot, &launch.ehr).filter(|ehr| ehr.users.contains(&launch.username));
        let permitted = permitted.filter(|_| call.snapshot.has_user(&launch.username)).ok_or(AuthorizeError::Launch)?;
        if !pending.scope.iter().any(|scope| scope == "launch") {
            return Err(AuthorizeError::LaunchScope);
        }
        let cookie = cookies::value(call, &cookies::name(call.snapshot, &launch.id));
        let is_browser = cookie.is_some_and(|ticket| launch.is_ticket(&ticket));
        let vouched = is_browser || permitted.binding == LaunchBinding::None;
        let is_enough = vouched && pending.prompt.trusts_the_ehr() && !call.snapshot.is_federated(&launch.username);
        let login = Login { username: launch.username.clone(), federated: None, vouched: true, at: launch.created };
        if is_browser {
            pending.username.clone_from(&launch.username);
        }
        pending.launch = Some(Bound {
            handle: handle(value),
            ehr: launch.ehr,
            username: launch.username,
            patient: launch.patient,
            context: launch.context,
        });
        Ok(is_enough.then_some(login))
    }

    /// Spends the launch of an authorization: of two codes exactly one is made.
    pub(super) async fn spend_launch(&self, call: &Call<'_>, launch: &Bound) -> Result<(), AuthorizeError> {
        let spent = self.parts.store.take_pending(&launch.handle, call.now).await.map_err(|error| {
            tracing::error!(%error, "a launch could not be spent");
            AuthorizeError::Unavailable
        })?;
        spent.map(|_| ()).ok_or(AuthorizeError::Launch)
    }

    async fn live_launch(&self, call: &Call<'_>, value: &str) -> Result<Option<Launch>, PageError> {
        let Some(state) = self.parts.store.pending(&handle(value), call.now).await? else {
            return Ok(None);
        };
        let launch: Launch = serde_json::from_str(&state).map_err(|error| {
            tracing::error!(%error, "the store holds a launch that cannot be read");
            PageError::Unavailable
        })?;
        Ok(Some(launch).filter(|launch| launch.created.saturating_add(LIFETIME) > call.now))
    }
}

impl Launch {
    fn is_ticket(&self, ticket: &str) -> bool {
        self.ticket == Digest::from(Sha256::digest(ticket.as_bytes()))
    }
}

/// The store's key of a launch; no cookie of an authorization has the same one.
fn handle(value: &str) -> Digest {
    Sha256::new().chain_update(b"launch ").chain_update(value.as_bytes()).finalize().into()
}

/// An EHR that may launch as things are now.
fn launcher<'a>(snapshot: &'a Snapshot, ehr: &str) -> Option<&'a Launcher> {
    snapshot.clients.configured.get(ehr).filter(|client| client.enabled)?.launcher.as_ref()
}

/// The app to be launched, and where.
fn app<'a>(call: &'a Call<'_>, form: &'a Form) -> Result<(&'a Arc<Client>, &'a str), ApiError> {
    let id = form.get("app").ok_or(ApiError::Missing("`app` is missing: the client id of the app to launch"))?;
    let app = call.snapshot.clients.configured.get(id).filter(|app| app.enabled && !app.launch_uris.is_empty());
    let app = app.ok_or(ApiError::Launch("`app` is no client with a launch URI"))?;
    match (form.get("launch_uri"), app.launch_uris.as_slice()) {
        (None, [only]) => Ok((app, only)),
        (None, _) => Err(ApiError::Missing("`launch_uri` is missing: the app has several")),
        (Some(uri), known) if known.iter().any(|known| known == uri) => Ok((app, uri)),
        (Some(_), _) => Err(ApiError::Launch("`launch_uri` is not registered for the app")),
    }
}

/// For whom: a local user, or somebody of the provider by issuer and subject.
fn username<'a>(call: &Call<'_>, form: &'a Form, permitted: &Launcher) -> Result<&'a str, ApiError> {
    let name = form.get("user").ok_or(ApiError::Missing("`user` is missing: for whom the app is launched"))?;
    let is_there = call.snapshot.has_user(name) && permitted.users.contains(name);
    is_there.then_some(name).ok_or(ApiError::Launch("`user` is no user for whom this client may launch"))
}

fn launch_record(launch: &Launch) -> AuthRecord {
    AuthRecord {
        event: "launch",
        client: Some(launch.ehr.clone()),
        subject: Some(launch.username.clone()),
        patient: launch.patient.clone(),
        detail: Some(format!("of {}", launch.app)),
        ..AuthRecord::default()
    }
}

#[cfg(test)]
#[path = "launch_tests.rs"]
mod tests;
