use proptest::prelude::*;

use super::*;

const VERSION: FhirVersion = FhirVersion::R4;

fn scope(text: &str) -> Result<Scope, ScopeError> {
    Scope::parse(VERSION, text)
}

fn letters(text: &str) -> String {
    let letters = scope(text).unwrap().letters;
    Letter::ALL.iter().filter(|letter| letters.contains(**letter)).map(|letter| letter.as_char()).collect()
}

#[test]
fn sc_4_sc_11_both_generations() {
    for (text, expected) in [
        ("patient/*.read", "rs"),
        ("patient/*.write", "cud"),
        ("patient/*.*", "cruds"),
        ("user/Observation.c", "c"),
        ("system/Observation.cruds", "cruds"),
        ("system/Observation.rs?category=a|b&code=c,d", "rs"),
    ] {
        assert_eq!(letters(text), expected, "{text}");
    }
}

#[test]
fn sc_2_sc_11_what_is_almost_a_scope_is_none() {
    use ScopeError::{Constraint, ConstraintParameter, Context, Letters, TooLong, Type};
    for (text, expected) in [
        ("patient/Observation.sr", Letters),
        ("patient/Observation.dus", Letters),
        ("patient/Observation.rr", Letters),
        ("patient/Observation.", Letters),
        ("patient/Observation", Letters),
        ("patient/Observation.rx", Letters),
        ("patient/Observation.Rs", Letters),
        ("patient/Observation.read-only", Letters),
        ("patient/Observation.reads", Letters),
        ("patient/Observation.r*", Letters),
        ("patient/Observation.rs.rs", Letters),
        ("patient/observation.rs", Type),
        ("patient/Foo.rs", Type),
        ("patient/Resource.rs", Type),
        ("patient/.rs", Type),
        ("patient/**.rs", Type),
        ("Patient/*.rs", Context),
        ("launch/patient", Context),
        ("patient", Context),
        ("/Observation.rs", Context),
        ("patient/Observation.rs?", Constraint),
        ("patient/Observation.rs?active", Constraint),
        ("patient/Observation.rs?=x", Constraint),
        ("patient/Observation.rs?x=", Constraint),
        ("patient/Observation.rs?code=y&", Constraint),
        ("patient/Observation.rs?x=y", ConstraintParameter),
        ("patient/Patient.rs?category=y", ConstraintParameter),
    ] {
        assert_eq!(scope(text), Err(expected), "{text}");
    }
    assert_eq!(scope(&format!("patient/Observation.rs?x={}", "y".repeat(MAX_SCOPE_BYTES))), Err(TooLong));
}

#[test]
fn types_belong_to_a_version() {
    assert!(Scope::parse(FhirVersion::R4, "patient/DocumentManifest.rs").is_ok());
    assert_eq!(Scope::parse(FhirVersion::R5, "patient/DocumentManifest.rs"), Err(ScopeError::Type));
}

#[test]
fn a_list_is_sorted_into_what_it_says() {
    let scopes = Scopes::parse(VERSION, ["openid", "patient/*.rs", "patient/*.sr", "launch/patient", "Patient/*.rs"]);
    assert_eq!(scopes.fhir.len(), 1);
    assert_eq!(scopes.other, ["openid", "launch/patient", "Patient/*.rs"]);
    assert_eq!(scopes.rejected, [("patient/*.sr".to_owned(), ScopeError::Letters)]);
    assert!(scopes.has("openid") && !scopes.has("fhirUser"));
}

#[test]
fn a_ceiling_covers_what_is_below_it() {
    for (ceiling, asked, covers) in [
        ("patient/*.cruds", "patient/Observation.rs", true),
        ("patient/*.rs", "patient/Observation.c", false),
        ("patient/*.rs", "user/Observation.rs", false),
        ("patient/Observation.rs", "patient/*.rs", false),
        ("patient/Observation.rs", "patient/Condition.rs", false),
        ("patient/Observation.rs", "patient/Observation.rs?code=y", true),
        ("patient/Observation.rs?code=y", "patient/Observation.rs", false),
        ("patient/Observation.rs?code=y", "patient/Observation.rs?code=y", true),
        ("patient/Observation.rs?code=y", "patient/Observation.rs?code=z", false),
        ("patient/Observation.rs?code=y,z", "patient/Observation.rs?code=z", true),
        ("patient/Observation.rs?code=y", "patient/Observation.rs?code=y,z", false),
        ("patient/Observation.rs?code=y", "patient/Observation.rs?status=final&code=y", true),
        ("patient/Observation.rs?code=y&status=final", "patient/Observation.rs?code=y", false),
    ] {
        assert_eq!(scope(ceiling).unwrap().covers(&scope(asked).unwrap()), covers, "{ceiling} {asked}");
    }
}

