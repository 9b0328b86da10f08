//! Scopes in plain words: one sentence each (SMART App Launch 2.2 best-practices, "Best practices for consent").

use std::fmt::Write as _;
use std::time::Duration;

use super::user_grant::Reach;
use crate::config::{Fhir, Tokens, User};
use crate::fhir::ResourceType;
use crate::scope::{Condition, Constraint, Context, Letter, Letters, Scope, TypePattern};

/// Whose data a sentence speaks of, seen from the person who reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Owner {
    /// The chosen patient is the reader.
    patient_is_reader: bool,
    /// `user/` reaches no further than the reader's own record.
    confined: bool,
}

impl Owner {
    pub(super) fn of(user: &User, patient: Option<&str>) -> Self {
        let own = user.fhir_user.as_deref().and_then(|reference| reference.strip_prefix("Patient/"));
        Self { patient_is_reader: own.is_some() && own == patient, confined: own.is_some() }
    }
}

/// What a person calls the data of the types that apps ask for most.
const NAMES: [(&str, &str); 25] = [
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

/// One scope in one sentence.
pub(super) fn sentence(scope: &str, fhir: &Fhir, owner: Owner) -> String {
    match scope {
        "openid" => return "Know your user name".to_owned(),
        "fhirUser" => return "Know which record here is your own".to_owned(),
        "offline_access" => return "Go on using this access while you are away".to_owned(),
        "online_access" => return "Go on using this access for some time after you log in".to_owned(),
        "launch" => return "Know from where it was opened, and which patient was shown there".to_owned(),
        "launch/encounter" => return "Know which visit was chosen".to_owned(),
        "launch/patient" => return "Know which patient was chosen".to_owned(),
        _ => {}
    }
    match Scope::parse(fhir.version, scope) {
        Ok(scope) => {
            let sentence = on_resources(&scope, fhir, owner);
            scope.constraint.as_ref().map_or_else(|| sentence.clone(), |only| format!("{sentence}, {}", limits(only)))
        }
        Err(_) => format!("Use “{scope}”"),
    }
}

fn on_resources(scope: &Scope, fhir: &Fhir, owner: Owner) -> String {
    let verbs = verbs(scope.letters);
    let reader = match scope.context {
        Context::Patient => owner.patient_is_reader,
        Context::User => owner.confined,
        Context::System => false,
    };
    match (scope.types, scope.context) {
        (TypePattern::Any, _) if reader => {
            format!("{verbs} all data in your record, also kinds of data added in future")
        }
        (TypePattern::Any, Context::Patient) => {
            format!("{verbs} all data in the patient’s record, also kinds of data added in future")
        }
        (TypePattern::Any, _) => {
            format!("{verbs} all data of all patients that you have access to, also kinds of data added in future")
        }
        (TypePattern::One(of), _) if fhir.shared_types.contains(of) => {
            format!("{verbs} {} (which are not about a single patient)", name(of))
        }
        (TypePattern::One(of), _) if reader => format!("{verbs} your {}", name(of)),
        (TypePattern::One(of), Context::Patient) => format!("{verbs} the patient’s {}", name(of)),
        (TypePattern::One(of), _) => format!("{verbs} the {} of all patients that you have access to", name(of)),
    }
}

/// A constraint as the end of a sentence. Values are what apps wrote, so they stand in quotes that no value can hold.
fn limits(constraint: &Constraint) -> String {
    let each = constraint.conditions().iter().map(|Condition { code, values }| {
        let values: Vec<String> = values.iter().map(|value| format!("“{}”", short(value))).collect();
        format!("{} is {}", code.trim_start_matches('_').replace('-', " "), values.join(" or "))
    });
    format!("but only those whose {}", each.collect::<Vec<_>>().join(" and whose "))
}

/// A token without its system, where that leaves something.
fn short(value: &str) -> &str {
    match value.split_once('|') {
        Some((_, code)) if !code.is_empty() => code,
        Some((system, _)) => system,
        None => value,
    }
}

fn verbs(letters: Letters) -> String {
    let see = match (letters.contains(Letter::Read), letters.contains(Letter::Search)) {
        (true, _) => Some("see"),
        (false, true) => Some("search for"),
        (false, false) => None,
    };
    let rest = [(Letter::Create, "add"), (Letter::Update, "change"), (Letter::Delete, "delete")];
    let rest = rest.into_iter().filter(|(letter, _)| letters.contains(*letter)).map(|(_, verb)| verb);
    let verbs: Vec<&str> = see.into_iter().chain(rest).collect();
    let joined = match verbs.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => verbs.concat(),
    };
    let mut letters = joined.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn name(of: ResourceType) -> String {
    let known = NAMES.iter().find(|(known, _)| *known == of.name()).map(|(_, name)| (*name).to_owned());
    known.unwrap_or_else(|| format!("{}records", spaced(of.name())))
}

/// `ChargeItem` as `charge item `.
fn spaced(camel: &str) -> String {
    let mut words = String::new();
    for c in camel.chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words.push(' ');
    words
}

/// When access ends that nobody ends.
pub(super) fn end(reach: Reach, tokens: &Tokens) -> String {
    match reach {
        Reach::Once => format!("The access ends by itself after {}.", duration(tokens.access_lifetime)),
        Reach::Online => format!(
            "The access goes on without asking you again, and ends by itself {} after you logged in.",
            duration(tokens.session_lifetime)
        ),
        Reach::Offline => format!(
            "The access goes on while you are away, without asking you again. It ends by itself once the app has not used it \
             for {}.",
            duration(tokens.refresh_lifetime)
        ),
    }
}

/// A lifetime as people say it.
pub(super) fn duration(lifetime: Duration) -> String {
    let minutes = lifetime.as_secs().div_ceil(60);
    let mut text = String::new();
    for (count, unit) in [(minutes / 1440, "day"), (minutes % 1440 / 60, "hour"), (minutes % 60, "minute")] {
        if count > 0 {
            let and = if text.is_empty() { "" } else { " and " };
            let plural = if count == 1 { "" } else { "s" };
            // Writing to a String cannot fail.
            let _ = write!(text, "{and}{count} {unit}{plural}");
        }
    }
    text
}

#[cfg(test)]
#[path = "describe_tests.rs"]
mod tests;
