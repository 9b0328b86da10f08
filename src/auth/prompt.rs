//! How an app wants the person to be asked: `prompt` and `max_age` (OpenID Connect Core §3.1.2.1).

use serde::{Deserialize, Serialize};

use super::error::AuthorizeError;
use super::form::Form;
use crate::ambient::UnixSeconds;

/// The values of `prompt`, for the discovery document.
pub(super) const VALUES: &[&str] = &["none", "login", "consent", "select_account"];

/// What an authorization request says of it.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Prompt {
    /// `none`: no page may be shown.
    pub(super) none: bool,
    /// `login`: the person logs in, whoever vouches for them.
    login: bool,
    /// `select_account`: the person says who they are.
    select_account: bool,
    /// `consent`: the person is asked, also where consent is granted by configuration.
    pub(super) consent: bool,
    /// Seconds since the login at most.
    max_age: Option<UnixSeconds>,
}

impl Prompt {
    pub(super) fn read(form: &Form) -> Result<Self, AuthorizeError> {
        let mut prompt = Self::default();
        for value in form.get("prompt").unwrap_or_default().split(' ').filter(|value| !value.is_empty()) {
            match value {
                "none" => prompt.none = true,
                "login" => prompt.login = true,
                "consent" => prompt.consent = true,
                "select_account" => prompt.select_account = true,
                _ => return Err(AuthorizeError::Prompt),
            }
        }
        if prompt.none && (prompt.login || prompt.consent || prompt.select_account) {
            return Err(AuthorizeError::PromptWithNone);
        }
        if let Some(text) = form.get("max_age") {
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            prompt.max_age = Some(text.parse().ok().filter(|_| is_number).ok_or(AuthorizeError::MaxAge)?);
        }
        Ok(prompt)
    }

    /// Whether it is enough that an EHR vouches for the person; it does not say when they logged in.
    pub(super) fn trusts_the_ehr(self) -> bool {
        self.takes_sessions() && self.max_age.is_none()
    }

    /// Whether somebody who is logged in at the provider already need not log in again.
    pub(super) fn takes_sessions(self) -> bool {
        !self.login && !self.select_account
    }

    /// Seconds since the login at most, of all that was asked.
    fn within(self) -> Option<UnixSeconds> {
        if self.login { Some(0) } else { self.max_age }
    }

    /// The parameters of the request to the provider; `silent` where it may show no page.
    pub(super) fn at_provider(self, silent: bool) -> impl Iterator<Item = (&'static str, String)> {
        let values = [(silent, "none"), (self.login, "login"), (self.select_account, "select_account")];
        let values: Vec<&str> = values.into_iter().filter(|(wanted, _)| *wanted).map(|(_, value)| value).collect();
        let prompt = Some(values.join(" ")).filter(|values| !values.is_empty());
        // With `max_age` a provider says when the login was, so that one that overlooks `prompt=login` is found out.
        let max_age = self.within().map(|seconds| seconds.to_string());
        prompt.map(|values| ("prompt", values)).into_iter().chain(max_age.map(|seconds| ("max_age", seconds)))
    }

    /// Whether a login at the provider at `auth_time` will do for a request that began at `begun`. With `max_age` the provider
    /// must say when it was (OpenID Connect Core §2); `skew` is how far the clocks may be apart.
    pub(super) fn is_met_by(self, auth_time: Option<UnixSeconds>, begun: UnixSeconds, skew: UnixSeconds) -> bool {
        match (self.within(), auth_time) {
            (None, _) => true,
            (Some(within), Some(at)) => at >= begun.saturating_sub(within).saturating_sub(skew),
            (Some(_), None) => self.max_age.is_none(),
        }
    }
}

#[cfg(test)]
#[path = "prompt_tests.rs"]
mod tests;
