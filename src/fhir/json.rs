//! JSON that admits one reading only: unique keys, valid UTF-8, no byte order mark, no lone surrogates, bounded depth and
//! number of values.
//!
//! The tree borrows from the bytes and is for looking at; what travels on are the bytes themselves, so that every number
//! keeps its text.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// A body that is not JSON, or that two readers could read differently.
#[derive(Debug, thiserror::Error)]
#[error("the body is not JSON that admits one reading only: {0}")]
pub struct JsonError(String);

/// A JSON value.
#[derive(Clone, PartialEq, Debug)]
pub enum Json<'a> {
    Null,
    Bool(bool),
    /// The value is not kept: nothing is decided on numbers.
    Number,
    String(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// Most values in one document: in two bytes each there is room for millions, and each takes thirty here.
const MAX_VALUES: usize = 1_000_000;

/// Deepest nesting that can be asked for: what is below this reads no deeper.
pub const MAX_DEPTH: usize = 127;

/// From this many keys on, duplicates are looked for in a hash set.
const MANY_KEYS: usize = 16;

impl<'a> Json<'a> {
    /// Parses a whole document nested at most `max_depth` deep, and never deeper than [`MAX_DEPTH`].
    ///
    /// # Errors
    /// Anything that is not one JSON value with one reading.
    pub fn parse(bytes: &'a [u8], max_depth: usize) -> Result<Self, JsonError> {
        let room = Room { depth: Cell::new(max_depth), values: Cell::new(MAX_VALUES) };
        // Looked at once for all, not string by string.
        let text = std::str::from_utf8(bytes).map_err(|error| JsonError(error.to_string()))?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = Seed(&room).deserialize(&mut deserializer).map_err(|error| JsonError(error.to_string()))?;
        deserializer.end().map_err(|error| JsonError(error.to_string()))?;
        Ok(value)
    }

    /// The member called `key`, of an object.
    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        match self {
            Self::Object(members) => members.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of an array.
    pub fn as_array(&self) -> Option<&[Json<'a>]> {
        match self {
            Self::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// Calls `visit` with every value that `path` reaches, going through arrays on the way.
    pub fn visit(&self, path: &[&str], visit: &mut dyn FnMut(&Json<'a>)) {
        if let Self::Array(elements) = self {
            for element in elements {
                element.visit(path, visit);
            }
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
}

/// How much more there may be.
struct Room {
    depth: Cell<usize>,
    values: Cell<usize>,
}

#[derive(Clone, Copy)]
struct Seed<'r>(&'r Room);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        let values = self.0.values.get().checked_sub(1);
        self.0.values.set(values.ok_or_else(|| D::Error::custom("too many values"))?);
        deserializer.deserialize_any(self)
    }
}

impl Seed<'_> {
    fn nested<T, E: serde::de::Error>(self, inner: impl FnOnce(Self) -> Result<T, E>) -> Result<T, E> {
        let depth = self.0.depth.get();
        self.0.depth.set(depth.checked_sub(1).ok_or_else(|| E::custom("nested too deep"))?);
        let value = inner(self);
        self.0.depth.set(depth);
        value
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json<'de>, E> {
        Ok(Json::Number)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Json<'de>, A::Error> {
        self.nested(|seed| {
            let mut elements = Vec::new();
            while let Some(element) = sequence.next_element_seed(seed)? {
                elements.push(element);
            }
            Ok(Json::Array(elements))
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        self.nested(|seed| {
            let mut members: Vec<(Cow<'de, str>, Json<'de>)> = Vec::new();
            while let Some(key) = map.next_key_seed(KeySeed)? {
                members.push((key, map.next_value_seed(seed)?));
            }
            if has_duplicates(&members) {
                return Err(A::Error::custom("an object has the same key twice"));
            }
            Ok(Json::Object(members))
        })
    }
}

fn has_duplicates(members: &[(Cow<'_, str>, Json<'_>)]) -> bool {
    if members.len() < MANY_KEYS {
        return members
            .iter()
            .enumerate()
            .any(|(index, (key, _))| members.iter().take(index).any(|(earlier, _)| earlier == key));
    }
    let mut seen = HashSet::with_capacity(members.len());
    !members.iter().all(|(key, _)| seen.insert(key.as_ref()))
}

struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
