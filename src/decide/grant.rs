//! What a verified token may do: its scopes, cut to what the client or the issuer may be granted, and to whose rights they are
//! (enforcement.md §3, "Whose rights").

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};
use smol_str::SmolStr;

use super::rule::{Refusal, Rule};
use crate::config::{Issuer, Snapshot};
use crate::fhir::reference::Literal;
use crate::fhir::{ResourceType, TypeSet};
use crate::scope::{Constraint, Context, Filter, Letter, Scope, Scopes};
use crate::token::Claims;

/// Patients that one search can ask the upstream for; of a token that reaches more a search names some.
pub const MAX_PATIENTS: usize = 20;

pub(super) const CLIENT_DISABLED: Rule =
    Rule::unauthorized("client-disabled", "the client that this token was given to is not registered any more");

pub(super) const USER_DISABLED: Rule =
    Rule::unauthorized("user-disabled", "the user of this token has no account any more");

pub(super) const RULES: &[&Rule] = &[&CLIENT_DISABLED, &USER_DISABLED];

/// Ids of patients; of the one or few of an ordinary token nothing is on the heap.
pub type PatientIds<'s> = SmallVec<[&'s str; 4]>;

/// Likewise, in a grant: what a decision looks at is in one piece of memory, so that ten thousand tokens in turn cost few cache misses.
type Patients = SmallVec<[SmolStr; 1]>;

/// Types by letter, in the order of [`Letter::ALL`].
type Matrix = [TypeSet; 5];

/// Scopes that speak of some patients only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restricted {
    /// Never empty.
    patients: Patients,
    types: Matrix,
}

/// A scope with a granular constraint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Constrained {
    /// Whose data; none for whosever it is.
    pub patients: Option<Vec<String>>,
    /// The scope as the token has it.
    pub text: String,
    /// Types on which the constraint cannot be evaluated are in neither of the two.
    types: Matrix,
    filters: HashMap<ResourceType, Filter>,
}

/// A token's rights under one configuration, compiled so that a decision only looks up bits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    pub claims: Claims,
    /// The snapshot it was compiled for; under another it must be compiled again.
    pub generation: u64,
    unrestricted: Matrix,
    /// What `system/` scopes alone cover.
    system: Matrix,
    restricted: SmallVec<[Restricted; 1]>,
    /// Without what a permit without constraint covers anyway.
    constrained: Vec<Constrained>,
    /// The user's own resource, readable with `openid fhirUser`.
    identity: Option<(ResourceType, String)>,
    /// Why scopes of the token grant nothing; for the log and for `explain`.
    pub ignored: Vec<String>,
}

impl Grant {
    /// Compiles the rights of `claims` under `snapshot`.
    ///
    /// # Errors
    /// The client or the user of a token of the gate's own is gone or disabled.
    pub fn of(claims: Claims, snapshot: &Snapshot) -> Result<Self, Refusal> {
        let ceiling = ceiling(&claims, snapshot)?;
        Ok(Self::within(claims, snapshot, ceiling.scopes()))
    }

    /// Compiles the rights that `claims` would have if nothing bounded their scopes; for `explain`.
    pub fn unbounded(claims: Claims, snapshot: &Snapshot) -> Self {
        let scopes = Scopes::parse(snapshot.fhir.version, claims.scope.iter().map(String::as_str));
        Self::within(claims, snapshot, &scopes)
    }

    fn within(claims: Claims, snapshot: &Snapshot, ceiling: &Scopes) -> Self {
        let version = snapshot.fhir.version;
        let asked = Scopes::parse(version, claims.scope.iter().map(String::as_str));
        let mut compiler = Compiler {
            version,
            user: user_reach(&claims, snapshot),
            patient: claims.patient.clone(),
            own_service: claims.own && claims.client.as_deref() == Some(claims.subject.as_str()),
            own: claims.own,
            unrestricted: [TypeSet::EMPTY; 5],
            system: [TypeSet::EMPTY; 5],
            restricted: SmallVec::new(),
            constrained: Vec::new(),
            ignored: asked.rejected.iter().map(|(text, error)| format!("`{text}`: {error}")).collect(),
        };
        for scope in &asked.fhir {
            compiler.add_within(scope, ceiling);
        }
        compiler.absorb();
        let identity = identity(&claims, snapshot, &asked, ceiling);
        Self {
            generation: snapshot.generation,
            unrestricted: compiler.unrestricted,
            system: compiler.system,
            restricted: compiler.restricted,
            constrained: compiler.constrained,
            identity,
            ignored: compiler.ignored,
            claims,
        }
    }

