//! What the pages say to people, in each language.
//!
//! A language is one file with one [`Texts`]; what is missing in it does not compile. It gets a name in
//! [`Language`](crate::config::Language) and a line in [`of`]. Texts for apps and their makers are in `error` and are English.

mod de;
mod en;

use std::time::Duration;

use jiff::civil::{Date, DateTime};

use super::error::PageError;
use super::federation::Failed;
use super::user_grant::Reach;
use crate::config::Language;

/// The texts of one language.
pub(super) fn of(language: Language) -> &'static Texts {
    match language {
        Language::English => &en::TEXTS,
        Language::German => &de::TEXTS,
    }
}

/// Something that is said between what the reader did and what comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Notice {
    /// One text for every failure: it does not tell which of the two was wrong, nor whether the name is being held back.
    LoginFailed,
    LoginBusy,
    Provider(Failed),
    PatientsUnreachable,
    PatientNotChosen,
    NothingToSearch,
    BirthDate,
    VisitsUnreachable,
    VisitNotChosen,
}

/// What an app may do with data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verb {
    See,
    SearchFor,
    Add,
    Change,
    Delete,
}

/// Whose data a scope speaks of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Whose {
    Reader,
    Patient,
    /// All patients that the reader has access to.
    AllPatients,
    /// Data that are not about a single patient.
    Nobody,
}

/// A scope on data as it is put into a sentence.
#[derive(Debug)]
pub(super) struct Access<'a> {
    /// At least one.
    pub(super) verbs: Vec<Verb>,
    pub(super) whose: Whose,
    /// The name of a FHIR resource type; none for all data.
    pub(super) of: Option<&'a str>,
    /// Names of search parameters and the values that they are limited to.
    pub(super) only: Vec<(&'a str, Vec<&'a str>)>,
}

/// What is said before and after a name that stands out.
#[derive(Clone, Copy)]
pub(super) struct Gap(pub(super) &'static str, pub(super) &'static str);

/// Everything that the pages say. Functions put in what is between their brackets.
pub(super) struct Texts {
    /// BCP 47.
    pub(super) tag: &'static str,

    // What several pages say.
    pub(super) error: &'static str,
    pub(super) log_in: &'static str,
    pub(super) log_in_with: fn(provider: Option<&str>) -> String,
    pub(super) username: &'static str,
    pub(super) password: &'static str,
    pub(super) logged_in_as: fn(name: &str) -> String,
    pub(super) go_on: &'static str,
    pub(super) cancel: &'static str,
    pub(super) questions: &'static str,
    pub(super) app_on_this_device: fn(scheme: &str) -> String,
    pub(super) notice: fn(&Notice) -> &'static str,
    pub(super) visit: fn(id: &str) -> String,

    // The error page.
    pub(super) page_error: fn(PageError) -> (&'static str, &'static str),
    pub(super) help_number: fn(number: &str) -> String,

    // The login page.
    pub(super) to_continue: Gap,
    pub(super) password_is_private: fn(app: &str) -> String,
    pub(super) you_decide: &'static str,

    // The patient page.
    pub(super) choose_patient: &'static str,
    pub(super) asks_for_patient: Gap,
    pub(super) name: &'static str,
    pub(super) birth_date: &'static str,
    pub(super) identifier: &'static str,
    pub(super) search: &'static str,
    pub(super) no_patient_fits: &'static str,
    pub(super) no_record: &'static str,
    pub(super) try_again: &'static str,
    pub(super) patients_found: &'static str,
    pub(super) patients: &'static str,
    pub(super) born: fn(date: &str) -> String,
    /// A code of `Patient.gender` in words; as it is where it is unknown.
    pub(super) gender: fn(code: &str) -> &str,
    pub(super) record: fn(id: &str) -> String,

    // The encounter page.
    pub(super) choose_visit: &'static str,
    pub(super) asks_for_visit: Gap,
    pub(super) no_visit: &'static str,
    pub(super) latest_visits: &'static str,
    pub(super) without_visit: &'static str,
    pub(super) some_visit: &'static str,
    /// A code of `Encounter.status` in words; as it is where it is unknown.
    pub(super) visit_status: fn(code: &str) -> &str,

