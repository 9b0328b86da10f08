//! What goes wrong, as closed sets: an OAuth error code and a constant public text each. Details go to the logs.
//!
//! The texts keep to the characters of `error_description` (RFC 6749 §5.2: neither quotation marks nor backslashes).

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};

use super::answer::{self, ErrorBody};
use super::form::FormError;
use crate::ambient::UnixSeconds;
use crate::store::StoreError;
use crate::token::KeyError;

/// An authorization request that is answered by a redirect to the app (RFC 6749 §4.1.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum AuthorizeError {
    GrantNotRegistered,
    State,
    ResponseType,
    ResponseMode,
    RequestObject,
    RequestUri,
    Launch,
    LaunchScope,
    LaunchUser,
    LaunchPatient,
    Audience,
    Challenge,
    ChallengeMethod,
    TooLong,
    Prompt,
    PromptWithNone,
    MaxAge,
    LoginRequired,
    InteractionRequired,
    ConsentRequired,
    ScopeMissing,
    ScopeRefused,
    NothingToGive,
    Denied,
    Unavailable,
}

impl AuthorizeError {
    /// The code and the text for the app's developer.
    pub(super) fn public(self) -> (&'static str, &'static str) {
        match self {
            Self::GrantNotRegistered => {
                ("unauthorized_client", "the client is not registered for the grant type `authorization_code`")
            }
            Self::State => ("invalid_request", "`state` is missing; SMART requires it"),
            Self::ResponseType => ("unsupported_response_type", "`response_type` must be `code`"),
            Self::ResponseMode => ("invalid_request", "`response_mode` can only be `query`"),
            Self::RequestObject => ("request_not_supported", "request objects are not supported"),
            Self::RequestUri => ("request_uri_not_supported", "request objects are not supported"),
            Self::Launch => ("invalid_request", "`launch` is unknown, expired, used, or is another app's"),
            Self::LaunchScope => ("invalid_scope", "`launch` goes with the scope `launch`"),
            Self::LaunchUser => ("access_denied", "the launch is for another user than the one who logged in"),
            Self::LaunchPatient => ("access_denied", "the launch is for a patient whom the user may not choose"),
            Self::Audience => ("invalid_request", "`aud` must be this server's FHIR base URL"),
            Self::Challenge => (
                "invalid_request",
                "`code_challenge` is missing or is not 43 to 128 characters of base64url (RFC 7636)",
            ),
            Self::ChallengeMethod => ("invalid_request", "`code_challenge_method` must be `S256`"),
            Self::TooLong => ("invalid_request", "a parameter is too long"),
            Self::Prompt => (
                "invalid_request",
                "`prompt` can be `none`, or one or several of `login`, `consent` and `select_account`",
            ),
            Self::PromptWithNone => ("invalid_request", "`prompt=none` cannot be combined with other values"),
            Self::MaxAge => ("invalid_request", "`max_age` must be a number of seconds"),
            Self::LoginRequired => ("login_required", "the user must log in, which `prompt=none` rules out"),
            Self::InteractionRequired => {
                ("interaction_required", "the user must choose a patient or a visit, which `prompt=none` rules out")
            }
            Self::ConsentRequired => ("consent_required", "the user must be asked, which `prompt=none` rules out"),
            Self::ScopeMissing => ("invalid_scope", "`scope` is missing"),
            Self::ScopeRefused => {
                ("invalid_scope", "none of the scopes asked for can be granted to this client; see docs/apps.md")
            }
            Self::NothingToGive => ("access_denied", "the user has no data that the scopes asked for speak of"),
            Self::Denied => ("access_denied", "the user refused"),
            Self::Unavailable => ("temporarily_unavailable", "the server cannot do this at the moment"),
        }
    }
}

/// A page that is shown instead of a redirect: the app cannot be told, or must not be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PageError {
    Parameters,
    Client,
    RedirectUri,
    /// The authorization is over, was never begun in this browser, or its cookie is missing.
    Gone,
    Unavailable,
}

impl PageError {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The name for the audit log.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Parameters => "parameters",
            Self::Client => "client",
            Self::RedirectUri => "redirect-uri",
            Self::Gone => "gone",
            Self::Unavailable => "unavailable",
        }
    }
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "an authorization could not go on");
        Self::Unavailable
    }
}

/// A client did not prove who it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ClientError {
    /// Several ways of authentication at once (RFC 6749 §2.3).
    TwoMethods,
    /// The parts of the request name different clients.
    TwoClients,
    AssertionType,
    Missing,
    /// Unknown or disabled client, wrong secret, wrong assertion, or not the method it is registered for.
    Refused {
        basic: bool,
    },
    /// Too many wrong secrets: so many seconds are to be waited.
    Throttled {
        seconds: UnixSeconds,
    },
    /// An access token that is none, where one may stand for the client (RFC 7662 §2.3).
    Token,
    Unavailable,
}

