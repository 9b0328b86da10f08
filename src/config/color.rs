//! Colours, and whether text in one can be read on another (WCAG 2.2, success criterion 1.4.3).

use std::fmt;

/// Contrast that text needs at least (level AA).
pub(super) const ENOUGH: f64 = 4.5;

/// Contrast that is comfortable (level AAA, success criterion 1.4.6).
pub(super) const AMPLE: f64 = 7.0;

/// An opaque sRGB colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Color(pub(super) [u8; 3]);

pub(super) const BLACK: Color = Color([0, 0, 0]);
pub(super) const WHITE: Color = Color([255, 255, 255]);

impl Color {
    /// `#rrggbb`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix('#').filter(|hex| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
        let value = digits.and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let value = value.ok_or_else(|| format!("{text:?} is no colour; write for example \"#0a5a85\""))?;
        let [_, red, green, blue] = value.to_be_bytes();
        Ok(Self([red, green, blue]))
    }

    /// WCAG 2.2, "contrast ratio": from 1 to 21.
    pub(super) fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// The least contrast to any of `grounds`.
    pub(super) fn least_contrast(self, grounds: &[Self]) -> f64 {
        grounds.iter().map(|ground| self.contrast(*ground)).fold(f64::INFINITY, f64::min)
    }

    /// This colour, moved towards `other` no further than gives it `contrast` to each of `grounds`; `other` where that has not.
    pub(super) fn towards(self, other: Self, grounds: &[Self], contrast: f64) -> Self {
        let mut mixed = (0..=100).map(|share| self.mixed(other, share));
        mixed.find(|color| color.least_contrast(grounds) >= contrast).unwrap_or(other)
    }

    /// With `share` hundredths of `other`.
    fn mixed(self, other: Self, share: u32) -> Self {
        let mut mixed = self.0;
        for (own, others) in mixed.iter_mut().zip(other.0) {
            let sum = u32::from(*own) * (100 - share) + u32::from(others) * share;
            *own = u8::try_from(sum / 100).unwrap_or(u8::MAX);
        }
        Self(mixed)
    }

    /// WCAG 2.2, "relative luminance".
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|part| match f64::from(part) / 255.0 {
            dark if dark <= 0.04045 => dark / 12.92,
            bright => ((bright + 0.055) / 1.055).powf(2.4),
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_is_that_of_wcag() {
        let contrast = |a: &str, b: &str| Color::parse(a).unwrap().contrast(Color::parse(b).unwrap());
        assert!((contrast("#000000", "#ffffff") - 21.0).abs() < 1e-9);
        assert!((contrast("#123456", "#123456") - 1.0).abs() < 1e-9);
        // The best known pair: the lightest grey for text on white, and the first that is too light.
        assert!(contrast("#767676", "#ffffff") >= ENOUGH && contrast("#777777", "#ffffff") < ENOUGH);
    }

    #[test]
    fn a_colour_is_moved_until_it_can_be_read_and_no_further() {
        let yellow = Color::parse("#ffcc00").unwrap();
        let dark = yellow.towards(BLACK, &[WHITE], ENOUGH);
        assert!((ENOUGH..ENOUGH + 0.3).contains(&dark.contrast(WHITE)), "{dark}");
        assert_eq!(yellow.towards(WHITE, &[BLACK], ENOUGH), yellow);
        assert_eq!(yellow.towards(WHITE, &[WHITE], ENOUGH), WHITE);
    }

    #[test]
    fn what_is_no_colour_is_refused() {
        for text in ["red", "#fff", "#12345g", "123456", "#+12345", "#1234567", ""] {
            assert!(Color::parse(text).is_err(), "{text}");
        }
        assert_eq!(Color::parse("#0A5a85").unwrap().to_string(), "#0a5a85");
    }
}
