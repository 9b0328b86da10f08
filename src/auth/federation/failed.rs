//! Why a login at the provider led to nobody.

/// Why nobody is logged in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::auth) enum Failed {
    /// The provider or the FHIR server cannot be asked.
    Unavailable,
    /// The provider sent an error.
    Refused,
    /// What came back is not what was asked for: another issuer, or no good id_token.
    Answer,
    /// The account belongs to nobody here.
    Nobody,
    /// The provider would have to show a page, which it was asked not to.
    Page,
}

impl Failed {
    const ALL: [Self; 5] = [Self::Unavailable, Self::Refused, Self::Answer, Self::Nobody, Self::Page];

    /// The name for the audit log and for the notice on the page.
    pub(in crate::auth) fn name(self) -> &'static str {
        match self {
            Self::Unavailable => "provider-unavailable",
            Self::Refused => "provider-refused",
            Self::Answer => "provider-answer",
            Self::Nobody => "provider-nobody",
            Self::Page => "provider-page",
        }
    }

    /// What a person reads; nothing where nothing went wrong for them.
    pub(super) fn words(self) -> Option<&'static str> {
        match self {
            Self::Unavailable => Some("The login cannot be completed at the moment. Wait a little, then try again."),
            Self::Refused => Some("The login there did not succeed or was cancelled. You can try again."),
            Self::Answer => Some("The answer to the login could not be accepted. Try again."),
            Self::Nobody => Some(
                "You are logged in there, but your account belongs to no record here. Ask the people who run this service.",
            ),
            Self::Page => None,
        }
    }

    /// What the notice of this name says.
    pub(in crate::auth) fn notice(name: &str) -> Option<&'static str> {
        Self::ALL.into_iter().find(|failed| failed.name() == name).and_then(Self::words)
    }
}
