//! A streaming JSON rewriter of bounded memory: URLs are changed structurally, everything else is copied byte for byte.

/// Where in a resource a URL stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place<'a> {
    /// `Bundle.link.url`; the relation, where it came before the URL or after it.
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
}

/// The rewriter.
pub struct Rewriter<S> {
    sink: S,
}

impl<S: LinkSink> Rewriter<S> {
    pub fn new(sink: S) -> Self {
        Self { sink }
    }

    /// Takes the next bytes in and appends what can be passed on to `out`.
    ///
    /// # Errors
    /// Nothing more may be passed on.
    pub fn push(&mut self, _bytes: &[u8], _out: &mut Vec<u8>) -> Result<(), RewriteError> {
        let _ = &self.sink;
        todo!()
    }

    /// The end of the document.
    ///
    /// # Errors
    /// It was not whole.
    pub fn finish(self, _out: &mut Vec<u8>) -> Result<(), RewriteError> {
        todo!()
    }
}
