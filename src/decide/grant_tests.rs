use super::*;
use crate::decide::testing::{claims, id_claims, own_claims, resource, snapshot};

fn grant(snapshot: &Snapshot, claims: Claims) -> Grant {
    Grant::of(claims, snapshot).unwrap()
}

fn letters(grant: &Grant, of: &str) -> (String, String) {
    let of = resource(of);
    let spell = |has: &dyn Fn(Letter) -> bool| Letter::ALL.iter().filter(|l| has(**l)).map(|l| l.as_char()).collect();
    (spell(&|letter| grant.unrestricted(of, letter)), spell(&|letter| grant.restricted(of, letter).next().is_some()))
}

#[test]
fn both_generations_of_scopes() {
    let snapshot = snapshot("");
    for (scope, expected) in [
        ("patient/Observation.read", "rs"),
        ("patient/Observation.write", "cud"),
        ("patient/Observation.*", "cruds"),
        ("patient/Observation.rs", "rs"),
        ("patient/*.cu", "cu"),
        ("patient/Observation.r patient/Observation.s", "rs"),
        ("patient/Observation.sr", ""),
        ("patient/Condition.rs", ""),
        ("patient/Observation.rs?category=x", ""),
    ] {
        let grant = grant(&snapshot, claims(scope, Some("A"), None));
        assert_eq!(letters(&grant, "Observation"), (String::new(), expected.to_owned()), "{scope}");
    }
}

/// Letters that are granted with a constraint, and the reasons why scopes grant nothing.
fn constrained(claims: Claims, of: &str) -> (String, Vec<String>) {
    let snapshot = snapshot("");
    let grant = grant(&snapshot, claims);
    let of = resource(of);
    let letters = Letter::ALL.iter().filter(|letter| grant.constrained(of, **letter).next().is_some());
    (letters.map(|letter| letter.as_char()).collect(), grant.ignored)
}

#[test]
fn a_constraint_is_absorbed_by_a_permit_without_one() {
    let letters = |scope: &str| constrained(claims(scope, Some("A"), Some("Practitioner/p")), "Observation").0;
    assert_eq!(letters("patient/Observation.rs?code=x"), "rs");
    assert_eq!(letters("patient/Observation.rs?code=x patient/Observation.s"), "r");
    assert_eq!(letters("patient/Observation.rs?code=x patient/*.read"), "");
    assert_eq!(letters("patient/Observation.rs?code=x user/*.rs"), "");
    // The patient's own data does not cover everybody's.
    assert_eq!(letters("user/Observation.rs?code=x patient/Observation.rs"), "rs");
    let snapshot = snapshot("");
    assert!(grant(&snapshot, id_claims("user/Observation.rs?code=x user/*.rs")).is_unrestricted());
    let only = grant(&snapshot, id_claims("user/Observation.rs?code=x"));
    assert!(!only.is_unrestricted() && !only.unrestricted(resource("Observation"), Letter::Read));
}

#[test]
fn what_cannot_be_evaluated_grants_nothing_and_says_why() {
    for (scope, reason) in [
        ("patient/Observation.rs?subject.name=x", "cannot be evaluated"),
        ("patient/Observation.rs?code:in=x", "cannot be evaluated"),
        ("patient/Observation.rs?date=2020", "cannot be evaluated"),
        ("patient/Observation.rs?code=a|b|c", "more than one way"),
    ] {
        let (letters, ignored) = constrained(claims(scope, Some("A"), None), "Observation");
        assert_eq!(letters, "", "{scope}");
        assert!(ignored.len() == 1 && ignored[0].contains(reason), "{ignored:?}");
    }
    let wild = || claims("patient/*.rs?category=x", Some("A"), None);
    assert_eq!(constrained(wild(), "Observation").0, "rs");
    assert_eq!(constrained(wild(), "Patient").0, "");
}

#[test]
fn a_ceilings_constraint_holds_too() {
    let text = "[[issuers]]\nissuer = \"https://lab.example.org\"\naudience = [\"https://p/fhir\"]\n\
                jwks_url = \"https://lab.example.org/jwks\"\nscopes = [\"patient/*.rs?category=lab\"]\n";
    let snapshot = snapshot(text);
    let mut asked = claims("patient/Observation.rs?code=x patient/Patient.rs", Some("A"), None);
    asked.issuer = "https://lab.example.org".into();
    let grant = grant(&snapshot, asked);
    let (_, filter) = grant.constrained(resource("Observation"), Letter::Read).next().unwrap();
    let codes: Vec<&str> = filter.tests.iter().map(|test| test.condition.code.as_str()).collect();
    assert_eq!(codes, ["code", "category"]);
    assert!(!grant.covers(resource("Patient"), Letter::Read));
    assert_eq!(grant.ignored.len(), 1);
}

