use serde_json::json;

use super::*;
use crate::config::{About, load_str};

const RIGHT: &str = "[server]\nlisten = [\"127.0.0.1:0\"]\npublic_url = \"https://gate.example.org\"\n[admin]\nlisten = [\"127.0.0.1:0\"]\n\
    [fhir]\nupstream = \"http://127.0.0.1:9/fhir\"\n";

fn registration(auth: RegisteredAuth) -> Registration {
    Registration {
        registered: 1_800_000_000,
        name: Some("It's \"an\" app \\".to_owned()),
        auth,
        redirect_uris: vec!["https://app.example/cb?a='x'".to_owned(), "org.example.app:/cb".to_owned()],
        scopes: ["openid", "patient/Observation.rs?category=urn:c|lab", "offline_access"].map(str::to_owned).to_vec(),
        grant_types: vec![UserGrantType::AuthorizationCode, UserGrantType::RefreshToken],
        about: About { contacts: Some(vec!["a\"]\nenabled = true".to_owned()]), ..About::default() },
    }
}

#[test]
fn an_exported_registration_is_a_row_as_it_stands() {
    let key = json!({ "kty": "EC", "crv": "P-384", "kid": "it's", "x": "AA", "y": "AA" });
    for auth in [
        RegisteredAuth::Public,
        RegisteredAuth::Secret(format!("sha256:{}", "ab".repeat(32))),
        RegisteredAuth::Keys(json!({ "keys": [key] }).to_string()),
        RegisteredAuth::KeysUrl("https://app.example/jwks.json".to_owned()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("clients.d")).unwrap();
        let registration = registration(auth);
        let text = row("app-1", &registration).unwrap();
        std::fs::write(folder.path().join("clients.d/app-1.toml"), &text).unwrap();
        let snapshot = load_str(RIGHT, folder.path()).unwrap_or_else(|errors| panic!("{errors}\n{text}")).snapshot;
        let client = &snapshot.clients.configured["app-1"];
        assert_eq!(Some(&client.name), registration.name.as_ref());
        assert_eq!(client.redirect_uris, registration.redirect_uris);
        assert!(!client.self_registered && client.grant_types.len() == 2 && client.scopes.has("offline_access"));
        let said: Vec<_> = text.lines().filter(|line| line.contains("enabled")).collect();
        assert!(said.iter().all(|line| line.starts_with('#')), "{text}");
    }
}
