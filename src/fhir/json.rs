//! JSON that admits one reading only: unique keys, valid UTF-8, no byte order mark, no lone surrogates, bounded depth and
//! number of values.
//!
//! A [`Document`] is read once, into a flat list that holds where each value stands; a [`Json`] is a place in it. It is for looking
//! at; what travels on are the bytes themselves, so that every number keeps its text. Own code because each entry of each answer is
//! read by it: a tree of a library's costs several times what the rest of the filter does, and none of them tells of a key that
//! comes twice.

mod alike;
mod keys;
mod node;
mod print;
mod scan;
mod text;

use std::sync::OnceLock;

pub use alike::Offset;
use node::{Kind, Node};
pub use print::{ObjectWriter, quote};
use scan::Scanner;
use text::decoded;
pub(super) use text::plain_ascii;

/// A body that is not JSON, or that two readers could read differently.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the body is not JSON that admits one reading only: {0}")]
pub struct JsonError(&'static str);

/// Most values that a document may always have. A long one may have one for every [`BYTES_A_VALUE`] bytes: in
/// two bytes each there is room for more, and each takes twenty here.
const MAX_VALUES: usize = 500_000;

/// What a value with its key takes in a long document at least; FHIR takes more than twice as much.
const BYTES_A_VALUE: usize = 8;

/// Deepest nesting that can be asked for: what is below this reads no deeper.
pub const MAX_DEPTH: usize = 127;

/// A document that was read.
pub struct Document<'a> {
    text: &'a str,
    /// The values in the order in which they stand.
    nodes: Vec<Node>,
    /// What the keys with escapes say.
    names: Vec<Box<str>>,
    /// What the texts with escapes say, once that was asked.
    escaped: Vec<OnceLock<Box<str>>>,
    /// The nodes at which there is a second reading, in order.
    flaws: Vec<u32>,
}

impl JsonError {
    /// Says `what` is wrong with a document.
    pub(super) const fn of(what: &'static str) -> Self {
        Self(what)
    }
}

impl<'a> Document<'a> {
    /// Reads a whole document nested at most `max_depth` deep, and never deeper than [`MAX_DEPTH`].
    ///
    /// # Errors
    /// Anything that is not one JSON value with one reading.
    pub fn parse(bytes: &'a [u8], max_depth: usize) -> Result<Self, JsonError> {
        Scanner::read(bytes, max_depth.min(MAX_DEPTH), false)
    }

    /// Reads a document in which values may have several readings: how many of a value, [`Json::flaws`] says.
    ///
    /// # Errors
    /// Anything that is not one JSON value.
    pub fn parse_flawed(bytes: &'a [u8], max_depth: usize) -> Result<Self, JsonError> {
        Scanner::read(bytes, max_depth, true)
    }

    /// The value that the document is.
    pub fn root(&self) -> Json<'_> {
        Json { document: self, at: 0 }
    }

    /// The whole, as it is written.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// How many places have several readings.
    pub fn flaws(&self) -> usize {
        self.flaws.len()
    }

    #[inline]
    fn text_of(&self, node: &Node) -> &str {
        let written = self.text.get(node.start as usize..node.end as usize).unwrap_or_default();
        if !node.is_escaped() {
            return written;
        }
        let says = self.escaped.get(node.next as usize);
        says.map_or(written, |says| says.get_or_init(|| decoded(written)))
    }
}

/// A value of a document.
#[derive(Clone, Copy)]
pub struct Json<'d> {
    document: &'d Document<'d>,
    at: usize,
}