#[test]
fn each_context_has_its_own_reach() {
    let snapshot = snapshot("");
    let mixed = claims("patient/*.rs user/Observation.c", Some("A"), Some("Practitioner/p"));
    let grant = grant(&snapshot, mixed);
    assert_eq!(letters(&grant, "Observation"), ("c".to_owned(), "rs".to_owned()));
    assert_eq!(letters(&grant, "Condition"), (String::new(), "rs".to_owned()));
    assert!(!grant.is_unrestricted());
}

#[test]
fn a_patient_scope_needs_a_patient() {
    let grant = grant(&snapshot(""), claims("patient/*.cruds", None, Some("Practitioner/p")));
    assert_eq!(letters(&grant, "Observation"), (String::new(), String::new()));
    assert_eq!(grant.ignored.len(), 1);
}

#[test]
fn what_a_user_scope_reaches_depends_on_the_user() {
    let snapshot = snapshot("[[links]]\nperson = \"RelatedPerson/mum\"\npatients = [\"kid1\", \"kid2\"]\n");
    let reach = |user: Option<&str>| {
        let grant = grant(&snapshot, claims("user/Observation.rs", None, user));
        let of = resource("Observation");
        (grant.unrestricted(of, Letter::Read), grant.patients(of, Letter::Read).join(","))
    };
    let (everyone, nobody) = ((true, String::new()), (false, String::new()));
    for (user, expected) in [
        (Some("Practitioner/p"), everyone.clone()),
        (Some("PractitionerRole/r"), everyone.clone()),
        (Some("https://p/fhir/Practitioner/p"), everyone),
        (Some("Patient/A"), (false, "A".to_owned())),
        (Some("https://p/fhir/Patient/A"), (false, "A".to_owned())),
        (Some("RelatedPerson/mum"), (false, "kid1,kid2".to_owned())),
        (Some("RelatedPerson/stranger"), nobody.clone()),
        (Some("Person/mum"), nobody.clone()),
        (Some("https://other/fhir/Patient/A"), nobody.clone()),
        (Some("Patient/A,B"), nobody.clone()),
        (Some("Device/d"), nobody.clone()),
        (Some("Patient"), nobody.clone()),
        (None, nobody),
    ] {
        assert_eq!(reach(user), expected, "{user:?}");
    }
}

#[test]
fn patients_of_several_scopes_are_one_set() {
    let snapshot = snapshot("[[links]]\nperson = \"RelatedPerson/mum\"\npatients = [\"kid2\", \"kid1\"]\n");
    let both = claims("patient/Observation.rs user/*.rs", Some("mine"), Some("RelatedPerson/mum"));
    let grant = grant(&snapshot, both);
    assert_eq!(grant.patients(resource("Observation"), Letter::Read).to_vec(), ["kid1", "kid2", "mine"]);
    assert_eq!(grant.patients(resource("Condition"), Letter::Read).to_vec(), ["kid1", "kid2"]);
}

#[test]
fn more_patients_than_a_search_can_ask_for_are_reached() {
    let many: Vec<String> = (0..=MAX_PATIENTS).map(|n| format!("\"k{n}\"")).collect();
    let snapshot = snapshot(&format!("[[links]]\nperson = \"Person/p\"\npatients = [{}]\n", many.join(",")));
    let grant = grant(&snapshot, claims("user/*.rs", None, Some("Person/p")));
    assert_eq!(grant.patients(resource("Observation"), Letter::Read).len(), MAX_PATIENTS + 1);
}

#[test]
fn an_issuer_grants_no_more_than_its_ceiling() {
    let snapshot = snapshot("");
    // `narrow` may grant `patient/Observation.rs` and `system/*.r`.
    let mut narrow = claims("patient/*.cruds system/*.cruds user/*.rs", Some("A"), Some("Practitioner/p"));
    narrow.issuer = "https://narrow.example.org".into();
    let grant_of_narrow = grant(&snapshot, narrow);
    assert_eq!(letters(&grant_of_narrow, "Observation"), ("r".to_owned(), "rs".to_owned()));
    assert_eq!(letters(&grant_of_narrow, "Condition"), ("r".to_owned(), String::new()));
    let mut unknown = claims("patient/*.cruds", Some("A"), None);
    unknown.issuer = "https://unknown.example.org".into();
    assert_eq!(letters(&grant(&snapshot, unknown), "Observation"), (String::new(), String::new()));
}

