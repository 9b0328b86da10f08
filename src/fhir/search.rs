//! Search parameters: name, modifier, chain and values, parsed before anything is compared (FHIR R4 search.html).

use std::fmt;

use super::target::print_query;

/// Longest chain or nest of `_has` that is read.
pub const MAX_CHAIN: usize = 6;

/// Search parameters in the criteria of a conditional create.
pub const MAX_CRITERIA: usize = 20;

/// What is to the left of the `=`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Key {
    /// `code`, `date`, `_include:iterate`, `subject:Patient`.
    Plain { code: String, modifier: Option<String> },
    /// `subject.name`, `subject:Patient.name`: a value of another resource (FHIR R4 search.html#chaining).
    Chain { code: String, of: Option<String>, rest: Box<Key> },
    /// `_has:Observation:patient:code` (FHIR R4 search.html#has).
    Has { of: String, by: String, rest: Box<Key> },
}

/// One search parameter of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parameter {
    pub key: Key,
    pub value: String,
}

/// The name of a search parameter is not in FHIR's grammar.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a search parameter's name is not in the grammar of FHIR search")]
pub struct KeyError;

impl Key {
    /// Parses a parameter name.
    ///
    /// # Errors
    /// A name outside the grammar, or a chain longer than [`MAX_CHAIN`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Self::parse_within(text, MAX_CHAIN)
    }

    fn parse_within(text: &str, depth: usize) -> Result<Self, KeyError> {
        let depth = depth.checked_sub(1).ok_or(KeyError)?;
        if let Some(rest) = text.strip_prefix("_has:") {
            let mut parts = rest.splitn(3, ':');
            let (Some(of), Some(by), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
                return Err(KeyError);
            };
            let rest = Box::new(Self::parse_within(rest, depth)?);
            return Ok(Self::Has { of: word(of)?, by: word(by)?, rest });
        }
        let (head, rest) = match text.split_once('.') {
            Some((head, rest)) => (head, Some(rest)),
            None => (text, None),
        };
        let (code, after_colon) = match head.split_once(':') {
            Some((code, after)) => (word(code)?, Some(word(after)?)),
            None => (word(head)?, None),
        };
        match rest {
            None => Ok(Self::Plain { code, modifier: after_colon }),
            Some(rest) => Ok(Self::Chain { code, of: after_colon, rest: Box::new(Self::parse_within(rest, depth)?) }),
        }
    }
}

fn word(text: &str) -> Result<String, KeyError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !text.is_empty() && text.chars().all(plain) { Ok(text.to_owned()) } else { Err(KeyError) }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain { code, modifier: None } => f.write_str(code),
            Self::Plain { code, modifier: Some(modifier) } => write!(f, "{code}:{modifier}"),
            Self::Chain { code, of: None, rest } => write!(f, "{code}.{rest}"),
            Self::Chain { code, of: Some(of), rest } => write!(f, "{code}:{of}.{rest}"),
            Self::Has { of, by, rest } => write!(f, "_has:{of}:{by}:{rest}"),
        }
    }
}

impl Parameter {
    /// A parameter without modifier.
    pub fn plain(code: &str, value: impl Into<String>) -> Self {
        Self { key: Key::Plain { code: code.to_owned(), modifier: None }, value: value.into() }
    }

    /// Parses decoded pairs.
    ///
    /// # Errors
    /// The first name outside the grammar.
    pub fn parse_all(pairs: &[(String, String)]) -> Result<Vec<Self>, KeyError> {
        pairs.iter().map(|(name, value)| Ok(Self { key: Key::parse(name)?, value: value.clone() })).collect()
    }

    /// The code that the name begins with.
    pub fn code(&self) -> &str {
        match &self.key {
            Key::Plain { code, .. } | Key::Chain { code, .. } => code,
            Key::Has { .. } => "_has",
        }
    }
}

/// Prints parameters as a query string, without the `?`.
pub fn print_parameters(parameters: &[Parameter]) -> String {
    let names: Vec<String> = parameters.iter().map(|parameter| parameter.key.to_string()).collect();
    print_query(names.iter().map(String::as_str).zip(parameters.iter().map(|parameter| parameter.value.as_str())))
}

/// The values of an OR list, still escaped: split at commas that no backslash escapes (FHIR R4 search.html#escaping).
pub fn or_list(value: &str) -> Vec<&str> {
    let mut values = Vec::new();
    let mut rest = value;
    let mut from = 0;
    loop {
        let next = rest.get(from..).and_then(|tail| tail.find([',', '\\'])).map(|at| from + at);
        match next {
            Some(at) if rest.as_bytes().get(at) == Some(&b'\\') => {
                // The character after a backslash separates nothing, whatever it is.
                let escaped = rest.get(at + 1..).and_then(|tail| tail.chars().next());
                from = at + 1 + escaped.map_or(0, char::len_utf8);
            }
            Some(at) => {
                values.push(rest.get(..at).unwrap_or_default());
                rest = rest.get(at + 1..).unwrap_or_default();
                from = 0;
            }
            None => {
                values.push(rest);
                return values;
            }
        }
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
