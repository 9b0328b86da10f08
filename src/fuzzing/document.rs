//! Bodies: strict JSON, JSON Patch, and the rewriter of answers, each against a reader that is not ours.

use std::collections::HashSet;

use json_patch::PatchOperation;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::alike;
use super::decision::{WORLD, World};
use crate::fhir::json::{self, Document, Json};
use crate::fhir::patch::{Bounds, Patch, PatchError};
use crate::fhir::rewrite::{LinkSink, Place, RewriteError, Rewriter};
use crate::fhir::tree::Tree;
use crate::guard::moving::{Bases, Moving};

const DEPTH: usize = 64;

/// Most bytes of a document that is patched.
const BYTES: usize = 64 * 1024;

/// The strict parser takes what any parser takes, unless a key comes twice or it nests too deep, and finds the same in it; what
/// is taken apart and put together again is the same document. The reader that goes on where there is a second reading takes
/// whatever any parser takes.
pub(super) fn json(bytes: &[u8]) {
    let strict = Document::parse(bytes, DEPTH);
    let value: Option<Value> = serde_json::from_slice(bytes).ok();
    let flawed = Document::parse_flawed(bytes, DEPTH);
    match (&strict, value) {
        (Ok(strict), Some(value)) => {
            assert!(same(strict.root(), &value));
            printed(strict);
            assert!(flawed.is_ok_and(|flawed| flawed.flaws() == 0 && flawed.root().flaws() == 0));
        }
        (Ok(_), None) => panic!("no other parser takes this"),
        (Err(error), Some(value)) => {
            let nested = depth(&value) > DEPTH;
            assert!(nested || serde_json::from_slice::<Unique>(bytes).is_err(), "{error}");
            assert!(flawed.is_ok_and(|flawed| flawed.flaws() > 0 && flawed.root().flaws() == flawed.flaws()));
        }
        (Err(_), None) => {
            assert!(flawed.is_ok() == is_json(bytes), "what is broken is not what any parser finds broken")
        }
    }
}

/// Whether it is JSON by its signs, whatever they say.
fn is_json(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<&RawValue>(text).is_ok())
}

