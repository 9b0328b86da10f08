//! A streaming JSON rewriter of bounded memory: URLs are changed structurally, everything else is copied byte for byte.
//!
//! The bytes are pushed in whatever chunks they come. What leaves is valid JSON in valid UTF-8; where something is decided
//! it is as strict as [`super::json`]: keys and URLs are decoded before they are compared, and a key that something hangs
//! on comes once in its object. Held back are only
//! - the string that is being decided on,
//! - a resource of a Bundle entry until its `resourceType` was seen: nothing of a resource leaves before the sink has
//!   agreed to its type,
//! - what follows the `url` of a page link that comes before its `relation`.
//!
//! Structure and not `resourceType` decides what is a page link or an entry, since `resourceType` may come last: page links
//! are the root's `link`, entries the `entry` of the root and, as deep as they are nested, of its entries' resources. The
//! `link` of an inner Bundle belongs to whoever stored that Bundle and not to this answer: its `url` is one as any other.

mod chunk;
mod decided;
mod place;
mod rewriter;
mod text;

pub use rewriter::Rewriter;

/// Deepest nesting that is passed on.
const MAX_DEPTH: usize = 128;

/// Longest string that is decided on, in bytes with its quotes.
const MAX_TEXT: usize = 64 * 1024;

/// Most bytes that are held back until something about them is known.
const MAX_HELD: usize = 1024 * 1024;

/// Where in a resource a URL stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place<'a> {
    /// `Bundle.link.url` of the answer itself; the relation, where it came before the URL or after it.
    BundleLink { relation: Option<&'a str> },
    /// `Bundle.entry.fullUrl`.
    FullUrl,
    /// `Bundle.entry.response.location`.
    Location,
    /// `Reference.reference` anywhere.
    Reference,
    /// `Attachment.url` anywhere: the `url` of an object that is no Bundle link.
    Url,
}

/// Why a rewrite stopped.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// The bytes are not the JSON of a resource.
    #[error("the answer is not JSON that can be passed on: {0}")]
    Malformed(&'static str),
    /// The sink does not let this pass.
    #[error("{0}")]
    Refused(&'static str),
}

/// What a rewriter asks on its way.
pub trait LinkSink {
    /// What to write instead of `url`; `None` keeps it.
    ///
    /// # Errors
    /// The answer must not go on.
    fn link(&mut self, place: Place<'_>, url: &str) -> Result<Option<String>, RewriteError>;

    /// The `resourceType` of a Bundle entry's resource.
    ///
    /// # Errors
    /// The answer must not go on.
    fn entry_type(&mut self, resource_type: &str) -> Result<(), RewriteError>;

    /// The `resourceType` of the answer itself, where it stands. Nothing is held for it: most servers write it first, and a
    /// Bundle that has it last must still flow.
    ///
    /// # Errors
    /// The answer must not go on.
    fn root_type(&mut self, _resource_type: &str) -> Result<(), RewriteError> {
        Ok(())
    }
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
