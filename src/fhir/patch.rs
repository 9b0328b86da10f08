//! JSON Patch (RFC 6902) on a document whose numbers keep their text.
//!
//! Own code because the crates for it work on trees of values, where `1.50` becomes `1.5`; FHIR gives the digits of a decimal a
//! meaning (FHIR R4 datatypes.html#decimal).

use std::borrow::Cow;

use super::tree::Tree;

/// Most operations of one patch: each may walk through the whole document.
const MAX_OPERATIONS: usize = 1000;

/// Why a patch was not applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PatchError {
    #[error("the patch is no list of JSON Patch operations")]
    Malformed,
    #[error("the patch has too many operations, moves or copies too much or nests too deep")]
    TooMuch,
    #[error("a path of the patch is not in the resource")]
    NotThere,
    #[error("a `test` operation failed")]
    TestFailed,
}

/// A way to a place in a document (RFC 6901).
type Pointer = Vec<String>;

/// One operation, read but not yet applied.
enum Operation<'a> {
    Add(Pointer, Tree<'a>),
    Remove(Pointer),
    Replace(Pointer, Tree<'a>),
    Move(Pointer, Pointer),
    Copy(Pointer, Pointer),
    Test(Pointer, Tree<'a>),
}

/// A JSON Patch.
pub struct Patch<'a> {
    operations: Vec<Operation<'a>>,
}

/// How large a document may grow while it is patched.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub bytes: usize,
    pub depth: usize,
}

impl<'a> Patch<'a> {
    /// Reads a patch.
    ///
    /// # Errors
    /// No list of operations that RFC 6902 knows, or more of them than anyone needs.
    pub fn read(document: Tree<'a>) -> Result<Self, PatchError> {
        let Tree::Array(operations) = document else {
            return Err(PatchError::Malformed);
        };
        if operations.len() > MAX_OPERATIONS {
            return Err(PatchError::TooMuch);
        }
        let operations = operations.iter().map(operation).collect::<Option<_>>().ok_or(PatchError::Malformed)?;
        Ok(Self { operations })
    }

    /// Whether the patch asks what the resource holds.
    pub fn tests(&self) -> bool {
        self.operations.iter().any(|operation| matches!(operation, Operation::Test(..)))
    }

    /// Applies the patch: all of it or, with an error, nothing that counts.
    ///
    /// # Errors
    /// What is wrong with the first operation that cannot be applied.
    pub fn apply(self, document: Tree<'a>, bounds: Bounds) -> Result<Tree<'a>, PatchError> {
        // What is copied, compared or shifted is taken off, and never given back: removing a copy does not make room for the next.
        let mut patching = Patching { document, bounds, left: bounds.bytes };
        for operation in self.operations {
            patching.apply(operation)?;
        }
        Ok(patching.document)
    }
}

fn operation<'a>(operation: &Tree<'a>) -> Option<Operation<'a>> {
    let path = || pointer(&operation.get("path")?.text()?);
    let from = || pointer(&operation.get("from")?.text()?);
    let value = || operation.get("value").cloned();
    Some(match operation.get("op")?.text()?.as_str() {
        "add" => Operation::Add(path()?, value()?),
        "remove" => Operation::Remove(path()?),
        "replace" => Operation::Replace(path()?, value()?),
        "move" => Operation::Move(from()?, path()?),
        "copy" => Operation::Copy(from()?, path()?),
        "test" => Operation::Test(path()?, value()?),
        _ => return None,
    })
}

/// `/a~1b/0`, or nothing for the whole document (RFC 6901 §3, §4).
fn pointer(text: &str) -> Option<Pointer> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    text.strip_prefix('/')?.split('/').map(unescaped).collect()
}

fn unescaped(token: &str) -> Option<String> {
    let mut parts = token.split('~');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        let (escaped, rest) = match (part.strip_prefix('0'), part.strip_prefix('1')) {
            (Some(rest), _) => ('~', rest),
            (_, Some(rest)) => ('/', rest),
            _ => return None,
        };
        text.push(escaped);
        text.push_str(rest);
    }
    Some(text)
}

struct Patching<'a> {
    document: Tree<'a>,
    bounds: Bounds,
    left: usize,
}

