//! CORS of the FHIR side: any origin may read what is public, an app's registered origins the rest (SMART App Launch 2.2
//! app-launch, "Considerations for Cross-Origin Resource Sharing").

use std::collections::HashSet;

use http::header::{self, HeaderValue};
use http::{HeaderMap, Method};

use crate::config::Snapshot;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "Accept, Authorization, Cache-Control, Content-Type, If-Match, If-Modified-Since, If-None-Exist, If-None-Match, Pragma, Prefer",
);
const EXPOSED: HeaderValue =
    HeaderValue::from_static("Location, Content-Location, ETag, Link, Retry-After, WWW-Authenticate, X-Request-Id");
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Who may read an answer from a browser.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Origins {
    /// Nobody is known yet: the union of what is registered, so that an app can read its 401.
    Registered,
    Any,
    /// The origins of the client that the token was given to.
    Client(HashSet<String>),
}

/// The origins of the client `id`, or of the other issuer `issuer`.
pub(super) fn of_client(snapshot: &Snapshot, id: Option<&str>, issuer: &str) -> Origins {
    let client = id.and_then(|id| snapshot.clients.get(id));
    let client = client.as_deref().map(|client| client.origins.as_slice());
    let issuer = snapshot.issuers.get(issuer).map(|issuer| issuer.origins.as_slice());
    Origins::Client(client.into_iter().chain(issuer).flatten().cloned().collect())
}

/// Adds to `headers` what lets the page at `origin` read the answer.
pub(super) fn allow(headers: &mut HeaderMap, origin: &HeaderValue, origins: &Origins, snapshot: &Snapshot) {
    let is = |known: &dyn Fn(&str) -> bool| origin.to_str().is_ok_and(known).then(|| origin.clone());
    let allowed = match origins {
        Origins::Any => Some(HeaderValue::from_static("*")),
        Origins::Registered => is(&|origin| snapshot.knows_origin(origin)),
        Origins::Client(set) => is(&|origin| set.contains(origin)),
    };
    if let Some(allowed) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}

/// Adds what answers a preflight that [`allow`] let through.
pub(super) fn preflight(headers: &mut HeaderMap, method: &Method) {
    if method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    }
}
