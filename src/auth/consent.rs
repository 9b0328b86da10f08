//! The consent page: which app asks for what, in plain words, and a person's yes or no.

use bytes::Bytes;
use http::Response;

use super::AuthServer;
use super::call::Call;
use super::error::{AuthorizeError, PageError};
use super::pages;
use super::steps::Step;

impl AuthServer {
    /// `GET /auth/consent`.
    pub(super) async fn consent_page(&self, call: &Call<'_>) -> Result<Response<Bytes>, PageError> {
        let query = call.query().map_err(|_| PageError::Parameters)?;
        let session = self.resume(call, query.get("id")).await?;
        let user = match (session.user(call.snapshot), Step::of(&session, call.snapshot)) {
            (Some(user), Step::Consent | Step::Done) => user,
            (_, step) => return Ok(pages::go_on(&session, &session.link(step.page()))),
        };
        let patient = self.chosen_patient(call, &session).await;
        Ok(pages::consent(call, &session, user, patient))
    }

    /// `POST /auth/consent`.
    pub(super) async fn consent(&self, call: &Call<'_>) -> Result<Response<Bytes>, PageError> {
        let form = call.form().map_err(|_| PageError::Parameters)?;
        let session = self.resume(call, form.get("id")).await?;
        if !matches!(Step::of(&session, call.snapshot), Step::Consent | Step::Done) {
            return self.go_on(call, session).await;
        }
        match form.get("do") {
            // In another tab the patient may have been changed: the answer is to what this page showed.
            Some("allow") if form.get("patient") == session.pending.patient.as_deref() => {
                self.grant(call, session, "allowed").await
            }
            Some("deny") => self.refuse(call, session, AuthorizeError::Denied).await,
            _ => Ok(pages::go_on(&session, &session.link("consent"))),
        }
    }
}
