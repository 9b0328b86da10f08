//! One request to the authorization server, with what every endpoint needs to answer it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderMap, Method, header};

use super::form::{Form, FormError};
use super::language;
use super::texts::{self, Texts};
use crate::address::ClientAddress;
use crate::ambient::UnixSeconds;
use crate::config::{Client, Language, Snapshot};

/// Media type of forms.
const FORM: &str = "application/x-www-form-urlencoded";

const JSON: &str = "application/json";

/// A request being answered.
pub(super) struct Call<'a> {
    pub(super) snapshot: &'a Arc<Snapshot>,
    pub(super) request_id: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) now: UnixSeconds,
    /// Who asks, if the connection has an address.
    pub(super) from: Option<ClientAddress>,
    /// The client that asks, once it is known: its origins may read the answer.
    pub(super) caller: OnceLock<Arc<Client>>,
    /// The language that the app asked for, once it is known; else what the browser prefers.
    language: OnceLock<Language>,
    method: &'a Method,
    query: &'a str,
    body: &'a [u8],
}

impl<'a> Call<'a> {
    pub(super) fn new(
        request: &'a http::Request<Bytes>,
        request_id: &'a str,
        from: Option<ClientAddress>,
        snapshot: &'a Arc<Snapshot>,
        now: UnixSeconds,
    ) -> Self {
        Self {
            snapshot,
            request_id,
            headers: request.headers(),
            now,
            from,
            caller: OnceLock::new(),
            language: OnceLock::new(),
            method: request.method(),
            query: request.uri().query().unwrap_or_default(),
            body: request.body(),
        }
    }

    /// The method; HEAD is answered as GET, and the connection leaves the body out (RFC 9110 §9.3.2).
    pub(super) fn method(&self) -> &Method {
        if self.method == Method::HEAD { &Method::GET } else { self.method }
    }

    /// Whether `If-None-Match` lists `tag`; entity tags are compared weakly here (RFC 9110 §13.1.2).
    pub(super) fn has(&self, tag: &str) -> bool {
        let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
        let lists = |value: &str| value.trim() == "*" || value.split(',').any(|it| opaque(it.trim()) == opaque(tag));
        self.headers.get_all(header::IF_NONE_MATCH).iter().any(|value| value.to_str().is_ok_and(lists))
    }

    /// Has the pages speak what `ui_locales` asks for, where it is spoken here.
    pub(super) fn ask_language(&self, ui_locales: &str) {
        if let Some(language) = language::asked(ui_locales, &self.snapshot.pages) {
            // What was asked for first stands.
            let _ = self.language.set(language);
        }
    }

    /// The language of the person who asks.
    pub(super) fn language(&self) -> Language {
        *self.language.get_or_init(|| {
            let header = self.headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
            let pages = &self.snapshot.pages;
            header.and_then(|header| language::accepted(header, pages)).unwrap_or_else(|| pages.fallback())
        })
    }

    /// What the pages say to them.
    pub(super) fn texts(&self) -> &'static Texts {
        texts::of(self.language())
    }

    /// The token of the one `Authorization: Bearer` header (RFC 6750 §2.1).
    pub(super) fn bearer(&self) -> Option<&'a str> {
        let mut headers = self.headers.get_all(header::AUTHORIZATION).into_iter();
        let (scheme, token) = headers.next()?.to_str().ok()?.split_once(' ')?;
        (scheme.eq_ignore_ascii_case("bearer") && headers.next().is_none()).then_some(token.trim())
    }

    /// The parameters of the query.
    pub(super) fn query(&self) -> Result<Form, FormError> {
        Form::parse(self.query.as_bytes())
    }

    /// The parameters of the body; those of the query do not count.
    pub(super) fn form(&self) -> Result<Form, FormError> {
        if self.is(FORM) { Form::parse(self.body) } else { Err(FormError::NotAForm) }
    }

    /// The body, if it is said to be JSON.
    pub(super) fn json(&self) -> Option<&'a [u8]> {
        self.is(JSON).then_some(self.body)
    }

    /// Whether the body is of this media type.
    fn is(&self, media_type: &str) -> bool {
        let said = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        said.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type)
    }

    /// The parameters wherever the method has them (RFC 6749 §3.1: the authorization endpoint takes both).
    pub(super) fn parameters(&self) -> Result<Form, FormError> {
        if self.method == Method::POST { self.form() } else { self.query() }
    }
}
