//! The trace context of a request (<https://www.w3.org/TR/trace-context/>).

use http::HeaderMap;

/// Longest `tracestate` that travels on, in bytes; the recommendation asks for no more.
const MAX_STATE: usize = 512;

/// The flag that a trace is recorded (§3.2.2.5.1).
const SAMPLED: u8 = 1;

/// A `traceparent` header that is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceParent {
    pub trace: [u8; 16],
    pub span: [u8; 8],
    pub flags: u8,
}

impl TraceParent {
    /// What a request says of the trace that it belongs to.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        Self::parse(headers.get("traceparent")?.to_str().ok()?)
    }

    /// That of a span that is recorded.
    pub fn recorded(trace: [u8; 16], span: [u8; 8]) -> Self {
        Self { trace, span, flags: SAMPLED }
    }

    /// Whether the caller records the trace.
    pub fn is_recorded(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Reads the header; none where it is anything but version 00 of the grammar.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if version != "00" || parts.next().is_some() {
            return None;
        }
        let [flags] = bytes::<1>(flags)?;
        let parent = Self { trace: bytes(trace)?, span: bytes(span)?, flags };
        (parent.trace != [0; 16] && parent.span != [0; 8]).then_some(parent)
    }
}

impl std::fmt::Display for TraceParent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("00-")?;
        self.trace.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("-")?;
        self.span.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "-{:02x}", self.flags)
    }
}

/// Whether a `tracestate` may travel on with a `traceparent` that is right.
pub fn is_trace_state(text: &str) -> bool {
    text.len() <= MAX_STATE && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// Lower-case hexadecimal digits.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut read = [0; N];
    for (byte, pair) in read.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_one_is_read_and_written() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent = TraceParent::parse(text).unwrap();
        assert_eq!((parent.to_string().as_str(), parent.flags), (text, 1));
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            "evil",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_state_is_short_and_plain() {
        assert!(is_trace_state("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"));
        assert!(!is_trace_state(&"x".repeat(MAX_STATE + 1)) && !is_trace_state("a\tb"));
    }
}
