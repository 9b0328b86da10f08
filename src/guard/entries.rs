//! Entries of Bundles: a client's entry as a request of its own and as an entry of the Bundle that goes up, and answers as entries
//! of the Bundle that goes back.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::answer::EntryAnswer;
use super::bundle::unreadable;
use super::{Answer, Exchange, precondition};
use crate::decide::{Entry, PATCH_FORMAT, Pin, Refusal, RefusedEntry, UpstreamRequest, request as rules};
use crate::fhir::json::Json;
use crate::fhir::json::ObjectWriter;
use crate::fhir::outcome::FHIR_JSON;

/// The decision on one entry.
pub(super) type Decided = Result<Entry, Box<RefusedEntry>>;

/// Headers of the whole that hold for each of its entries.
const SHARED: [HeaderName; 3] = [header::AUTHORIZATION, header::ACCEPT_LANGUAGE, HeaderName::from_static("prefer")];

/// The entries of the client's Bundle as its own bytes.
#[derive(Deserialize)]
pub(super) struct Sent<'a> {
    #[serde(borrow, default)]
    pub(super) entry: Vec<SentEntry<'a>>,
}

/// An entry of the client's Bundle; what its request is, was decided.
#[derive(Deserialize)]
pub(super) struct SentEntry<'a> {
    #[serde(borrow, default)]
    pub(super) resource: Option<&'a RawValue>,
}

/// A patch in a Bundle (FHIR R4 http.html#patch): a Binary that holds it, or a Parameters resource.
#[derive(Deserialize)]
struct PatchResource<'a> {
    #[serde(rename = "resourceType", borrow)]
    resource_type: Cow<'a, str>,
    #[serde(rename = "contentType", borrow, default)]
    content_type: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Cow<'a, str>,
}

/// Headers and body of an entry as a request of its own.
pub(super) struct Single {
    headers: HeaderMap,
    body: Bytes,
}

impl Single {
    pub(super) fn of(whole: &Exchange<'_>, entry: &Entry, sent: &SentEntry<'_>) -> Result<Self, Refusal> {
        let mut headers = conditions(entry)?;
        for name in SHARED {
            if let Some(value) = whole.headers.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        let json = HeaderValue::from_static(FHIR_JSON);
        headers.insert(header::ACCEPT, json.clone());
        let (content_type, body) = match sent.resource {
            None => (None, Bytes::new()),
            Some(resource) if entry.request.method == Method::PATCH => {
                let (content_type, patch) = patch_in(resource)?;
                (Some(content_type), patch)
            }
            Some(resource) => (Some(json), Bytes::copy_from_slice(resource.get().as_bytes())),
        };
        content_type.map(|content_type| headers.insert(header::CONTENT_TYPE, content_type));
        Ok(Self { headers, body })
    }

    /// The same with another body.
    pub(super) fn with_body(self, body: Bytes) -> Self {
        Self { body, ..self }
    }

    /// The entry on its way through the guard by itself.
    pub(super) fn exchange<'s>(&'s self, whole: &Exchange<'s>, entry: &'s Entry) -> Exchange<'s> {
        Exchange {
            snapshot: whole.snapshot,
            grant: whole.grant,
            request: &entry.request,
            original: &entry.original,
            headers: &self.headers,
            request_id: whole.request_id,
            body: self.body.clone(),
            waited: whole.waited,
            span: whole.span,
        }
    }
}

fn conditions(entry: &Entry) -> Result<HeaderMap, Refusal> {
    let mut headers = HeaderMap::new();
    for (name, text) in &entry.conditions {
        let value = HeaderValue::from_str(text).map_err(|_| rules::HEADER_AMBIGUOUS.refuse())?;
        headers.insert(name.clone(), value);
    }
    Ok(headers)
}

fn patch_in(resource: &RawValue) -> Result<(HeaderValue, Bytes), Refusal> {
    let wrong = || PATCH_FORMAT.refuse();
    let patch: PatchResource<'_> = serde_json::from_str(resource.get()).map_err(|_| wrong())?;
    match &*patch.resource_type {
        "Parameters" => Ok((HeaderValue::from_static(FHIR_JSON), Bytes::copy_from_slice(resource.get().as_bytes()))),
        "Binary" => {
            let content_type = HeaderValue::from_str(&patch.content_type).map_err(|_| wrong())?;
            Ok((content_type, STANDARD.decode(&*patch.data).map_err(|_| wrong())?.into()))
        }
        _ => Err(wrong()),
    }
}

/// An entry of the Bundle that goes up: nothing of it but what was decided and checked.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Upward<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    full_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'a RawValue>,
    request: UpwardRequest<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UpwardRequest<'a> {
    method: &'a str,
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    if_match: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    if_none_match: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    if_modified_since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    if_none_exist: Option<&'a str>,
}

impl<'a> Upward<'a> {
    /// `entry` as it goes up: as `request`, with `resource`.
    pub(super) fn of(entry: &'a Entry, request: &'a UpstreamRequest, resource: Option<&'a RawValue>) -> Self {
        let condition = |name: HeaderName| {
            let found = entry.conditions.iter().find(|(given, _)| request.conditional() && *given == name);
            found.map(|(_, text)| text.clone())
        };
        let mut up = Self::own(request, resource);
        up.full_url = entry.full_url.as_deref();
        up.request.if_modified_since = condition(header::IF_MODIFIED_SINCE);
        for (own, name) in
            [(&mut up.request.if_match, header::IF_MATCH), (&mut up.request.if_none_match, header::IF_NONE_MATCH)]
        {
            *own = own.take().or_else(|| condition(name));
        }
        up
    }

