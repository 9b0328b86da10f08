//! The way from login to the code: which page comes next, and the redirect at the end.

use bytes::Bytes;
use http::Response;
use sha2::{Digest as _, Sha256};

use super::AuthServer;
use super::answer;
use super::authorize::ReturnTo;
use super::call::Call;
use super::encounter;
use super::error::{AuthorizeError, PageError};
use super::grant_types::CodeGrant;
use super::granted::need_patient;
use super::pages;
use super::pending::{EncounterChoice, Pending, Session};
use super::record::{FAILURE, SUCCESS};
use super::token::seconds;
use super::user_grant::UserGrant;
use crate::config::Snapshot;
use crate::telemetry::AuthRecord;
use crate::token::LaunchContext;

/// What is still to be done before the app gets its code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Login,
    Patient,
    Encounter,
    Consent,
    Done,
}

impl Step {
    /// The first thing that is missing.
    pub(super) fn of(session: &Session, snapshot: &Snapshot) -> Self {
        if session.user(snapshot).is_none() {
            Self::Login
        } else if need_patient(&session.pending.scope) && session.pending.patient.is_none() {
            Self::Patient
        } else if needs_encounter(&session.pending) {
            Self::Encounter
        } else if session.asks_consent() {
            Self::Consent
        } else {
            Self::Done
        }
    }

    /// The page where it is done. What needs no page is not done by looking at one: GET never makes a code.
    pub(super) fn page(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Patient => "patient",
            Self::Encounter => "encounter",
            Self::Consent | Self::Done => "consent",
        }
    }

    /// What an app is told that wants no page, where one would be needed (OpenID Connect Core §3.1.2.6).
    fn required(self) -> AuthorizeError {
        match self {
            Self::Login => AuthorizeError::LoginRequired,
            Self::Patient | Self::Encounter => AuthorizeError::InteractionRequired,
            Self::Consent | Self::Done => AuthorizeError::ConsentRequired,
        }
    }
}

/// Whether the person says whose data the app gets. An EHR that named the patient has said so, with what else is in context.
pub(super) fn chooses_patient(pending: &Pending) -> bool {
    need_patient(&pending.scope) && pending.launch.as_ref().is_none_or(|launch| launch.patient.is_none())
}

fn needs_encounter(pending: &Pending) -> bool {
    let asked = pending.scope.iter().any(|scope| scope == encounter::SCOPE);
    asked && pending.encounter == EncounterChoice::Open && pending.encounter().is_none()
}

impl AuthServer {
    /// Sends the browser to the next page, or back to the app.
    pub(super) async fn go_on(&self, call: &Call<'_>, session: Session) -> Result<Response<Bytes>, PageError> {
        match Step::of(&session, call.snapshot) {
            Step::Done => self.grant(call, session, "granted by configuration").await,
            step if session.pending.prompt.none => self.refuse(call, session, step.required()).await,
            step => Ok(pages::go_on(&session, &session.link(step.page()))),
        }
    }

    /// Makes the code. Whoever calls this has seen that nothing is missing.
    pub(super) async fn grant(
        &self,
        call: &Call<'_>,
        session: Session,
        how: &'static str,
    ) -> Result<Response<Bytes>, PageError> {
        if let Some(launch) = &session.pending.launch
            && let Err(error) = self.spend_launch(call, launch).await
        {
            return self.refuse(call, session, error).await;
        }
        let session = self.end(call, session).await?;
        let pending = &session.pending;
        let login = pending.login.as_ref().ok_or(PageError::Gone)?;
        let grant = CodeGrant {
            grant: UserGrant {
                id: self.parts.ambient.id(),
                client: pending.client.clone(),
                scope: pending.scope.clone(),
                username: login.username.clone(),
                federated: login.federated.clone(),
                patient: pending.patient.clone(),
                context: context(pending),
                vouched: login.vouched,
                authenticated: login.at,
            },
            redirect_uri: pending.redirect_uri.clone(),
            challenge: pending.challenge.clone(),
            nonce: pending.nonce.clone(),
        };
        let code = self.parts.ambient.secret();
        let kept = self.keep_code(call, &code, &grant).await;
        let return_to = ReturnTo { redirect_uri: &pending.redirect_uri, state: Some(&pending.state) };
        let response = match kept {
            Ok(()) => answer::see_other(&return_to.with(call.snapshot, &[("code", &code)])),
            Err(_) => return_to.error(call.snapshot, AuthorizeError::Unavailable),
        };
        let (outcome, error) =
            if kept.is_ok() { (SUCCESS, None) } else { (FAILURE, Some(AuthorizeError::Unavailable.public().0)) };
        let record = AuthRecord { outcome, error, detail: Some(how.to_owned()), ..consent_record(&session) };
        self.record(call, record).await;
        Ok(pages::with_cookies(response, &session))
    }

    /// Sends the browser back to the app without a code.
    pub(super) async fn refuse(
        &self,
        call: &Call<'_>,
        session: Session,
        error: AuthorizeError,
    ) -> Result<Response<Bytes>, PageError> {
        let session = self.end(call, session).await?;
        let record = AuthRecord {
            outcome: FAILURE,
            error: Some(error.public().0),
            detail: Some(format!("{error:?}")),
            ..consent_record(&session)
        };
        self.record(call, record).await;
        let return_to = ReturnTo { redirect_uri: &session.pending.redirect_uri, state: Some(&session.pending.state) };
        Ok(pages::with_cookies(return_to.error(call.snapshot, error), &session))
    }

    async fn keep_code(&self, call: &Call<'_>, code: &str, grant: &CodeGrant) -> Result<(), PageError> {
        let payload = serde_json::to_string(grant).map_err(|error| {
            tracing::error!(%error, "a code could not be written");
            PageError::Unavailable
        })?;
        let expires = call.now.saturating_add(seconds(call.snapshot.tokens.code_lifetime));
        let digest = Sha256::digest(code.as_bytes()).into();
        Ok(self.parts.store.put_code(&digest, &grant.grant.id, &payload, expires).await?)
    }
}

/// What the app is told of where it was launched. Whose data it shows it must say itself, unless the EHR does
/// (SMART App Launch 2.2 scopes, `need_patient_banner`).
fn context(pending: &Pending) -> LaunchContext {
    let mut context = pending.launch.as_ref().map(|launch| launch.context.clone()).unwrap_or_default();
    context.encounter = pending.encounter().map(str::to_owned);
    context.need_patient_banner = context.need_patient_banner.or(pending.patient.is_some().then_some(true));
    context
}

fn consent_record(session: &Session) -> AuthRecord {
    AuthRecord {
        event: "consent",
        client: Some(session.client.id.clone()),
        subject: session.pending.login.as_ref().map(|login| login.username.clone()),
        patient: session.pending.patient.clone(),
        scope: Some(session.pending.scope.join(" ")),
        ..AuthRecord::default()
    }
}

#[cfg(test)]
#[path = "steps_tests.rs"]
mod tests;