    /// The same token as if its scopes covered everything; for report mode.
    pub(super) fn as_everything(&self, snapshot: &Snapshot) -> Self {
        Self {
            claims: self.claims.clone(),
            generation: self.generation,
            unrestricted: [*snapshot.fhir.tables.types(); 5],
            restricted: SmallVec::new(),
            constrained: Vec::new(),
            identity: None,
            system: [TypeSet::EMPTY; 5],
            ignored: Vec::new(),
        }
    }

    /// Whether some permit covers the type with no patient context.
    pub fn unrestricted(&self, of: ResourceType, letter: Letter) -> bool {
        self.unrestricted_types(letter).contains(of)
    }

    /// Types that some permit covers with no patient context.
    pub fn unrestricted_types(&self, letter: Letter) -> TypeSet {
        types(&self.unrestricted, letter)
    }

    /// Types that a `system/` scope covers whole.
    pub fn system_types(&self, letter: Letter) -> TypeSet {
        types(&self.system, letter)
    }

    /// Permits with a patient context that cover the type.
    pub fn restricted(&self, of: ResourceType, letter: Letter) -> impl Iterator<Item = &Restricted> {
        self.restricted.iter().filter(move |permit| types(&permit.types, letter).contains(of))
    }

    /// The patients whose data of this type the token may reach; empty without a permit.
    pub fn patients(&self, of: ResourceType, letter: Letter) -> PatientIds<'_> {
        let mut patients: PatientIds<'_> =
            self.restricted(of, letter).flat_map(|permit| permit.patients.iter().map(SmolStr::as_str)).collect();
        patients.sort_unstable();
        patients.dedup();
        patients
    }

    /// Permits with a constraint that cover the type, and what it demands there.
    pub fn constrained(&self, of: ResourceType, letter: Letter) -> impl Iterator<Item = (&Constrained, &Filter)> {
        let covering = self.constrained.iter().filter(move |permit| types(&permit.types, letter).contains(of));
        covering.filter_map(move |permit| Some((permit, permit.filters.get(&of)?)))
    }

    /// The scopes with a constraint that grant something, as the token has them.
    pub fn constraints(&self) -> impl Iterator<Item = &str> {
        self.constrained.iter().map(|permit| permit.text.as_str())
    }

    /// The patients of each permit with a patient context that covers the type. A write is within one of these sets.
    pub fn patient_sets(&self, of: ResourceType, letter: Letter) -> Vec<Vec<String>> {
        // A permit that demanded more than a patient and a type would not come by here unnoticed.
        let patients =
            |Restricted { patients, types: _ }: &Restricted| patients.iter().map(SmolStr::to_string).collect();
        self.restricted(of, letter).map(patients).collect()
    }

    /// Whether any permit covers the type at all.
    pub fn covers(&self, of: ResourceType, letter: Letter) -> bool {
        self.unrestricted(of, letter)
            || self.restricted(of, letter).next().is_some()
            || self.constrained(of, letter).next().is_some()
    }

    /// Whether this is the user's own resource, granted by `openid fhirUser`.
    pub fn is_identity(&self, of: ResourceType, id: &str) -> bool {
        self.identity.as_ref().is_some_and(|(own, own_id)| *own == of && own_id == id)
    }

    /// Whether no permit has a patient context or a constraint: nothing this token gets needs to be verified.
    pub fn is_unrestricted(&self) -> bool {
        self.restricted.is_empty() && self.constrained.is_empty()
    }

    /// The scope that would allow `letter` on `of`, in the context this token has.
    pub fn needed(&self, of: Option<ResourceType>, letter: Letter) -> String {
        let context = if self.claims.patient.is_some() {
            "patient"
        } else if self.is_service() {
            "system"
        } else {
            "user"
        };
        format!("{context}/{}.{}", of.map_or("*", ResourceType::name), letter.as_char())
    }

    /// Whether it is a program's, without a person. Other issuers name a program's subject as they like; a person has a `fhirUser`.
    fn is_service(&self) -> bool {
        let Claims { own, client, subject, fhir_user, .. } = &self.claims;
        if *own { client.as_deref() == Some(subject.as_str()) } else { fhir_user.is_none() }
    }
}

