//! Pages for people: plain HTML, no scripts, nothing from elsewhere.

use askama::Template;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use url::Url;

use super::answer;
use super::call::Call;
use super::consent;
use super::describe::{self, Owner};
use super::error::PageError;
use super::pending::{Search, Session};
use super::policy::{Around, policy};
use super::texts::{Notice, Texts};
use super::user_grant::Reach;
use super::{EncounterSummary, PatientSummary};
use crate::config::{Pages, User};

/// The app as a person can recognise it.
struct App<'a> {
    name: &'a str,
    /// Where the answer goes: the host of the redirect URI.
    place: String,
    /// Whether a person is asked what it may do.
    asks: bool,
    /// Whether it registered itself, and nobody of this site has looked at it.
    unchecked: bool,
}

impl<'a> App<'a> {
    fn of(session: &'a Session, t: &Texts) -> Self {
        Self {
            name: &session.client.name,
            place: place(&session.pending.redirect_uri, t),
            asks: session.asks_consent(),
            unchecked: session.client.self_registered,
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    site: &'a Pages,
    t: &'static Texts,
    heading: &'static str,
    text: &'static str,
    request_id: &'a str,
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    site: &'a Pages,
    t: &'static Texts,
    app: App<'a>,
    id: &'a str,
    begun: Option<&'a str>,
    username: &'a str,
    ways: Ways,
    notice: Option<Notice>,
}

/// The ways to log in.
pub(super) struct Ways {
    /// By user name and password.
    pub(super) local: bool,
    /// At the provider, by what its button says.
    pub(super) provider: Option<String>,
}

impl Ways {
    pub(super) fn of(call: &Call<'_>) -> Self {
        let oidc = call.snapshot.oidc.as_ref();
        let provider = oidc.map(|oidc| (call.texts().log_in_with)(oidc.label.as_deref()));
        Self { local: provider.is_none() || !call.snapshot.users.is_empty(), provider }
    }
}

/// What the patient page shows.
pub(super) struct Picker {
    pub(super) searches: bool,
    pub(super) patients: Vec<PatientSummary>,
    /// Whether the directory was asked and answered.
    pub(super) asked: bool,
    pub(super) notice: Option<Notice>,
}

#[derive(Template)]
#[template(path = "patient.html")]
struct PatientPage<'a> {
    site: &'a Pages,
    t: &'static Texts,
    app: App<'a>,
    id: &'a str,
    username: &'a str,
    search: &'a Search,
    picker: &'a Picker,
}

/// What the encounter page shows.
pub(super) struct Chooser {
    pub(super) encounters: Vec<EncounterSummary>,
    pub(super) notice: Option<Notice>,
}

#[derive(Template)]
#[template(path = "encounter.html")]
struct EncounterPage<'a> {
    site: &'a Pages,
    t: &'static Texts,
    app: App<'a>,
    id: &'a str,
    chooser: &'a Chooser,
}

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage<'a> {
    site: &'a Pages,
    t: &'static Texts,
    app: App<'a>,
    id: &'a str,
    username: &'a str,
    patient: Option<PatientSummary>,
    patient_id: Option<&'a str>,
    asks: Vec<Ask>,
    encounter: Option<&'a str>,
    /// When the access ends by itself.
    ends: String,
}

/// One scope on the consent page.
struct Ask {
    sentence: String,
    /// Name and value of its box, where it can be left out.
    tick: Option<(String, String)>,
}

impl Ask {
    fn of(index: usize, scope: &str, call: &Call<'_>, owner: Owner) -> Self {
        let optional = consent::is_optional(scope, call.snapshot.fhir.version);
        Self {
            sentence: describe::sentence(scope, &call.snapshot.fhir, owner, call.texts()),
            tick: optional.then(|| (consent::box_name(index), scope.to_owned())),
        }
    }
}

impl PatientSummary {
    /// What tells patients of one name apart.
    fn details(&self, t: &Texts) -> String {
        let born = self.birth_date.as_ref().map(|date| (t.born)(&t.date(date)));
        let gender = self.gender.as_ref().map(|code| (t.gender)(code).to_owned());
        [born, gender, Some((t.record)(&self.id))].into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }
}

impl EncounterSummary {
    /// What tells visits apart.
    fn details(&self, t: &Texts) -> String {
        let began = self.began.as_ref().map(|at| t.date(at));
        let status = self.status.as_ref().map(|code| (t.visit_status)(code).to_owned());
        [began, status, Some((t.visit)(&self.id))].into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }
}

