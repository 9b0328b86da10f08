//! Which of the scopes that are asked for can be granted: what the client is registered for, within what this version enforces.

use crate::config::{Client, GrantType, PatientChoice, User};
use crate::fhir::FhirVersion;
use crate::scope::{Context, Letter, Letters, Scope, Scopes, TypePattern, short_form};

/// Longest list of scopes that is read or granted, so that a token fits into a header (SMART App Launch 2.2 scopes).
pub(super) const MAX_SCOPE_LIST: usize = 4096;

/// Scopes that grant nothing on FHIR resources and mean something here.
const OTHER: [&str; 7] =
    ["openid", "fhirUser", "launch", "launch/patient", "launch/encounter", "offline_access", "online_access"];

/// Of these, the ones by which access goes on after the first token.
const LASTING: [&str; 2] = ["offline_access", "online_access"];

/// Who uses the token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bearer {
    /// An app on behalf of a person.
    User,
    /// The client itself.
    Service,
}

impl Bearer {
    /// A system scope is never granted on behalf of a person, nor a person's scope to a service.
    fn may_have(self, context: Context) -> bool {
        (self == Self::Service) == (context == Context::System)
    }
}

/// The scopes that `client` gets of those it asks for, as it wrote them, but in their short form; none is more than both.
///
/// A constraint (`?category=…`) on either side stays; where it cannot be evaluated the scope is left out.
pub(super) fn within_registration(asked: &str, client: &Client, version: FhirVersion, bearer: Bearer) -> Vec<String> {
    let mut granted: Vec<String> = Vec::new();
    for text in scopes_of(asked) {
        let parsed = Scopes::parse(version, [text]);
        let fhir = parsed.fhir.iter().flat_map(|scope| fhir_scopes(scope, &client.scopes, bearer));
        // Cut to other types, a constraint may have become one that those do not have.
        let fhir = fhir.filter(|scope| Scope::parse(version, scope).is_ok());
        let other = parsed
            .other
            .into_iter()
            .filter(|name| bearer == Bearer::User && OTHER.contains(&name.as_str()) && client.scopes.has(name))
            .filter(|name| !LASTING.contains(&name.as_str()) || client.grant_types.contains(&GrantType::RefreshToken));
        for scope in fhir.chain(other) {
            if !granted.contains(&scope) {
                granted.push(scope);
            }
        }
    }
    // Without an id_token there is nowhere to say who the user is (SMART App Launch 2.2 scopes, "Scopes for requesting identity data").
    let has_openid = granted.iter().any(|scope| scope == "openid");
    granted.retain(|scope| scope != "fhirUser" || has_openid);
    granted
}

/// The scopes of a list in their short form. Roles of context (`launch/patient?role=…`) are not supported; instead of one the context
/// without a role is asked for (SMART App Launch 2.2 scopes, "Requesting context with scopes").
fn scopes_of(list: &str) -> impl Iterator<Item = &str> {
    list.split(' ').filter(|text| !text.is_empty()).map(short_form).map(|text| match text.split_once("?role=") {
        Some((context, _)) if context.starts_with("launch/") => context,
        _ => text,
    })
}

/// The scopes asked for of a grant that is there already, as they were asked; none if the grant does not have one of them whole
/// (RFC 6749 §6).
pub(super) fn within_grant(asked: &str, granted: &[String], version: FhirVersion) -> Option<Vec<String>> {
    let limits = Scopes::parse(version, granted.iter().map(String::as_str));
    let is_within = |text: &str| {
        granted.iter().any(|known| known == text)
            || Scope::parse(version, text).is_ok_and(|scope| fhir_scopes(&scope, &limits, Bearer::User) == [text])
    };
    scopes_of(asked).map(|text| is_within(text).then(|| text.to_owned())).collect()
}

/// Leaves out what `user` cannot give: their own resource where there is none, and data of a patient where none can be chosen.
pub(super) fn within_user(granted: &mut Vec<String>, user: &User, version: FhirVersion) {
    let chooses_nobody = user.patients == PatientChoice::These(Vec::new());
    granted.retain(|text| match Scope::parse(version, text) {
        Ok(scope) => match scope.context {
            Context::Patient => !chooses_nobody,
            Context::User => user.fhir_user.is_some(),
            Context::System => false,
        },
        Err(_) if text == "fhirUser" => user.fhir_user.is_some(),
        Err(_) if text.starts_with("launch/") => !chooses_nobody,
        Err(_) => true,
    });
}

/// Whether a patient must be in context (SMART App Launch 2.2 scopes, "Requesting context with scopes").
pub(super) fn need_patient(granted: &[String]) -> bool {
    granted.iter().any(|text| text.starts_with("launch/") || text.starts_with("patient/"))
}

fn fhir_scopes(asked: &Scope, limits: &Scopes, bearer: Bearer) -> Vec<String> {
    if !bearer.may_have(asked.context) {
        return Vec::new();
    }
    let mut met: Vec<Scope> = Vec::new();
    for scope in limits.fhir.iter().filter_map(|limit| limit.meet(asked)) {
        match met.iter_mut().find(|known| (known.types, &known.constraint) == (scope.types, &scope.constraint)) {
            Some(known) => known.letters = union(known.letters, scope.letters),
            None => met.push(scope),
        }
    }
    if met.iter().any(|scope| scope.covers(asked)) {
        return vec![asked.text.clone()];
    }
    met.iter().map(|scope| print(asked, scope)).collect()
}

fn union(a: Letters, b: Letters) -> Letters {
    Letter::ALL.into_iter().filter(|letter| a.contains(*letter) || b.contains(*letter)).collect()
}

/// A part of `asked` in the form that `asked` has: v1 stays v1 where v1 can say it.
fn print(asked: &Scope, part: &Scope) -> String {
    let context = match asked.context {
        Context::Patient => "patient",
        Context::User => "user",
        Context::System => "system",
    };
    let name = match part.types {
        TypePattern::Any => "*",
        TypePattern::One(resource_type) => resource_type.name(),
    };
    let spelled: String = Letter::ALL.into_iter().filter(|l| part.letters.contains(*l)).map(Letter::as_char).collect();
    let plain = asked.text.split('?').next().unwrap_or_default();
    let is_v1 = [".read", ".write", ".*"].iter().any(|suffix| plain.ends_with(suffix));
    let rights = match spelled.as_str() {
        "rs" if is_v1 => "read",
        "cud" if is_v1 => "write",
        "cruds" if is_v1 => "*",
        v2 => v2,
    };
    let constraint = part.constraint.as_ref().map(|constraint| format!("?{constraint}")).unwrap_or_default();
    format!("{context}/{name}.{rights}{constraint}")
}

#[cfg(test)]
#[path = "granted_tests.rs"]
mod tests;
