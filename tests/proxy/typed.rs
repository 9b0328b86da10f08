//! For each type that is a patient's, a resource of A's and one of B's, by the element that says whom it is about. The list is
//! written down here by hand, from the specification's pages, so that the gate's own table is held against something else.

use serde_json::{Value, json};

use crate::resources::{OF_ANOTHER, conventional};

const SUBJECT: &[&str] = &[
    "Account",
    "AdverseEvent",
    "Basic",
    "CarePlan",
    "CareTeam",
    "ChargeItem",
    "ClinicalImpression",
    "Communication",
    "CommunicationRequest",
    "Composition",
    "Condition",
    "DeviceRequest",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "Flag",
    "Goal",
    "ImagingStudy",
    "Invoice",
    "List",
    "MeasureReport",
    "MedicationAdministration",
    "MedicationDispense",
    "MedicationRequest",
    "MedicationStatement",
    "Procedure",
    "QuestionnaireResponse",
    "RiskAssessment",
    "ServiceRequest",
    "Specimen",
    "DeviceUseStatement",
    "DocumentManifest",
    "Media",
    "RequestGroup",
    "DeviceAssociation",
    "DeviceDispense",
    "EncounterHistory",
    "GenomicStudy",
    "ImagingSelection",
    "NutritionIntake",
    "RequestOrchestration",
];

const PATIENT: &[&str] = &[
    "AllergyIntolerance",
    "BodyStructure",
    "Claim",
    "ClaimResponse",
    "CoverageEligibilityRequest",
    "CoverageEligibilityResponse",
    "EpisodeOfCare",
    "ExplanationOfBenefit",
    "FamilyMemberHistory",
    "Immunization",
    "ImmunizationEvaluation",
    "ImmunizationRecommendation",
    "RelatedPerson",
    "SupplyDelivery",
    "VisionPrescription",
    "Device",
    "DeviceUsage",
    "BiologicallyDerivedProductDispense",
];

const OTHER: &[(&str, &str)] = &[
    ("AppointmentResponse", "actor"),
    ("Coverage", "beneficiary"),
    ("EnrollmentRequest", "candidate"),
    ("Task", "for"),
    ("Person", "link.target"),
    ("Appointment", "participant.actor"),
];

/// Elements that R5 renamed, as they were before and as they are since.
const RENAMED: &[(&str, &str, &str)] = &[
    ("Consent", "patient", "subject"),
    ("DetectedIssue", "patient", "subject"),
    ("MolecularSequence", "patient", "subject"),
    ("NutritionOrder", "patient", "subject"),
    ("ResearchSubject", "individual", "subject"),
    ("SupplyRequest", "deliverTo", "deliverFor"),
];

fn about(of: &str, id: &str, element: &str, patient: &str) -> Value {
    let mut resource = json!({ "resourceType": of, "id": id, "meta": { "versionId": "1" } });
    let reference = json!({ "reference": format!("Patient/{patient}") });
    match element.split_once('.') {
        Some((outer, inner)) => resource[outer] = json!([{ inner: reference }]),
        None => resource[element] = reference,
    }
    if patient != "A" {
        resource["language"] = json!(OF_ANOTHER);
        // Mentioned, and not the one whom it is about.
        for mention in ["author", "performer", "recorder", "asserter", "source", "sender", "focus", "owner", "payor"] {
            resource[mention] = json!([{ "reference": "Patient/A" }]);
        }
    }
    resource
}

/// The conventional resources and these.
pub(crate) fn resources(version: &str) -> Vec<Value> {
    let same = SUBJECT.iter().map(|of| (*of, "subject")).chain(PATIENT.iter().map(|of| (*of, "patient")));
    let r5 = version == "R5";
    let mut all = conventional();
    for (of, element) in same.chain(OTHER.iter().copied()) {
        all.push(about(of, "own", element, "A"));
        all.push(about(of, "other", element, "B"));
    }
    for (of, before, since) in RENAMED {
        let (element, former) = if r5 { (since, before) } else { (before, since) };
        all.push(about(of, "own", element, "A"));
        all.push(about(of, "other", element, "B"));
        // By an element that this version does not have.
        let mut misplaced = about(of, "misplaced", former, "A");
        misplaced["language"] = json!(OF_ANOTHER);
        all.push(misplaced);
    }
    all
}
