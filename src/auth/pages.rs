//! Pages for people: plain HTML, no scripts, nothing from elsewhere.

use std::sync::LazyLock;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use sha2::{Digest as _, Sha256};
use url::{Host, Url};

use super::answer;
use super::call::Call;
use super::consent;
use super::describe::{self, Owner};
use super::error::PageError;
use super::pending::{Search, Session};
use super::user_grant::Reach;
use super::{EncounterSummary, PatientSummary};
use crate::config::{Snapshot, User};

/// The stylesheet of every page; the policy allows it by its digest and nothing else.
pub(super) const STYLE: &str = include_str!("../../templates/style.css");

static STYLE_SOURCE: LazyLock<String> =
    LazyLock::new(|| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(STYLE.as_bytes()))));

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
    fn of(session: &'a Session) -> Self {
        Self {
            name: &session.client.name,
            place: place(&session.pending.redirect_uri),
            asks: session.asks_consent(),
            unchecked: session.client.self_registered,
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    style: &'static str,
    heading: &'static str,
    text: &'static str,
    request_id: &'a str,
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    style: &'static str,
    app: App<'a>,
    id: &'a str,
    username: &'a str,
    ways: Ways<'a>,
    notice: Option<&'static str>,
}

/// The ways to log in.
pub(super) struct Ways<'a> {
    /// By user name and password.
    pub(super) local: bool,
    /// What the provider is called.
    pub(super) provider: Option<&'a str>,
}

impl<'a> Ways<'a> {
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        let provider = snapshot.oidc.as_ref().map(|oidc| oidc.label.as_str());
        Self { local: provider.is_none() || !snapshot.users.is_empty(), provider }
    }
}

/// What the patient page shows.
pub(super) struct Picker {
    pub(super) searches: bool,
    pub(super) patients: Vec<PatientSummary>,
    /// Whether the directory was asked and answered.
    pub(super) asked: bool,
    pub(super) notice: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "patient.html")]
struct PatientPage<'a> {
    style: &'static str,
    app: App<'a>,
    id: &'a str,
    username: &'a str,
    search: &'a Search,
    picker: &'a Picker,
}

/// What the encounter page shows.
pub(super) struct Chooser {
    pub(super) encounters: Vec<EncounterSummary>,
    pub(super) notice: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "encounter.html")]
struct EncounterPage<'a> {
    style: &'static str,
    app: App<'a>,
    id: &'a str,
    chooser: &'a Chooser,
}

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage<'a> {
    style: &'static str,
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
            sentence: describe::sentence(scope, &call.snapshot.fhir, owner),
            tick: optional.then(|| (consent::box_name(index), scope.to_owned())),
        }
    }
}

impl PatientSummary {
    /// What tells patients of one name apart.
    fn details(&self) -> String {
        let born = self.birth_date.as_ref().map(|date| format!("born {date}"));
        let parts = [born, self.gender.clone(), Some(format!("record {}", self.id))];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }
}

/// A page that says what is wrong.
pub(super) fn error(call: &Call<'_>, error: PageError) -> Response<Bytes> {
    let (heading, text) = error.words();
    let page = ErrorPage { style: STYLE, heading, text, request_id: call.request_id };
    // It may stand in any EHR's frame, and there is nothing on it to click.
    let launchers = call.snapshot.clients.configured.values().filter_map(|client| client.launcher.as_ref());
    let frame_ancestors: Vec<String> = launchers.flat_map(|launcher| launcher.frame_ancestors.clone()).collect();
    render(&page, error.status(), &Around { redirect_uri: None, frame_ancestors: &frame_ancestors })
}

pub(super) fn login(
    call: &Call<'_>,
    session: &Session,
    notice: Option<&'static str>,
    status: StatusCode,
) -> Response<Bytes> {
    let pending = &session.pending;
    let Ways { local, provider } = Ways::of(call.snapshot);
    let ways = Ways {
        local: local && pending.may_log_in(call.snapshot),
        provider: provider.filter(|_| pending.may_federate(call.snapshot)),
    };
    let (id, username) = (&pending.id, &pending.username);
    let page = LoginPage { style: STYLE, app: App::of(session), id, username, ways, notice };
    with_cookies(render(&page, status, &Around::of(call, session)), session)
}