/// A value by what it is.
#[derive(Clone, Copy)]
pub enum Value<'d> {
    Null,
    Bool(bool),
    /// As it is written.
    Number(&'d str),
    Text(&'d str),
    Array(Elements<'d>),
    Object(Members<'d>),
}

impl<'d> Json<'d> {
    fn node(self) -> Option<&'d Node> {
        self.document.nodes.get(self.at)
    }

    /// What it is.
    pub fn value(self) -> Value<'d> {
        let Some(node) = self.node() else { return Value::Null };
        match node.kind {
            Kind::Null => Value::Null,
            Kind::True => Value::Bool(true),
            Kind::False => Value::Bool(false),
            Kind::Number => Value::Number(self.raw()),
            Kind::Text | Kind::EscapedText => Value::Text(self.document.text_of(node)),
            Kind::Array => Value::Array(Elements(self.inner(node))),
            Kind::Object | Kind::SameObject => Value::Object(Members(self.inner(node))),
        }
    }

    fn inner(self, node: &Node) -> Inner<'d> {
        Inner { document: self.document, at: self.at + 1, end: node.next as usize }
    }

    /// The member called `key`, of an object.
    pub fn get(self, key: &str) -> Option<Json<'d>> {
        let Members(Inner { document, mut at, end }) = self.members();
        while at < end {
            let node = document.nodes.get(at)?;
            if document.is_called(node, key) {
                return Some(Json { document, at });
            }
            at = node.behind(at);
        }
        None
    }

    /// The text of a string.
    #[inline]
    pub fn as_str(self) -> Option<&'d str> {
        self.node().filter(|node| node.is_text()).map(|node| self.document.text_of(node))
    }

    /// Whether it is a text.
    pub fn is_text(self) -> bool {
        self.node().is_some_and(Node::is_text)
    }

    /// Whether it is a text that has escapes.
    pub fn is_escaped(self) -> bool {
        self.node().is_some_and(Node::is_escaped)
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self.node().is_some_and(|node| node.kind == Kind::Null)
    }

    /// Whether it is an array.
    pub fn is_array(self) -> bool {
        self.node().is_some_and(|node| node.kind == Kind::Array)
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.node().is_some_and(Node::is_object)
    }

    /// The elements of an array; anything else has none.
    pub fn elements(self) -> Elements<'d> {
        let node = self.node().filter(|node| node.kind == Kind::Array);
        Elements(node.map_or_else(|| Inner::none(self.document), |node| self.inner(node)))
    }

    /// The elements of the member called `key`, where that is an array.
    pub fn list(self, key: &str) -> Elements<'d> {
        self.get(key).map_or_else(|| Elements(Inner::none(self.document)), Json::elements)
    }

    /// The members of an object; anything else has none.
    pub fn members(self) -> Members<'d> {
        let node = self.node().filter(|node| node.is_object());
        Members(node.map_or_else(|| Inner::none(self.document), |node| self.inner(node)))
    }

    /// Calls `visit` with every value that `path` reaches, going through arrays on the way.
    pub fn visit(self, path: &[&str], visit: &mut dyn FnMut(Json<'d>)) {
        if self.is_array() {
            self.elements().for_each(|element| element.visit(path, visit));
            return;
        }
        match path.split_first() {
            None => visit(self),
            Some((step, rest)) => {
                if let Some(value) = self.get(step) {
                    value.visit(rest, visit);
                }
            }
        }
    }

    /// Where it stands in the document's bytes.
    pub fn span(self) -> std::ops::Range<usize> {
        let Some(node) = self.node() else { return 0..0 };
        let (start, end) = (node.start as usize, node.end as usize);
        if node.is_text() { start - 1..end + 1 } else { start..end }
    }

    /// As it is written.
    pub fn raw(self) -> &'d str {
        self.document.text.get(self.span()).unwrap_or_default()
    }

    /// The document that it is a value of.
    pub fn document(self) -> &'d Document<'d> {
        self.document
    }

    /// The key of what is an object's member.
    pub fn key(self) -> Option<&'d str> {
        self.node().filter(|node| node.name > 0 || node.long > 0).map(|node| self.document.name(node))
    }

    /// How many places in it have several readings.
    pub fn flaws(self) -> usize {
        if self.document.flaws.is_empty() {
            return 0;
        }
        let end = self.node().map_or(self.at, |node| node.behind(self.at));
        let before = |at: usize| self.document.flaws.partition_point(|flaw| (*flaw as usize) < at);
        before(end) - before(self.at)
    }
}

impl Node {
    /// The node behind it, where it is the one at `at`.
    #[inline]
    fn behind(&self, at: usize) -> usize {
        if self.is_container() { self.next as usize } else { at + 1 }
    }
}

/// What is left of the nodes in an array or object.
#[derive(Clone, Copy)]
struct Inner<'d> {
    document: &'d Document<'d>,
    at: usize,
    end: usize,
}

impl<'d> Inner<'d> {
    fn none(document: &'d Document<'d>) -> Self {
        Self { document, at: 0, end: 0 }
    }
}

/// The elements of an array.
#[derive(Clone, Copy)]
pub struct Elements<'d>(Inner<'d>);

impl<'d> Iterator for Elements<'d> {
    type Item = Json<'d>;

    fn next(&mut self) -> Option<Json<'d>> {
        let Inner { document, at, end } = self.0;
        if at >= end {
            return None;
        }
        self.0.at = document.nodes.get(at)?.behind(at);
        Some(Json { document, at })
    }
}

/// The members of an object.
#[derive(Clone, Copy)]
pub struct Members<'d>(Inner<'d>);

impl<'d> Iterator for Members<'d> {
    type Item = (&'d str, Json<'d>);

    fn next(&mut self) -> Option<Self::Item> {
        let Inner { document, at, end } = self.0;
        if at >= end {
            return None;
        }
        let node = document.nodes.get(at)?;
        self.0.at = node.behind(at);
        Some((document.name(node), Json { document, at }))
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
