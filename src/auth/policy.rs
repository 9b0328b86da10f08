//! The content security policy of a page: what it may load, where its forms lead, and who may hold it in a frame.

use http::header::HeaderValue;
use url::{Host, Url};

use super::call::Call;
use super::pending::Session;
use crate::config::Pages;

/// What a page's policy must let through.
pub(super) struct Around<'a> {
    /// Where its forms may lead in the end.
    pub(super) redirect_uri: Option<&'a str>,
    /// Whose pages may hold it in a frame.
    pub(super) frame_ancestors: &'a [String],
}

impl<'a> Around<'a> {
    pub(super) fn of(call: &'a Call<'_>, session: &'a Session) -> Self {
        Self {
            redirect_uri: Some(&session.pending.redirect_uri),
            frame_ancestors: session.frame_ancestors(call.snapshot),
        }
    }
}

/// The content security policy. Browsers hold a form's redirects against `form-action` too, so the app's own place is in it.
pub(super) fn policy(around: &Around<'_>, site: &Pages) -> HeaderValue {
    let form_action = match around.redirect_uri {
        Some(uri) => format!("'self' {}", form_target(uri)),
        None => "'none'".to_owned(),
    };
    let frame_ancestors = match around.frame_ancestors {
        [] => "'none'".to_owned(),
        origins => origins.join(" "),
    };
    let images = if site.logo.is_some() { " img-src 'self';" } else { "" };
    let policy = format!(
        "default-src 'none'; style-src {};{images} form-action {form_action}; frame-ancestors {frame_ancestors}; \
         base-uri 'none'",
        site.style_source
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

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
