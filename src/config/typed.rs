//! The kinds of values that a [`Table`] is asked for, with what holds where a key is left out.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

#[cfg(test)]
use super::asked::Shape;
use super::document::{Found, Place};
use super::table::{QUOTED, Table, kind, text_of, texts_of};
use super::value;

/// A value that may be written alone or as a list.
pub(super) enum OneOrMany<'a> {
    One(Found<'a, &'a str>),
    Many(Place<'a>, Vec<Found<'a, &'a str>>),
}

impl<'a> Table<'a> {
    /// Reports a key that must be there and is not; it still has to be asked for.
    pub(super) fn demand(&mut self, key: &'static str, example: &str) {
        #[cfg(test)]
        self.note(key, |asked| asked.is_required = true);
        if !self.has(key) {
            self.missing(key, example);
        }
    }

    /// A string.
    pub(super) fn text(&mut self, key: &'static str) -> Option<Found<'a, &'a str>> {
        self.take_text(key, QUOTED)
    }

    fn take_text(&mut self, key: &'static str, form: &str) -> Option<Found<'a, &'a str>> {
        #[cfg(test)]
        self.note(key, |asked| asked.shape = Shape::Text);
        let Found { it, place } = self.take(key)?;
        text_of(it, place, form)
    }

    /// A string; `default` where it is left out.
    pub(super) fn text_or<'d>(&mut self, key: &'static str, default: &'d str) -> Option<Found<'a, &'d str>>
    where
        'a: 'd,
    {
        #[cfg(test)]
        self.note(key, |asked| asked.default = Some(format!("{default:?}")));
        let is_there = self.has(key);
        let found = self.text(key);
        if is_there { found } else { Some(Found { it: default, place: self.place(key) }) }
    }

    /// A string that must be there.
    pub(super) fn required(&mut self, key: &'static str, example: &str) -> Option<Found<'a, &'a str>> {
        self.demand(key, example);
        self.text(key)
    }