pub(super) fn patient(call: &Call<'_>, session: &Session, username: &str, picker: &Picker) -> Response<Bytes> {
    let pending = &session.pending;
    let page =
        PatientPage { style: STYLE, app: App::of(session), id: &pending.id, username, search: &pending.search, picker };
    with_cookies(render(&page, StatusCode::OK, &Around::of(call, session)), session)
}

pub(super) fn encounter(call: &Call<'_>, session: &Session, chooser: &Chooser) -> Response<Bytes> {
    let page = EncounterPage { style: STYLE, app: App::of(session), id: &session.pending.id, chooser };
    with_cookies(render(&page, StatusCode::OK, &Around::of(call, session)), session)
}

pub(super) fn consent(
    call: &Call<'_>,
    session: &Session,
    user: &User,
    patient: Option<PatientSummary>,
) -> Response<Bytes> {
    let pending = &session.pending;
    let owner = Owner::of(user, pending.patient.as_deref());
    let page = ConsentPage {
        style: STYLE,
        app: App::of(session),
        id: &pending.id,
        username: &user.name,
        patient,
        patient_id: pending.patient.as_deref(),
        asks: pending.scope.iter().enumerate().map(|(index, scope)| Ask::of(index, scope, call, owner)).collect(),
        encounter: pending.encounter(),
        ends: describe::end(Reach::of(&pending.scope), &call.snapshot.tokens),
    };
    with_cookies(render(&page, StatusCode::OK, &Around::of(call, session)), session)
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

/// What a page's policy must let through.
struct Around<'a> {
    /// Where its forms may lead in the end.
    redirect_uri: Option<&'a str>,
    /// Whose pages may hold it in a frame.
    frame_ancestors: &'a [String],
}

impl<'a> Around<'a> {
    fn of(call: &'a Call<'_>, session: &'a Session) -> Self {
        Self {
            redirect_uri: Some(&session.pending.redirect_uri),
            frame_ancestors: session.frame_ancestors(call.snapshot),
        }
    }
}

/// A page whose forms lead to itself and that nobody frames.
pub(super) fn render_own(page: &impl Template, status: StatusCode) -> Response<Bytes> {
    render(page, status, &Around { redirect_uri: Some(""), frame_ancestors: &[] })
}

fn render(page: &impl Template, status: StatusCode, around: &Around<'_>) -> Response<Bytes> {
    match page.render() {
        Ok(html) => answer::page(status, html, policy(around), !around.frame_ancestors.is_empty()),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            answer::empty(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// The content security policy. Browsers hold a form's redirects against `form-action` too, so the app's own place is in it.
fn policy(around: &Around<'_>) -> HeaderValue {
    let form_action = match around.redirect_uri {
        Some(uri) => format!("'self' {}", form_target(uri)),
        None => "'none'".to_owned(),
    };
    let frame_ancestors = match around.frame_ancestors {
        [] => "'none'".to_owned(),
        origins => origins.join(" "),
    };
    let policy = format!(
        "default-src 'none'; style-src {}; form-action {form_action}; frame-ancestors {frame_ancestors}; base-uri 'none'",
        *STYLE_SOURCE
    );
    HeaderValue::from_str(policy.trim_end()).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// The source expression for a redirect URI: its origin, or its scheme where an origin cannot be written (RFC-less schemes of
/// native apps, and IPv6 addresses, which a host source does not have).
fn form_target(redirect_uri: &str) -> String {
    let Ok(url) = Url::parse(redirect_uri) else {
        return String::new();
    };
    match url.host() {
        Some(Host::Domain(_) | Host::Ipv4(_)) if url.origin().is_tuple() => url.origin().ascii_serialization(),
        _ => format!("{}:", url.scheme()),
    }
}

/// Where a redirect URI leads, for a person.
fn place(redirect_uri: &str) -> String {
    let Ok(url) = Url::parse(redirect_uri) else {
        return redirect_uri.to_owned();
    };
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) if url.origin().is_tuple() => format!("{host}:{port}"),
        (Some(host), None) if url.origin().is_tuple() => host.to_owned(),
        _ => format!("an app on this device, {}", url.scheme()),
    }
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
