//! What the tests of the decision are made with: a configuration, and claims as a verifier would hand them over.

use crate::config::{Snapshot, load_str};
use crate::fhir::{FhirVersion, ResourceType};
use crate::token::Claims;

/// A configuration with issuers, clients and users; `rest` is added at its end.
pub(crate) fn snapshot(rest: &str) -> Snapshot {
    snapshot_with("", rest)
}

/// As [`snapshot`], with lines of `[fhir]`.
pub(crate) fn snapshot_with(fhir: &str, rest: &str) -> Snapshot {
    let text = format!("{HEAD}{fhir}\n{REST}{rest}");
    let folder = std::env::temp_dir();
    load_str(&text, &folder).unwrap_or_else(|errors| panic!("{errors}")).snapshot
}

const HEAD: &str = r#"
[server]
listen = ["127.0.0.1:0"]
public_url = "https://p"
[admin]
listen = ["127.0.0.1:0"]
[fhir]
upstream = "http://u:8080/fhir"
"#;

const REST: &str = r#"
[[issuers]]
issuer = "https://idp.example.org"
audience = ["https://p/fhir"]
jwks_url = "https://idp.example.org/jwks"
scopes = ["patient/*.cruds", "user/*.cruds", "system/*.cruds", "openid", "fhirUser"]
[[issuers]]
issuer = "https://narrow.example.org"
audience = ["https://p/fhir"]
jwks_url = "https://narrow.example.org/jwks"
scopes = ["patient/Observation.rs", "system/*.r"]
[[clients]]
id = "service"
kind = "confidential-symmetric"
secret_hash = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
grant_types = ["client_credentials"]
scopes = ["system/Observation.rs"]
[[clients]]
id = "switched-off"
kind = "confidential-symmetric"
secret_hash = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
grant_types = ["client_credentials"]
scopes = ["system/Observation.rs"]
enabled = false
[[users]]
username = "amy"
password_hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$tpVUK7bvU3Yrs1RKGTQJqCIYyGbLFJ9E6xJZ2Q6iyls"
[[users]]
username = "leaver"
password_hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$tpVUK7bvU3Yrs1RKGTQJqCIYyGbLFJ9E6xJZ2Q6iyls"
enabled = false
"#;

/// Claims of the issuer that may grant everything.
pub(crate) fn claims(scope: &str, patient: Option<&str>, fhir_user: Option<&str>) -> Claims {
    Claims {
        issuer: "https://idp.example.org".into(),
        own: false,
        subject: "someone".into(),
        client: Some("app".into()),
        scope: scope.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect(),
        patient: patient.map(Into::into),
        encounter: None,
        fhir_user: fhir_user.map(Into::into),
        expires: i64::MAX,
        token_id: None,
        grant: None,
    }
}

/// Claims of a clinician.
pub(crate) fn id_claims(scope: &str) -> Claims {
    claims(scope, None, Some("Practitioner/p"))
}

/// Claims of a token of the gate's own.
pub(crate) fn own_claims(scope: &str, subject: &str, client: &str) -> Claims {
    Claims {
        issuer: "https://p".into(),
        own: true,
        subject: subject.into(),
        client: Some(client.into()),
        ..claims(scope, None, None)
    }
}

pub(crate) fn resource(name: &str) -> ResourceType {
    ResourceType::parse(FhirVersion::R4, name).unwrap()
}
