//! Parameters of queries and forms: each at most once (RFC 6749 §3.1 and §3.2).

use percent_encoding::percent_decode;

/// Parameters in one request: a box for each scope of the longest list, and the rest of the page.
const MAX_PARAMETERS: usize = 320;

/// Why a request's parameters are not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum FormError {
    #[error("the body is not `application/x-www-form-urlencoded`")]
    NotAForm,
    #[error("the parameters are not percent-encoded UTF-8")]
    Encoding,
    #[error("a parameter is there more than once")]
    Repeated,
    #[error("there are too many parameters")]
    TooMany,
}

/// Decoded parameters.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Decodes `name=value&…`.
    pub(super) fn parse(encoded: &[u8]) -> Result<Self, FormError> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in encoded.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == MAX_PARAMETERS {
                return Err(FormError::TooMany);
            }
            let mut halves = pair.splitn(2, |b| *b == b'=');
            let name = decode(halves.next().unwrap_or_default()).ok_or(FormError::Encoding)?;
            let value = decode(halves.next().unwrap_or_default()).ok_or(FormError::Encoding)?;
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(FormError::Repeated);
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter; one without a value counts as left out (RFC 6749 §3.1).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }
}

/// Decodes one name or value (`+` is a space); none if that is not UTF-8.
pub(super) fn decode(encoded: &[u8]) -> Option<String> {
    let spaced: Vec<u8> = encoded.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
    String::from_utf8(percent_decode(&spaced).collect()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_exactly() {
        let form = Form::parse(b"state=a%26error%3Dx%0D%0A+%2B%C3%A9&empty=&bare").unwrap();
        assert_eq!(form.get("state"), Some("a&error=x\r\n +\u{e9}"));
        assert_eq!(form.get("empty"), None);
        assert_eq!(form.get("bare"), None);
        assert_eq!(form.get("other"), None);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        assert_eq!(Form::parse(b"a=1&b=2&%61=1").err(), Some(FormError::Repeated));
        assert_eq!(Form::parse(b"a=&a=1").err(), Some(FormError::Repeated));
        assert_eq!(Form::parse(b"a=%ff").err(), Some(FormError::Encoding));
        let many: Vec<String> = (0..=MAX_PARAMETERS).map(|n| format!("p{n}=1")).collect();
        assert_eq!(Form::parse(many.join("&").as_bytes()).err(), Some(FormError::TooMany));
    }
}
