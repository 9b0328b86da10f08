//! The patient choice: whose data the app gets. What is posted is checked again against what the user may choose.

use bytes::Bytes;
use http::Response;

use super::AuthServer;
use super::call::Call;
use super::error::{AuthorizeError, PageError};
use super::form::Form;
use super::pages::{self, Picker};
use super::pending::{EncounterChoice, Search, Session};
use super::record::FAILURE;
use super::steps::{Step, chooses_patient};
use super::texts::Notice;
use super::{PatientQuery, PatientSummary};
use crate::config::{PatientChoice, User};
use crate::fhir::reference::is_id;
use crate::telemetry::AuthRecord;

/// More patients than this are searched for rather than listed.
const LISTED: usize = 20;

/// Longest search value that is read.
const MAX_VALUE: usize = 200;

impl AuthServer {
    /// `GET /auth/patient`.
    pub(super) async fn patient_page(&self, call: &Call<'_>) -> Result<Response<Bytes>, PageError> {
        let query = call.query().map_err(|_| PageError::Parameters)?;
        let session = self.resume(call, &query).await?;
        let user = match (session.user(call.snapshot), Step::of(&session, call.snapshot)) {
            (Some(user), Step::Patient) => user,
            (_, step) => return Ok(pages::go_on(&session, &session.link(step.page()))),
        };
        let notice = match query.get("notice") {
            Some("choose") => Some(Notice::PatientNotChosen),
            Some("empty") => Some(Notice::NothingToSearch),
            Some("date") => Some(Notice::BirthDate),
            _ => None,
        };
        let searches = searches(&user);
        let found = match question(&user, &session.pending.search) {
            Some(question) => Some(self.parts.directory.find(call.snapshot, &question).await),
            None => None,
        };
        let picker = match found {
            Some(Ok(found)) => Picker { searches, patients: allowed(&user, found), asked: true, notice },
            Some(Err(error)) => {
                tracing::warn!(request_id = call.request_id, %error, "the patient choice has nothing to show");
                Picker { searches, patients: Vec::new(), asked: false, notice: Some(Notice::PatientsUnreachable) }
            }
            None => Picker { searches, patients: Vec::new(), asked: false, notice },
        };
        Ok(pages::patient(call, &session, &user.name, &picker))
    }

    /// `POST /auth/patient`.
    pub(super) async fn choose_patient(&self, call: &Call<'_>) -> Result<Response<Bytes>, PageError> {
        let form = call.form().map_err(|_| PageError::Parameters)?;
        let mut session = self.resume(call, &form).await?;
        let Some(user) = session.user(call.snapshot) else {
            return self.go_on(call, session).await;
        };
        // Until they agree they may come back from a later page and choose another one.
        if !chooses_patient(&session.pending) {
            return self.go_on(call, session).await;
        }
        match form.get("do") {
            Some("cancel") => self.refuse(call, session, AuthorizeError::Denied).await,
            Some("search") => {
                let notice = match read_search(&form) {
                    Ok(search) => {
                        session.pending.search = search;
                        self.keep(&mut session).await?;
                        ""
                    }
                    Err(notice) => notice,
                };
                Ok(pages::go_on(&session, &format!("{}{notice}", session.link("patient"))))
            }
            _ => {
                let chosen = form.get("patient").unwrap_or_default();
                if !self.may_choose(call, &user, chosen).await? {
                    self.record_refused(call, &session).await;
                    return Ok(pages::go_on(&session, &format!("{}&notice=choose", session.link("patient"))));
                }
                session.pending.patient = Some(chosen.to_owned());
                session.pending.encounter = EncounterChoice::Open;
                self.keep(&mut session).await?;
                self.go_on(call, session).await
            }
        }
    }

    /// The patient of a user who has no choice, if the record can be found.
    pub(super) async fn only_patient(&self, call: &Call<'_>, user: &User) -> Option<String> {
        match &user.patients {
            PatientChoice::These(ids) => match ids.as_slice() {
                [only] if self.may_choose(call, user, only).await.unwrap_or(false) => Some(only.clone()),
                _ => None,
            },
            PatientChoice::Any => None,
        }
    }

    /// How the chosen patient is shown; none if there is none or the record cannot be read just now.
    pub(super) async fn chosen_patient(&self, call: &Call<'_>, session: &Session) -> Option<PatientSummary> {
        let id = session.pending.patient.as_ref()?;
        let question = PatientQuery { ids: vec![id.clone()], ..PatientQuery::default() };
        let found = self.parts.directory.find(call.snapshot, &question).await.unwrap_or_default();
        found.into_iter().find(|patient| patient.id == *id)
    }

    /// Whether this user may choose this patient, and the patient exists.
    pub(super) async fn may_choose(&self, call: &Call<'_>, user: &User, id: &str) -> Result<bool, PageError> {
        if !is_id(id) || !user.patients.has(id) {
            return Ok(false);
        }
        let question = PatientQuery { ids: vec![id.to_owned()], ..PatientQuery::default() };
        let found = self.parts.directory.find(call.snapshot, &question).await.map_err(|error| {
            tracing::warn!(request_id = call.request_id, %error, "a chosen patient could not be looked up");
            PageError::Unavailable
        })?;
        Ok(found.iter().any(|patient| patient.id == id))
    }

    async fn record_refused(&self, call: &Call<'_>, session: &Session) {
        let record = AuthRecord {
            event: "authorize",
            outcome: FAILURE,
            client: Some(session.client.id.clone()),
            subject: session.pending.login.as_ref().map(|login| login.username.clone()),
            error: Some("patient"),
            ..AuthRecord::default()
        };
        self.record(call, record).await;
    }
}

fn allowed(user: &User, found: Vec<PatientSummary>) -> Vec<PatientSummary> {
    found.into_iter().filter(|patient| user.patients.has(&patient.id)).collect()
}

/// Whether this user searches; a user with a few patients sees them all.
fn searches(user: &User) -> bool {
    match &user.patients {
        PatientChoice::These(ids) => ids.len() > LISTED,
        PatientChoice::Any => true,
    }
}

/// What to ask the directory; none as long as a user who searches has not asked for anything.
fn question(user: &User, search: &Search) -> Option<PatientQuery> {
    let ids = match &user.patients {
        PatientChoice::These(ids) => ids.clone(),
        PatientChoice::Any => Vec::new(),
    };
    if searches(user) && search.is_empty() {
        return None;
    }
    let given = |value: &String| Some(value.clone()).filter(|value| !value.is_empty());
    Some(PatientQuery {
        ids,
        name: given(&search.name),
        birth_date: given(&search.birth_date),
        identifier: given(&search.identifier),
    })
}

fn read_search(form: &Form) -> Result<Search, &'static str> {
    let value = |name: &str| {
        let text = form.get(name).unwrap_or_default().trim();
        if text.len() > MAX_VALUE { String::new() } else { text.to_owned() }
    };
    let search = Search { name: value("name"), birth_date: value("birth_date"), identifier: value("identifier") };
    if search.is_empty() {
        return Err("&notice=empty");
    }
    // Anything else could be a comparison or a list to the FHIR server.
    if !search.birth_date.is_empty() && search.birth_date.parse::<jiff::civil::Date>().is_err() {
        return Err("&notice=date");
    }
    Ok(search)
}
