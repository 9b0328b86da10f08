//! What an object, an array or a value is, told by where it stands.

use super::RewriteError::{self, Malformed, Refused};

/// A key that something hangs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Key {
    Entry,
    FullUrl,
    Link,
    Location,
    Reference,
    Relation,
    Resource,
    ResourceType,
    Response,
    Url,
}

/// Longest [`Key`] as it may be written: twelve characters, each as `\u0000`, and the quotes.
pub(super) const MAX_KEY: usize = 12 * 6 + 2;

impl Key {
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        match name {
            b"entry" => Some(Self::Entry),
            b"fullUrl" => Some(Self::FullUrl),
            b"link" => Some(Self::Link),
            b"location" => Some(Self::Location),
            b"reference" => Some(Self::Reference),
            b"relation" => Some(Self::Relation),
            b"resource" => Some(Self::Resource),
            b"resourceType" => Some(Self::ResourceType),
            b"response" => Some(Self::Response),
            b"url" => Some(Self::Url),
            _ => None,
        }
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// What an open object or array is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Root,
    /// `Bundle.entry.resource`.
    Resource,
    /// An element of `Bundle.entry`.
    Entry,
    /// `Bundle.entry.response`.
    Response,
    /// An element of the answer's own `Bundle.link`.
    Link,
    Object,
    Links,
    Entries,
    Array,
}

impl Kind {
    pub(super) fn is_array(self) -> bool {
        matches!(self, Self::Links | Self::Entries | Self::Array)
    }

    /// What the elements of this array are.
    pub(super) fn element(self) -> Role {
        match self {
            Self::Links => Role::Link,
            Self::Entries => Role::Entry,
            _ => Role::Other,
        }
    }
}

/// What a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Root,
    Type,
    Links,
    Link,
    LinkUrl,
    Relation,
    Entries,
    Entry,
    FullUrl,
    Resource,
    Response,
    Location,
    Reference,
    Url,
    Other,
}

impl Role {
    fn of(kind: Kind, key: Key) -> Self {
        match (kind, key) {
            (Kind::Root | Kind::Resource, Key::ResourceType) => Self::Type,
            (Kind::Root | Kind::Resource, Key::Entry) => Self::Entries,
            (Kind::Root, Key::Link) => Self::Links,
            (Kind::Link, Key::Url) => Self::LinkUrl,
            (Kind::Link, Key::Relation) => Self::Relation,
            (Kind::Entry, Key::FullUrl) => Self::FullUrl,
            (Kind::Entry, Key::Resource) => Self::Resource,
            (Kind::Entry, Key::Response) => Self::Response,
            (Kind::Response, Key::Location) => Self::Location,
            (_, Key::Reference) => Self::Reference,
            (_, Key::Url) => Self::Url,
            _ => Self::Other,
        }
    }

    /// Whether a string here is decided on.
    pub(super) fn is_decided(self) -> bool {
        match self {
            Self::Type | Self::LinkUrl | Self::Relation | Self::FullUrl | Self::Location => true,
            Self::Reference | Self::Url => true,
            Self::Root | Self::Links | Self::Link | Self::Entries | Self::Entry => false,
            Self::Resource | Self::Response | Self::Other => false,
        }
    }

    /// Whether a value that begins with `byte` may stand here. What holds resources has one shape, so that none gets by as
    /// something else.
    ///
    /// # Errors
    /// It may not.
    pub(super) fn admits(self, byte: u8) -> Result<(), RewriteError> {
        match self {
            Self::Root if byte != b'{' => Err(Malformed("it is not an object")),
            Self::Entries if byte != b'[' => Err(Refused("a Bundle's entries are not an array")),
            Self::Entry if byte != b'{' => Err(Refused("a Bundle's entry is not an object")),
            Self::Resource if byte != b'{' => Err(Refused("a resource in a Bundle is not an object")),
            _ => Ok(()),
        }
    }
}

/// An open object or array.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    /// Whether its `resourceType` was seen and agreed to.
    pub(super) typed: bool,
    /// The bits of the keys that were there.
    seen: u16,
}

impl Frame {
    /// The frame of an object in this role.
    pub(super) fn object(role: Role) -> Self {
        let kind = match role {
            Role::Root => Kind::Root,
            Role::Resource => Kind::Resource,
            Role::Entry => Kind::Entry,
            Role::Response => Kind::Response,
            Role::Link => Kind::Link,
            _ => Kind::Object,
        };
        Self { kind, typed: false, seen: 0 }
    }

    /// The frame of an array in this role.
    pub(super) fn array(role: Role) -> Self {
        let kind = match role {
            Role::Links => Kind::Links,
            Role::Entries => Kind::Entries,
            _ => Kind::Array,
        };
        Self { kind, typed: false, seen: 0 }
    }

    /// What the value of `key` is.
    ///
    /// # Errors
    /// The key was there before.
    pub(super) fn role(&mut self, key: Option<Key>) -> Result<Role, RewriteError> {
        let Some(key) = key else {
            return Ok(Role::Other);
        };
        if self.seen & key.bit() != 0 {
            return Err(Refused("an object in the answer has the same key twice"));
        }
        self.seen |= key.bit();
        Ok(Role::of(self.kind, key))
    }
}