#[test]
fn an_own_token_is_cut_to_what_its_client_has_now() {
    let snapshot = snapshot("");
    let service = own_claims("system/*.cruds", "service", "service");
    assert_eq!(letters(&grant(&snapshot, service), "Observation"), ("rs".to_owned(), String::new()));
}

#[test]
fn a_system_scope_is_for_services() {
    let snapshot = snapshot("");
    let of_user = own_claims("system/Observation.rs", "amy", "service");
    assert_eq!(letters(&grant(&snapshot, of_user), "Observation"), (String::new(), String::new()));
}

#[test]
fn clients_and_users_that_are_gone_are_gone_at_once() {
    let snapshot = snapshot("");
    for (subject, client, rule) in [
        ("service", "gone", "client-disabled"),
        ("switched-off", "switched-off", "client-disabled"),
        ("nobody", "service", "user-disabled"),
        ("leaver", "service", "user-disabled"),
    ] {
        let refusal = Grant::of(own_claims("system/*.rs", subject, client), &snapshot).unwrap_err();
        assert_eq!((refusal.rule.name, refusal.rule.status), (rule, 401), "{subject} {client}");
    }
}

#[test]
fn an_own_token_is_refused_where_its_user_is_not_who_it_says_any_more() {
    let snapshot = snapshot(
        r#"
[[users]]
username = "kim"
password_hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$tpVUK7bvU3Yrs1RKGTQJqCIYyGbLFJ9E6xJZ2Q6iyls"
fhir_user = "Person/p"
[[links]]
person = "Person/p"
patients = ["kid"]
"#,
    );
    for (patient, fhir_user, passes) in [
        (None, None, true),
        (Some("kid"), None, true),
        (Some("kid"), Some("Person/p"), true),
        (Some("kid"), Some("https://p/fhir/Person/p"), true),
        (Some("kid2"), Some("Person/p"), false),
        (Some("kid"), Some("Person/q"), false),
        (None, Some("Patient/kid"), false),
    ] {
        let of = own_claims("patient/*.rs user/*.rs", "kim", "service");
        let of = Claims { patient: patient.map(Into::into), fhir_user: fhir_user.map(Into::into), ..of };
        let refused = Grant::of(of, &snapshot).err().map(|refusal| (refusal.rule.name, refusal.rule.status));
        assert_eq!(refused, (!passes).then_some(("user-changed", 401)), "{patient:?} {fhir_user:?}");
    }
}

#[test]
fn the_own_identity_needs_both_scopes_within_the_ceiling() {
    let snapshot = snapshot("");
    let practitioner = ResourceType::PRACTITIONER;
    let identity = |scope: &str| grant(&snapshot, id_claims(scope)).is_identity(practitioner, "p");
    assert!(identity("openid fhirUser"));
    assert!(!identity("openid"));
    assert!(!identity("fhirUser openidx"));
    let both = grant(&snapshot, id_claims("openid fhirUser"));
    assert!(!both.is_identity(practitioner, "q"));
    assert!(!both.is_identity(ResourceType::PATIENT, "p"));
    let mut narrow = id_claims("openid fhirUser");
    narrow.issuer = "https://narrow.example.org".into();
    assert!(!grant(&snapshot, narrow).is_identity(practitioner, "p"));
}

#[test]
fn the_scope_that_would_help_is_of_the_tokens_own_context() {
    let snapshot = snapshot("");
    let of = Some(ResourceType::OBSERVATION);
    let needed = |claims| grant(&snapshot, claims).needed(of, Letter::Search);
    assert_eq!(needed(claims("", Some("A"), None)), "patient/Observation.s");
    assert_eq!(needed(claims("", None, Some("Practitioner/p"))), "user/Observation.s");
    assert_eq!(needed(own_claims("", "service", "service")), "system/Observation.s");
    // A program of another issuer, or nobody in particular: nothing says that there is a person.
    assert_eq!(needed(claims("", None, None)), "system/Observation.s");
}