    /// A list of strings.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<Found<'a, &'a str>>> {
        self.list(key, None)
    }

    /// A list of strings; `default` where it is left out.
    pub(super) fn texts_or(&mut self, key: &'static str, default: &[&'a str]) -> Vec<Found<'a, &'a str>> {
        #[cfg(test)]
        self.note(key, |asked| asked.default = Some(format!("{default:?}")));
        let place = self.place(key);
        let listed = self.texts(key);
        listed.unwrap_or_else(|| default.iter().map(|it| Found { it: *it, place: place.clone() }).collect())
    }

    /// A list of strings that must be there and not be empty.
    pub(super) fn required_texts(&mut self, key: &'static str, example: &str) -> Vec<Found<'a, &'a str>> {
        self.demand(key, example);
        self.list(key, Some(example)).unwrap_or_default()
    }

    /// A list of strings; with an example of what it holds it must not be empty.
    fn list(&mut self, key: &'static str, example: Option<&str>) -> Option<Vec<Found<'a, &'a str>>> {
        #[cfg(test)]
        self.note(key, |asked| asked.shape = Shape::Texts { filled: example.is_some() });
        let Found { it, place } = self.take(key)?;
        let DeValue::Array(list) = it else {
            place.wrong(format!("is {}; write a list of strings", kind(it)));
            return None;
        };
        if let Some(example) = example.filter(|_| list.is_empty()) {
            place.wrong(format!("is empty; write for example {example}"));
        }
        Some(texts_of(list, &place))
    }

    /// A string or a list of strings.
    pub(super) fn one_or_many(&mut self, key: &'static str) -> Option<OneOrMany<'a>> {
        #[cfg(test)]
        self.note(key, |asked| asked.shape = Shape::OneOrMany);
        let Found { it, place } = self.take(key)?;
        match it {
            DeValue::Array(list) => {
                let list = texts_of(list, &place);
                Some(OneOrMany::Many(place, list))
            }
            it => text_of(it, place, QUOTED).map(OneOrMany::One),
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        #[cfg(test)]
        self.note(key, |asked| {
            asked.shape = Shape::Flag;
            asked.default = Some(default.to_string());
        });
        match self.take(key) {
            None => default,
            Some(Found { it: DeValue::Boolean(flag), .. }) => *flag,
            Some(Found { it, place }) => {
                place.wrong(format!("is {}; write true or false", kind(it)));
                default
            }
        }
    }

    /// A whole number.
    pub(super) fn number(&mut self, key: &'static str, default: usize, range: RangeInclusive<usize>) -> usize {
        #[cfg(test)]
        self.note(key, |asked| {
            asked.shape = Shape::Number(range.clone());
            asked.default = Some(default.to_string());
        });
        let Some(Found { it, place }) = self.take(key) else {
            return default;
        };
        let number = match it {
            DeValue::Integer(integer) => usize::from_str_radix(integer.as_str(), integer.radix()).ok(),
            _ => None,
        };
        number.filter(|number| range.contains(number)).unwrap_or_else(|| {
            place.wrong(format!("write a whole number from {} to {}", range.start(), range.end()));
            default
        })
    }

    /// A length of time such as `"30s"`.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let found = self.take_text(key, &format!("write {}", value::LENGTHS));
        #[cfg(test)]
        self.note(key, |asked| {
            asked.shape = Shape::Time(range.clone());
            asked.default = Some(format!("{:?}", value::spell(default)));
        });
        found.and_then(|found| found.parse(|text| value::duration(text, &range))).unwrap_or(default)
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy + PartialEq>(&mut self, key: &'static str, default: T, choices: &[(&str, T)]) -> T {
        #[cfg(test)]
        self.note(key, |asked| {
            let word = choices.iter().find(|(_, value)| *value == default);
            asked.default = word.map(|(word, _)| format!("{word:?}"));
        });
        self.one_of(key, choices).unwrap_or(default)
    }

    /// One of a few words, which must be there.
    pub(super) fn required_choice<T: Copy>(
        &mut self,
        key: &'static str,
        example: &str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        self.demand(key, example);
        self.one_of(key, choices)
    }

    /// One of a few words, if it is there.
    fn one_of<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let found = self.take_text(key, &format!("write one of {}", value::quoted(choices)));
        #[cfg(test)]
        self.note(key, |asked| asked.shape = Shape::Choice(words(choices)));
        found.and_then(|found| found.parse(|text| value::choice(text, choices)))
    }

    /// A list of a few words, which is not empty unless the default is.
    pub(super) fn choices<T: Copy + PartialEq>(
        &mut self,
        key: &'static str,
        default: &[T],
        choices: &[(&str, T)],
    ) -> Vec<Found<'a, T>> {
        let words = default.iter().filter_map(|it| choices.iter().find(|(_, value)| value == it));
        let words = format!("{:?}", words.map(|(word, _)| *word).collect::<Vec<_>>());
        #[cfg(test)]
        self.note(key, |asked| asked.default = Some(words.clone()));
        let listed = self.some_of(key, Some(&*words).filter(|_| !default.is_empty()), choices);
        let place = self.place(key);
        listed.unwrap_or_else(|| default.iter().map(|it| Found { it: *it, place: place.clone() }).collect())
    }

    /// A list of a few words, which must be there and not be empty.
    pub(super) fn required_choices<T: Copy>(
        &mut self,
        key: &'static str,
        example: &str,
        choices: &[(&str, T)],
    ) -> Vec<Found<'a, T>> {
        self.demand(key, example);
        self.some_of(key, Some(example), choices).unwrap_or_default()
    }

    fn some_of<T: Copy>(
        &mut self,
        key: &'static str,
        example: Option<&str>,
        choices: &[(&str, T)],
    ) -> Option<Vec<Found<'a, T>>> {
        let listed = self.list(key, example);
        #[cfg(test)]
        self.note(key, |asked| asked.shape = Shape::Choices(words(choices)));
        Some(
            listed?
                .into_iter()
                .filter_map(|found| {
                    let place = found.place.clone();
                    Some(Found { it: found.parse(|text| value::choice(text, choices))?, place })
                })
                .collect(),
        )
    }
}

#[cfg(test)]
fn words<T>(choices: &[(&str, T)]) -> Vec<String> {
    choices.iter().map(|(word, _)| (*word).to_owned()).collect()
}
