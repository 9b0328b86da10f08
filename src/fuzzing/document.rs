//! Bodies: strict JSON, JSON Patch, and the rewriter of answers, each against a reader that is not ours.

use std::collections::HashSet;

use json_patch::PatchOperation;
use serde_json::Value;

use crate::fhir::json::Json;
use crate::fhir::patch::{Bounds, Patch, PatchError};
use crate::fhir::rewrite::{LinkSink, Place, RewriteError, Rewriter};
use crate::fhir::tree::Tree;

const DEPTH: usize = 64;

/// Most bytes of a document that is patched.
const BYTES: usize = 64 * 1024;

/// The strict parser takes what any parser takes, unless a key comes twice or it nests too deep; and each reader finds the same
/// in what it takes.
pub(super) fn json(bytes: &[u8]) {
    let strict = Json::parse(bytes, DEPTH);
    let value: Option<Value> = serde_json::from_slice(bytes).ok();
    let tree = std::str::from_utf8(bytes).ok().and_then(Tree::read);
    match (strict, value) {
        (Ok(strict), Some(value)) => {
            assert!(same(&strict, &value));
            assert!(tree.is_some());
            tree.iter().for_each(|tree| printed(tree, &strict));
        }
        (Ok(_), None) => panic!("no other parser takes this"),
        (Err(error), Some(_)) => {
            assert!(tree.is_some());
            assert!(tree.is_some_and(|tree| tree.depth() > DEPTH || !unique(&tree)), "{error}");
        }
        (Err(_), None) => {}
    }
}

/// Whether both parsers found the same, each key once.
fn same(json: &Json<'_>, value: &Value) -> bool {
    match (json, value) {
        (Json::Null, Value::Null) | (Json::Number, Value::Number(_)) => true,
        (Json::Bool(a), Value::Bool(b)) => a == b,
        (Json::String(a), Value::String(b)) => a == b,
        (Json::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key.as_ref()).is_some_and(|b| same(a, b)))
        }
        _ => false,
    }
}

/// What was taken apart and put together again is the same document, as deep as it was, and has room where it needs it.
fn printed(tree: &Tree<'_>, strict: &Json<'_>) {
    let text = tree.print();
    assert!(Tree::read(&text).is_some_and(|again| again.same(tree) && again.print() == text));
    assert!(Json::parse(text.as_bytes(), tree.depth()).is_ok_and(|again| again == *strict));
    assert!(tree.depth() == 0 || Json::parse(text.as_bytes(), tree.depth() - 1).is_err());
}

fn unique(tree: &Tree<'_>) -> bool {
    match tree {
        Tree::Scalar(_) => true,
        Tree::Array(elements) => elements.iter().all(unique),
        Tree::Object(members) => {
            let mut keys = HashSet::new();
            members.iter().all(|(key, value)| keys.insert(key.as_ref()) && unique(value))
        }
    }
}

/// A patch, in the first line, does to the document in the second what the `json-patch` crate does, within bounds, and every
/// number of the result has the text that it had.
pub(super) fn patch(bytes: &[u8]) {
    let Some((patch, document)) = std::str::from_utf8(bytes).ok().and_then(|text| text.split_once('\n')) else {
        return;
    };
    if Json::parse(patch.as_bytes(), DEPTH).is_err() || Json::parse(document.as_bytes(), DEPTH).is_err() {
        return;
    }
    let (Some(patch_tree), Some(document_tree)) = (Tree::read(patch), Tree::read(document)) else {
        panic!("the strict parser took what is no JSON");
    };
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
            let strict = Json::parse(text.as_bytes(), DEPTH);
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

/// Chunks make no difference to the rewriter, what it passes is JSON, a sink that keeps everything changes nothing, and a
/// document that it has nothing to ask about passes. The first byte says how large the chunks are.
pub(super) fn rewriter(bytes: &[u8]) {
    let Some((size, document)) = bytes.split_first() else {
        return;
    };
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
    if kept.is_none() && Json::parse(document, DEPTH).is_ok_and(|json| matches!(json, Json::Object(_))) {
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

fn rewritten<'d>(sink: impl Fn() -> Sink, chunks: impl IntoIterator<Item = &'d [u8]>) -> Option<Vec<u8>> {
    let mut rewriter = Rewriter::new(sink());
    let mut out = Vec::new();
    for chunk in chunks {
        rewriter.push(chunk, &mut out).ok()?;
    }
    rewriter.finish(&mut out).ok()?;
    Some(out)
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
