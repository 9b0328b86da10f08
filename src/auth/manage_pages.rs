//! The pages of `/auth/manage`.

use askama::Template;
use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::call::Call;
use super::describe::{self, Owner};
use super::pages::{Ways, render_own};
use super::texts::{Notice, Texts};
use super::user_grant::UserGrant;
use crate::ambient::UnixSeconds;
use crate::config::Pages;
use crate::store::LiveGrant;

/// One app's access as its giver reads it.
pub(super) struct Held {
    grant: String,
    app: String,
    patient: Option<String>,
    sentences: Vec<String>,
    given_and_used: String,
    ends_on: String,
}

impl Held {
    pub(super) fn of(call: &Call<'_>, kept: &LiveGrant, grant: &UserGrant) -> Self {
        let client = call.snapshot.clients.get(&grant.client);
        let user = grant.user(call.snapshot);
        let t = call.texts();
        let owner = user.map_or_else(Owner::default, |user| Owner::of(&user, grant.patient.as_deref()));
        Self {
            grant: kept.grant.id.clone(),
            app: client.map_or_else(|| grant.client.clone(), |client| client.name.clone()),
            patient: grant.patient.clone(),
            sentences: grant
                .scope
                .iter()
                .map(|scope| describe::sentence(scope, &call.snapshot.fhir, owner, t))
                .collect(),
            given_and_used: (t.given_and_used)(&day(grant.authenticated, t), &day(kept.used, t)),
            ends_on: (t.ends_on)(&day(kept.expires, t)),
        }
    }
}

/// The day of a moment, in UTC.
fn day(at: UnixSeconds, t: &Texts) -> String {
    let day = |at: Timestamp| t.day(TimeZone::UTC.to_datetime(at).date());
    Timestamp::from_second(at).map_or_else(|_| String::new(), day)
}

#[derive(Template)]
#[template(path = "manage_login.html")]
struct LoginPage<'a> {
    site: &'a Pages,
    t: &'static Texts,
    username: &'a str,
    ways: Ways,
    notice: Option<Notice>,
    out: bool,
}

#[derive(Template)]
#[template(path = "manage.html")]
struct OverviewPage<'a> {
    site: &'a Pages,
    t: &'static Texts,
    id: &'a str,
    username: &'a str,
    held: &'a [Held],
    ended: bool,
    /// Of apps without lasting access.
    short: String,
}

pub(super) fn login(
    call: &Call<'_>,
    username: &str,
    notice: Option<Notice>,
    out: bool,
    status: StatusCode,
) -> Response<Bytes> {
    let page = LoginPage { site: &call.snapshot.pages, t: call.texts(), username, ways: Ways::of(call), notice, out };
    render_own(call, &page, status)
}

pub(super) fn overview(call: &Call<'_>, id: &str, username: &str, held: &[Held], ended: bool) -> Response<Bytes> {
    let t = call.texts();
    let short = (t.short_access)(&t.duration(call.snapshot.tokens.access_lifetime));
    let page = OverviewPage { site: &call.snapshot.pages, t, id, username, held, ended, short };
    render_own(call, &page, StatusCode::OK)
}
