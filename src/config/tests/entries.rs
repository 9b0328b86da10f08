//! Clients, issuers and users.

use tempfile::TempDir;

use super::{CLIENT, HASH, ISSUER, RIGHT, errors, load_in, right, user};
use crate::config::{ClientAuth, GrantType, KeySource, PatientChoice};

/// The right configuration with an entry, some of whose lines are others.
fn entry(section: &str, right: &str, lines: &str) -> String {
    let keys: Vec<&str> = lines.lines().filter_map(|line| line.split_once(" =")).map(|(key, _)| key).collect();
    let own = right.lines().filter(|line| !keys.iter().any(|key| line.starts_with(&format!("{key} ="))));
    format!("{RIGHT}\n[[{section}]]\n{lines}\n{}\n", own.collect::<Vec<_>>().join("\n"))
}

/// Keys of a client put in the place of its own, and what the one error says.
const WRONG_CLIENTS: &[(&str, &str)] = &[
    ("id = \"a b\"", "is no client id"),
    ("kind = \"confidential\"", "is none of \"public\""),
    ("redirect_uris = [\"https://a.example/cb#x\"]", "has a fragment"),
    ("redirect_uris = [\"/cb\"]", "is no absolute URL"),
    ("redirect_uris = []", "no way to get a token"),
    ("redirect_uris = [\"http://a.example/cb\"]", "in the clear"),
    ("redirect_uris = [\"https://*.example/cb\"]", "no wildcards"),
    ("redirect_uris = [\"myapp:/cb\"]", "a domain of yours in reverse"),
    ("redirect_uris = [\"javascript:alert(1)\"]", "a domain of yours in reverse"),
    ("scopes = []", "is empty"),
    ("scopes = [\"patient/*.rs openid\"]", "is not one scope"),
    ("scopes = [\"patient/*.sr\"]", "would grant nothing"),
    ("scopes = [\"patient/Observatio.rs\"]", "would grant nothing"),
    ("scopes = [\"Patient/*.rs\"]", "is no scope of SMART"),
    ("scopes = [\"patient/Observation.rs?category:in=laboratory\"]", "cannot be evaluated on a resource"),
    ("scopes = [\"patient/Observation.rs?category=a|b|c\"]", "can be read in more than one way"),
    ("secret_hash = \"sha256:00\"", "is for kind = \"confidential-symmetric\""),
    ("jwks_url = \"https://a.example/jwks\"", "is for kind = \"confidential-asymmetric\""),
    ("grant_types = [\"client_credentials\"]", "is not for public clients"),
    ("grant_types = [\"refresh_token\"]", "needs the scope \"offline_access\""),
    ("grant_types = [\"password\"]", "is none of"),
    ("kind = \"confidential-symmetric\"", "secret_hash: is missing"),
    ("kind = \"confidential-symmetric\"\nsecret_hash = \"sesame\"", "is no hash"),
    ("kind = \"confidential-symmetric\"\nsecret_hash = \"sha256:zz\"", "is no hash"),
    ("kind = \"confidential-asymmetric\"", "jwks_file: is missing"),
    ("kind = \"confidential-asymmetric\"\njwks_url = \"http://a.example/jwks\"", "is http"),
    ("kind = \"confidential-asymmetric\"\njwks_url = \"https://a/jwks\"\njwks_file = \"k\"", "there is also"),
    ("origins = [\"https://a.example/\"]", "is no origin"),
    ("launch_uris = [\"org.example.app:/launch\"]", "is no web page"),
    ("may_launch = true\nlaunch_users = \"any\"", "is not for public clients"),
    ("launch_users = [\"amy\"]", "is for an EHR with may_launch"),
    (
        "kind = \"confidential-symmetric\"\nsecret_hash = \"sha256:0000000000000000000000000000000000000000000000000000000000000000\"\nmay_launch = true",
        "launch_users: is missing",
    ),
    (
        "kind = \"confidential-symmetric\"\nsecret_hash = \"sha256:0000000000000000000000000000000000000000000000000000000000000000\"\nmay_launch = true\nlaunch_users = \"all\"",
        "is neither",
    ),
    ("mode = \"report\"", "can only be stricter than [enforcement] mode"),
    ("mode = \"off\"", "is none of \"enforce\", \"report\""),
    ("secret = \"sesame\"", "there is no such key"),
];

#[test]
fn one_wrong_value_of_a_client_is_one_error() {
    for (lines, expected) in WRONG_CLIENTS {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("k"), r#"{"keys": [{"kty": "EC", "kid": "1"}]}"#).unwrap();
        let found = load_in(folder.path(), &entry("clients", CLIENT, lines)).err().unwrap_or_default();
        assert!(found.len() == 1 && found[0].contains(expected), "{lines}: {found:#?}");
        assert!(!found[0].contains("sesame"), "{lines}: a secret was quoted: {found:?}");
    }
}

