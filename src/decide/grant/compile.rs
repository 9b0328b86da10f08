//! Compiling the scopes of a token to its rights: each within what its client or issuer may be granted, and for the patients whose
//! data it is for.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};
use smol_str::SmolStr;

use super::super::rule::Refusal;
use super::{CLIENT_DISABLED, Constrained, Grant, Matrix, Patients, Restricted, USER_CHANGED, USER_DISABLED};
use crate::config::{Client, Issuer, Snapshot, User};
use crate::fhir::reference::Literal;
use crate::fhir::{FhirVersion, ResourceType, TypeSet};
use crate::scope::{Constraint, Context, Filter, Letter, Scope, Scopes};
use crate::token::Claims;

/// The rights of `claims` as far as they are within `ceiling`.
pub(super) fn compiled(claims: Claims, snapshot: &Snapshot, ceiling: &Scopes) -> Grant {
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
    Grant {
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

/// What bounds a token's scopes from above.
pub(super) enum Ceiling {
    Client(Arc<Client>),
    Issuer(Arc<Issuer>),
    Nothing,
}

impl Ceiling {
    pub(super) fn scopes(&self) -> &Scopes {
        static NONE: Scopes = Scopes { fhir: Vec::new(), other: Vec::new(), rejected: Vec::new() };
        match self {
            Self::Client(client) => &client.scopes,
            Self::Issuer(issuer) => &issuer.scopes,
            Self::Nothing => &NONE,
        }
    }
}

/// What bounds the scopes of a token with these claims.
///
/// # Errors
/// The client or the user of a token of the gate's own is gone or disabled, or the user is not who the token says any more.
pub(super) fn ceiling(claims: &Claims, snapshot: &Snapshot) -> Result<Ceiling, Refusal> {
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
    if snapshot.users.get(&*claims.subject).is_some_and(|user| !is_still(user, claims, snapshot)) {
        return Err(USER_CHANGED.refuse());
    }
    Ok(Ceiling::Client(client))
}

/// Whether `user` is who the token says, and may still choose its patient.
fn is_still(user: &User, claims: &Claims, snapshot: &Snapshot) -> bool {
    let said = fhir_user(claims, snapshot).map(|(of, id)| format!("{of}/{id}"));
    (said.is_none() || said == user.fhir_user)
        && claims.patient.as_deref().is_none_or(|patient| user.patients.has(patient))
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
    version: FhirVersion,
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
    fn constrain(&mut self, scope: &Scope, constraint: &Constraint, patients: Option<Patients>) {
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
                let whole =
                    self.restricted.iter().filter(|wider| patients.iter().all(|id| wider.patients.contains(id)));
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

fn widen(matrix: &mut Matrix, scope: &Scope, version: FhirVersion) {
    for (letter, types) in Letter::ALL.iter().zip(matrix) {
        if scope.letters.contains(*letter) {
            *types = types.union(&scope.types.types(version));
        }
    }
}
