use super::*;
use crate::fhir::json::Document;

/// A document that lives as long as its text.
fn tree(text: &str) -> Tree<'_> {
    Tree::of(Box::leak(Box::new(Document::parse(text.as_bytes(), 64).unwrap())).root())
}

const BOUNDS: Bounds = Bounds { bytes: 1000, depth: 8 };

fn patched(document: &str, patch: &str) -> Result<String, PatchError> {
    let patch = Patch::read(tree(patch))?;
    patch.apply(tree(document), BOUNDS).map(|tree| tree.print())
}

#[test]
fn each_operation_does_what_the_rfc_says() {
    for (document, patch, expected) in [
        (r#"{"a":1.50}"#, r#"[{"op":"add","path":"/b","value":1e2}]"#, r#"{"a":1.50,"b":1e2}"#),
        (r#"{"a":1}"#, r#"[{"op":"add","path":"/a","value":2}]"#, r#"{"a":2}"#),
        (r#"{"a":[1,3]}"#, r#"[{"op":"add","path":"/a/1","value":2}]"#, r#"{"a":[1,2,3]}"#),
        (r#"{"a":[1]}"#, r#"[{"op":"add","path":"/a/-","value":2}]"#, r#"{"a":[1,2]}"#),
        (r#"{"a":[1]}"#, r#"[{"op":"add","path":"/a/1","value":2}]"#, r#"{"a":[1,2]}"#),
        (r#"{"a":1,"b":2}"#, r#"[{"op":"remove","path":"/a"}]"#, r#"{"b":2}"#),
        (r#"{"a":[1,2]}"#, r#"[{"op":"remove","path":"/a/0"}]"#, r#"{"a":[2]}"#),
        (r#"{"a":{"b":1}}"#, r#"[{"op":"replace","path":"/a/b","value":[]}]"#, r#"{"a":{"b":[]}}"#),
        (r#"{"a":1,"c":{}}"#, r#"[{"op":"move","from":"/a","path":"/c/b"}]"#, r#"{"c":{"b":1}}"#),
        (r#"{"a":[1,2]}"#, r#"[{"op":"move","from":"/a/0","path":"/a/1"}]"#, r#"{"a":[2,1]}"#),
        (r#"{"a":[1]}"#, r#"[{"op":"copy","from":"/a","path":"/b"}]"#, r#"{"a":[1],"b":[1]}"#),
        (r#"{"a":1}"#, r#"[{"op":"replace","path":"","value":{"b":2}}]"#, r#"{"b":2}"#),
        (r#"{"a":1.5}"#, r#"[{"op":"test","path":"/a","value":1.50}]"#, r#"{"a":1.5}"#),
        (r#"{"a/b":1,"c~d":2}"#, r#"[{"op":"remove","path":"/a~1b"},{"op":"remove","path":"/c~0d"}]"#, "{}"),
        (r#"{"~1":1}"#, r#"[{"op":"remove","path":"/~01"}]"#, "{}"),
        (r#"{"":1}"#, r#"[{"op":"remove","path":"/"}]"#, "{}"),
        (r#"{"a":1}"#, r#"[{"op":"move","from":"/a","path":"/a"}]"#, r#"{"a":1}"#),
        (r#"{"a":1}"#, "[]", r#"{"a":1}"#),
    ] {
        assert_eq!(patched(document, patch).as_deref(), Ok(expected), "{document} {patch}");
    }
}

#[test]
fn what_cannot_be_applied_is_an_error() {
    use PatchError::{Malformed, NotThere, TestFailed};
    for (patch, expected) in [
        (r#"{}"#, Malformed),
        (r#"[{}]"#, Malformed),
        (r#"[{"op":"add","path":"/x"}]"#, Malformed),
        (r#"[{"op":"Add","path":"/x","value":1}]"#, Malformed),
        (r#"[{"op":"add","path":"x","value":1}]"#, Malformed),
        (r#"[{"op":"add","path":"/~2","value":1}]"#, Malformed),
        (r#"[{"op":"move","path":"/x"}]"#, Malformed),
        (r#"[{"op":"add","path":7,"value":1}]"#, Malformed),
        (r#"[{"op":"add","path":"/x/y","value":1}]"#, NotThere),
        (r#"[{"op":"add","path":"/a/3","value":1}]"#, NotThere),
        (r#"[{"op":"add","path":"/a/01","value":1}]"#, NotThere),
        (r#"[{"op":"add","path":"/a/+1","value":1}]"#, NotThere),
        (r#"[{"op":"add","path":"/a/","value":1}]"#, NotThere),
        (r#"[{"op":"remove","path":"/x"}]"#, NotThere),
        (r#"[{"op":"remove","path":""}]"#, NotThere),
        (r#"[{"op":"remove","path":"/a/-"}]"#, NotThere),
        (r#"[{"op":"replace","path":"/x","value":1}]"#, NotThere),
        (r#"[{"op":"move","from":"/o","path":"/o/p"}]"#, NotThere),
        (r#"[{"op":"move","from":"","path":"/o"}]"#, NotThere),
        (r#"[{"op":"remove","path":"/s/x"}]"#, NotThere),
        (r#"[{"op":"remove","path":"/%61"}]"#, NotThere),
        (r#"[{"op":"test","path":"/a","value":[1]}]"#, TestFailed),
        (r#"[{"op":"test","path":"/x","value":1}]"#, NotThere),
    ] {
        assert_eq!(patched(r#"{"a":[1,2],"o":{},"s":"t"}"#, patch), Err(expected), "{patch}");
    }
}

#[test]
fn a_patch_does_not_grow_a_document_beyond_bounds() {
    let doubling = format!("[{}]", [r#"{"op":"copy","from":"","path":"/a"}"#; 12].join(","));
    assert_eq!(patched(r#"{"a":1}"#, &doubling), Err(PatchError::TooMuch));
    let there_and_back = vec![r#"{"op":"copy","from":"/a","path":"/b"},{"op":"remove","path":"/b"}"#; 200].join(",");
    assert_eq!(patched(r#"{"a":[1,2,3]}"#, &format!("[{there_and_back}]")), Err(PatchError::TooMuch));
    let deep = format!(r#"[{{"op":"add","path":"/a","value":{}{}}}]"#, "[".repeat(8), "]".repeat(8));
    assert_eq!(patched("{}", &deep), Err(PatchError::TooMuch));
    let many = format!("[{}]", vec![r#"{"op":"remove","path":"/a"}"#; 1001].join(","));
    assert_eq!(patched("{}", &many), Err(PatchError::TooMuch));
}

#[test]
fn only_a_test_asks() {
    let tests = |patch| Patch::read(tree(patch)).unwrap().tests();
    assert!(tests(r#"[{"op":"remove","path":"/a"},{"op":"\u0074est","path":"/a","value":1}]"#));
    assert!(!tests(r#"[{"op":"copy","from":"/a","path":"/b"}]"#));
}

#[test]
fn a_patch_does_not_shift_a_long_array_again_and_again() {
    let document = format!(r#"{{"a":[{}1]}}"#, "1,".repeat(300));
    for patch in [
        r#"{"op":"add","path":"/a/0","value":1}"#,
        r#"{"op":"remove","path":"/a/0"}"#,
        r#"{"op":"move","from":"/a/0","path":"/a/-"}"#,
    ] {
        assert!(patched(&document, &format!("[{patch}]")).is_ok(), "{patch}");
        let often = format!("[{}]", [patch; 4].join(","));
        assert_eq!(patched(&document, &often), Err(PatchError::TooMuch), "{patch}");
    }
}