#[test]
fn a_client_without_a_way_to_a_token_is_an_error_unless_it_introspects() {
    let none = "[[clients]]\nid = \"c\"\nkind = \"public\"\nscopes = [\"patient/*.rs\"]\n";
    let found = errors(&format!("{RIGHT}\n{none}"));
    assert!(found.len() == 1 && found[0].contains("no way to get a token"), "{found:?}");
    right(&format!("{RIGHT}\n{none}may_introspect = true\n"));
}

#[test]
fn grant_types_and_origins_follow_from_the_rest() {
    let code = right(&entry("clients", CLIENT, "redirect_uris = [\"https://a.example/cb\", \"org.example.app:/cb\"]"));
    let client = &code.clients.configured["c"];
    assert_eq!(client.grant_types, [GrantType::AuthorizationCode]);
    assert_eq!(client.origins, ["https://a.example"]);
    assert!(code.knows_origin("https://a.example"));
    assert_eq!(client.name, "c");

    for scope in ["offline_access", "online_access"] {
        let lines = format!("redirect_uris = [\"https://a.example/cb\"]\nscopes = [\"patient/*.rs\", \"{scope}\"]");
        let lasting = right(&entry("clients", CLIENT, &lines));
        assert_eq!(
            lasting.clients.configured["c"].grant_types,
            [GrantType::AuthorizationCode, GrantType::RefreshToken]
        );
    }

    let digits = "ab".repeat(32);
    let service = format!(
        "{RIGHT}\n[[clients]]\nid = \"s\"\nkind = \"confidential-symmetric\"\nsecret_hash = \"sha256:{digits}\"\nscopes = [\"system/*.rs\"]\n"
    );
    let service = right(&service);
    assert_eq!(service.clients.configured["s"].grant_types, [GrantType::ClientCredentials]);
    assert!(matches!(service.clients.configured["s"].auth, ClientAuth::Secret(hash) if hash == [0xab; 32]));
}

#[test]
fn origins_of_a_disabled_client_may_not_call() {
    let disabled = right(&entry("clients", CLIENT, "enabled = false"));
    assert!(disabled.origins.is_empty());
}

/// Keys of an issuer put in the place of its own, and what the one error says.
const WRONG_ISSUERS: &[(&str, &str)] = &[
    ("issuer = \"idp\"", "is no http or https URL"),
    ("issuer = \"https://gate.example.org\"", "is the gate itself"),
    ("issuer = \"http://idp.example\"", "is http"),
    ("audience = []", "audience: is empty"),
    ("audience = [\"\"]", "audience: is empty"),
    ("discovery = false", "jwks_file: is missing"),
    ("jwks_url = \"https://idp.example/jwks\"", "there is also discovery"),
    ("introspection = true", "is true or false; write a table"),
    ("algorithms = [\"HS256\"]", "is none of \"RS256\""),
    ("algorithms = [\"none\"]", "is none of \"RS256\""),
    ("algorithms = []", "is empty"),
    ("scopes = []", "is empty"),
    ("token_type = \"JWT\"", "is none of \"at+jwt\", \"jwt\""),
    ("leeway = \"1h\"", "is not from \"0s\" to \"5m\""),
    ("claims = { scopes = \"scp\" }", "claims.scopes: there is no such key"),
    ("claims = { scope = [] }", "claims.scope: is empty"),
    ("claims = { scope = [\"scp\", \"\"] }", "claims.scope: is empty"),
    ("claims = { scope_form = \"dots\" }", "is none of \"smart\", \"dotted\""),
    ("claims = { scope_prefix = \"\" }", "claims.scope_prefix: is empty"),
    ("claims = { patient = \"/a~2b\" }", "is no JSON Pointer"),
    ("require = { tid = 5 }", "is a whole number"),
    ("require = \"tid\"", "is a string"),
    ("origins = [\"app.example\"]", "is no http or https URL"),
];

#[test]
fn one_wrong_value_of_an_issuer_is_one_error() {
    for (lines, expected) in WRONG_ISSUERS {
        let found = errors(&entry("issuers", ISSUER, lines));
        assert!(found.len() == 1 && found[0].contains(expected), "{lines}: {found:#?}");
    }
    for key in ["issuer", "audience", "scopes"] {
        let without: String =
            ISSUER.lines().filter(|line| !line.starts_with(key)).map(|line| format!("{line}\n")).collect();
        let found = errors(&format!("{RIGHT}\n[[issuers]]\n{without}"));
        assert!(found.len() == 1 && found[0].contains(&format!("{key}: is missing")), "{key}: {found:#?}");
    }
}

