//! The head of a request, made unambiguous before anything is decided on it.

use http::header::{self, HeaderName};
use http::{HeaderMap, Method};
use pingora::http::RequestHeader;

use crate::config::Snapshot;
use crate::decide::{Refusal, request as rules};
use crate::fhir::target::{Target, TargetError};

/// Bytes of all header names and values together.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Headers that mean two things when they come twice.
static ONCE: [HeaderName; 10] = [
    header::AUTHORIZATION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::HOST,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_UNMODIFIED_SINCE,
    HeaderName::from_static("if-none-exist"),
];

/// Method, target and headers of one request.
pub(super) struct Head {
    pub(super) method: Method,
    /// The target as it came, for the authorization server's own query parsing.
    pub(super) raw: String,
    pub(super) target: Target,
    pub(super) headers: HeaderMap,
    path: String,
}

impl Head {
    /// Reads and checks a head.
    ///
    /// # Errors
    /// The first thing that could be read in two ways, or is beyond a limit.
    pub(super) fn read(request: &RequestHeader, snapshot: &Snapshot) -> Result<Self, Refusal> {
        check_method(request)?;
        check_headers(request, snapshot)?;
        check_framing(request)?;
        let raw = std::str::from_utf8(request.raw_path()).map_err(|_| rules::TARGET_MALFORMED.refuse())?;
        if raw.len() > snapshot.limits.target {
            return Err(rules::TARGET_TOO_LONG.refuse());
        }
        let target = Target::parse(raw, snapshot.limits.parameters).map_err(|error| match error {
            TargetError::TooMany => rules::TARGET_TOO_LONG.refuse().because("too many parameters"),
            other => rules::TARGET_MALFORMED.refuse().because(other.to_string()),
        })?;
        Ok(Self {
            method: request.method.clone(),
            raw: raw.to_owned(),
            headers: request.headers.clone(),
            path: path_of(&target),
            target,
        })
    }

    /// The decoded path, without the query.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The path segments below `base`, or none if the path is not there. A trailing slash is only taken after the base itself.
    pub(super) fn below(&self, base: &str) -> Option<Vec<&str>> {
        let mut segments = self.target.path.iter().map(String::as_str);
        for part in base.split('/').filter(|part| !part.is_empty()) {
            if segments.next() != Some(part) {
                return None;
            }
        }
        let rest: Vec<&str> = segments.collect();
        (rest.is_empty() || !self.target.trailing_slash).then_some(rest)
    }

    /// The value of a header, as text.
    pub(super) fn text(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The decoded path of a target.
fn path_of(target: &Target) -> String {
    let mut path = String::with_capacity(target.path.iter().map(|segment| segment.len() + 1).sum::<usize>() + 1);
    for segment in &target.path {
        path.push('/');
        path.push_str(segment);
    }
    if target.trailing_slash || path.is_empty() {
        path.push('/');
    }
    path
}

fn check_method(request: &RequestHeader) -> Result<(), Refusal> {
    match request.method.as_str() {
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => Ok(()),
        _ => Err(rules::METHOD_NOT_ALLOWED.refuse()),
    }
}

fn check_headers(request: &RequestHeader, snapshot: &Snapshot) -> Result<(), Refusal> {
    let headers = &request.headers;
    let (mut bytes, mut seen, mut ambiguous) = (0, ONCE.each_ref().map(|_| false), None);
    for (name, value) in headers {
        bytes += name.as_str().len() + value.len();
        let known = ONCE.iter().zip(&mut seen).find(|(once, _)| *once == name);
        // What an `Authorization` header may consist of is a question of its own, asked where it is read.
        let is_text = |name: &HeaderName| *name == header::AUTHORIZATION || value.to_str().is_ok();
        if let Some((name, seen)) = known
            && (std::mem::replace(seen, true) || !is_text(name))
        {
            ambiguous = ambiguous.or(Some(name));
        }
    }
    let authorization = headers.get(header::AUTHORIZATION).map_or(0, http::HeaderValue::len);
    if bytes > MAX_HEADER_BYTES || authorization > snapshot.limits.authorization {
        return Err(rules::HEADER_TOO_LARGE.refuse());
    }
    match ambiguous {
        Some(name) if *name == header::AUTHORIZATION => return Err(rules::AUTHORIZATION_AMBIGUOUS.refuse()),
        Some(name) => return Err(rules::HEADER_AMBIGUOUS.refuse().because(name.as_str())),
        None => {}
    }
    let named = request.uri.authority().is_some() || headers.contains_key(header::HOST);
    if request.version >= http::Version::HTTP_11 && !named {
        return Err(rules::HEADER_AMBIGUOUS.refuse().because("no Host"));
    }
    if headers.contains_key(header::UPGRADE) {
        return Err(rules::UPGRADE_REFUSED.refuse());
    }
    Ok(())
}

fn check_framing(request: &RequestHeader) -> Result<(), Refusal> {
    let length = match request.headers.get(header::CONTENT_LENGTH) {
        None => 0,
        Some(value) => {
            let digits = value.as_bytes();
            if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return Err(rules::HEADER_AMBIGUOUS.refuse().because("content-length"));
            }
            value.to_str().ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or(u64::MAX)
        }
    };
    let chunked = request.headers.contains_key(header::TRANSFER_ENCODING);
    let bodyless = matches!(request.method.as_str(), "GET" | "HEAD" | "DELETE" | "OPTIONS");
    if bodyless && (length > 0 || chunked) {
        return Err(rules::BODY_UNEXPECTED.refuse());
    }
    Ok(())
}