    /// A request of the gate's own as an entry.
    pub(super) fn own(request: &'a UpstreamRequest, resource: Option<&'a RawValue>) -> Self {
        let (if_match, if_none_match) = match request.pin() {
            Some(Pin::Version(version)) => (Some(format!("W/\"{version}\"")), None),
            Some(Pin::Absent) => (None, Some("*".to_owned())),
            Some(Pin::New) | None => (None, None),
        };
        let request = UpwardRequest {
            method: request.method().as_str(),
            url: request.target().trim_start_matches('/'),
            if_match,
            if_none_match,
            if_modified_since: None,
            if_none_exist: request.if_none_exist(),
        };
        Self { full_url: None, resource, request }
    }
}

/// The Bundle that goes up.
pub(super) fn print_upward(kind: &str, entries: &[Upward<'_>]) -> Result<Bytes, Refusal> {
    #[derive(Serialize)]
    struct Bundle<'a> {
        #[serde(rename = "resourceType")]
        resource_type: &'static str,
        #[serde(rename = "type")]
        kind: &'a str,
        entry: &'a [Upward<'a>],
    }
    let bundle = Bundle { resource_type: "Bundle", kind, entry: entries };
    serde_json::to_vec(&bundle).map(Bytes::from).map_err(|error| unreadable(&error.to_string()))
}

/// An entry that was dealt with.
pub(super) struct Done {
    pub(super) printed: String,
    pub(super) record: EntryAnswer,
}

impl Done {
    /// With the answer of a single request.
    pub(super) fn of(entry: &Decided, answer: Result<Answer, Refusal>) -> Result<Self, Refusal> {
        // What cannot be put into a Bundle is one entry's failure, not all the others'.
        let whole = answer.and_then(|answer| Ok((print(&answer)?, answer)));
        let (printed, answer, detail) = match whole {
            Ok((printed, answer)) => (printed, answer, None),
            Err(refusal) => {
                let answer = Answer::refusal(&refusal);
                (print(&answer)?, answer, refusal.detail)
            }
        };
        Ok(Self { printed, record: EntryAnswer::of(entry, &answer, detail) })
    }

    /// With an entry of the FHIR server's own answer.
    pub(super) fn printed(entry: &Decided, printed: String, status: StatusCode, removed: usize) -> Self {
        let answer = Answer { removed, upstream_status: Some(status), ..Answer::fhir(status, Bytes::new()) };
        Self { printed, record: EntryAnswer::of(entry, &answer, None) }
    }
}

/// The status of an entry's answer; FHIR lets a reason stand behind it.
pub(super) fn status_of(response: Json<'_>) -> Result<StatusCode, Refusal> {
    response_of(response).map(|(status, _)| status)
}

/// Status of an entry's answer, and what else of it is told, as the headers of a single answer.
pub(super) fn response_of(response: Json<'_>) -> Result<(StatusCode, HeaderMap), Refusal> {
    let text = |name| response.get(name).and_then(Json::as_str);
    let digits = text("status").and_then(|status| status.get(..3));
    let status = digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| unreadable("an entry has no status"))?;
    let told = [
        (header::LOCATION, text("location").map(str::to_owned)),
        (header::ETAG, text("etag").filter(|tag| precondition::tag(tag).is_some()).map(str::to_owned)),
        (header::LAST_MODIFIED, text("lastModified").and_then(instant)),
    ];
    let mut headers = HeaderMap::new();
    for (name, text) in told {
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(name, value);
        }
    }
    Ok((status, headers))
}

/// An answer as an entry of the Bundle that goes back; the body of one that is no success is an outcome.
fn print(answer: &Answer) -> Result<String, Refusal> {
    let body: Option<&RawValue> = match answer.body.as_ref() {
        [] => None,
        bytes => Some(serde_json::from_slice(bytes).map_err(|_| unreadable("an entry's answer is not JSON"))?),
    };
    let header = |name| answer.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let (mut resource, mut outcome) = (body, None);
    if !answer.status.is_success() {
        std::mem::swap(&mut resource, &mut outcome);
    }
    let mut out = String::with_capacity(answer.body.len() + 128);
    let mut entry = ObjectWriter::new(&mut out);
    if let Some(resource) = resource {
        entry.member("resource").push_str(resource.get());
    }
    let mut response = ObjectWriter::new(entry.member("response"));
    response.text("status", answer.status.as_str());
    for (name, text) in [
        ("location", header(header::LOCATION).map(Cow::Borrowed)),
        ("etag", header(header::ETAG).map(Cow::Borrowed)),
        ("lastModified", header(header::LAST_MODIFIED).and_then(instant).map(Cow::Owned)),
    ] {
        if let Some(text) = text {
            response.text(name, &text);
        }
    }
    if let Some(outcome) = outcome {
        response.member("outcome").push_str(outcome.get());
    }
    response.end();
    entry.end();
    Ok(out)
}

/// `Last-Modified` as `entry.response.lastModified` has it, and that in its own form again.
fn instant(text: &str) -> Option<String> {
    let of_header = || jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp());
    text.parse::<jiff::Timestamp>().ok().or_else(of_header).map(|time| time.to_string())
}
