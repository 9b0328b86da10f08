//! The page where a person sees which apps go on having access, and ends it (SMART App Launch 2.2 conformance,
//! `management_endpoint`). It has a login of its own, good for this page only.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::AuthServer;
use super::answer;
use super::authorize::MAX_USERNAME;
use super::call::Call;
use super::cookies::{self, Site};
use super::error::PageError;
use super::federation::Failed;
use super::form::Form;
use super::manage_pages::{self, Held};
use super::password::Verdict;
use super::record::SUCCESS;
use super::texts::Notice;
use super::user_grant::UserGrant;
use crate::ambient::UnixSeconds;
use crate::store::{Digest, LiveGrant};
use crate::telemetry::AuthRecord;

/// Seconds from the login until it is asked for again.
const LIFETIME: UnixSeconds = 15 * 60;

/// Names the cookie.
const COOKIE: &str = "manage";

/// A person at the page.
#[derive(Serialize, Deserialize)]
struct Visit {
    /// In every form of the page: a foreign page does not know it (CSRF).
    id: String,
    username: String,
    /// What the page calls them, where it is not by the username.
    #[serde(default)]
    name: Option<String>,
    expires: UnixSeconds,
}

impl AuthServer {
    /// `GET /auth/manage`.
    pub(super) async fn manage_page(&self, call: &Call<'_>) -> Result<Response<Bytes>, PageError> {
        let query = call.query().map_err(|_| PageError::Parameters)?;
        let Some((visit, _)) = self.visit(call).await? else {
            let out = query.get("notice") == Some("out");
            let notice = query.get("notice").and_then(Failed::notice);
            return Ok(manage_pages::login(call, "", notice, out, StatusCode::OK));
        };
        let held = self.held(call, &visit.username).await?;
        let ended = query.get("notice") == Some("ended");
        Ok(manage_pages::overview(call, &visit.id, visit.name.as_deref().unwrap_or(&visit.username), &held, ended))
    }

    /// `POST /auth/manage`: log in, end a grant, log out.
    pub(super) async fn manage(&self, call: &Call<'_>) -> Result<Response<Bytes>, PageError> {
        let form = call.form().map_err(|_| PageError::Parameters)?;
        if is_of_another_site(call) {
            return Err(PageError::Gone);
        }
        if form.get("do") == Some("login") {
            return self.log_in_to_manage(call, &form).await;
        }
        let Some((visit, handle)) = self.visit(call).await? else {
            return Ok(answer::see_other("manage"));
        };
        if form.get("id") != Some(visit.id.as_str()) {
            return Err(PageError::Gone);
        }
        match form.get("do") {
            Some("end") => {
                self.end_held(call, &visit.username, form.get("grant").unwrap_or_default()).await?;
                Ok(answer::see_other("manage?notice=ended"))
            }
            Some("logout") => {
                self.parts.store.take_pending(&handle, call.now).await?;
                self.record_visit(call, "logout", &visit.username).await;
                let forget = cookies::set(call.snapshot, COOKIE, "", 0, Site::Own);
                Ok(with_cookie(answer::see_other("manage?notice=out"), forget))
            }
            _ => Ok(answer::see_other("manage")),
        }
    }

    async fn log_in_to_manage(&self, call: &Call<'_>, form: &Form) -> Result<Response<Bytes>, PageError> {
        let username = form.get("username").filter(|name| name.len() <= MAX_USERNAME).unwrap_or_default();
        let password = form.get("password").unwrap_or_default();
        let verdict = self.passwords.check(call.snapshot, username, password, call.now).await?;
        self.record_login(call, None, username, verdict).await;
        match verdict {
            Verdict::Right => {}
            Verdict::Busy => {
                return Ok(manage_pages::login(
                    call,
                    username,
                    Some(Notice::LoginBusy),
                    false,
                    StatusCode::SERVICE_UNAVAILABLE,
                ));
            }
            Verdict::Wrong | Verdict::Throttled => {
                return Ok(manage_pages::login(call, username, Some(Notice::LoginFailed), false, StatusCode::OK));
            }
        }
        self.begin_visit(call, username, username).await
    }

