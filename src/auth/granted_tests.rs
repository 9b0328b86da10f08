use super::*;
use crate::config::{ClientAuth, Consent, GrantType};

const R4: FhirVersion = FhirVersion::R4;

fn client(scopes: &str) -> Client {
    Client {
        id: "app".to_owned(),
        name: "App".to_owned(),
        auth: ClientAuth::Public,
        redirect_uris: Vec::new(),
        scopes: Scopes::parse(R4, scopes.split(' ')),
        grant_types: vec![GrantType::AuthorizationCode],
        origins: Vec::new(),
        consent: Consent::Ask,
        may_introspect: false,
        enforced: false,
        launcher: None,
        self_registered: false,
        rate: None,
        launch_uris: Vec::new(),
        enabled: true,
    }
}

fn granted(registered: &str, asked: &str) -> String {
    within_registration(asked, &client(registered), R4, Bearer::User).join(" ")
}

#[test]
fn sc_3_scopes_are_answered_as_they_were_asked() {
    let registered = "openid fhirUser launch/patient patient/*.rs user/Observation.cruds";
    let asked = "patient/Observation.read launch/patient openid fhirUser user/Observation.* patient/Condition.rs";
    assert_eq!(granted(registered, asked), asked);
}

#[test]
fn sc_18_more_than_registered_is_cut_to_what_is_registered() {
    for (registered, asked, expected) in [
        ("patient/Observation.rs", "patient/*.read", "patient/Observation.read"),
        ("patient/Observation.rs", "patient/*.*", "patient/Observation.read"),
        ("patient/Observation.rs", "patient/Observation.cruds", "patient/Observation.rs"),
        ("patient/Observation.cr", "patient/Observation.*", "patient/Observation.cr"),
        ("patient/Observation.rs patient/Condition.r", "patient/*.rs", "patient/Observation.rs patient/Condition.r"),
        ("patient/Observation.r patient/Observation.s", "patient/Observation.rs", "patient/Observation.rs"),
        ("patient/*.r patient/Observation.rs", "patient/*.rs", "patient/*.r patient/Observation.rs"),
        ("patient/*.rs", "patient/*.rs patient/*.rs", "patient/*.rs"),
        ("patient/*.rs", "user/*.rs", ""),
        ("patient/*.rs", "patient/*.cud", ""),
    ] {
        assert_eq!(granted(registered, asked), expected, "{asked} within {registered}");
    }
}

#[test]
fn sc_39_scopes_may_be_written_as_uris() {
    let asked = "http://smarthealthit.org/fhir/scopes/patient/Observation.read http://smarthealthit.org/fhir/scopes/launch/patient \
                 http://openid.net/specs/openid-connect-core-1_0#openid http://evil.example/fhir/scopes/patient/Patient.read";
    assert_eq!(granted("openid launch/patient patient/*.rs", asked), "patient/Observation.read launch/patient openid");
    let uri = "http://smarthealthit.org/fhir/scopes/patient/Observation.rs";
    assert_eq!(Scopes::parse(FhirVersion::R4, [uri]), Scopes::parse(FhirVersion::R4, ["patient/Observation.rs"]));
    let narrower = within_grant(uri, &["patient/*.rs".to_owned()], FhirVersion::R4);
    assert_eq!(narrower, Some(vec!["patient/Observation.rs".to_owned()]));
}

#[test]
fn sc_20_a_role_of_context_is_left_out() {
    let registered = "launch/patient launch/encounter patient/*.rs";
    for (asked, expected) in [
        ("launch/patient?role=https://ehr.example.org/mother launch/patient", "launch/patient"),
        ("launch/encounter?role=x patient/Patient.rs?role=x", "launch/encounter"),
        ("launch/imagingstudy?role=x launch?role=x", ""),
    ] {
        assert_eq!(granted(registered, asked), expected, "{asked}");
    }
    let refreshed = within_grant("launch/patient?role=x", &["launch/patient".to_owned()], R4);
    assert_eq!(refreshed, Some(vec!["launch/patient".to_owned()]));
}

#[test]
fn sc_9_what_this_version_does_not_enforce_is_not_granted() {
    let everything = "openid fhirUser profile launch launch/encounter offline_access online_access system/*.cruds \
                      patient/*.cruds";
    for asked in [
        "patient/Observation.rs?category:in=laboratory",
        "patient/Observation.rs?subject.name=x",
        "patient/Observation.rs?date=2020",
        "patient/Patient.rs?category=laboratory",
        "profile",
        "patient/Unknown.rs",
        "patient/Observation.sr",
        "system/*.rs",
        "Patient/*.rs",
        "nonsense",
        "  ",
    ] {
        assert_eq!(granted(everything, asked), "", "{asked}");
    }
}

