//! Refusals of requests that never become a question of rights: no token, no FHIR, no reading without doubt.

use super::rule::{Challenge, Refusal, Rule};
use crate::fhir::interaction::GrammarError;

pub const TOKEN_MISSING: Rule = Rule {
    name: "token-missing",
    status: 401,
    issue: "login",
    challenge: Challenge::Bare,
    text: "this needs an access token: send `Authorization: Bearer …`",
};

pub const TOKEN_IN_QUERY: Rule = Rule {
    name: "token-in-query",
    status: 401,
    issue: "login",
    challenge: Challenge::InvalidRequest,
    text: "an access token among the parameters ends up in logs: send it in the `Authorization` header, and give this one up",
};

pub const TOKEN_REFUSED: Rule = Rule::unauthorized(
    "token-refused",
    "the access token is not valid here: it is malformed, expired, revoked or meant for another server",
);

pub const TOKEN_UNCHECKED: Rule =
    Rule::other("token-unchecked", 503, "transient", "the token cannot be checked at the moment; try again shortly");

pub const AUTHORIZATION_AMBIGUOUS: Rule = Rule {
    name: "authorization-ambiguous",
    status: 400,
    issue: "invalid",
    challenge: Challenge::InvalidRequest,
    text: "send exactly one `Authorization` header, `Bearer`, one space and the token",
};

pub const TARGET_MALFORMED: Rule = Rule::bad_request(
    "target-malformed",
    "the URL can be read in more than one way: no empty, `.` or `..` segments, encoded slashes, backslashes, `;` or control characters",
);

pub const TARGET_TOO_LONG: Rule =
    Rule::other("target-too-long", 414, "too-long", "the URL is too long; use POST `_search`");

pub const HEADER_AMBIGUOUS: Rule = Rule::bad_request(
    "header-ambiguous",
    "a header that must be there once is missing, repeated or a list (`Host`, `Content-Length`, `Content-Type`, conditional headers)",
);

pub const HEADER_TOO_LARGE: Rule = Rule::other("header-too-large", 431, "too-long", "a request header is too large");

pub const BODY_UNEXPECTED: Rule = Rule::bad_request("body-unexpected", "a request with this method has no body");

pub const BODY_TOO_LARGE: Rule = Rule::other("body-too-large", 413, "too-long", "the request body is too large");

pub const BODY_UNREADABLE: Rule =
    Rule::bad_request("body-unreadable", "the request body ended early or came too slowly");

pub const BODY_NOT_FORM: Rule = Rule::other(
    "body-not-form",
    415,
    "invalid",
    "a POST search carries `application/x-www-form-urlencoded` search parameters, not compressed",
);

pub const NOT_FHIR: Rule =
    Rule::other("not-fhir", 404, "not-found", "the path is no FHIR interaction that this server has");

pub const METHOD_NOT_ALLOWED: Rule =
    Rule::other("method-not-allowed", 405, "not-supported", "the method does not fit the path");

pub const PARAMETER_MALFORMED: Rule =
    Rule::bad_request("parameter-malformed", "a search parameter's name is not in the grammar of FHIR search");

pub const RATE_ADDRESS: Rule = Rule::other(
    "rate-address",
    429,
    "throttled",
    "too many requests come from this address; wait as long as `Retry-After` says",
);

pub const RATE_CLIENT: Rule = Rule::other(
    "rate-client",
    429,
    "throttled",
    "too many requests come from this client; wait as long as `Retry-After` says",
);

pub const UPGRADE_REFUSED: Rule = Rule::bad_request("upgrade-refused", "this server upgrades no connection");

pub const SEAL_REFUSED: Rule = Rule::other(
    "seal-refused",
    404,
    "not-found",
    "the page link is expired, incomplete or was given to someone else: search again",
);

pub const UPSTREAM_UNREACHABLE: Rule =
    Rule::other("upstream-unreachable", 502, "transient", "the FHIR server cannot be reached; try again shortly");

pub const UPSTREAM_BUSY: Rule = Rule::other(
    "upstream-busy",
    503,
    "throttled",
    "as many requests as may be are with the FHIR server already; try again shortly",
);

pub const UPSTREAM_TIMEOUT: Rule =
    Rule::other("upstream-timeout", 504, "timeout", "the FHIR server took too long; try again shortly");

pub const UPSTREAM_UNREADABLE: Rule = Rule::other(
    "upstream-unreadable",
    502,
    "processing",
    "the FHIR server's answer cannot be checked, so it is not passed on",
);

pub const UPSTREAM_ERROR: Rule =
    Rule::other("upstream-error", 502, "processing", "the FHIR server could not answer this request");

pub const UPSTREAM_REJECTED: Rule =
    Rule::bad_request("upstream-rejected", "the FHIR server does not accept this request as it is");

pub const UPSTREAM_CONFLICT: Rule =
    Rule::other("upstream-conflict", 409, "conflict", "the FHIR server holds something that this write conflicts with");

pub const UPSTREAM_PRECONDITION: Rule = Rule::other(
    "upstream-precondition",
    412,
    "conflict",
    "the FHIR server's version is not the one that `If-Match` names, or more than one resource meets the criteria",
);

pub const TOO_COSTLY: Rule = Rule::other(
    "too-costly",
    503,
    "too-costly",
    "too much would have to be looked through for one page of this search: narrow it, or ask for a smaller `_count`",
);

/// Applied where the matches are counted, and to a history, which has no count.
pub const COUNT_ONLY: Rule = Rule::bad_request(
    "count-only",
    "a count alone (`_summary=count`, `_count=0`) is of searches only, and under a patient context or a constraint of those that can be looked through: narrow it",
);

pub(super) const RULES: &[&Rule] = &[
    &TOKEN_MISSING,
    &TOKEN_IN_QUERY,
    &TOKEN_REFUSED,
    &TOKEN_UNCHECKED,
    &AUTHORIZATION_AMBIGUOUS,
    &TARGET_MALFORMED,
    &TARGET_TOO_LONG,
    &HEADER_AMBIGUOUS,
    &HEADER_TOO_LARGE,
    &BODY_UNEXPECTED,
    &BODY_TOO_LARGE,
    &BODY_UNREADABLE,
    &BODY_NOT_FORM,
    &NOT_FHIR,
    &METHOD_NOT_ALLOWED,
    &PARAMETER_MALFORMED,
    &RATE_ADDRESS,
    &RATE_CLIENT,
    &UPGRADE_REFUSED,
    &SEAL_REFUSED,
    &UPSTREAM_UNREACHABLE,
    &UPSTREAM_BUSY,
    &UPSTREAM_TIMEOUT,
    &UPSTREAM_UNREADABLE,
    &UPSTREAM_ERROR,
    &UPSTREAM_REJECTED,
    &UPSTREAM_CONFLICT,
    &UPSTREAM_PRECONDITION,
    &TOO_COSTLY,
    &COUNT_ONLY,
];

impl From<GrammarError> for Refusal {
    fn from(error: GrammarError) -> Self {
        match error {
            GrammarError::NotFound => NOT_FHIR.refuse(),
            GrammarError::Method => METHOD_NOT_ALLOWED.refuse(),
            GrammarError::Ambiguous => HEADER_AMBIGUOUS.refuse(),
            GrammarError::Key(_) => PARAMETER_MALFORMED.refuse(),
        }
    }
}