fn types(matrix: &Matrix, letter: Letter) -> TypeSet {
    Letter::ALL.iter().zip(matrix).find(|(known, _)| **known == letter).map_or(TypeSet::EMPTY, |(_, types)| *types)
}

/// What bounds a token's scopes from above.
enum Ceiling {
    Client(Arc<crate::config::Client>),
    Issuer(Arc<Issuer>),
    Nothing,
}

impl Ceiling {
    fn scopes(&self) -> &Scopes {
        static NONE: Scopes = Scopes { fhir: Vec::new(), other: Vec::new(), rejected: Vec::new() };
        match self {
            Self::Client(client) => &client.scopes,
            Self::Issuer(issuer) => &issuer.scopes,
            Self::Nothing => &NONE,
        }
    }
}

fn ceiling(claims: &Claims, snapshot: &Snapshot) -> Result<Ceiling, Refusal> {
    if !claims.own {
        return Ok(snapshot
            .issuers
            .get(&*claims.issuer)
            .map_or(Ceiling::Nothing, |issuer| Ceiling::Issuer(issuer.clone())));
    }
    let id = claims.client.as_deref().unwrap_or_default();
    let client = snapshot.clients.get(id).filter(|client| client.enabled).ok_or_else(|| CLIENT_DISABLED.refuse())?;
    if claims.subject != client.id && !snapshot.has_user(&claims.subject) {
        return Err(USER_DISABLED.refuse());
    }
    Ok(Ceiling::Client(client))
}

/// How far `user/` reaches for this user.
enum UserReach {
    /// No usable `fhirUser`, no rights.
    Nobody,
    Patients(Patients),
    /// Clinicians: what they may see is the upstream's to say.
    Everything,
}

fn user_reach(claims: &Claims, snapshot: &Snapshot) -> UserReach {
    let Some((of, id)) = fhir_user(claims, snapshot) else {
        return UserReach::Nobody;
    };
    match of {
        ResourceType::PATIENT => UserReach::Patients(smallvec![id.into()]),
        ResourceType::PRACTITIONER | ResourceType::PRACTITIONER_ROLE => UserReach::Everything,
        ResourceType::RELATED_PERSON | ResourceType::PERSON => match snapshot.links.get(&format!("{of}/{id}")) {
            Some(patients) if !patients.is_empty() => UserReach::Patients(patients.iter().map(SmolStr::from).collect()),
            _ => UserReach::Nobody,
        },
        _ => UserReach::Nobody,
    }
}

fn fhir_user(claims: &Claims, snapshot: &Snapshot) -> Option<(ResourceType, String)> {
    let literal = Literal::parse(claims.fhir_user.as_deref()?, &snapshot.fhir.bases())?;
    Some((ResourceType::parse(snapshot.fhir.version, literal.resource_type)?, literal.id.to_owned()))
}

/// `openid` and `fhirUser` together let the user's own resource be read.
fn identity(claims: &Claims, snapshot: &Snapshot, asked: &Scopes, ceiling: &Scopes) -> Option<(ResourceType, String)> {
    let both = |scopes: &Scopes| scopes.has("openid") && scopes.has("fhirUser");
    if both(asked) && both(ceiling) { fhir_user(claims, snapshot) } else { None }
}

struct Compiler {
    version: crate::fhir::FhirVersion,
    user: UserReach,
    patient: Option<SmolStr>,
    own_service: bool,
    own: bool,
    unrestricted: Matrix,
    system: Matrix,
    restricted: SmallVec<[Restricted; 1]>,
    constrained: Vec<Constrained>,
    ignored: Vec<String>,
}

