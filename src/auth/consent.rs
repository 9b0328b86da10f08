//! The consent page: which app asks for what, in plain words, what of it a person leaves ticked, and their yes or no.

use bytes::Bytes;
use http::Response;

use super::AuthServer;
use super::call::Call;
use super::error::{AuthorizeError, PageError};
use super::form::Form;
use super::pages;
use super::steps::Step;
use crate::fhir::FhirVersion;
use crate::scope::Scope;

/// Whether a person may leave `scope` out and agree to the rest: data and lasting access, not how the app was opened or who it is for.
pub(super) fn is_optional(scope: &str, version: FhirVersion) -> bool {
    matches!(scope, "offline_access" | "online_access") || Scope::parse(version, scope).is_ok()
}

/// The name of the box for the scope at `index`. Its value is the scope, so that an answer is to what the page showed.
pub(super) fn box_name(index: usize) -> String {
    format!("grant.{index}")
}

/// The scopes that are left ticked.
fn approved(scopes: &[String], form: &Form, version: FhirVersion) -> Vec<String> {
    let ticked = |index, scope: &String| form.get(&box_name(index)) == Some(scope.as_str());
    let kept = scopes.iter().enumerate().filter(|(index, scope)| !is_optional(scope, version) || ticked(*index, scope));
    kept.map(|(_, scope)| scope.clone()).collect()
}

impl AuthServer {
    /// `GET /auth/consent`.
    pub(super) async fn consent_page(&self, call: &Call<'_>) -> Result<Response<Bytes>, PageError> {
        let query = call.query().map_err(|_| PageError::Parameters)?;
        let session = self.resume(call, &query).await?;
        let user = match (session.user(call.snapshot), Step::of(&session, call.snapshot)) {
            (Some(user), Step::Consent | Step::Done) => user,
            (_, step) => return Ok(pages::go_on(&session, &session.link(step.page()))),
        };
        let patient = self.chosen_patient(call, &session).await;
        Ok(pages::consent(call, &session, &user, patient))
    }

    /// `POST /auth/consent`.
    pub(super) async fn consent(&self, call: &Call<'_>) -> Result<Response<Bytes>, PageError> {
        let form = call.form().map_err(|_| PageError::Parameters)?;
        let mut session = self.resume(call, &form).await?;
        if !matches!(Step::of(&session, call.snapshot), Step::Consent | Step::Done) {
            return self.go_on(call, session).await;
        }
        match form.get("do") {
            // In another tab the patient may have been changed: the answer is to what this page showed.
            Some("allow") if form.get("patient") == session.pending.patient.as_deref() => {
                session.pending.scope = approved(&session.pending.scope, &form, call.snapshot.fhir.version);
                if session.pending.scope.is_empty() {
                    return self.refuse(call, session, AuthorizeError::Denied).await;
                }
                self.grant(call, session, "allowed").await
            }
            Some("deny") => self.refuse(call, session, AuthorizeError::Denied).await,
            _ => Ok(pages::go_on(&session, &session.link("consent"))),
        }
    }
}

#[cfg(test)]
#[path = "consent_tests.rs"]
mod tests;