#[test]
fn keys_in_a_file_are_public_and_usable() {
    let sets = [
        (r#"{"keys": [{"kty": "RSA", "kid": "1", "n": "x", "e": "AQAB"}]}"#, None),
        (r#"{"keys": []}"#, Some("has no usable key")),
        (r#"{"keys": [{"kty": "RSA"}]}"#, Some("has no usable key")),
        (r#"{"keys": [{"kty": "RSA", "kid": "1", "use": "enc"}]}"#, Some("has no usable key")),
        (r#"{"keys": [{"kty": "oct", "kid": "1", "k": "sesame"}]}"#, Some("holds a private or secret key")),
        (r#"{"keys": [{"kty": "EC", "kid": "1", "d": "sesame"}]}"#, Some("holds a private or secret key")),
        ("[]", Some("is no JWK set")),
        ("sesame", Some("is no JWK set")),
    ];
    for (set, expected) in sets {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("jwks.json"), set).unwrap();
        let main = entry("issuers", ISSUER, "discovery = false\njwks_file = \"jwks.json\"");
        match (load_in(folder.path(), &main), expected) {
            (Ok(snapshot), None) => {
                assert_eq!(snapshot.issuers["https://idp.example"].keys, Some(KeySource::Inline(set.into())));
            }
            (Err(found), Some(expected)) => {
                assert!(
                    found.len() == 1 && found[0].contains(expected) && !found[0].contains("sesame"),
                    "{set}: {found:?}"
                );
            }
            (Ok(_), Some(expected)) => panic!("{set} was accepted, not {expected}"),
            (Err(found), None) => panic!("{set}: {found:?}"),
        }
    }
}

/// Keys of a user put in the place of her own, and what the one error says.
const WRONG_USERS: &[(&str, &str)] = &[
    ("username = \"\"", "is empty"),
    ("password_hash = \"sesame\"", "is no argon2id hash"),
    ("password_hash = \"$argon2i$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$sesamesesamesesamesesame\"", "is no argon2id hash"),
    ("password_hash = \"$argon2id$v=19$m=19456,t=2,p=1\"", "is no argon2id hash"),
    ("fhir_user = \"Observation/1\"", "is no reference to Patient"),
    ("fhir_user = \"Patient/a/b\"", "is no reference to Patient"),
    ("fhir_user = \"https://x/Patient/1\"", "is no reference to Patient"),
    ("patients = \"all\"", "\"any\""),
    ("patients = [\"Patient/1\"]", "is no FHIR id"),
];

#[test]
fn one_wrong_value_of_a_user_is_one_error() {
    for (lines, expected) in WRONG_USERS {
        let found = errors(&entry("users", &user(), lines));
        assert!(found.len() == 1 && found[0].contains(expected), "{lines}: {found:#?}");
        assert!(!found[0].contains("sesame"), "{lines}: a secret was quoted: {found:?}");
    }
}

#[test]
fn whom_a_user_may_choose_follows_from_who_they_are() {
    let these = |ids: &[&str]| PatientChoice::These(ids.iter().map(|id| (*id).to_owned()).collect());
    let cases = [
        ("fhir_user = \"Patient/p\"", these(&["p"])),
        ("fhir_user = \"Practitioner/p\"", PatientChoice::Any),
        ("fhir_user = \"PractitionerRole/p\"", PatientChoice::Any),
        ("fhir_user = \"RelatedPerson/mum\"", these(&["kid1", "kid2"])),
        ("fhir_user = \"Person/stranger\"", these(&[])),
        ("fhir_user = \"Patient/p\"\npatients = [\"q\"]", these(&["q"])),
        ("fhir_user = \"Patient/p\"\npatients = \"any\"", PatientChoice::Any),
    ];
    let links = "[[links]]\nperson = \"RelatedPerson/mum\"\npatients = [\"kid1\", \"kid2\"]\n";
    for (lines, expected) in cases {
        let snapshot = right(&format!("{}{links}", entry("users", &user(), lines)));
        assert_eq!(snapshot.users["amy"].patients, expected, "{lines}");
    }
    let nobody = format!("{RIGHT}\n[[users]]\nusername = \"amy\"\npassword_hash = \"{HASH}\"\n");
    assert_eq!(right(&nobody).users["amy"].patients, these(&[]));
}

#[test]
fn a_user_and_a_client_have_different_names() {
    let both = format!("{}[[users]]\n{}", entry("clients", CLIENT, "id = \"amy\""), user());
    let found = errors(&both);
    assert!(
        found.len() == 1 && found[0].contains("[[users]] username: \"amy\" is also the id of a client"),
        "{found:?}"
    );
}