/// A page that says what is wrong.
pub(super) fn error(call: &Call<'_>, error: PageError) -> Response<Bytes> {
    let t = call.texts();
    let (heading, text) = (t.page_error)(error);
    let page = ErrorPage { site: &call.snapshot.pages, t, heading, text, request_id: call.request_id };
    // It may stand in any EHR's frame, and there is nothing on it to click.
    let launchers = call.snapshot.clients.configured.values().filter_map(|client| client.launcher.as_ref());
    let frame_ancestors: Vec<String> = launchers.flat_map(|launcher| launcher.frame_ancestors.clone()).collect();
    render(call, &page, error.status(), &Around { redirect_uri: None, frame_ancestors: &frame_ancestors })
}

pub(super) fn login(call: &Call<'_>, session: &Session, notice: Option<Notice>, status: StatusCode) -> Response<Bytes> {
    let pending = &session.pending;
    let (site, t) = (&call.snapshot.pages, call.texts());
    let Ways { local, provider } = Ways::of(call);
    let ways = Ways {
        local: local && pending.may_log_in(call.snapshot),
        provider: provider.filter(|_| pending.may_federate(call.snapshot)),
    };
    let (id, begun, username) = (&pending.id, session.begun.as_deref(), &pending.username);
    let page = LoginPage { site, t, app: App::of(session, t), id, begun, username, ways, notice };
    with_cookies(render(call, &page, status, &Around::of(call, session)), session)
}

pub(super) fn patient(call: &Call<'_>, session: &Session, username: &str, picker: &Picker) -> Response<Bytes> {
    let (site, t) = (&call.snapshot.pages, call.texts());
    let (id, search) = (&session.pending.id, &session.pending.search);
    let page = PatientPage { site, t, app: App::of(session, t), id, username, search, picker };
    with_cookies(render(call, &page, StatusCode::OK, &Around::of(call, session)), session)
}

pub(super) fn encounter(call: &Call<'_>, session: &Session, chooser: &Chooser) -> Response<Bytes> {
    let (site, t) = (&call.snapshot.pages, call.texts());
    let page = EncounterPage { site, t, app: App::of(session, t), id: &session.pending.id, chooser };
    with_cookies(render(call, &page, StatusCode::OK, &Around::of(call, session)), session)
}

pub(super) fn consent(
    call: &Call<'_>,
    session: &Session,
    user: &User,
    patient: Option<PatientSummary>,
) -> Response<Bytes> {
    let pending = &session.pending;
    let owner = Owner::of(user, pending.patient.as_deref());
    let t = call.texts();
    let page = ConsentPage {
        site: &call.snapshot.pages,
        t,
        app: App::of(session, t),
        id: &pending.id,
        username: &user.name,
        patient,
        patient_id: pending.patient.as_deref(),
        asks: pending.scope.iter().enumerate().map(|(index, scope)| Ask::of(index, scope, call, owner)).collect(),
        encounter: pending.encounter(),
        ends: describe::end(Reach::of(&pending.scope), &call.snapshot.tokens, t),
    };
    with_cookies(render(call, &page, StatusCode::OK, &Around::of(call, session)), session)
}

/// Sends the browser to another page of the same authorization.
pub(super) fn go_on(session: &Session, link: &str) -> Response<Bytes> {
    with_cookies(answer::see_other(link), session)
}

/// Adds the session's cookies to an answer.
pub(super) fn with_cookies(mut response: Response<Bytes>, session: &Session) -> Response<Bytes> {
    for cookie in &session.cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie.clone());
    }
    response
}

/// A page whose forms lead to itself, that nobody frames, and that no page holds on to that opened it. Apps do hold on to the pages
/// of an authorization: many open it in a window of its own, which tells them at the end how it went.
pub(super) fn render_own(call: &Call<'_>, page: &impl Template, status: StatusCode) -> Response<Bytes> {
    let mut response = render(call, page, status, &Around { redirect_uri: Some(""), frame_ancestors: &[] });
    let policy = HeaderName::from_static("cross-origin-opener-policy");
    response.headers_mut().insert(policy, HeaderValue::from_static("same-origin"));
    response
}

fn render(call: &Call<'_>, page: &impl Template, status: StatusCode, around: &Around<'_>) -> Response<Bytes> {
    match page.render() {
        Ok(html) => {
            let policy = policy(around, &call.snapshot.pages);
            answer::page(status, html, policy, call.texts().tag, !around.frame_ancestors.is_empty())
        }
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            answer::empty(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// Where a redirect URI leads, for a person.
fn place(redirect_uri: &str, t: &Texts) -> String {
    let Ok(url) = Url::parse(redirect_uri) else {
        return redirect_uri.to_owned();
    };
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) if url.origin().is_tuple() => format!("{host}:{port}"),
        (Some(host), None) if url.origin().is_tuple() => host.to_owned(),
        _ => (t.app_on_this_device)(url.scheme()),
    }
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
