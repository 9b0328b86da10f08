//! Answers that flow through without being held: single resources untouched, Bundles through a rewriter of bounded memory.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};

use super::export::Lines;
use super::links::{Flowing, OwnBases, bases};
use super::{Exchange, Guard, own_words};
use crate::decide::{Refusal, request as rules};
use crate::fhir::TypeSet;
use crate::fhir::rewrite::{RewriteError, Rewriter};
use crate::upstream::{UpstreamAnswer, UpstreamError};

/// An answer on its way.
pub struct Stream {
    pub status: StatusCode,
    pub headers: HeaderMap,
    answer: UpstreamAnswer,
    /// What was read of it already and comes first.
    pub(super) ahead: Option<Bytes>,
    through: Option<Through>,
}

/// What an answer that is not passed on as it comes goes through.
enum Through {
    Bundle(Box<Rewriter<Flowing>>),
    Lines(Box<Lines>),
}

impl Through {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), RewriteError> {
        match self {
            Self::Bundle(rewriter) => rewriter.push(bytes, out),
            Self::Lines(lines) => lines.push(bytes, out),
        }
    }

    fn finish(self, out: &mut Vec<u8>) -> Result<(), RewriteError> {
        match self {
            Self::Bundle(rewriter) => rewriter.finish(out),
            Self::Lines(lines) => lines.finish(out),
        }
    }
}

/// Why an answer was cut off; what was sent of it is incomplete and the connection must be closed.
#[derive(Debug, thiserror::Error)]
pub enum CutOff {
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error(transparent)]
    Rewrite(#[from] RewriteError),
}

pub(super) fn start(
    guard: &Guard,
    exchange: &Exchange<'_>,
    mut answer: UpstreamAnswer,
    bundle: Option<TypeSet>,
) -> Result<Box<Stream>, Refusal> {
    let status = answer.status;
    let stays = status == StatusCode::NOT_MODIFIED || !status.is_redirection();
    // A Bundle is looked at on its way, and one comes with 200 only.
    let unknown = bundle.is_some() && status.is_success() && status != StatusCode::OK;
    if !stays
        || unknown
        || status.is_server_error()
        || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED)
    {
        return Err(own_words(status));
    }
    let mut headers = answer.take_headers();
    let fhir = &exchange.snapshot.fhir;
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        let moved = headers
            .get(&name)
            .and_then(|value| value.to_str().ok())
            .and_then(|url| bases(fhir).to_public(url))
            .and_then(|url| http::HeaderValue::from_str(&url).ok());
        match moved {
            Some(url) => headers.insert(name, url),
            None => headers.remove(name),
        };
    }
    let through = match bundle {
        Some(entries) if status == StatusCode::OK => {
            let json = headers
                .get(header::CONTENT_TYPE)
                .and_then(|value| value.to_str().ok())
                .is_some_and(|t| t.contains("json"));
            if !json {
                return Err(rules::UPSTREAM_UNREADABLE.refuse().because("the FHIR server's Bundle is not JSON"));
            }
            headers.remove(header::CONTENT_LENGTH);
            if exchange.request.method == Method::HEAD {
                return Ok(Box::new(Stream { status, headers, answer, ahead: None, through: None }));
            }
            let own_bases = OwnBases::of(fhir);
            let pages = exchange.pages(guard);
            let original = exchange.original.to_owned();
            let flowing = Flowing { bases: own_bases, pages, version: fhir.version, entries, original };
            Some(Through::Bundle(Box::new(Rewriter::new(flowing))))
        }
        _ => None,
    };
    Ok(Box::new(Stream { status, headers, answer, ahead: None, through }))
}

impl Stream {
    /// A file of lines, each of which is looked at.
    pub(super) fn of_lines(headers: HeaderMap, answer: UpstreamAnswer, lines: Lines) -> Self {
        Self { status: answer.status, headers, answer, ahead: None, through: Some(Through::Lines(Box::new(lines))) }
    }

    /// The next bytes for the client; `None` at the end.
    ///
    /// # Errors
    /// The answer is broken or holds what is not granted: nothing more of it may be sent.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, CutOff> {
        if let Some(ahead) = self.ahead.take() {
            return Ok(Some(ahead));
        }
        loop {
            let Some(chunk) = self.answer.chunk().await? else {
                return Ok(match self.through.take() {
                    Some(through) => {
                        let mut out = Vec::new();
                        through.finish(&mut out)?;
                        (!out.is_empty()).then(|| out.into())
                    }
                    None => None,
                });
            };
            let Some(through) = &mut self.through else {
                return Ok(Some(chunk));
            };
            let mut out = Vec::with_capacity(chunk.len());
            through.push(&chunk, &mut out)?;
            if !out.is_empty() {
                return Ok(Some(out.into()));
            }
        }
    }
}