#[test]
fn what_two_scopes_share() {
    let meet = |a: &str, b: &str| scope(a).unwrap().meet(&scope(b).unwrap());
    let shared = meet("patient/*.rs", "patient/Observation.cr").unwrap();
    assert_eq!(
        (shared.types.types(VERSION), shared.text.as_str()),
        (TypeSet::of(ResourceType::OBSERVATION), "patient/Observation.cr")
    );
    assert!(shared.letters.contains(Letter::Read) && !shared.letters.contains(Letter::Create));
    assert_eq!(meet("patient/*.rs", "patient/Observation.c"), None);
    assert_eq!(meet("patient/*.rs", "user/*.rs"), None);
    assert_eq!(meet("patient/Observation.rs", "patient/Condition.rs"), None);
    // A constraint on either side stays one.
    for (a, b, expected) in [
        ("patient/*.rs?code=y", "patient/Observation.rs", "code=y"),
        ("patient/*.rs", "patient/Observation.rs?code=y", "code=y"),
        ("patient/*.rs?code=y", "patient/Observation.rs?code=y", "code=y"),
        ("patient/*.rs?code=y", "patient/Observation.rs?status=v", "status=v&code=y"),
        ("patient/*.rs?code=y,z", "patient/Observation.rs?code=y", "code=y"),
        ("patient/*.rs?code=y", "patient/Observation.rs?code=y,z", "code=y,z&code=y"),
    ] {
        assert_eq!(meet(a, b).unwrap().constraint.unwrap().to_string(), expected, "{a} {b}");
    }
}

fn scopes() -> impl Strategy<Value = String> {
    let context = prop::sample::select(vec!["patient", "user", "system"]);
    let of = prop::sample::select(vec!["*", "Observation", "Patient", "MedicationRequest"]);
    let rights = prop_oneof![
        prop::sample::subsequence(vec!["c", "r", "u", "d", "s"], 1..=5).prop_map(|letters| letters.concat()),
        prop::sample::select(vec!["read", "write", "*"]).prop_map(str::to_owned),
    ];
    let constraint =
        prop::option::of("(_id|_tag|_security)=[a-z:/.]{1,9}(,[a-z]{1,3})?(&_tag=[a-z]{1,5}[|][a-z]{1,5})?");
    (context, of, rights, constraint).prop_map(|(context, of, rights, constraint)| {
        let constraint = constraint.map(|constraint| format!("?{constraint}")).unwrap_or_default();
        format!("{context}/{of}.{rights}{constraint}")
    })
}

proptest! {
    #[test]
    fn printed_as_it_was_written(text in scopes()) {
        let parsed = scope(&text).unwrap();
        prop_assert_eq!(parsed.to_string(), text.clone());
        prop_assert_eq!(scope(&parsed.to_string()).unwrap(), parsed);
    }

    #[test]
    fn what_two_scopes_share_is_below_both(a in scopes(), b in scopes()) {
        let (a, b) = (scope(&a).unwrap(), scope(&b).unwrap());
        if let Some(shared) = a.meet(&b) {
            for scope in [&a, &b] {
                prop_assert!(shared.types.types(VERSION).is_subset(&scope.types.types(VERSION)));
                prop_assert_eq!(shared.letters.intersection(scope.letters), shared.letters);
                let within = |own: &Constraint| shared.constraint.as_ref().is_some_and(|shared| own.covers(shared));
                prop_assert!(scope.constraint.as_ref().is_none_or(within));
            }
        }
    }

    #[test]
    fn anything_can_be_parsed(text in "\\PC{0,40}") {
        let _ = scope(&text);
        let _ = Scopes::parse(VERSION, [text.as_str()]);
    }
}
