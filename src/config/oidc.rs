//! `[login.oidc]`: an OpenID provider whose people log in here, and how they are told from local users.

use secrecy::SecretString;

use super::{KeySource, Snapshot};
use crate::fhir::ResourceType;

/// Types that a `fhirUser` may have (SMART App Launch 2.2 scopes-and-launch-context, "fhirUser").
pub const USER_TYPES: [&str; 5] = ["Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Person"];

/// Stands between issuer and subject in a username: an issuer has no fragment, so that there is one way to read it.
const BETWEEN: char = '#';

/// Longest username, as long as a `sub` may be (OpenID Connect Core §2).
const MAX_USERNAME: usize = 255;

/// The OpenID provider.
#[derive(Clone)]
pub struct Oidc {
    /// Compared exactly.
    pub issuer: String,
    pub client_id: String,
    /// None for a public client.
    pub client_secret: Option<SecretString>,
    /// With `openid`.
    pub scopes: Vec<String>,
    /// What the button calls it; without, the person's organisation.
    pub label: Option<String>,
    pub fhir_user: Option<FhirUser>,
    /// The claim that lists whom a person may choose; without, it goes by the kind of person.
    pub patients: Option<String>,
    pub keys: KeySource,
}

/// How a person's own resource is found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FhirUser {
    /// In a claim of this name.
    Claim(String),
    /// By a search with exactly one hit, whose values have names of claims in braces.
    Search { of: ResourceType, parameters: Vec<(String, String)> },
}

impl Oidc {
    /// The username of the provider's `subject`: issuer and subject, the only two that together name one person for good
    /// (OpenID Connect Core §5.7).
    pub fn username(&self, subject: &str) -> Option<String> {
        Some(format!("{}{BETWEEN}{subject}", self.issuer)).filter(|username| self.has(username))
    }

    /// Whether `username` is one that [`Self::username`] makes.
    pub fn has(&self, username: &str) -> bool {
        let subject = username.strip_prefix(self.issuer.as_str()).and_then(|rest| rest.strip_prefix(BETWEEN));
        let is_plain = |subject: &str| subject.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        username.len() <= MAX_USERNAME && subject.is_some_and(|subject| !subject.is_empty() && is_plain(subject))
    }
}

impl Snapshot {
    /// Whether the person of this username still has an account: a local user who is enabled, or somebody of the provider that
    /// people log in at.
    pub fn has_user(&self, username: &str) -> bool {
        match self.users.get(username) {
            Some(user) => user.enabled,
            None => self.oidc.as_ref().is_some_and(|oidc| oidc.has(username)),
        }
    }

    /// Whether `username` is that of somebody of the provider.
    pub fn is_federated(&self, username: &str) -> bool {
        !self.users.contains_key(username) && self.has_user(username)
    }
}