/// An error of the token, introspection or revocation endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ApiError {
    Form(FormError),
    Client(ClientError),
    /// A required parameter is missing.
    Missing(&'static str),
    GrantType,
    GrantNotRegistered,
    /// The client has no secret of its own and cannot act for itself.
    PublicService,
    CodeRefused,
    RefreshRefused,
    /// A refresh token that was exchanged before; its grant is over.
    RefreshReused,
    /// More than the grant has.
    ScopeWider,
    ScopeRefused,
    MayNotIntrospect,
    MayNotLaunch,
    /// What an EHR wants to launch cannot be launched so.
    Launch(&'static str),
    Unavailable,
}

impl ApiError {
    /// The code of RFC 6749 §5.2.
    pub(super) fn code(self) -> &'static str {
        self.public().1
    }

    fn public(self) -> (StatusCode, &'static str, &'static str) {
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        match self {
            Self::Form(FormError::NotAForm) => {
                (BAD, "invalid_request", "the body must be `application/x-www-form-urlencoded`")
            }
            Self::Form(FormError::Repeated) => (BAD, "invalid_request", "a parameter is there more than once"),
            Self::Form(FormError::Encoding | FormError::TooMany) => {
                (BAD, "invalid_request", "the parameters cannot be read")
            }
            Self::Client(error) => error.public(),
            Self::Missing(text) => (BAD, "invalid_request", text),
            Self::GrantType => (
                BAD,
                "unsupported_grant_type",
                "`grant_type` must be `authorization_code`, `refresh_token` or `client_credentials`; others are not supported",
            ),
            Self::GrantNotRegistered => {
                (BAD, "unauthorized_client", "the client is not registered for this grant type")
            }
            Self::PublicService => {
                (BAD, "unauthorized_client", "a public client cannot use the grant type `client_credentials`")
            }
            Self::CodeRefused => (
                BAD,
                "invalid_grant",
                "the code is unknown, expired or used, or does not fit the client, `redirect_uri` or `code_verifier`",
            ),
            Self::RefreshRefused | Self::RefreshReused => (
                BAD,
                "invalid_grant",
                "the refresh token is unknown, expired, used or revoked, is another client's, or its user is gone",
            ),
            Self::ScopeWider => (BAD, "invalid_scope", "`scope` must be within what the refresh token was granted for"),
            Self::ScopeRefused => (
                BAD,
                "invalid_scope",
                "`scope` must name `system/` scopes that the client is registered for; a constraint must be one that can be evaluated",
            ),
            Self::MayNotIntrospect => {
                (StatusCode::FORBIDDEN, "unauthorized_client", "the client is not registered to introspect tokens")
            }
            Self::MayNotLaunch => {
                (StatusCode::FORBIDDEN, "unauthorized_client", "the client is not registered to launch apps")
            }
            Self::Launch(text) => (BAD, "invalid_request", text),
            Self::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "the server cannot do this at the moment")
            }
        }
    }

    /// The answer that carries it.
    pub(super) fn response(self) -> Response<Bytes> {
        let (status, error, error_description) = self.public();
        let mut response = answer::json(status, &ErrorBody { error, error_description });
        if let Some(challenge) = self.challenge() {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Self::Client(ClientError::Throttled { seconds }) = self {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// What to say to whoever showed credentials in the header (RFC 6749 §5.2, RFC 6750 §3).
    fn challenge(self) -> Option<&'static str> {
        match self {
            Self::Client(ClientError::Refused { basic: true }) => Some("Basic realm=\"smartgate\", charset=\"UTF-8\""),
            Self::Client(ClientError::Token) => Some("Bearer realm=\"smartgate\", error=\"invalid_token\""),
            _ => None,
        }
    }
}

impl ClientError {
    fn public(self) -> (StatusCode, &'static str, &'static str) {
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        const WHO: StatusCode = StatusCode::UNAUTHORIZED;
        match self {
            Self::TwoMethods => (BAD, "invalid_request", "a client authenticates in one way per request"),
            Self::TwoClients => (BAD, "invalid_request", "`client_id` is not the client that authenticates"),
            Self::AssertionType => (
                BAD,
                "invalid_request",
                "`client_assertion` goes with the `client_assertion_type` \
                 `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`",
            ),
            Self::Missing => (WHO, "invalid_client", "the request names no client"),
            Self::Refused { .. } => (
                WHO,
                "invalid_client",
                "the client is unknown or disabled, or did not authenticate in the way that it is registered for",
            ),
            Self::Throttled { .. } => (
                StatusCode::TOO_MANY_REQUESTS,
                "temporarily_unavailable",
                "too many wrong secrets came for this client; wait as long as Retry-After says",
            ),
            Self::Token => (WHO, "invalid_token", "the access token that the client shows is not valid"),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "the client cannot be checked at the moment: its keys or the store cannot be reached",
            ),
        }
    }
}

impl From<FormError> for ApiError {
    fn from(error: FormError) -> Self {
        Self::Form(error)
    }
}

impl From<ClientError> for ApiError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a request for a token could not be answered");
        Self::Unavailable
    }
}

impl From<KeyError> for ApiError {
    fn from(error: KeyError) -> Self {
        tracing::error!(%error, "a token could not be signed");
        Self::Unavailable
    }
}
