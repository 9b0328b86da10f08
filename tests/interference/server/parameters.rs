//! The search parameters that the server knows, written down by hand from FHIR R4: nothing here is taken from the gate's tables.

use std::sync::LazyLock;

use serde_json::Value;

#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub(crate) enum Kind {
    Date,
    Quantity,
    Reference,
    String,
    Token,
    Uri,
}

#[derive(Debug)]
pub(crate) struct Parameter {
    pub of: &'static str,
    pub code: &'static str,
    pub kind: Kind,
    pub paths: Vec<Vec<&'static str>>,
    /// Types that a reference may lead to.
    pub targets: Vec<&'static str>,
}

/// Type (`*` for all), code, kind, paths, and targets of a reference.
const TABLE: &str = "
* _id token id
* _lastUpdated date meta.lastUpdated
* _tag token meta.tag
* _profile uri meta.profile
Patient name string name.family,name.given
Patient family string name.family
Patient given string name.given
Patient birthdate date birthDate
Patient gender token gender
Patient identifier token identifier
Patient general-practitioner reference generalPractitioner Practitioner,Organization
Patient organization reference managingOrganization Organization
Patient link reference link.other Patient
Practitioner name string name.family,name.given
Practitioner family string name.family
Practitioner identifier token identifier
PractitionerRole practitioner reference practitioner Practitioner
PractitionerRole organization reference organization Organization
PractitionerRole specialty token specialty
Organization name string name
Organization identifier token identifier
Organization partof reference partOf Organization
Location name string name
Location organization reference managingOrganization Organization
Medication code token code
Observation code token code
Observation category token category
Observation status token status
Observation date date effectiveDateTime
Observation identifier token identifier
Observation subject reference subject Patient,Group,Device,Location
Observation patient reference subject Patient
Observation encounter reference encounter Encounter
Observation performer reference performer Practitioner,Organization,Patient,RelatedPerson
Observation focus reference focus *
Observation has-member reference hasMember Observation
Observation value-quantity quantity valueQuantity
Condition code token code
Condition category token category
Condition clinical-status token clinicalStatus
Condition onset-date date onsetDateTime
Condition identifier token identifier
Condition subject reference subject Patient,Group
Condition patient reference subject Patient
Condition encounter reference encounter Encounter
Condition asserter reference asserter Practitioner,Patient,RelatedPerson
Encounter status token status
Encounter class token class
Encounter date date period.start
Encounter identifier token identifier
Encounter subject reference subject Patient,Group
Encounter patient reference subject Patient
Encounter participant reference participant.individual Practitioner,RelatedPerson
Encounter practitioner reference participant.individual Practitioner
Encounter location reference location.location Location
Encounter service-provider reference serviceProvider Organization
MedicationRequest status token status
MedicationRequest intent token intent
MedicationRequest authoredon date authoredOn
MedicationRequest subject reference subject Patient,Group
MedicationRequest patient reference subject Patient
MedicationRequest medication reference medicationReference Medication
MedicationRequest requester reference requester Practitioner,Organization,Patient,RelatedPerson
MedicationRequest encounter reference encounter Encounter
DiagnosticReport status token status
DiagnosticReport code token code
DiagnosticReport date date effectiveDateTime
DiagnosticReport subject reference subject Patient,Group,Device,Location
DiagnosticReport patient reference subject Patient
DiagnosticReport result reference result Observation
DiagnosticReport performer reference performer Practitioner,Organization
Procedure status token status
Procedure code token code
Procedure date date performedDateTime
Procedure subject reference subject Patient,Group
Procedure patient reference subject Patient
Procedure performer reference performer.actor Practitioner,Organization,Patient,RelatedPerson
AllergyIntolerance code token code
AllergyIntolerance clinical-status token clinicalStatus
AllergyIntolerance patient reference patient Patient
AllergyIntolerance recorder reference recorder Practitioner,Patient,RelatedPerson
Immunization status token status
Immunization vaccine-code token vaccineCode
Immunization date date occurrenceDateTime
Immunization patient reference patient Patient
Immunization location reference location Location
Immunization performer reference performer.actor Practitioner,Organization
Appointment status token status
Appointment date date start
Appointment actor reference participant.actor Patient,Practitioner,Location,Device,RelatedPerson
Appointment patient reference participant.actor Patient
Appointment practitioner reference participant.actor Practitioner
Appointment location reference participant.actor Location
Task status token status
Task code token code
Task subject reference for *
Task patient reference for Patient
Task focus reference focus *
Task owner reference owner Practitioner,Organization,Patient
Coverage status token status
Coverage beneficiary reference beneficiary Patient
Coverage patient reference beneficiary Patient
Coverage payor reference payor Organization,Patient,RelatedPerson
RelatedPerson name string name.family,name.given
RelatedPerson relationship token relationship
RelatedPerson patient reference patient Patient
Device type token type
Device patient reference patient Patient
Device organization reference owner Organization
List status token status
List code token code
List subject reference subject Patient,Group,Device,Location
List patient reference subject Patient
List source reference source Practitioner,Patient,Device
List item reference entry.item *
DocumentReference status token status
DocumentReference type token type
DocumentReference date date date
DocumentReference subject reference subject Patient,Practitioner,Group,Device
DocumentReference patient reference subject Patient
DocumentReference location uri content.attachment.url
DocumentReference author reference author Practitioner,Organization,Patient,RelatedPerson
Group member reference member.entity Patient,Practitioner
Group type token type
Provenance target reference target *
Provenance patient reference target Patient
Provenance agent reference agent.who Practitioner,Organization,Patient,RelatedPerson
";

