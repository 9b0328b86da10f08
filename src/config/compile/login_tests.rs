use crate::config::{FhirUser, Oidc, load_str};

const RIGHT: &str =
    "issuer = \"https://idp.example.org\"\nclient_id = \"gate\"\nfhir_user = { claim = \"fhirUser\" }\n";

fn load(lines: &str, more: &str) -> Result<Oidc, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\npublic_url = \"https://gate.example.org\"\n[admin]\nlisten = [\"127.0.0.1:0\"]\n\
         [fhir]\nupstream = \"http://127.0.0.1:9/fhir\"\n[login.oidc]\n{lines}\n{more}"
    );
    let loaded = load_str(&text, folder.path()).map_err(|errors| errors.lines().collect::<Vec<_>>())?;
    Ok(Oidc::clone(loaded.snapshot.oidc.as_ref().unwrap()))
}

#[test]
fn a_provider_is_read_with_its_defaults() {
    let oidc = load(RIGHT, "").unwrap();
    assert_eq!(oidc.scopes, ["openid", "profile"]);
    assert!(oidc.client_secret.is_none() && oidc.patients.is_none() && oidc.label.is_none());
    assert_eq!(oidc.fhir_user, Some(FhirUser::Claim("fhirUser".to_owned())));
    let oidc = load(&format!("{RIGHT}scopes = [\"records\"]\npatients = {{ claim = \"kids\" }}\n"), "").unwrap();
    assert_eq!((oidc.scopes.join(" ").as_str(), oidc.patients.as_deref()), ("openid records", Some("kids")));
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (from, to, says) in [
        ("https://idp", "http://idp", "is http"),
        ("https://idp.example.org", "https://gate.example.org", "is the gate itself"),
        ("https://idp.example.org", "https://idp.example.org/#a", "query or a fragment"),
        ("client_id = \"gate\"", "client_id = \"\"", "is empty"),
        ("{ claim = \"fhirUser\" }", "{ search = \"Patient\" }", "is no search"),
        ("{ claim = \"fhirUser\" }", "{ search = \"Observation?code={x}\" }", "does not search for one of"),
        ("{ claim = \"fhirUser\" }", "{ search = \"Patient?active=true\" }", "the same for everybody"),
        ("{ claim = \"fhirUser\" }", "{ search = \"Patient?identifier={}\" }", "braces"),
        ("{ claim = \"fhirUser\" }", "{ search = \"Patient?_has={x}\" }", "parameter whose name"),
        ("{ claim = \"fhirUser\" }", "{ }", "fhir_user.claim: is missing"),
        ("fhir_user = { claim = \"fhirUser\" }", "", "fhir_user: is missing"),
        ("client_id", "client_secret = \"hunter2\"\nclient_id", "a secret is not written here"),
        ("client_id", "secret = \"x\"\nclient_id", "there is no such key"),
    ] {
        let errors = load(&RIGHT.replace(from, to), "").err().unwrap_or_default();
        assert!(errors.len() == 1 && errors[0].contains(says) && errors[0].contains("toml:"), "{to}: {errors:?}");
        assert!(!errors[0].contains("hunter2"));
    }
}

#[test]
fn its_people_cannot_be_taken_for_anybody_else() {
    let client = "[[clients]]\nid = \"https://idp.example.org#x\"\nkind = \"public\"\nredirect_uris = [\"https://a.example.org/\"]\nscopes = [\"patient/*.rs\"]\n";
    let errors = load(RIGHT, client).err().unwrap_or_default();
    assert!(errors.len() == 1 && errors[0].contains("could be taken for one of its people"), "{errors:?}");
    let oidc = load(RIGHT, "").unwrap();
    assert_eq!(oidc.username("a b").as_deref(), Some("https://idp.example.org#a b"));
    for subject in ["", "a\nb", "\u{e4}", &"x".repeat(250)] {
        assert_eq!(oidc.username(subject), None, "{subject}");
    }
    assert!(oidc.has("https://idp.example.org#a") && !oidc.has("https://idp.example.org.evil#a"));
    assert!(!oidc.has("https://idp.example.org#") && !oidc.has("https://idp.example.org"));
}
