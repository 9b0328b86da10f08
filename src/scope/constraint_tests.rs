use super::*;
use crate::scope::Scope;

const R4: FhirVersion = FhirVersion::R4;

fn parsed(scope: &str) -> Result<Constraint, ScopeError> {
    Scope::parse(R4, scope).map(|scope| scope.constraint.unwrap())
}

fn on(of: &str, text: &str) -> Result<Filter, ScopeError> {
    let constraint = parsed(&format!("patient/{of}.rs?{text}"))?;
    constraint.filter(R4, ResourceType::parse(R4, of).unwrap())
}

fn wanted(of: &str, text: &str) -> Vec<Wanted> {
    on(of, text).unwrap().tests.remove(0).wanted
}

fn token(system: System, code: Option<&str>) -> Wanted {
    Wanted::Token { system, code: code.map(str::to_owned) }
}

#[test]
fn values_are_read_once() {
    let is = |system: &str| System::Is(system.to_owned());
    assert_eq!(wanted("Observation", "category=lab"), [token(System::Any, Some("lab"))]);
    assert_eq!(wanted("Observation", "category=|lab"), [token(System::None, Some("lab"))]);
    assert_eq!(wanted("Observation", "category=http://s|lab"), [token(is("http://s"), Some("lab"))]);
    assert_eq!(wanted("Observation", "category=http://s|"), [token(is("http://s"), None)]);
    assert_eq!(wanted("Observation", "category=http%3A%2F%2Fs%7Clab"), [token(is("http://s"), Some("lab"))]);
    assert_eq!(
        wanted("Observation", "category=a,http://s|b"),
        [token(System::Any, Some("a")), token(is("http://s"), Some("b"))]
    );
    let reference = |of, id: &str| Wanted::Reference { of, id: id.to_owned() };
    assert_eq!(wanted("Observation", "performer=Practitioner/p"), [reference(ResourceType::PRACTITIONER, "p")]);
    assert_eq!(wanted("Observation", "patient=B"), [reference(ResourceType::PATIENT, "B")]);
    assert_eq!(wanted("Observation", "_profile=http://x|1"), [Wanted::Uri("http://x|1".to_owned())]);
}

#[test]
fn what_cannot_be_evaluated_makes_no_scope() {
    use ScopeError::{Constraint, ConstraintParameter as Parameter, ConstraintValue as Value};
    for (of, text, expected) in [
        ("Observation", "", Constraint),
        ("Observation", "category", Constraint),
        ("Observation", "category=", Constraint),
        ("Observation", "=x", Constraint),
        ("Observation", "category=x&", Constraint),
        ("Observation", "category=%zz", Constraint),
        ("Observation", "category:in=x", Parameter),
        ("Observation", "category:not=x", Parameter),
        ("Observation", "category:missing=true", Parameter),
        ("Observation", "subject:Patient=A", Parameter),
        ("Observation", "subject.name=x", Parameter),
        ("Observation", "_has:Observation:patient:code=x", Parameter),
        ("Observation", "_include=Observation:subject", Parameter),
        ("Observation", "_filter=x", Parameter),
        ("Observation", "_count=1", Parameter),
        ("Observation", "_lastUpdated=gt2020", Parameter),
        ("Observation", "_text=x", Parameter),
        ("Observation", "_list=x", Parameter),
        ("Observation", "date=2020", Parameter),
        ("Observation", "value-quantity=5", Parameter),
        ("Observation", "value-string=x", Parameter),
        ("Observation", "code-value-concept=a$b", Parameter),
        ("Observation", "made-up=x", Parameter),
        ("Observation", "category=lab&made-up=x", Parameter),
        ("Patient", "category=lab", Parameter),
        ("Patient", "email=x", Parameter),
        ("Patient", "deceased=true", Parameter),
        ("Observation", "category=|", Value),
        ("Observation", "category=a|b|c", Value),
        ("Observation", "category=a,,b", Value),
        ("Observation", "category=a,", Value),
        ("Observation", "category=a\\,b", Value),
        ("Observation", "category=a+b", Value),
        ("Observation", "category=%20a", Value),
        ("Observation", "category=\u{202e}a", Value),
        ("Observation", "subject=A", Value),
        ("Observation", "subject=Practitioner/p", Value),
        ("Observation", "patient=Group/A", Value),
        ("Observation", "performer=https://p/fhir/Practitioner/p", Value),
        ("Observation", "performer=Practitioner/p/_history/1", Value),
        ("Patient", "telecom=phone|555", Value),
    ] {
        assert_eq!(on(of, text).unwrap_err(), expected, "{of} {text}");
    }
    let many = (0..=MAX_CONDITIONS).map(|n| format!("code=c{n}")).collect::<Vec<_>>().join("&");
    assert_eq!(on("Observation", &many).unwrap_err(), Constraint);
}

#[test]
fn on_every_type_only_those_that_can_tell() {
    let any = parsed("patient/*.rs?category=lab").unwrap();
    let tells = |of: &str| any.filter(R4, ResourceType::parse(R4, of).unwrap()).is_ok();
    assert!(tells("Observation") && tells("Condition"));
    assert!(!tells("Patient") && !tells("Practitioner"));
    assert_eq!(parsed("patient/*.rs?date=2020"), Err(ScopeError::ConstraintParameter));
    assert_eq!(parsed("patient/*.rs?category=|"), Err(ScopeError::ConstraintParameter));
    assert!(parsed("patient/*.rs?_security=R").unwrap().filter(R4, ResourceType::PRACTITIONER).is_ok());
}

#[test]
fn profiles_are_canonical_from_r5_on() {
    let scope = Scope::parse(FhirVersion::R5, "patient/Observation.rs?_profile=http://x").unwrap();
    let filter = scope.constraint.unwrap().filter(FhirVersion::R5, ResourceType::OBSERVATION).unwrap();
    assert_eq!(filter.tests[0].wanted, [Wanted::Canonical("http://x".to_owned())]);
}

#[test]
fn printed_so_that_it_reads_back() {
    for text in ["category=http://s|lab,b&code=c", "_tag=a%20b", "identifier=urn:x|1%262%2B3%25"] {
        let constraint = parsed(&format!("patient/Observation.rs?{text}")).unwrap();
        assert_eq!(constraint.to_string(), text);
        assert_eq!(parsed(&format!("patient/Observation.rs?{constraint}")).unwrap(), constraint);
    }
}
