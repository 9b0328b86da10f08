use super::*;

const VERSIONS: [FhirVersion; 3] = [FhirVersion::R4, FhirVersion::R4B, FhirVersion::R5];

fn named(version: FhirVersion, name: &str) -> ResourceType {
    ResourceType::parse(version, name).unwrap()
}

fn elements(rule: &SubjectRule) -> Vec<String> {
    rule.elements.iter().map(|element| element.steps.join(".")).collect()
}

#[test]
fn every_row_is_read() {
    for version in VERSIONS {
        let tables = Tables::of(version);
        assert_eq!(tables.skipped, 0, "{version:?}");
        assert!(tables.parameters.values().map(HashMap::len).sum::<usize>() > 1000);
    }
}

#[test]
fn rf_14_the_compartment_has_as_many_types_as_the_specification() {
    let counts = VERSIONS.map(|version| Tables::of(version).compartment.len());
    assert_eq!(counts, [66, 66, 73]);
}

#[test]
fn subjects_say_whom_it_is_about() {
    let tables = Tables::of(FhirVersion::R4);
    let rule = |name| tables.subject(named(FhirVersion::R4, name)).unwrap();
    assert_eq!(elements(rule("Observation")), ["subject"]);
    assert_eq!(rule("Observation").narrow_by, Some("patient"));
    assert_eq!(rule("Observation").names_patient, ["patient", "subject"]);
    assert_eq!(elements(rule("Appointment")), ["participant.actor"]);
    assert_eq!(rule("Appointment").names_patient, ["actor", "patient"]);
    assert_eq!(elements(rule("Coverage")), ["beneficiary"]);
    assert_eq!(elements(rule("Task")), ["for"]);
    assert_eq!(elements(rule("Device")), ["patient"]);
    assert_eq!(elements(rule("SupplyRequest")), ["deliverTo"]);
    assert_eq!((elements(rule("Patient")).len(), rule("Patient").narrow_by), (0, Some("_id")));
    assert_eq!(rule("Patient").names_patient, ["_id"]);
}

#[test]
fn types_that_name_others_are_no_ones() {
    for version in VERSIONS {
        for name in ["Group", "AuditEvent", "Schedule", "Provenance", "Binary", "Bundle", "Contract", "Subscription"] {
            assert!(Tables::of(version).subject(named(version, name)).is_none(), "{name}");
        }
    }
}

#[test]
fn the_full_definition_has_the_other_elements_too() {
    let tables = Tables::of(FhirVersion::R4);
    let observation = tables.compartment(ResourceType::OBSERVATION).unwrap();
    assert_eq!(elements(observation), ["subject", "performer"]);
    assert_eq!(observation.narrow_by, None);
}

#[test]
fn every_subject_rule_can_be_narrowed_by_a_parameter_of_its_type() {
    for version in VERSIONS {
        let tables = Tables::of(version);
        for (of, rule) in &tables.subjects {
            let code = rule.narrow_by.unwrap();
            assert!(rule.names_patient.contains(&code), "{version:?} {of} {code}");
            assert!(tables.parameter(*of, code).is_some(), "{version:?} {of} {code}");
        }
    }
}

#[test]
fn no_patients_type_is_shared() {
    for version in VERSIONS {
        let tables = Tables::of(version);
        for of in tables.default_shared().iter() {
            assert!(tables.subject(of).is_none() && tables.compartment(of).is_none(), "{version:?} {of}");
        }
    }
}

#[test]
fn references_know_where_they_lead() {
    let tables = Tables::of(FhirVersion::R4);
    let subject = tables.parameter(ResourceType::OBSERVATION, "subject").unwrap();
    assert_eq!(subject.kind, SearchParameterKind::Reference);
    assert!(subject.targets.contains(ResourceType::PATIENT));
    assert!(!subject.targets.contains(ResourceType::PRACTITIONER));
    let target = tables.parameter(ResourceType::PROVENANCE, "target").unwrap();
    assert_eq!(target.targets, *tables.types());
    assert!(tables.parameter(ResourceType::OBSERVATION, "_lastUpdated").is_some());
    assert!(tables.parameter(ResourceType::OBSERVATION, "nonsense").is_none());
}

#[test]
fn names_are_sorted_and_unique() {
    assert!(names::NAMES.windows(2).all(|pair| pair[0].0 < pair[1].0));
}
