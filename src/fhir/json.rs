//! JSON that admits one reading only: unique keys, valid UTF-8, no byte order mark, no lone surrogates, bounded depth and
//! number of values.
//!
//! A [`Document`] is read once, into a flat list that holds where each key and value stands; a [`Json`] is a place in it. It is
//! for looking at; what travels on are the bytes themselves, so that every number keeps its text. Own code because each entry of
//! each answer is read by it: a tree of a library's costs several times what the rest of the filter does, and none of them tells
//! of a key that comes twice.

mod scan;

use scan::{Kind, Node, Scanner};

/// A body that is not JSON, or that two readers could read differently.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the body is not JSON that admits one reading only: {0}")]
pub struct JsonError(&'static str);

/// Most values that a document may always have, and keys with them. A long one may have one for every [`BYTES_A_VALUE`] bytes:
/// in two bytes each there is room for more, and each takes sixteen here.
const MAX_VALUES: usize = 1_000_000;

/// What a value with its key takes in a long document at least; FHIR takes twice as much.
const BYTES_A_VALUE: usize = 4;

/// Deepest nesting that can be asked for: what is below this reads no deeper.
pub const MAX_DEPTH: usize = 127;

/// A document that was read.
pub struct Document<'a> {
    text: &'a str,
    /// Keys and values in the order in which they stand.
    nodes: Vec<Node>,
    /// What the texts with escapes say, one after the other, and where in it each begins and ends.
    decoded: String,
    escaped: Vec<Escaped>,
    /// The nodes at which there is a second reading, in order.
    flaws: Vec<u32>,
}

/// A text with escapes.
struct Escaped {
    node: u32,
    start: u32,
    end: u32,
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

    /// Reads a document in which values may have several readings: which ones, [`Json::is_flawed`] says.
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

    /// Every text that has an escape.
    pub fn escaped(&self) -> impl Iterator<Item = Json<'_>> {
        self.escaped.iter().map(|escaped| Json { document: self, at: escaped.node as usize })
    }

    /// The text whose first quotation mark stands at this byte.
    pub fn text_at(&self, start: usize) -> Option<Json<'_>> {
        let at = self.nodes.partition_point(|node| (node.start as usize) <= start);
        let node = self.nodes.get(at)?;
        (node.is_text() && node.start as usize == start + 1).then_some(Json { document: self, at })
    }

    fn text_of(&self, node: &Node) -> &str {
        if node.is_escaped() {
            let span = self.escaped.get(node.next as usize).map(|span| span.start as usize..span.end as usize);
            return span.and_then(|span| self.decoded.get(span)).unwrap_or_default();
        }
        self.text.get(node.start as usize..node.end as usize).unwrap_or_default()
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
            Kind::Text | Kind::EscapedText | Kind::Key | Kind::EscapedKey => Value::Text(self.document.text_of(node)),
            Kind::Array => Value::Array(Elements(self.inner(node))),
            Kind::Object => Value::Object(Members(self.inner(node))),
        }
    }

    fn inner(self, node: &Node) -> Inner<'d> {
        Inner { document: self.document, at: self.at + 1, end: node.next as usize }
    }

    /// The member called `key`, of an object.
    pub fn get(self, key: &str) -> Option<Json<'d>> {
        let Members(Inner { document, mut at, end }) = self.members();
        while at < end {
            if document.says(document.nodes.get(at)?, key) {
                return Some(Json { document, at: at + 1 });
            }
            at = document.next(at + 1);
        }
        None
    }

    /// The text of a string.
    pub fn as_str(self) -> Option<&'d str> {
        self.node().filter(|node| node.is_text()).map(|node| self.document.text_of(node))
    }

    /// Whether it is a text that has escapes.
    pub fn is_escaped(self) -> bool {
        self.node().is_some_and(Node::is_escaped)
    }

    /// Whether it is an array.
    pub fn is_array(self) -> bool {
        self.node().is_some_and(|node| node.kind == Kind::Array)
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.node().is_some_and(|node| node.kind == Kind::Object)
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
        let node = self.node().filter(|node| node.kind == Kind::Object);
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

    /// The key of a text that is an object's member.
    pub fn key(self) -> Option<&'d str> {
        let key = self.document.nodes.get(self.at.checked_sub(1)?)?;
        let is_value = self.node().is_some_and(|node| !node.is_key());
        (is_value && key.is_key()).then(|| self.document.text_of(key))
    }

    /// How many places in it have several readings.
    pub fn flaws(self) -> usize {
        let end = self.document.next(self.at);
        let before = |at: usize| self.document.flaws.partition_point(|flaw| (*flaw as usize) < at);
        before(end) - before(self.at)
    }
}

impl Document<'_> {
    /// Whether a node is a text that says `text`.
    fn says(&self, node: &Node, text: &str) -> bool {
        if node.is_escaped() {
            return self.text_of(node) == text;
        }
        self.text.as_bytes().get(node.start as usize..node.end as usize) == Some(text.as_bytes())
    }

    /// The node behind the value at `at`.
    fn next(&self, at: usize) -> usize {
        match self.nodes.get(at) {
            Some(node) if node.is_container() => node.next as usize,
            _ => at + 1,
        }
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
        self.0.at = document.next(at);
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
        let key = document.nodes.get(at)?;
        self.0.at = document.next(at + 1);
        Some((document.text_of(key), Json { document, at: at + 1 }))
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
