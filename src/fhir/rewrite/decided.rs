//! Strings that something hangs on, and what is held back for them.

use std::borrow::Cow;

use super::chunk::Chunk;
use super::place::{Key, Kind, MAX_KEY, Role};
use super::rewriter::{Reading, Rewriter, State};
use super::text::TextCheck;
use super::{LinkSink, MAX_HELD, MAX_TEXT, Place, RewriteError};
use crate::fhir::json::plain_ascii;
use RewriteError::{Malformed, Refused};

/// The page link that is open; only the root has page links, so there is one at most, and nothing else is held with it.
#[derive(Default)]
pub(super) struct PageLink {
    relation: Option<String>,
    /// A URL that came before its relation: its bytes, and what they say.
    waiting: Option<(Vec<u8>, String)>,
}

impl<S: LinkSink> Rewriter<S> {
    /// Reads a string from its first quote on.
    pub(super) fn begin_text(
        &mut self,
        reading: Reading,
        chunk: &mut Chunk<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), RewriteError> {
        if matches!(reading, Reading::Decided(_)) {
            self.pass(chunk.uncopied(), out)?;
        }
        let from = chunk.at();
        chunk.skip(1);
        // Most strings are ASCII without escapes and whole in their chunk.
        let plain = plain_ascii(chunk.rest());
        chunk.skip(plain);
        if chunk.peek() == Some(b'"') {
            chunk.skip(1);
            return self.whole(reading, chunk.since(from), false, chunk, out);
        }
        self.text(reading, TextCheck::default(), from, chunk, out)
    }

    /// Reads on in a string, of which this chunk has what comes after `from`.
    pub(super) fn text(
        &mut self,
        mut reading: Reading,
        mut check: TextCheck,
        from: usize,
        chunk: &mut Chunk<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), RewriteError> {
        let ended = check.run(chunk)?;
        let bytes = chunk.since(from);
        if ended && self.token.is_empty() {
            return self.whole(reading, bytes, check.escaped, chunk, out);
        }
        reading = self.keep(reading, bytes, chunk, out)?;
        if ended {
            let token = std::mem::take(&mut self.token);
            return self.whole(reading, &token, check.escaped, chunk, out);
        }
        self.state = State::Text(reading, check);
        Ok(())
    }