impl Compiler {
    fn add_within(&mut self, scope: &Scope, ceiling: &Scopes) {
        let mut within = false;
        for limit in &ceiling.fhir {
            if let Some(scope) = limit.meet(scope) {
                within = true;
                self.add(&scope);
            }
        }
        if !within {
            self.ignore(scope, "is more than the client or the issuer may be granted");
        }
    }

    fn add(&mut self, scope: &Scope) {
        match scope.context {
            Context::Patient => match self.patient.clone() {
                Some(patient) => self.restrict(scope, smallvec![patient]),
                None => self.ignore(scope, "has no patient in context"),
            },
            Context::User => match &self.user {
                UserReach::Everything => self.release(scope),
                UserReach::Patients(patients) => {
                    let patients = patients.clone();
                    self.restrict(scope, patients);
                }
                UserReach::Nobody => self.ignore(scope, "has no usable `fhirUser`"),
            },
            Context::System if self.own && !self.own_service => {
                self.ignore(scope, "is a system scope in a user's token");
            }
            Context::System => {
                if scope.constraint.is_none() {
                    widen(&mut self.system, scope, self.version);
                }
                self.release(scope);
            }
        }
    }

    fn release(&mut self, scope: &Scope) {
        if let Some(constraint) = &scope.constraint {
            return self.constrain(scope, constraint, None);
        }
        widen(&mut self.unrestricted, scope, self.version);
    }

    fn restrict(&mut self, scope: &Scope, patients: Patients) {
        if let Some(constraint) = &scope.constraint {
            let patients = patients.into_iter().map(String::from).collect();
            return self.constrain(scope, constraint, Some(patients));
        }
        if let Some(permit) = self.restricted.iter_mut().find(|permit| permit.patients == patients) {
            return widen(&mut permit.types, scope, self.version);
        }
        let mut types = [TypeSet::EMPTY; 5];
        widen(&mut types, scope, self.version);
        self.restricted.push(Restricted { patients, types });
    }

    /// A type on which the constraint cannot be evaluated is not granted: without the constraint it would be granted whole.
    fn constrain(&mut self, scope: &Scope, constraint: &Constraint, patients: Option<Vec<String>>) {
        let filter = |of| Some((of, constraint.filter(self.version, of).ok()?));
        let filters: HashMap<ResourceType, Filter> =
            scope.types.types(self.version).iter().filter_map(filter).collect();
        let covered: TypeSet = filters.keys().copied().collect();
        if covered.is_empty() {
            return self.ignore(scope, "has a constraint that cannot be evaluated on the types it may be granted for");
        }
        let types = Letter::ALL.map(|letter| if scope.letters.contains(letter) { covered } else { TypeSet::EMPTY });
        let permit = Constrained { patients, text: scope.text.clone(), types, filters };
        if !self.constrained.contains(&permit) {
            self.constrained.push(permit);
        }
    }

    /// Takes out of the constrained permits what one without constraint covers.
    fn absorb(&mut self) {
        for permit in &mut self.constrained {
            let mut within: Vec<&Matrix> = vec![&self.unrestricted];
            if let Some(patients) = &permit.patients {
                let whole = self
                    .restricted
                    .iter()
                    .filter(|wider| patients.iter().all(|id| wider.patients.iter().any(|own| own == id)));
                within.extend(whole.map(|wider| &wider.types));
            }
            for wider in within {
                for (types, covered) in permit.types.iter_mut().zip(wider) {
                    *types = types.difference(covered);
                }
            }
        }
        self.constrained.retain(|permit| permit.types.iter().any(|types| !types.is_empty()));
    }

    fn ignore(&mut self, scope: &Scope, why: &str) {
        self.ignored.push(format!("`{scope}` {why}"));
    }
}

fn widen(matrix: &mut Matrix, scope: &Scope, version: crate::fhir::FhirVersion) {
    for (letter, types) in Letter::ALL.iter().zip(matrix) {
        if scope.letters.contains(*letter) {
            *types = types.union(&scope.types.types(version));
        }
    }
}

#[cfg(test)]
#[path = "grant_tests.rs"]
mod tests;
