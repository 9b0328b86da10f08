//! The choice of a visit, for apps that ask for one (SMART App Launch 2.2 scopes, `launch/encounter`).

use bytes::Bytes;
use http::Response;

use super::AuthServer;
use super::EncounterSummary;
use super::call::Call;
use super::error::{AuthorizeError, PageError};
use super::pages::{self, Chooser};
use super::pending::{EncounterChoice, Session};
use super::steps::Step;
use super::texts::Notice;

/// The scope that asks for it.
pub(super) const SCOPE: &str = "launch/encounter";

impl AuthServer {
    /// `GET /auth/encounter`.
    pub(super) async fn encounter_page(&self, call: &Call<'_>) -> Result<Response<Bytes>, PageError> {
        let query = call.query().map_err(|_| PageError::Parameters)?;
        let session = self.resume(call, &query).await?;
        let step = Step::of(&session, call.snapshot);
        if step != Step::Encounter {
            return Ok(pages::go_on(&session, &session.link(step.page())));
        }
        let notice = query.get("notice").filter(|notice| *notice == "choose").map(|_| Notice::VisitNotChosen);
        let chooser = match self.encounters(call, &session).await {
            Ok(encounters) => Chooser { encounters, notice },
            Err(_) => Chooser { encounters: Vec::new(), notice: Some(Notice::VisitsUnreachable) },
        };
        Ok(pages::encounter(call, &session, &chooser))
    }

    /// `POST /auth/encounter`.
    pub(super) async fn choose_encounter(&self, call: &Call<'_>) -> Result<Response<Bytes>, PageError> {
        let form = call.form().map_err(|_| PageError::Parameters)?;
        let mut session = self.resume(call, &form).await?;
        if Step::of(&session, call.snapshot) != Step::Encounter {
            return self.go_on(call, session).await;
        }
        session.pending.encounter = match form.get("do") {
            Some("cancel") => return self.refuse(call, session, AuthorizeError::Denied).await,
            Some("none") => {
                session.pending.scope.retain(|scope| scope != SCOPE);
                EncounterChoice::Nothing
            }
            _ => {
                let chosen = form.get("encounter").unwrap_or_default();
                // What is posted is asked for again: only a visit of this patient can be chosen.
                let known = self.encounters(call, &session).await?;
                if !known.iter().any(|encounter| encounter.id == chosen) {
                    return Ok(pages::go_on(&session, &format!("{}&notice=choose", session.link("encounter"))));
                }
                EncounterChoice::Chosen(chosen.to_owned())
            }
        };
        if session.pending.scope.is_empty() {
            return self.refuse(call, session, AuthorizeError::NothingToGive).await;
        }
        self.keep(&mut session).await?;
        self.go_on(call, session).await
    }

    async fn encounters(&self, call: &Call<'_>, session: &Session) -> Result<Vec<EncounterSummary>, PageError> {
        let patient = session.pending.patient.as_deref().ok_or(PageError::Gone)?;
        self.parts.directory.encounters(call.snapshot, patient).await.map_err(|error| {
            tracing::warn!(request_id = call.request_id, %error, "a patient's visits could not be looked up");
            PageError::Unavailable
        })
    }
}

#[cfg(test)]
#[path = "encounter_tests.rs"]
mod tests;
