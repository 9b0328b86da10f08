//! JSON that is taken apart and put together again with every number in its own text (`1.50`, `1e2`, 30 digits), which no tree
//! of values would keep.
//!
//! Made of what [`Document::parse`](super::json::Document::parse) let through: there a body got its one reading and its bounded
//! depth.

use std::borrow::Cow;
use std::collections::HashMap;

use super::json::{Json, Value};

/// A JSON value; what is no object and no array is still the text that it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Tree<'a> {
    /// A string with its quotation marks, a number, `true`, `false` or `null`.
    Scalar(&'a str),
    Array(Vec<Tree<'a>>),
    Object(Vec<(Cow<'a, str>, Tree<'a>)>),
}

impl<'a> Tree<'a> {
    /// Takes a value apart.
    pub fn of(json: Json<'a>) -> Self {
        match json.value() {
            Value::Array(elements) => Self::Array(elements.map(Self::of).collect()),
            Value::Object(members) => {
                Self::Object(members.map(|(key, value)| (Cow::Borrowed(key), Self::of(value))).collect())
            }
            _ => Self::Scalar(json.raw()),
        }
    }

    /// The document again, without white space.
    pub fn print(&self) -> String {
        let mut out = String::new();
        self.print_to(&mut out);
        out
    }

    fn print_to(&self, out: &mut String) {
        match self {
            Self::Scalar(text) => out.push_str(text),
            Self::Array(elements) => {
                out.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    element.print_to(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    out.push_str(&serde_json::Value::from(key.as_ref()).to_string());
                    out.push(':');
                    value.print_to(out);
                }
                out.push('}');
            }
        }
    }

    /// The member called `key`, of an object.
    pub fn get(&self, key: &str) -> Option<&Tree<'a>> {
        match self {
            Self::Object(members) => members.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text of a string.
    pub fn text(&self) -> Option<String> {
        match self {
            Self::Scalar(text) if text.starts_with('"') => serde_json::from_str(text).ok(),
            _ => None,
        }
    }

    /// How deep it is nested: a scalar not at all.
    pub fn depth(&self) -> usize {
        match self {
            Self::Scalar(_) => 0,
            Self::Array(elements) => 1 + elements.iter().map(Self::depth).max().unwrap_or(0),
            Self::Object(members) => 1 + members.iter().map(|(_, value)| value.depth()).max().unwrap_or(0),
        }
    }

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        match self {
            Self::Scalar(text) => text.len() + 1,
            Self::Array(elements) => 2 + elements.iter().map(Self::size).sum::<usize>(),
            Self::Object(members) => 2 + members.iter().map(|(key, value)| key.len() + 4 + value.size()).sum::<usize>(),
        }
    }

    /// Whether both say the same: members in any order, numbers by value, strings by their characters (RFC 6902 §4.6).
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Array(a), Self::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b)),
            (Self::Object(a), Self::Object(b)) => {
                let members: HashMap<&str, &Tree<'_>> = b.iter().map(|(key, value)| (key.as_ref(), value)).collect();
                a.len() == b.len() && a.iter().all(|(key, a)| members.get(key.as_ref()).is_some_and(|b| a.same(b)))
            }
            (Self::Scalar(a), Self::Scalar(b)) => {
                a == b
                    || match (self.text(), other.text()) {
                        (Some(a), Some(b)) => a == b,
                        (None, None) => number(a).is_some_and(|a| Some(a) == number(b)),
                        _ => false,
                    }
            }
            _ => false,
        }
    }
}

/// A number as its sign, its digits without zeros around them, and the place of the last of them.
fn number(text: &str) -> Option<(bool, String, i64)> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let exponent: i64 = exponent.parse().ok()?;
    let digits = format!("{whole}{fraction}");
    let kept = digits.trim_end_matches('0');
    let dropped = i64::try_from(digits.len() - kept.len()).ok()?;
    let significant = kept.trim_start_matches('0');
    if significant.is_empty() {
        return Some((false, String::new(), 0));
    }
    let place = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(dropped)?;
    Some((negative, significant.to_owned(), place))
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
