//! What the pass over a document notes of each value.

use super::keys::Name;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Text,
    EscapedText,
    Null,
    True,
    False,
    Number,
    Array,
    Object,
    /// An object that has the nodes of the object that ends where it begins: the same names, and values of the same kinds.
    SameObject,
}

impl Kind {
    /// Whether values of both kinds stand for each other in objects that have the same nodes.
    pub(super) fn is_like(self, other: Self) -> bool {
        let is_bool = |kind| matches!(kind, Self::True | Self::False);
        self == other || (is_bool(self) && is_bool(other))
    }
}

/// A value: from where to where it stands in the document, texts without their quotation marks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Of an object how many are open around it, or in it as much room was needed as there is then.
    pub(super) depth: u8,
    /// Its [`Name`].
    pub(super) long: u16,
    pub(super) name: u32,
    pub(super) start: u32,
    pub(super) end: u32,
    /// Of an array or object the node behind it, of what has escapes the number of its text.
    pub(super) next: u32,
}

impl Node {
    #[inline]
    pub(super) fn of(kind: Kind, name: Name, span: std::ops::Range<usize>) -> Self {
        let (start, end) = (short(span.start), short(span.end));
        Self { kind, depth: 0, long: name.long, name: name.at, start, end, next: 0 }
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self.kind, Kind::Text | Kind::EscapedText)
    }

    pub(super) fn is_escaped(&self) -> bool {
        self.kind == Kind::EscapedText
    }

    pub(super) fn is_container(&self) -> bool {
        matches!(self.kind, Kind::Array | Kind::Object | Kind::SameObject)
    }

    pub(super) fn is_object(&self) -> bool {
        matches!(self.kind, Kind::Object | Kind::SameObject)
    }
}

/// The lower half of a number; that there is nothing in the upper was seen before anything was read.
pub(super) fn short(number: usize) -> u32 {
    let [a, b, c, d, ..] = number.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}
