//! English.

use super::{Access, Gap, Notice, Texts, Verb, Whose, list, look_up};
use crate::auth::error::PageError;
use crate::auth::federation::Failed;
use crate::auth::user_grant::Reach;

pub(super) static TEXTS: Texts = Texts {
    tag: "en",

    error: "Error",
    log_in: "Log in",
    log_in_with: |provider| format!("Log in with {}", provider.unwrap_or("your organisation")),
    username: "User name",
    password: "Password",
    logged_in_as: |name| format!("Logged in as {name}"),
    go_on: "Continue",
    cancel: "Cancel",
    questions: "Questions?",
    app_on_this_device: |scheme| format!("an app on this device, {scheme}"),
    notice,
    visit: |id| format!("Visit {id}"),

    page_error,
    help_number: |number| format!("If you ask for help, give this number: {number}"),

    to_continue: Gap("to continue to", ""),
    password_is_private: |app| format!("{app} does not see your password."),
    you_decide: "You decide afterwards what it may do.",

    choose_patient: "Choose a patient",
    asks_for_patient: Gap("", "asks for the data of one patient."),
    name: "Name",
    birth_date: "Date of birth",
    identifier: "Identifier, for example the record number",
    search: "Search",
    no_patient_fits: "No patient fits.",
    no_record: "There is no record that you could choose.",
    try_again: "Try again",
    patients_found: "Patients found",
    patients: "Patients",
    born: |date| format!("born {date}"),
    gender: |code| code,
    record: |id| format!("record {id}"),

    choose_visit: "Choose a visit",
    asks_for_visit: Gap("", "asks which visit this is about."),
    no_visit: "There is no visit to choose.",
    latest_visits: "The latest visits",
    without_visit: "Continue without a visit",
    some_visit: "Visit",
    visit_status: |code| look_up(&VISIT_STATUS, code).unwrap_or(code),

    allow_access: "Allow access?",
    allow_app: |app| format!("Allow {app} access?"),
    unchecked_app: UNCHECKED_APP,
    whose_data: "Whose data",
    patient: |id| format!("Patient {id}"),
    app_may: |app| format!("{app} will be able to"),
    untick: "Untick what you do not want to allow.",
    ends,
    back_to: |place| format!("With either answer you go back to {place}."),
    allow: "Allow",
    deny: "Do not allow",

    openid: "Know your user name",
    fhir_user: "Know which record here is your own",
    offline_access: "Go on using this access while you are away",
    online_access: "Go on using this access for some time after you log in",
    launch: "Know from where it was opened, and which patient was shown there",
    launch_patient: "Know which patient was chosen",
    launch_encounter: "Know which visit was chosen",
    access,
    other_scope: |scope| format!("Use “{scope}”"),

    your_apps: "Your apps",
    log_in_to_manage: "Log in to see which apps have access through you, and to end it.",
    logged_out: "You are logged out.",
    access_ended: "The access was ended.",
    no_lasting_access: "No app has lasting access through you.",
    patient_record: |id| format!("Patient record {id}"),
    given_and_used: |given, used| format!("given on {given} · last used on {used}"),
    ends_on: |date| format!("It ends by itself on {date} unless the app uses it before."),
    end_access: "End this access",
    end_access_of: |app| format!("End this access: {app}"),
    short_access: |time| {
        format!("An app without lasting access keeps what you allowed for {time} at most; it is not listed here.")
    },
    log_out: "Log out",

    units: [("day", "days"), ("hour", "hours"), ("minute", "minutes")],
    and: "and",
    dates: ["%Y", "%B %Y", "%-d %B %Y", "%-d %B %Y, %H:%M"],
};

const UNCHECKED_APP: &str =
    "This app registered itself: its name is what it calls itself, and nobody here has checked who makes it.";

fn notice(notice: &Notice) -> &'static str {
    match notice {
        Notice::LoginFailed => {
            "The user name and password do not fit, or there were too many attempts. Check both and try again."
        }
        Notice::LoginBusy => "Many people are logging in right now. Wait a moment and try again.",
        Notice::Provider(Failed::Unavailable) => {
            "The login cannot be completed at the moment. Wait a little, then try again."
        }
        Notice::Provider(Failed::Refused | Failed::Page) => {
            "The login there did not succeed or was cancelled. You can try again."
        }
        Notice::Provider(Failed::Answer) => "The answer to the login could not be accepted. Try again.",
        Notice::Provider(Failed::Nobody) => {
            "You are logged in there, but your account belongs to no record here. Ask the people who run this service."
        }
        Notice::PatientsUnreachable => {
            "The patient records cannot be reached at the moment. Wait a little, then try again."
        }
        Notice::PatientNotChosen => "Choose one of the patients shown.",
        Notice::NothingToSearch => "Enter a name, a date of birth or an identifier.",
        Notice::BirthDate => "Write the date of birth as year-month-day, for example 1987-02-20.",
        Notice::VisitsUnreachable => {
            "The visits cannot be read at the moment. Wait a little and reload, or go on without one."
        }
        Notice::VisitNotChosen => "Choose one of the visits shown, or go on without one.",
    }
}