    /// Keeps what must be seen whole.
    fn keep(
        &mut self,
        reading: Reading,
        bytes: &[u8],
        chunk: &mut Chunk<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Reading, RewriteError> {
        match reading {
            Reading::Plain | Reading::LongKey => Ok(reading),
            Reading::Key if self.token.len().saturating_add(bytes.len()) > MAX_KEY => {
                self.token.clear();
                Ok(Reading::LongKey)
            }
            Reading::Key => {
                self.token.extend_from_slice(bytes);
                Ok(reading)
            }
            Reading::Decided(_) => {
                self.token.extend_from_slice(bytes);
                chunk.uncopied();
                if self.token.len() <= MAX_TEXT {
                    return Ok(reading);
                }
                let token = std::mem::take(&mut self.token);
                self.too_long(&token, out)?;
                Ok(Reading::Plain)
            }
        }
    }

    /// A string ended; what of it is decided on was not passed on yet.
    fn whole(
        &mut self,
        reading: Reading,
        raw: &[u8],
        escaped: bool,
        chunk: &mut Chunk<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), RewriteError> {
        self.state = match reading {
            Reading::Key | Reading::LongKey => State::Colon,
            Reading::Plain | Reading::Decided(_) => State::AfterValue,
        };
        match reading {
            Reading::Plain => Ok(()),
            Reading::LongKey => self.key(None),
            Reading::Key if raw.len() > MAX_KEY => self.key(None),
            Reading::Key if escaped => self.key(Key::of(decode(raw, escaped)?.as_bytes())),
            Reading::Key => self.key(Key::of(inner(raw))),
            Reading::Decided(role) => {
                chunk.uncopied();
                if raw.len() > MAX_TEXT {
                    return self.too_long(raw, out);
                }
                self.decide(role, raw, &decode(raw, escaped)?, out)
            }
        }
    }

    fn key(&mut self, key: Option<Key>) -> Result<(), RewriteError> {
        let object = self.frames.last_mut().ok_or(Malformed("a key stands outside an object"))?;
        self.role = object.role(key)?;
        Ok(())
    }

    /// A `data:` URL holds its content and leads nowhere; anything else of this length is not looked at.
    fn too_long(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), RewriteError> {
        if raw.starts_with(b"\"data:") { self.pass(raw, out) } else { Err(Refused("a URL in the answer is too long")) }
    }

    fn decide(&mut self, role: Role, raw: &[u8], text: &str, out: &mut Vec<u8>) -> Result<(), RewriteError> {
        let place = match role {
            Role::Type => return self.resource_type(raw, text, out),
            Role::Relation => {
                self.link.relation = Some(text.to_owned());
                self.pass(raw, out)?;
                return self.settle_link(out);
            }
            Role::LinkUrl => match &self.link.relation {
                Some(relation) => Place::BundleLink { relation: Some(relation) },
                None => {
                    self.link.waiting = Some((raw.to_owned(), text.to_owned()));
                    self.hold();
                    return Ok(());
                }
            },
            Role::FullUrl => Place::FullUrl,
            Role::Location => Place::Location,
            Role::Reference => Place::Reference,
            _ => Place::Url,
        };
        match self.sink.link(place, text)? {
            Some(url) => self.pass(&quoted(url), out),
            None => self.pass(raw, out),
        }
    }

    fn resource_type(&mut self, raw: &[u8], text: &str, out: &mut Vec<u8>) -> Result<(), RewriteError> {
        let resource = self.frames.last_mut().ok_or(Malformed("a type stands outside a resource"))?;
        resource.typed = true;
        if resource.kind != Kind::Resource {
            self.sink.root_type(text)?;
            return self.pass(raw, out);
        }
        self.sink.entry_type(text)?;
        self.pass(raw, out)?;
        self.release(out);
        Ok(())
    }

    /// Decides on a page link's URL that was waiting for its relation, or for the end of its object.
    pub(super) fn settle_link(&mut self, out: &mut Vec<u8>) -> Result<(), RewriteError> {
        let Some((raw, url)) = self.link.waiting.take() else {
            return Ok(());
        };
        let place = Place::BundleLink { relation: self.link.relation.as_deref() };
        let url = self.sink.link(place, &url)?.map_or(raw, quoted);
        out.extend_from_slice(&url);
        self.release(out);
        Ok(())
    }

    pub(super) fn hold(&mut self) {
        self.holds += 1;
    }

    fn release(&mut self, out: &mut Vec<u8>) {
        self.holds = self.holds.saturating_sub(1);
        if self.holds == 0 {
            out.append(&mut self.held);
        }
    }

    /// Passes bytes on, or holds them with what is held.
    pub(super) fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), RewriteError> {
        if self.holds == 0 {
            out.extend_from_slice(bytes);
            return Ok(());
        }
        if self.held.len().saturating_add(bytes.len()) > MAX_HELD {
            return Err(Refused("too much of the answer would have to be held back"));
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }
}

/// What a string says that was checked before.
fn decode(raw: &[u8], escaped: bool) -> Result<Cow<'_, str>, RewriteError> {
    if escaped {
        return serde_json::from_slice(raw).map(Cow::Owned).map_err(|_| Malformed("a string cannot be read"));
    }
    std::str::from_utf8(inner(raw)).map(Cow::Borrowed).map_err(|_| Malformed("a string is not UTF-8"))
}

/// What is between the quotes.
fn inner(raw: &[u8]) -> &[u8] {
    raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default()
}

fn quoted(url: String) -> Vec<u8> {
    serde_json::Value::String(url).to_string().into_bytes()
}
