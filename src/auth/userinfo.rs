//! Who the person is, told to the app that holds their token (OpenID Connect Core §5.3).

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;

use super::AuthServer;
use super::answer::{self, ErrorBody};
use super::call::Call;
use super::error::ApiError;
use super::granted::{Bearer, within_registration};
use super::record::{FAILURE, SUCCESS};
use super::user_grant::fhir_user;
use crate::telemetry::AuthRecord;

/// What is known of the person; `sub` is the one of the id_token.
#[derive(Serialize)]
struct UserInfo {
    sub: String,
    #[serde(rename = "fhirUser", skip_serializing_if = "Option::is_none")]
    fhir_user: Option<String>,
}

/// Why nothing is told (RFC 6750 §3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Refused {
    NoToken,
    Token,
    Scope,
    Unavailable,
}

impl Refused {
    fn public(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NoToken => {
                (StatusCode::UNAUTHORIZED, "invalid_request", "send one access token as `Authorization: Bearer`")
            }
            Self::Token => (StatusCode::UNAUTHORIZED, "invalid_token", "the access token is not valid"),
            Self::Scope => (StatusCode::FORBIDDEN, "insufficient_scope", "the access token does not have `openid`"),
            Self::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "the server cannot do this at the moment")
            }
        }
    }

    /// The challenge; who sent no token is told no error (RFC 6750 §3.1).
    fn challenge(self) -> Option<HeaderValue> {
        match self {
            Self::NoToken => Some(HeaderValue::from_static("Bearer realm=\"smartgate\"")),
            Self::Token => Some(HeaderValue::from_static("Bearer realm=\"smartgate\", error=\"invalid_token\"")),
            Self::Scope => Some(HeaderValue::from_static(
                "Bearer realm=\"smartgate\", error=\"insufficient_scope\", scope=\"openid\"",
            )),
            Self::Unavailable => None,
        }
    }

    fn response(self) -> Response<Bytes> {
        let (status, error, error_description) = self.public();
        let mut response = answer::json(status, &ErrorBody { error, error_description });
        if let Some(challenge) = self.challenge() {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<ApiError> for Refused {
    fn from(_: ApiError) -> Self {
        Self::Unavailable
    }
}

impl AuthServer {
    /// `GET` and `POST /auth/userinfo`.
    pub(super) async fn userinfo(&self, call: &Call<'_>) -> Response<Bytes> {
        let outcome = self.user_info(call).await;
        let refused = outcome.as_ref().err();
        let record = AuthRecord {
            event: "userinfo",
            outcome: if refused.is_none() { SUCCESS } else { FAILURE },
            client: call.caller.get().map(|client| client.id.clone()),
            subject: outcome.as_ref().ok().map(|info| info.sub.clone()),
            error: refused.map(|refused| refused.public().1),
            ..AuthRecord::default()
        };
        self.record(call, record).await;
        match outcome {
            Ok(info) => answer::json(StatusCode::OK, &info),
            Err(refused) => refused.response(),
        }
    }

    async fn user_info(&self, call: &Call<'_>) -> Result<UserInfo, Refused> {
        let token = call.bearer().ok_or(Refused::NoToken)?;
        let claims = self.own_valid_token(call, token)?.ok_or(Refused::Token)?;
        let client = claims.client.as_ref().and_then(|id| call.snapshot.clients.get(id));
        let client = client.filter(|client| client.enabled).ok_or(Refused::Token)?;
        call.caller.get_or_init(|| client.clone());
        if claims.grant.is_none() {
            // A service's own: there is no person.
            return Err(Refused::Scope);
        }
        if !call.snapshot.has_user(&claims.subject) {
            return Err(Refused::Token);
        }
        let scope = within_registration(&claims.scope.join(" "), &client, call.snapshot.fhir.version, Bearer::User);
        let has = |name: &str| scope.iter().any(|scope| scope == name);
        if !has("openid") {
            return Err(Refused::Scope);
        }
        let fhir_user = match call.snapshot.users.get(claims.subject.as_str()) {
            Some(user) => fhir_user(user, call.snapshot),
            // Of somebody of the provider the token alone knows it.
            None => claims.fhir_user.map(String::from),
        };
        Ok(UserInfo { sub: claims.subject.into(), fhir_user: fhir_user.filter(|_| has("fhirUser")) })
    }
}

#[cfg(test)]
#[path = "userinfo_tests.rs"]
mod tests;
