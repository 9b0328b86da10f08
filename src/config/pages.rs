//! `[pages]`: what the pages for people look like, and the languages that they speak.

use bytes::Bytes;

/// A language of the pages. Its texts are in `auth::texts`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    English,
    German,
}

impl Language {
    /// Every language there is, by the tag that configuration, apps and browsers call it (BCP 47).
    pub const ALL: [(&'static str, Self); 2] = [("en", Self::English), ("de", Self::German)];

    /// Its tag.
    pub fn tag(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, language)| *language == self).map_or("en", |(tag, _)| tag)
    }
}

/// `[pages]`.
#[derive(Clone, Debug)]
pub struct Pages {
    /// What this site is called.
    pub name: Option<String>,
    /// There is a name where there is a logo.
    pub logo: Option<Logo>,
    /// Whether the logo shows the name, so that it need not be written beside.
    pub name_in_logo: bool,
    /// Whom to ask for help.
    pub support: Option<String>,
    pub links: Vec<Link>,
    /// At least one; the first where nothing else is asked for.
    pub languages: Vec<Language>,
    /// The stylesheet of every page.
    pub style: String,
    /// The source expression for it in a content security policy (CSP3 §2.3.1).
    pub style_source: String,
}

impl Pages {
    /// The language that is spoken where nothing else is asked for.
    pub fn fallback(&self) -> Language {
        self.languages.first().copied().unwrap_or(Language::English)
    }
}

/// A picture that was read with the configuration.
#[derive(Clone, Debug)]
pub struct Logo {
    pub bytes: Bytes,
    pub media_type: &'static str,
    /// An entity tag for these bytes, with its quotes.
    pub tag: String,
}

/// A link at the foot of every page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    pub text: String,
    pub url: String,
}
