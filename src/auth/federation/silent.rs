//! Login without a page: the provider is asked once whether it knows the person already (OpenID Connect Core §3.1.2.1,
//! `prompt=none`).

use bytes::Bytes;
use http::Response;

use super::Failed;
use crate::auth::AuthServer;
use crate::auth::answer;
use crate::auth::call::Call;
use crate::auth::error::{AuthorizeError, PageError};
use crate::auth::pages;
use crate::auth::pending::{Pending, Session};
use crate::config::Snapshot;

/// Errors by which a provider says that it would have to show a page (OpenID Connect Core §3.1.2.6).
const NEEDS_A_PAGE: [&str; 4] =
    ["login_required", "interaction_required", "consent_required", "account_selection_required"];

impl AuthServer {
    /// Goes on with an authorization for which nobody is logged in.
    pub(in crate::auth) async fn begin_login(
        &self,
        call: &Call<'_>,
        session: Session,
    ) -> Result<Response<Bytes>, PageError> {
        if is_to_be_tried(&session.pending, call.snapshot) {
            return Ok(pages::go_on(&session, &session.link("federate")));
        }
        if session.pending.prompt.none {
            return self.refuse(call, session, AuthorizeError::LoginRequired).await;
        }
        Ok(pages::go_on(&session, &session.link("login")))
    }

    /// Goes back to where a login at the provider began: to the page, which says what went wrong, or to an app that wants none.
    /// Without a session that is the page where a person manages their apps.
    pub(super) async fn turn_back(
        &self,
        call: &Call<'_>,
        session: Option<Session>,
        failed: Failed,
    ) -> Result<Response<Bytes>, PageError> {
        let Some(session) = session else { return Ok(answer::see_other(&format!("manage?notice={}", failed.name()))) };
        if session.pending.prompt.none {
            let unavailable = failed == Failed::Unavailable;
            let error = if unavailable { AuthorizeError::Unavailable } else { AuthorizeError::LoginRequired };
            return self.refuse(call, session, error).await;
        }
        let notice = if failed == Failed::Page { String::new() } else { format!("&notice={}", failed.name()) };
        Ok(answer::see_other(&format!("{}{notice}", session.link("login"))))
    }
}

/// Whether the provider is still to be asked without a page: for an app that wants none, and for somebody of the provider for
/// whom an EHR launched the app, who is likely to be logged in there.
pub(super) fn is_to_be_tried(pending: &Pending, snapshot: &Snapshot) -> bool {
    let fits = match &pending.launch {
        Some(launch) => snapshot.is_federated(&launch.username),
        None => pending.prompt.none && snapshot.oidc.is_some(),
    };
    fits && pending.prompt.takes_sessions() && !pending.asked_silently
}

/// What an error of the provider comes to.
pub(super) fn failure(error: &str, silent: bool) -> Failed {
    if silent && NEEDS_A_PAGE.contains(&error) { Failed::Page } else { Failed::Refused }
}
