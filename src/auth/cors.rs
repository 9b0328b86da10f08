//! Which browsers' pages may read the authorization server's answers (SMART App Launch 2.2 app-launch, "Considerations for
//! Cross-Origin Resource Sharing").

use http::header::{self, HeaderValue};
use http::{HeaderMap, Method};

use super::call::Call;

/// Who may read an endpoint's answers from a page of another origin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Readers {
    /// Public documents.
    Anyone,
    /// Origins of the client that asks; of any client as long as none is known, so that an app can read its 401.
    Registered,
    /// Pages for people.
    Nobody,
}

/// Adds to an answer's headers what lets the page that asks read it.
pub(super) fn allow(headers: &mut HeaderMap, call: &Call<'_>, readers: Readers) {
    let allowed = match readers {
        Readers::Nobody => return,
        Readers::Anyone => Some(HeaderValue::from_static("*")),
        Readers::Registered => {
            headers.insert(header::VARY, HeaderValue::from_static("Origin"));
            registered(call)
        }
    };
    let Some(allowed) = allowed else {
        return;
    };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("ETag, Retry-After, WWW-Authenticate, X-Request-Id"),
    );
    if call.method() == Method::OPTIONS {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST"));
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("Accept, Authorization, Cache-Control, Content-Type, If-None-Match, Pragma"),
        );
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
}

fn registered(call: &Call<'_>) -> Option<HeaderValue> {
    let origin = call.headers.get(header::ORIGIN)?;
    let text = origin.to_str().ok()?;
    let known = match call.caller.get() {
        Some(client) => client.origins.iter().any(|own| own == text),
        None => call.snapshot.knows_origin(text),
    };
    known.then(|| origin.clone())
}
