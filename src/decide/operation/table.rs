//! The operations that pass without an operator's row, and at which level.

use super::call::Answers;
use crate::config::{OperationAnswer, PatientInput, Snapshot};
use crate::fhir::ResourceType;
use crate::fhir::interaction::{Interaction, Level};

/// What a built-in operation is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Builtin {
    Everything,
    Docref,
    Lastn,
    Summary,
    Terminology(Answers),
    Validate,
}

impl Builtin {
    /// Whether its input is simple values only, so that a POST of it is the GET with the same parameters.
    fn takes_pairs(self) -> bool {
        matches!(self, Self::Everything | Self::Docref | Self::Lastn | Self::Summary)
    }
}

/// The levels of one row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Type,
    Instance,
    Both,
}

const EVERY_TYPE: &str = "*";

/// Name, type, level, and what it is. Each is from FHIR R4 itself but `$docref` (US Core) and `$summary` (International
/// Patient Summary).
const TABLE: &[(&str, &str, At, Builtin)] = &[
    ("everything", "Patient", At::Instance, Builtin::Everything),
    ("summary", "Patient", At::Instance, Builtin::Summary),
    ("docref", "DocumentReference", At::Type, Builtin::Docref),
    ("lastn", "Observation", At::Type, Builtin::Lastn),
    ("expand", "ValueSet", At::Both, Builtin::Terminology(Answers::ValueSet)),
    ("validate-code", "ValueSet", At::Both, Builtin::Terminology(Answers::Parameters)),
    ("validate-code", "CodeSystem", At::Both, Builtin::Terminology(Answers::Parameters)),
    ("lookup", "CodeSystem", At::Both, Builtin::Terminology(Answers::Parameters)),
    ("translate", "ConceptMap", At::Both, Builtin::Terminology(Answers::Parameters)),
    ("validate", EVERY_TYPE, At::Both, Builtin::Validate),
];

/// The built-in operation of this name at this level.
pub(super) fn listed(level: &Level, name: &str) -> Option<Builtin> {
    let (of, instance) = match level {
        Level::System => return None,
        Level::Type(of) => (*of, false),
        Level::Instance(of, _) => (*of, true),
    };
    let fits = |at: At| at == At::Both || (at == At::Instance) == instance;
    let found =
        TABLE.iter().find(|(named, on, at, _)| *named == name && (*on == EVERY_TYPE || *on == of.name()) && fits(*at));
    // A Bundle holds whatever it likes (attacks.md 171).
    found
        .map(|(_, _, _, builtin)| *builtin)
        .filter(|builtin| *builtin != Builtin::Validate || of != ResourceType::BUNDLE)
}

/// Whether the body of a POST is read into the request's parameters before it is decided.
pub fn takes_pairs(snapshot: &Snapshot, interaction: &Interaction) -> bool {
    let Interaction::Operation { level, name } = interaction else {
        return false;
    };
    match listed(level, name) {
        _ if super::export::is_kick_off(level, name) => true,
        Some(builtin) => builtin.takes_pairs(),
        None => super::row::of(snapshot, level, name).is_some_and(|row| {
            let bundle = row.answer == OperationAnswer::Bundle;
            row.post && (bundle || matches!(row.patient, Some(PatientInput::Parameter(_))))
        }),
    }
}
