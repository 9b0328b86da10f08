//! The pages of `/auth/manage`.

use askama::Template;
use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::Timestamp;

use super::call::Call;
use super::describe::{self, Owner};
use super::pages::{STYLE, Ways, render_own};
use super::user_grant::UserGrant;
use crate::ambient::UnixSeconds;
use crate::store::LiveGrant;

/// One app's access as its giver reads it.
pub(super) struct Held {
    grant: String,
    app: String,
    patient: Option<String>,
    sentences: Vec<String>,
    given: String,
    used: String,
    ends: String,
}

impl Held {
    pub(super) fn of(call: &Call<'_>, kept: &LiveGrant, grant: &UserGrant) -> Self {
        let client = call.snapshot.clients.get(&grant.client);
        let user = grant.user(call.snapshot);
        let owner = user.map_or_else(Owner::default, |user| Owner::of(&user, grant.patient.as_deref()));
        Self {
            grant: kept.grant.id.clone(),
            app: client.map_or_else(|| grant.client.clone(), |client| client.name.clone()),
            patient: grant.patient.clone(),
            sentences: grant.scope.iter().map(|scope| describe::sentence(scope, &call.snapshot.fhir, owner)).collect(),
            given: day(grant.authenticated),
            used: day(kept.used),
            ends: day(kept.expires),
        }
    }
}

/// A day as people of any country read it.
fn day(at: UnixSeconds) -> String {
    Timestamp::from_second(at).map_or_else(|_| String::new(), |at| at.strftime("%-d %B %Y").to_string())
}

#[derive(Template)]
#[template(path = "manage_login.html")]
struct LoginPage<'a> {
    style: &'static str,
    username: &'a str,
    ways: Ways<'a>,
    notice: Option<&'static str>,
    out: bool,
}

#[derive(Template)]
#[template(path = "manage.html")]
struct OverviewPage<'a> {
    style: &'static str,
    id: &'a str,
    username: &'a str,
    held: &'a [Held],
    ended: bool,
    /// How long an app without lasting access keeps what it has.
    short: String,
}

pub(super) fn login(
    call: &Call<'_>,
    username: &str,
    notice: Option<&'static str>,
    out: bool,
    status: StatusCode,
) -> Response<Bytes> {
    let ways = Ways::of(call.snapshot);
    render_own(&LoginPage { style: STYLE, username, ways, notice, out }, status)
}

pub(super) fn overview(call: &Call<'_>, id: &str, username: &str, held: &[Held], ended: bool) -> Response<Bytes> {
    let short = describe::duration(call.snapshot.tokens.access_lifetime);
    render_own(&OverviewPage { style: STYLE, id, username, held, ended, short }, StatusCode::OK)
}