/// Types that the table has rows for, in its order.
pub(crate) static TYPES: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut types: Vec<&str> = PARAMETERS.iter().map(|parameter| parameter.of).filter(|of| *of != "*").collect();
    types.dedup();
    types
});

pub(crate) static PARAMETERS: LazyLock<Vec<Parameter>> =
    LazyLock::new(|| TABLE.lines().filter(|line| !line.is_empty()).map(row).collect());

fn row(line: &'static str) -> Parameter {
    let fields: Vec<&'static str> = line.split(' ').collect();
    let kind = match fields[2] {
        "date" => Kind::Date,
        "quantity" => Kind::Quantity,
        "reference" => Kind::Reference,
        "string" => Kind::String,
        "token" => Kind::Token,
        "uri" => Kind::Uri,
        other => panic!("no kind of parameter: {other}"),
    };
    let paths = fields[3].split(',').map(|path| path.split('.').collect()).collect();
    let targets = fields.get(4).map(|targets| targets.split(',').collect()).unwrap_or_default();
    Parameter { of: fields[0], code: fields[1], kind, paths, targets }
}

/// The parameters of a type, those of every type first.
pub(crate) fn parameters_of(of: &str) -> impl Iterator<Item = &'static Parameter> {
    PARAMETERS.iter().filter(move |parameter| parameter.of == "*" || parameter.of == of)
}

pub(crate) fn parameter(of: &str, code: &str) -> Option<&'static Parameter> {
    parameters_of(of).find(|parameter| parameter.code == code)
}

impl Parameter {
    /// The elements that the parameter looks at.
    pub(crate) fn values<'v>(&self, resource: &'v Value) -> Vec<&'v Value> {
        let mut found = Vec::new();
        for path in &self.paths {
            collect(resource, path, &mut found);
        }
        found
    }

    /// Whether a reference of this parameter may lead to `of`.
    pub(crate) fn leads_to(&self, of: &str) -> bool {
        self.targets.iter().any(|target| *target == "*" || *target == of)
    }

    /// Types and ids that the resource refers to by this parameter.
    pub(crate) fn references<'v>(&self, resource: &'v Value) -> Vec<(&'v str, &'v str)> {
        let values = self.values(resource).into_iter();
        values
            .filter_map(|value| value["reference"].as_str()?.split_once('/'))
            .filter(|(of, _)| self.leads_to(of))
            .collect()
    }
}

/// What lies at the end of a path, arrays on the way gone through.
pub(crate) fn collect<'v>(value: &'v Value, path: &[&str], found: &mut Vec<&'v Value>) {
    match (value, path.split_first()) {
        (Value::Array(elements), _) => elements.iter().for_each(|element| collect(element, path, found)),
        (Value::Null, _) => {}
        (value, None) => found.push(value),
        (value, Some((step, rest))) => collect(&value[*step], rest, found),
    }
}