/// Whether both parsers found the same, each key once.
fn same(json: Json<'_>, value: &Value) -> bool {
    match (json.value(), value) {
        (json::Value::Null, Value::Null) => true,
        (json::Value::Number(text), Value::Number(_)) => text == json.raw(),
        (json::Value::Bool(a), Value::Bool(b)) => a == *b,
        (json::Value::Text(a), Value::String(b)) => a == b,
        (json::Value::Array(a), Value::Array(b)) => a.count() == b.len() && a.zip(b).all(|(a, b)| same(a, b)),
        (json::Value::Object(mut a), Value::Object(b)) => {
            a.count() == b.len() && a.all(|(key, a)| json.get(key).is_some() && b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => false,
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(elements) => 1 + elements.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// What was taken apart and put together again is the same document, as deep as it was, and has room where it needs it; and
/// each of its values is what stands where it says that it stands.
fn printed(strict: &Document<'_>) {
    let tree = Tree::of(strict.root());
    let text = tree.print();
    let value = |text: &str| serde_json::from_str::<Value>(text).ok();
    let again = Document::parse(text.as_bytes(), tree.depth());
    assert!(again.is_ok_and(|again| Tree::of(again.root()).print() == text));
    assert_eq!(value(&text), value(strict.text()));
    assert!(tree.depth() == 0 || Document::parse(text.as_bytes(), tree.depth() - 1).is_err());
    stands(strict.root());
    alike::document(strict);
}

fn stands(json: Json<'_>) {
    assert!(serde_json::from_str::<Value>(json.raw()).is_ok_and(|value| same(json, &value)));
    json.elements().for_each(stands);
    for (key, member) in json.members() {
        assert_eq!(member.key(), Some(key));
        stands(member);
    }
}

/// A document in which no object has a key twice.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("keys that come once")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self, A::Error> {
        while elements.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut keys = HashSet::new();
        while let Some((key, _)) = members.next_entry::<String, Self>()? {
            if !keys.insert(key) {
                return Err(A::Error::custom("a key comes twice"));
            }
        }
        Ok(self)
    }
}

/// A patch, in the first line, does to the document in the second what the `json-patch` crate does, within bounds, and every
/// number of the result has the text that it had.
pub(super) fn patch(bytes: &[u8]) {
    let Some((patch, document)) = std::str::from_utf8(bytes).ok().and_then(|text| text.split_once('\n')) else {
        return;
    };
    let parsed = [patch, document].map(|text| Document::parse(text.as_bytes(), DEPTH));
    let [Ok(patch_document), Ok(stored)] = &parsed else { return };
    let (patch_tree, document_tree) = (Tree::of(patch_document.root()), Tree::of(stored.root()));
    let model = serde_json::from_str::<json_patch::Patch>(patch);
    let read = match Patch::read(patch_tree.clone()) {
        Ok(read) => read,
        Err(error) => {
            assert!(error == PatchError::TooMuch || model.is_err(), "{error}");
            return;
        }
    };
    // The crate compares numbers by how they are held, so that to it 1 is not 1.0, and does not move the whole document onto itself.
    let onto_itself = |operation: &PatchOperation| matches!(operation, PatchOperation::Move(it) if it.from == it.path);
    let doubtful = read.tests() || model.as_ref().is_ok_and(|model| model.iter().any(onto_itself));
    let result = read.apply(document_tree.clone(), Bounds { bytes: BYTES, depth: DEPTH });
    let expected = model.ok().and_then(|model| {
        let mut value = serde_json::from_str(document).ok()?;
        json_patch::patch(&mut value, &model).ok()?;
        Some(value)
    });
    match (result, expected) {
        (Ok(tree), expected) => {
            let text = tree.print();
            let strict = Document::parse(text.as_bytes(), DEPTH);
            assert!(tree.depth() <= DEPTH && strict.is_ok());
            let sources: HashSet<&str> = scalars(&patch_tree).into_iter().chain(scalars(&document_tree)).collect();
            assert!(scalars(&tree).into_iter().all(|scalar| sources.contains(scalar)));
            match expected {
                Some(expected) => assert_eq!(serde_json::from_str::<Value>(&text).ok(), Some(expected)),
                None => assert!(doubtful, "the patch cannot be applied"),
            }
        }
        (Err(PatchError::TooMuch), _) | (Err(_), None) => {}
        (Err(error), Some(_)) => assert!(error == PatchError::TestFailed, "{error}"),
    }
}

fn scalars<'t>(tree: &'t Tree<'_>) -> Vec<&'t str> {
    match tree {
        Tree::Scalar(text) => vec![text],
        Tree::Array(elements) => elements.iter().flat_map(scalars).collect(),
        Tree::Object(members) => members.iter().flat_map(|(_, value)| scalars(value)).collect(),
    }
}

/// Keys that the rewriter asks about, or holds something back for.
const ASKED: [&str; 10] =
    ["\\", "resource", "entry", "link", "url", "Url", "reference", "response", "location", "relation"];

/// Whether something has a name that the rewriter looks at only where a Bundle has it.
fn is_placed(json: Json<'_>) -> bool {
    let placed = |(key, member)| matches!(key, "fullUrl" | "location") || is_placed(member);
    json.elements().any(is_placed) || json.members().any(placed)
}

/// What is read whole is moved as what flows through is.
fn moved(bytes: &[u8]) {
    let Some(World { snapshot, .. }) = &*WORLD else { panic!("the configuration does not load") };
    let bases = Bases { upstream: &snapshot.fhir.upstream.addresses, public: &snapshot.fhir.public_base };
    let Ok(document) = Document::parse(bytes, DEPTH) else { return };
    let mut out = String::new();
    Moving::of(&document, bases).copy(document.root(), &mut out);
    if let Some(flown) = rewritten(|| Moves(bases), [document.root().raw().as_bytes()])
        && !is_placed(document.root())
    {
        assert_eq!(out.as_bytes(), flown);
    }
}

/// Chunks make no difference to the rewriter, what it passes is JSON, a sink that keeps everything changes nothing, and a
/// document that it has nothing to ask about passes. The first byte says how large the chunks are.
pub(super) fn rewriter(bytes: &[u8]) {
    let Some((size, document)) = bytes.split_first() else {
        return;
    };
    moved(document);
    let parts = || document.chunks(usize::from(*size) + 1);
    let kept = rewritten(|| Sink(None), [document]);
    assert_eq!(kept, rewritten(|| Sink(None), parts()));
    let renamed = rewritten(|| Sink(Some("é\"\\")), [document]);
    assert_eq!(renamed, rewritten(|| Sink(Some("é\"\\")), parts()));
    assert_eq!(kept.is_some(), renamed.is_some());
    if let (Some(kept), Some(renamed)) = (&kept, &renamed) {
        assert_eq!(kept, document);
        is_object(kept);
        is_object(renamed);
    }
    let asked = || std::str::from_utf8(document).is_ok_and(|text| ASKED.iter().any(|key| text.contains(key)));
    if kept.is_none() && Document::parse(document, DEPTH).is_ok_and(|read| read.root().is_object()) {
        assert!(asked(), "nothing is wrong with it");
    }
}

fn is_object(document: &[u8]) {
    match serde_json::from_slice::<Value>(document) {
        Ok(value) => assert!(value.is_object()),
        // The rewriter passes numbers on that have no room in 64 bits, and nests as deep as the parser and once more.
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains("number out of range") || error.contains("recursion limit"), "{error}");
        }
    }
}

fn rewritten<'d, S: LinkSink>(sink: impl Fn() -> S, chunks: impl IntoIterator<Item = &'d [u8]>) -> Option<Vec<u8>> {
    let mut rewriter = Rewriter::new(sink());
    let mut out = Vec::new();
    for chunk in chunks {
        rewriter.push(chunk, &mut out).ok()?;
    }
    rewriter.finish(&mut out).ok()?;
    Some(out)
}

/// Moves URLs from one base to another.
struct Moves<'b>(Bases<'b>);

impl LinkSink for Moves<'_> {
    fn link(&mut self, _: Place<'_>, url: &str) -> Result<Option<String>, RewriteError> {
        Ok(self.0.to_public(url))
    }

    fn entry_type(&mut self, _: &str) -> Result<(), RewriteError> {
        Ok(())
    }
}

/// Replaces every URL by one text, or none.
struct Sink(Option<&'static str>);

impl LinkSink for Sink {
    fn link(&mut self, _: Place<'_>, _: &str) -> Result<Option<String>, RewriteError> {
        Ok(self.0.map(str::to_owned))
    }

    fn entry_type(&mut self, _: &str) -> Result<(), RewriteError> {
        Ok(())
    }
}