    // The consent page.
    pub(super) allow_access: &'static str,
    pub(super) allow_app: fn(app: &str) -> String,
    /// That nobody of this site has looked at the app.
    pub(super) unchecked_app: &'static str,
    pub(super) whose_data: &'static str,
    pub(super) patient: fn(id: &str) -> String,
    pub(super) app_may: fn(app: &str) -> String,
    pub(super) untick: &'static str,
    /// When access ends that nobody ends; after so long.
    pub(super) ends: fn(Reach, after: &str) -> String,
    pub(super) back_to: fn(place: &str) -> String,
    pub(super) allow: &'static str,
    pub(super) deny: &'static str,

    // Scopes, each as something that an app can do.
    pub(super) openid: &'static str,
    pub(super) fhir_user: &'static str,
    pub(super) offline_access: &'static str,
    pub(super) online_access: &'static str,
    pub(super) launch: &'static str,
    pub(super) launch_patient: &'static str,
    pub(super) launch_encounter: &'static str,
    pub(super) access: fn(&Access<'_>) -> String,
    pub(super) other_scope: fn(scope: &str) -> String,

    // The page of a person's apps.
    pub(super) your_apps: &'static str,
    pub(super) log_in_to_manage: &'static str,
    pub(super) logged_out: &'static str,
    pub(super) access_ended: &'static str,
    pub(super) no_lasting_access: &'static str,
    pub(super) patient_record: fn(id: &str) -> String,
    pub(super) given_and_used: fn(given: &str, used: &str) -> String,
    pub(super) ends_on: fn(date: &str) -> String,
    pub(super) end_access: &'static str,
    /// Begins with `end_access`.
    pub(super) end_access_of: fn(app: &str) -> String,
    pub(super) short_access: fn(time: &str) -> String,
    pub(super) log_out: &'static str,

    /// One and several days, hours, minutes, as in "for 2 days".
    pub(super) units: [(&'static str, &'static str); 3],
    pub(super) and: &'static str,
    /// A year, a month, a day, a day with its time; as `strftime`.
    pub(super) dates: [&'static str; 4],
}

impl Texts {
    /// A lifetime as people say it, in whole minutes.
    pub(super) fn duration(&self, lifetime: Duration) -> String {
        let minutes = lifetime.as_secs().div_ceil(60);
        let counts = [minutes / 1440, minutes % 1440 / 60, minutes % 60];
        let parts = counts.into_iter().zip(self.units).filter(|(count, _)| *count > 0);
        let parts = parts.map(|(count, (one, several))| format!("{count} {}", if count == 1 { one } else { several }));
        parts.collect::<Vec<_>>().join(&format!(" {} ", self.and))
    }

    /// A day.
    pub(super) fn day(&self, date: Date) -> String {
        let [_, _, day, _] = self.dates;
        date.strftime(day).to_string()
    }

    /// A `date` or `dateTime` of FHIR with as much as it says, to the minute, in the time zone in which it was written
    /// (FHIR R4 datatypes.html#dateTime); as it is where it is neither.
    pub(super) fn date(&self, written: &str) -> String {
        let [year, month, _, time] = self.dates;
        let first = |rest: &str| format!("{written}{rest}").parse::<Date>();
        let shown = match written.len() {
            4 => first("-01-01").map(|date| date.strftime(year).to_string()),
            7 => first("-01").map(|date| date.strftime(month).to_string()),
            10 => first("").map(|date| self.day(date)),
            _ => written.get(..16).unwrap_or_default().parse::<DateTime>().map(|at| at.strftime(time).to_string()),
        };
        shown.unwrap_or_else(|_| written.to_owned())
    }
}

/// `a`, `a and b`, `a, b and c`.
fn list(words: &[&str], and: &str) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} {and} {last}", first.join(", ")),
        _ => words.concat(),
    }
}

/// The entry of a table; none where it has none.
fn look_up(table: &[(&str, &'static str)], key: &str) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == key).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests;
