//! Scopes in plain words: one sentence each (SMART App Launch 2.2 best-practices, "Best practices for consent").

use super::texts::{Access, Texts, Verb, Whose};
use super::user_grant::Reach;
use crate::config::{Fhir, Tokens, User};
use crate::scope::{Constraint, Context, Letter, Letters, Scope, TypePattern};

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

/// One scope in one sentence.
pub(super) fn sentence(scope: &str, fhir: &Fhir, owner: Owner, t: &Texts) -> String {
    let fixed = match scope {
        "openid" => t.openid,
        "fhirUser" => t.fhir_user,
        "offline_access" => t.offline_access,
        "online_access" => t.online_access,
        "launch" => t.launch,
        "launch/encounter" => t.launch_encounter,
        "launch/patient" => t.launch_patient,
        _ => {
            return match Scope::parse(fhir.version, scope) {
                Ok(scope) => (t.access)(&access(&scope, fhir, owner)),
                Err(_) => (t.other_scope)(scope),
            };
        }
    };
    fixed.to_owned()
}

fn access<'a>(scope: &'a Scope, fhir: &Fhir, owner: Owner) -> Access<'a> {
    let whose = match (scope.types, scope.context) {
        (TypePattern::One(of), _) if fhir.shared_types.contains(of) => Whose::Nobody,
        (_, Context::Patient) if owner.patient_is_reader => Whose::Reader,
        (_, Context::Patient) => Whose::Patient,
        (_, Context::User) if owner.confined => Whose::Reader,
        (_, Context::User | Context::System) => Whose::AllPatients,
    };
    let of = match scope.types {
        TypePattern::Any => None,
        TypePattern::One(of) => Some(of.name()),
    };
    Access { verbs: verbs(scope.letters), whose, of, only: scope.constraint.as_ref().map(limits).unwrap_or_default() }
}

/// What a scope is limited to. Values are what apps wrote, so the languages put them in quotes that no value can hold.
fn limits(constraint: &Constraint) -> Vec<(&str, Vec<&str>)> {
    let conditions = constraint.conditions().iter();
    conditions
        .map(|condition| (&*condition.code, condition.values.iter().map(|value| short(value)).collect()))
        .collect()
}

/// A token without its system, where that leaves something.
fn short(value: &str) -> &str {
    match value.split_once('|') {
        Some((_, code)) if !code.is_empty() => code,
        Some((system, _)) => system,
        None => value,
    }
}

fn verbs(letters: Letters) -> Vec<Verb> {
    let see = match (letters.contains(Letter::Read), letters.contains(Letter::Search)) {
        (true, _) => Some(Verb::See),
        (false, true) => Some(Verb::SearchFor),
        (false, false) => None,
    };
    let rest = [(Letter::Create, Verb::Add), (Letter::Update, Verb::Change), (Letter::Delete, Verb::Delete)];
    see.into_iter()
        .chain(rest.into_iter().filter_map(|(letter, verb)| letters.contains(letter).then_some(verb)))
        .collect()
}

/// When access ends that nobody ends.
pub(super) fn end(reach: Reach, tokens: &Tokens, t: &Texts) -> String {
    let after = match reach {
        Reach::Once => tokens.access_lifetime,
        Reach::Online => tokens.session_lifetime,
        Reach::Offline => tokens.refresh_lifetime,
    };
    (t.ends)(reach, &t.duration(after))
}

#[cfg(test)]
#[path = "describe_tests.rs"]
mod tests;
