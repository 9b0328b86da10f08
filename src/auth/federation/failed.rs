//! Why a login at the provider led to nobody.

use crate::auth::texts::Notice;

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

    /// The notice of this name; none where nothing went wrong for the person.
    pub(in crate::auth) fn notice(name: &str) -> Option<Notice> {
        let failed = Self::ALL.into_iter().find(|failed| failed.name() == name);
        failed.filter(|failed| *failed != Self::Page).map(Notice::Provider)
    }
}