fn page_error(error: PageError) -> (&'static str, &'static str) {
    match error {
        PageError::Parameters => (
            "This link does not work",
            "The app sent you here with a request that is malformed or says something twice. Only the makers of the app can \
             repair this.",
        ),
        PageError::Client => (
            "This app is not known here",
            "The app that sent you here is not registered with this server, or its registration was ended. Nothing was \
             shared with it.",
        ),
        PageError::RedirectUri => (
            "This app cannot be trusted",
            "The app asked for your access to be sent to an address that is not registered for it. Nothing was shared. If \
             you make this app: `redirect_uri` must be exactly as registered.",
        ),
        PageError::Gone => (
            "This page is no longer valid",
            "It was already used, it waited for too long, or your browser does not accept cookies from this server. Go back \
             to the app and begin again.",
        ),
        PageError::Unavailable => {
            ("Not available at the moment", "The server cannot go on right now. Wait a little, then reload this page.")
        }
    }
}

fn ends(reach: Reach, after: &str) -> String {
    match reach {
        Reach::Once => format!("The access ends by itself after {after}."),
        Reach::Online => {
            format!("The access goes on without asking you again, and ends by itself {after} after you logged in.")
        }
        Reach::Offline => format!(
            "The access goes on while you are away, without asking you again. It ends by itself once the app has not used it \
             for {after}."
        ),
    }
}

/// "See and change the patient’s visits, but only those whose status is “finished”".
fn access(access: &Access<'_>) -> String {
    let verbs: Vec<&str> = access.verbs.iter().map(|verb| self::verb(*verb)).collect();
    let data = match (access.of, access.whose) {
        (None, Whose::Reader) => "all data in your record, also kinds of data added in future".to_owned(),
        (None, Whose::Patient) => "all data in the patient’s record, also kinds of data added in future".to_owned(),
        (None, _) => "all data of all patients that you have access to, also kinds of data added in future".to_owned(),
        (Some(of), Whose::Reader) => format!("your {}", kind(of)),
        (Some(of), Whose::Patient) => format!("the patient’s {}", kind(of)),
        (Some(of), Whose::AllPatients) => format!("the {} of all patients that you have access to", kind(of)),
        (Some(of), Whose::Nobody) => format!("{} (which are not about a single patient)", kind(of)),
    };
    let sentence = capitalized(&format!("{} {data}", list(&verbs, "and")));
    let only = access.only.iter().map(|(code, values)| {
        let values: Vec<String> = values.iter().map(|value| format!("“{value}”")).collect();
        format!("{} is {}", code.trim_start_matches('_').replace('-', " "), values.join(" or "))
    });
    match only.collect::<Vec<_>>().as_slice() {
        [] => sentence,
        only => format!("{sentence}, but only those whose {}", only.join(" and whose ")),
    }
}

fn verb(verb: Verb) -> &'static str {
    match verb {
        Verb::See => "see",
        Verb::SearchFor => "search for",
        Verb::Add => "add",
        Verb::Change => "change",
        Verb::Delete => "delete",
    }
}

fn kind(of: &str) -> String {
    look_up(&KINDS, of).map_or_else(|| format!("{} records", spaced(of)), str::to_owned)
}

/// `ChargeItem` as `charge item`.
fn spaced(camel: &str) -> String {
    let mut words = String::new();
    for c in camel.chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What a person calls the data of the types that apps ask for most; in the plural.
pub(super) const KINDS: [(&str, &str); 25] = [
    ("AllergyIntolerance", "allergies and intolerances"),
    ("Appointment", "appointments"),
    ("CarePlan", "care plans"),
    ("CareTeam", "care teams"),
    ("Communication", "messages"),
    ("Condition", "conditions and diagnoses"),
    ("Coverage", "insurance coverage"),
    ("Device", "medical devices"),
    ("DiagnosticReport", "test reports"),
    ("DocumentReference", "documents"),
    ("Encounter", "visits"),
    ("ExplanationOfBenefit", "insurance claims and payments"),
    ("FamilyMemberHistory", "family history"),
    ("Goal", "health goals"),
    ("Immunization", "vaccinations"),
    ("MedicationAdministration", "medication given by staff"),
    ("MedicationDispense", "medication handed out by pharmacies"),
    ("MedicationRequest", "prescriptions"),
    ("MedicationStatement", "medication taken"),
    ("Observation", "observations (lab results, vital signs and other measurements)"),
    ("Patient", "personal details (name, date of birth, address and the like)"),
    ("Procedure", "procedures and operations"),
    ("QuestionnaireResponse", "answers to questionnaires"),
    ("RelatedPerson", "family and other contacts"),
    ("ServiceRequest", "orders and referrals"),
];

/// Those of FHIR R4 to R5 that do not read as English.
const VISIT_STATUS: [(&str, &str); 4] = [
    ("in-progress", "in progress"),
    ("onleave", "on leave"),
    ("on-hold", "on hold"),
    ("entered-in-error", "entered in error"),
];