    /// Lets somebody who has just logged in see the page.
    pub(super) async fn begin_visit(
        &self,
        call: &Call<'_>,
        username: &str,
        name: &str,
    ) -> Result<Response<Bytes>, PageError> {
        let expires = call.now.saturating_add(LIFETIME);
        let (username, name) = (username.to_owned(), Some(name.to_owned()));
        let visit = Visit { id: self.parts.ambient.id(), username, name, expires };
        let secret = self.parts.ambient.secret();
        let state = serde_json::to_string(&visit).map_err(|error| {
            tracing::error!(%error, "a visit could not be written");
            PageError::Unavailable
        })?;
        self.parts.store.put_pending(&handle(&secret), &state, expires).await?;
        let cookie = cookies::set(call.snapshot, COOKIE, &secret, LIFETIME, Site::Own);
        Ok(with_cookie(answer::see_other("manage"), cookie))
    }

    /// Who is at the page, if their account is still there, and the store's key of it.
    async fn visit(&self, call: &Call<'_>) -> Result<Option<(Visit, Digest)>, PageError> {
        let Some(secret) = cookies::value(call, &cookies::name(call.snapshot, COOKIE)) else {
            return Ok(None);
        };
        let handle = handle(&secret);
        let Some(state) = self.parts.store.pending(&handle, call.now).await? else {
            return Ok(None);
        };
        let visit: Visit = serde_json::from_str(&state).map_err(|error| {
            tracing::error!(%error, "the store holds a visit that cannot be read");
            PageError::Unavailable
        })?;
        Ok((call.snapshot.has_user(&visit.username) && visit.expires > call.now).then_some((visit, handle)))
    }

    async fn held(&self, call: &Call<'_>, username: &str) -> Result<Vec<Held>, PageError> {
        let grants = self.parts.store.grants_of(username, call.now).await?;
        Ok(grants.iter().filter_map(|kept| Some(Held::of(call, kept, &read(kept)?))).collect())
    }

    /// Ends a grant if it is one of this person's; another one's is not told from one that does not exist.
    async fn end_held(&self, call: &Call<'_>, username: &str, grant: &str) -> Result<(), PageError> {
        let own = self.parts.store.grants_of(username, call.now).await?;
        let Some(kept) = own.into_iter().find(|kept| kept.grant.id == grant) else {
            return Ok(());
        };
        self.end_grant(call, grant).await.map_err(|_| PageError::Unavailable)?;
        let record = AuthRecord {
            event: "revoke",
            outcome: SUCCESS,
            client: Some(kept.grant.client),
            subject: Some(kept.grant.username),
            detail: Some("ended by the user".to_owned()),
            ..AuthRecord::default()
        };
        self.record(call, record).await;
        Ok(())
    }

    async fn record_visit(&self, call: &Call<'_>, event: &'static str, username: &str) {
        let record =
            AuthRecord { event, outcome: SUCCESS, subject: Some(username.to_owned()), ..AuthRecord::default() };
        self.record(call, record).await;
    }
}

fn read(kept: &LiveGrant) -> Option<UserGrant> {
    serde_json::from_str(&kept.grant.payload)
        .inspect_err(|error| tracing::error!(%error, "the store holds a grant that cannot be read"))
        .ok()
}

/// Whether the browser says that a page of another origin sent the form, perhaps to have somebody log in as somebody else
/// (Fetch Metadata, `Sec-Fetch-Site`).
fn is_of_another_site(call: &Call<'_>) -> bool {
    call.headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none")
}

/// The store's key of a visit; no other cookie has the same one.
fn handle(secret: &str) -> Digest {
    Sha256::new().chain_update(b"manage ").chain_update(secret.as_bytes()).finalize().into()
}

fn with_cookie(mut response: Response<Bytes>, cookie: HeaderValue) -> Response<Bytes> {
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

#[cfg(test)]
#[path = "manage_tests.rs"]
mod tests;