#[test]
fn a_constraint_on_either_side_stays() {
    for (registered, asked, expected) in [
        ("patient/*.rs", "patient/Observation.rs?category=urn:c|lab", "patient/Observation.rs?category=urn:c|lab"),
        ("patient/Observation.rs?category=lab", "patient/Observation.rs", "patient/Observation.rs?category=lab"),
        ("patient/Observation.rs?category=lab", "patient/Observation.read", "patient/Observation.read?category=lab"),
        (
            "patient/Observation.rs?category=lab",
            "patient/Observation.r?category=lab",
            "patient/Observation.r?category=lab",
        ),
        (
            "patient/Observation.rs?category=lab,vital",
            "patient/Observation.rs?category=vital",
            "patient/Observation.rs?category=vital",
        ),
        (
            "patient/Observation.rs?category=lab",
            "patient/Observation.rs?code=c",
            "patient/Observation.rs?code=c&category=lab",
        ),
        (
            "patient/Observation.rs?category=lab patient/Observation.rs?category=vital",
            "patient/Observation.rs",
            "patient/Observation.rs?category=lab patient/Observation.rs?category=vital",
        ),
        ("patient/Observation.rs", "patient/*.read?_tag=x", "patient/Observation.read?_tag=x"),
        // Patient has no category.
        ("patient/Patient.rs patient/Observation.r", "patient/*.rs?category=lab", "patient/Observation.r?category=lab"),
        ("patient/*.rs?category=lab", "patient/Patient.rs", ""),
    ] {
        assert_eq!(granted(registered, asked), expected, "{asked} within {registered}");
    }
}

#[test]
fn sc_31_fhir_user_needs_openid() {
    assert_eq!(granted("openid fhirUser", "fhirUser"), "");
    assert_eq!(granted("openid fhirUser", "fhirUser openid"), "fhirUser openid");
    assert_eq!(granted("fhirUser", "openid fhirUser"), "");
}

#[test]
fn bs_3_a_service_gets_system_scopes_only() {
    let client = client("system/*.rs patient/*.rs openid");
    let scope = within_registration("openid patient/*.rs system/Patient.read user/*.rs", &client, R4, Bearer::Service);
    assert_eq!(scope, ["system/Patient.read"]);
}

#[test]
fn a_user_gives_no_more_than_they_have() {
    let all = ["openid", "fhirUser", "launch/patient", "patient/*.rs", "user/*.rs"];
    let user = |fhir_user: Option<&str>, patients| User {
        name: String::new(),
        username: "amy".to_owned(),
        password_hash: String::new(),
        fhir_user: fhir_user.map(str::to_owned),
        patients,
        enabled: true,
    };
    let left = |user: &User| {
        let mut scopes = all.map(str::to_owned).to_vec();
        within_user(&mut scopes, user, R4);
        scopes.join(" ")
    };
    assert_eq!(left(&user(Some("Practitioner/p"), PatientChoice::Any)), all.join(" "));
    assert_eq!(left(&user(None, PatientChoice::Any)), "openid launch/patient patient/*.rs");
    assert_eq!(left(&user(Some("Person/p"), PatientChoice::These(Vec::new()))), "openid fhirUser user/*.rs");
}

#[test]
fn access_goes_on_only_for_a_client_that_is_registered_to_refresh() {
    let asked = "patient/*.rs offline_access online_access";
    assert_eq!(granted(asked, asked), "patient/*.rs", "not by the scope alone");
    let mut lasting = client("patient/*.rs offline_access");
    lasting.grant_types.push(GrantType::RefreshToken);
    assert_eq!(within_registration(asked, &lasting, R4, Bearer::User).join(" "), "patient/*.rs offline_access");
    assert!(within_registration("offline_access", &lasting, R4, Bearer::Service).is_empty());
}

#[test]
fn al_35_of_a_grant_the_same_or_less_and_nothing_new() {
    let granted = ["openid", "patient/*.rs", "user/Observation.read", "offline_access"].map(str::to_owned);
    for within in
        ["openid", "patient/*.rs offline_access", "patient/Observation.r", "patient/*.read", "user/Observation.s"]
    {
        let expected: Vec<_> = within.split(' ').map(str::to_owned).collect();
        assert_eq!(within_grant(within, &granted, R4), Some(expected), "{within}");
    }
    for wider in [
        "fhirUser",
        "patient/*.cruds",
        "patient/Observation.c",
        "user/*.rs",
        "system/*.rs",
        "openid online_access",
        "?",
    ] {
        assert_eq!(within_grant(wider, &granted, R4), None, "{wider}");
    }
}