impl<'a> Patching<'a> {
    fn apply(&mut self, operation: Operation<'a>) -> Result<(), PatchError> {
        match operation {
            Operation::Add(path, value) => self.add(&path, value),
            Operation::Remove(path) => self.remove(&path).map(drop),
            Operation::Replace(path, value) => {
                self.fits(&path, &value)?;
                *find(&mut self.document, &path)? = value;
                Ok(())
            }
            Operation::Move(from, path) if path.len() > from.len() && path.starts_with(&from) => {
                Err(PatchError::NotThere)
            }
            Operation::Move(from, path) if path == from => find(&mut self.document, &from).map(drop),
            Operation::Move(from, path) => {
                let value = self.remove(&from)?;
                self.add(&path, value)
            }
            Operation::Copy(from, path) => {
                let size = find(&mut self.document, &from)?.size();
                spend(&mut self.left, size)?;
                let value = find(&mut self.document, &from)?.clone();
                self.add(&path, value)
            }
            Operation::Test(path, expected) => {
                spend(&mut self.left, expected.size())?;
                let found = find(&mut self.document, &path)?;
                if found.same(&expected) { Ok(()) } else { Err(PatchError::TestFailed) }
            }
        }
    }

    /// A document that nests deeper than any reader takes is not made in the first place.
    fn fits(&self, path: &[String], value: &Tree<'_>) -> Result<(), PatchError> {
        if path.len() + value.depth() > self.bounds.depth { Err(PatchError::TooMuch) } else { Ok(()) }
    }

    fn add(&mut self, path: &[String], value: Tree<'a>) -> Result<(), PatchError> {
        self.fits(path, &value)?;
        let Some((last, parent)) = path.split_last() else {
            self.document = value;
            return Ok(());
        };
        match find(&mut self.document, parent)? {
            Tree::Object(members) => match members.iter_mut().find(|(key, _)| key == last) {
                Some((_, held)) => *held = value,
                None => members.push((Cow::Owned(last.clone()), value)),
            },
            Tree::Array(elements) => {
                let at = if last == "-" { elements.len() } else { index(last).ok_or(PatchError::NotThere)? };
                let behind = elements.len().checked_sub(at).ok_or(PatchError::NotThere)?;
                spend(&mut self.left, behind)?;
                elements.insert(at, value);
            }
            Tree::Scalar(_) => return Err(PatchError::NotThere),
        }
        Ok(())
    }

    fn remove(&mut self, path: &[String]) -> Result<Tree<'a>, PatchError> {
        let (last, parent) = path.split_last().ok_or(PatchError::NotThere)?;
        match find(&mut self.document, parent)? {
            Tree::Object(members) => {
                let at = members.iter().position(|(key, _)| key == last).ok_or(PatchError::NotThere)?;
                spend(&mut self.left, members.len() - at)?;
                Ok(members.remove(at).1)
            }
            Tree::Array(elements) => match index(last) {
                Some(at) if at < elements.len() => {
                    spend(&mut self.left, elements.len() - at)?;
                    Ok(elements.remove(at))
                }
                _ => Err(PatchError::NotThere),
            },
            Tree::Scalar(_) => Err(PatchError::NotThere),
        }
    }
}

/// Takes off what is left; the unit is a byte that is copied, or a value that is shifted.
fn spend(left: &mut usize, much: usize) -> Result<(), PatchError> {
    *left = left.checked_sub(much).ok_or(PatchError::TooMuch)?;
    Ok(())
}

fn find<'t, 'a>(document: &'t mut Tree<'a>, path: &[String]) -> Result<&'t mut Tree<'a>, PatchError> {
    let mut at = document;
    for token in path {
        let next = match at {
            Tree::Object(members) => members.iter_mut().find(|(key, _)| key == token).map(|(_, value)| value),
            Tree::Array(elements) => index(token).and_then(|index| elements.get_mut(index)),
            Tree::Scalar(_) => None,
        };
        at = next.ok_or(PatchError::NotThere)?;
    }
    Ok(at)
}

/// An index of an array: digits, no zero before others (RFC 6901 §4).
fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || !token.starts_with('0');
    (plain && token.bytes().all(|b| b.is_ascii_digit())).then(|| token.parse().ok()).flatten()
}

#[cfg(test)]
#[path = "patch_tests.rs"]
mod tests;
