use tempfile::TempDir;

use crate::config::{IntrospectionAuth, SigningAlgorithm, Snapshot, load_str};
use crate::token::testing::{TestKey, es256, es384, rs256};

/// What loading finds of these issuers' `introspection`, without the place.
fn load(tables: &[&str]) -> Result<Snapshot, Vec<String>> {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("secret"), "a secret\n").unwrap();
    std::fs::write(folder.path().join("empty"), "").unwrap();
    for key in [es256(), es384(), rs256()] {
        std::fs::write(folder.path().join(format!("{}.pem", key.id)), key.pem()).unwrap();
    }
    let mut main = "[server]\nlisten = [\"127.0.0.1:8080\"]\npublic_url = \"https://gate.example.org\"\n\
        [admin]\nlisten = [\"127.0.0.1:9090\"]\n[fhir]\nupstream = \"http://127.0.0.1:8090/fhir\"\n"
        .to_owned();
    for (number, table) in tables.iter().enumerate() {
        main += &format!(
            "[[issuers]]\nissuer = \"https://i{number}.example\"\naudience = [\"x\"]\nscopes = [\"patient/*.rs\"]\n\
             introspection = {{ {table} }}\n"
        );
    }
    load_str(&main, folder.path()).map(|loaded| loaded.snapshot).map_err(|errors| errors.lines().collect())
}

const WHO: &str = "client_id = \"gate\", client_secret = \"file:secret\"";

#[test]
fn an_issuer_that_is_asked_needs_no_keys() {
    let snapshot = load(&[WHO]).unwrap();
    let issuer = &snapshot.issuers["https://i0.example"];
    let asked = issuer.introspection.as_ref().unwrap();
    assert!(issuer.keys.is_none() && asked.url.is_none() && matches!(asked.auth, IntrospectionAuth::Basic(_)));
    assert_eq!((asked.cache.as_secs(), asked.rate), (30, 50));
    assert!(snapshot.issuer_of_opaque("anything").is_some());
}

#[test]
fn a_key_says_itself_what_it_signs_with() {
    let keys: [(&TestKey, _); 3] =
        [(es256(), SigningAlgorithm::Es256), (es384(), SigningAlgorithm::Es384), (rs256(), SigningAlgorithm::Rs256)];
    for (key, expected) in keys {
        let who = format!("client_id = \"gate\", key_id = \"k\", private_key = \"file:{}.pem\"", key.id);
        let snapshot = load(&[&who]).unwrap_or_else(|errors| panic!("{errors:?}"));
        let asked = snapshot.issuers["https://i0.example"].introspection.as_ref().unwrap();
        assert!(matches!(asked.auth, IntrospectionAuth::Key { algorithm, .. } if algorithm == expected), "{}", key.id);
    }
}

#[test]
fn one_wrong_value_is_one_error() {
    for (table, expected) in [
        ("client_secret = \"file:secret\"", "introspection.client_id: is missing"),
        ("client_id = \"gate\"", "introspection.client_secret: is missing"),
        ("client_id = \"\", client_secret = \"file:secret\"", "introspection.client_id: is empty"),
        ("client_id = \"gate\", client_secret = \"hunter2\"", "a secret is not written here"),
        ("client_id = \"gate\", private_key = \"file:es256.pem\"", "introspection.key_id: is missing"),
        ("client_id = \"gate\", key_id = \"k\", private_key = \"file:secret\"", "is no private key in PEM"),
        (&format!("{WHO}, private_key = \"file:es256.pem\""), "there is also client_secret"),
        (&format!("{WHO}, url = \"http://idp.example/introspect\""), "is http"),
        (&format!("{WHO}, url = \"idp\""), "is no http or https URL"),
        (&format!("{WHO}, cache = \"1h\""), "is not from \"0s\" to \"10m\""),
        (&format!("{WHO}, rate = 0"), "write a whole number from 1 to 10000"),
        (&format!("{WHO}, prefix = \"\""), "introspection.prefix: is empty"),
        (&format!("{WHO}, auth = \"none\""), "is none of \"basic\", \"post\""),
    ] {
        let found = load(&[table]).err().unwrap_or_default();
        assert!(found.len() == 1 && found[0].contains(expected), "{table}: {found:#?}");
    }
}

#[test]
fn issuers_of_opaque_tokens_are_told_apart() {
    let with = |prefix: &str| format!("{WHO}, prefix = \"{prefix}\"");
    let snapshot = load(&[WHO, &with("a_"), &with("b_")]).unwrap_or_else(|errors| panic!("{errors:?}"));
    for (token, issuer) in [("a_1", "https://i1.example"), ("b_1", "https://i2.example"), ("c", "https://i0.example")] {
        assert_eq!(snapshot.issuer_of_opaque(token).unwrap().issuer, issuer, "{token}");
    }
    for tables in [[WHO, WHO], [&with("a"), &with("a")], [&with("ab"), &with("a")], [&with("a"), &with("ab")]] {
        let found = load(&tables).err().unwrap_or_default();
        assert!(found.len() == 1 && found[0].contains("cannot be told from"), "{tables:?}: {found:#?}");
    }
}

#[test]
fn a_discovery_document_is_read_over_tls() {
    let main = |more: &str| {
        format!(
            "[server]\nlisten = [\"127.0.0.1:8080\"]\npublic_url = \"https://gate.example.org\"\n\
             [admin]\nlisten = [\"127.0.0.1:9090\"]\n[fhir]\nupstream = \"http://127.0.0.1:8090/fhir\"\n\
             [[issuers]]\nissuer = \"http://idp.example\"\naudience = [\"x\"]\nscopes = [\"patient/*.rs\"]\n{more}"
        )
    };
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("secret"), "a secret\n").unwrap();
    for (more, right) in [("", false), ("allow_http = true\n", true), ("discovery = true\n", false)] {
        let loaded = load_str(&main(&format!("{more}introspection = {{ {WHO} }}\n")), folder.path());
        let errors = loaded.map(drop).map_err(|errors| errors.lines().collect::<Vec<_>>());
        assert_eq!(errors.is_ok(), right, "{more}: {errors:?}");
        assert!(errors.is_ok() || errors.as_ref().is_err_and(|errors| errors.len() == 1), "{more}: {errors:?}");
    }
}
