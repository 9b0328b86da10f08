//! Numbers and literals (RFC 8259 §3 and §6), a byte at a time. Nothing is decided on their values.

/// How far a number or a literal was read.
#[derive(Clone, Copy)]
pub(in crate::fhir) enum Scalar {
    /// What is left of `true`, `false` or `null`.
    Literal(&'static [u8]),
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    E,
    ExponentSign,
    Exponent,
}

impl Scalar {
    pub(in crate::fhir) fn begin(byte: u8) -> Option<Self> {
        match byte {
            b't' => Some(Self::Literal(b"rue")),
            b'f' => Some(Self::Literal(b"alse")),
            b'n' => Some(Self::Literal(b"ull")),
            b'-' => Some(Self::Minus),
            _ => Self::Minus.then(byte),
        }
    }

    /// With one more byte; none if the byte does not belong to it.
    pub(in crate::fhir) fn then(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Literal(rest), _) => {
                rest.split_first().filter(|(next, _)| **next == byte).map(|(_, rest)| Self::Literal(rest))
            }
            (Self::Minus, b'0') => Some(Self::Zero),
            (Self::Minus | Self::Integer, b'0'..=b'9') => Some(Self::Integer),
            (Self::Zero | Self::Integer, b'.') => Some(Self::Point),
            (Self::Point | Self::Fraction, b'0'..=b'9') => Some(Self::Fraction),
            (Self::Zero | Self::Integer | Self::Fraction, b'e' | b'E') => Some(Self::E),
            (Self::E, b'+' | b'-') => Some(Self::ExponentSign),
            (Self::E | Self::ExponentSign | Self::Exponent, b'0'..=b'9') => Some(Self::Exponent),
            _ => None,
        }
    }

    /// Whether it may end here.
    pub(in crate::fhir) fn is_whole(self) -> bool {
        matches!(self, Self::Literal([]) | Self::Zero | Self::Integer | Self::Fraction | Self::Exponent)
    }
}
