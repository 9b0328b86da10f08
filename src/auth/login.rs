//! The login page.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::AuthServer;
use super::authorize::MAX_USERNAME;
use super::call::Call;
use super::error::{AuthorizeError, PageError};
use super::federation::Failed;
use super::granted::within_user;
use super::pages;
use super::password::Verdict;
use super::pending::{Login, Session};
use super::record::{FAILURE, SUCCESS};
use super::steps::Step;
use super::texts::Notice;
use crate::config::Client;
use crate::telemetry::{AuthRecord, LoginOutcome};

impl AuthServer {
    /// `GET /auth/login`.
    pub(super) async fn login_page(&self, call: &Call<'_>) -> Result<Response<Bytes>, PageError> {
        let query = call.query().map_err(|_| PageError::Parameters)?;
        let session = self.resume(call, &query).await?;
        let step = Step::of(&session, call.snapshot);
        if step != Step::Login {
            return Ok(pages::go_on(&session, &session.link(step.page())));
        }
        let notice = match query.get("notice") {
            Some("failed") => Some(Notice::LoginFailed),
            Some(notice) => Failed::notice(notice),
            None => None,
        };
        Ok(pages::login(call, &session, notice, StatusCode::OK))
    }

    /// `POST /auth/login`.
    pub(super) async fn log_in(&self, call: &Call<'_>) -> Result<Response<Bytes>, PageError> {
        let form = call.form().map_err(|_| PageError::Parameters)?;
        let mut session = self.resume(call, &form).await?;
        if form.get("do") == Some("cancel") {
            return self.refuse(call, session, AuthorizeError::Denied).await;
        }
        let username = form.get("username").filter(|name| name.len() <= MAX_USERNAME).unwrap_or_default();
        let password = form.get("password").unwrap_or_default();
        let verdict = self.passwords.check(call.snapshot, username, password, call.now).await?;
        self.record_login(call, Some(&session.client), username, verdict).await;
        session.pending.username = username.to_owned();
        match verdict {
            Verdict::Right => {
                let login = Login { username: username.to_owned(), federated: None, vouched: false, at: call.now };
                self.logged_in(call, session, login).await
            }
            Verdict::Busy => Ok(pages::login(call, &session, Some(Notice::LoginBusy), StatusCode::SERVICE_UNAVAILABLE)),
            Verdict::Wrong | Verdict::Throttled => {
                self.keep(&mut session).await?;
                Ok(pages::go_on(&session, &format!("{}&notice=failed", session.link("login"))))
            }
        }
    }

    /// Goes on as who has just logged in.
    pub(super) async fn logged_in(
        &self,
        call: &Call<'_>,
        session: Session,
        login: Login,
    ) -> Result<Response<Bytes>, PageError> {
        let session = self.renew(call, session).await?;
        if session.pending.launch.as_ref().is_some_and(|launch| launch.username != login.username) {
            return self.refuse(call, session, AuthorizeError::LaunchUser).await;
        }
        self.enter(call, session, login).await
    }

    /// Goes on as the user of `login`, with the patient of the launch where there is one.
    pub(super) async fn enter(
        &self,
        call: &Call<'_>,
        mut session: Session,
        login: Login,
    ) -> Result<Response<Bytes>, PageError> {
        session.pending.login = Some(login);
        session.pending.patient = session.pending.launch.as_ref().and_then(|launch| launch.patient.clone());
        let user = session.user(call.snapshot).ok_or(PageError::Gone)?;
        within_user(&mut session.pending.scope, &user, call.snapshot.fhir.version);
        if Step::of(&session, call.snapshot) == Step::Patient {
            session.pending.patient = self.only_patient(call, &user).await;
        }
        self.keep(&mut session).await?;
        if let Some(launch) = &session.pending.launch
            && let Some(patient) = &launch.patient
            && !self.may_choose(call, &user, patient).await?
        {
            return self.refuse(call, session, AuthorizeError::LaunchPatient).await;
        }
        if session.pending.scope.is_empty() {
            return self.refuse(call, session, AuthorizeError::NothingToGive).await;
        }
        self.go_on(call, session).await
    }

    /// Records a login; `client` is the app that it is for.
    pub(super) async fn record_login(
        &self,
        call: &Call<'_>,
        client: Option<&Client>,
        username: &str,
        verdict: Verdict,
    ) {
        let (outcome, counted, error) = match verdict {
            Verdict::Right => (SUCCESS, LoginOutcome::Success, None),
            Verdict::Wrong => (FAILURE, LoginOutcome::Failure, Some("wrong")),
            Verdict::Throttled => (FAILURE, LoginOutcome::Refused, Some("throttled")),
            Verdict::Busy => (FAILURE, LoginOutcome::Refused, Some("busy")),
        };
        self.parts.metrics.login(counted);
        // A name nobody has may be a password typed into the wrong field.
        let known = call.snapshot.users.contains_key(username);
        let record = AuthRecord {
            event: "login",
            outcome,
            client: client.map(|client| client.id.clone()),
            subject: known.then(|| username.to_owned()),
            error,
            ..AuthRecord::default()
        };
        self.record(call, record).await;
    }
}
