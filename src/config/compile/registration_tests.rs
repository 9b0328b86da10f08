use crate::config::{Snapshot, load_str};

fn load(more: &str) -> Result<Snapshot, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\npublic_url = \"https://gate.example.org\"\n[admin]\nlisten = [\"127.0.0.1:0\"]\n\
         [fhir]\nupstream = \"http://127.0.0.1:9/fhir\"\n{more}"
    );
    load_str(&text, folder.path()).map(|loaded| loaded.snapshot).map_err(|errors| errors.lines().collect())
}

#[test]
fn registration_is_off_by_default() {
    let snapshot = load("").unwrap();
    assert!(snapshot.registration.is_none() && snapshot.fetch_allow.is_empty());
    let hash = format!("sha256:{}", "ab".repeat(32));
    let on = format!("[registration]\ntokens = [\"{hash}\"]\nscopes = [\"patient/*.rs\", \"launch/patient\"]\n");
    let rules = load(&on).unwrap().registration.unwrap();
    assert_eq!((rules.tokens, rules.max_clients), (vec![[0xab; 32]], 1000));
}

#[test]
fn what_is_wrong_is_told() {
    for (more, says) in [
        ("[registration]\nscopes = [\"patient/*.rs\"]\n", "tokens: is missing"),
        ("[registration]\ntokens = [\"secret\"]\nscopes = [\"patient/*.rs\"]\n", "is no hash"),
        ("[registration]\ntokens = []\n", "scopes: is missing"),
        ("[registration]\ntokens = []\nscopes = [\"patient/*.rs\", \"system/*.rs\"]\n", "holds system/ scopes"),
        ("[registration]\ntokens = []\nscopes = [\"patient/*.rs\"]\nmax_clients = 1000000\n", "whole number"),
        ("[auth]\nfetch_allow = [\"http://jwks.internal.example\"]\n", "is http"),
        ("[auth]\nfetch_allow = [\"https://jwks.internal.example/keys\"]\n", "is no origin"),
        ("[auth]\nfetch_allow = [\"jwks.internal.example\"]\n", "no http or https URL"),
    ] {
        let found = load(more).err().unwrap_or_else(|| panic!("{more} was accepted"));
        assert!(found.len() == 1 && found[0].contains(says), "{more}: {found:?}");
    }
}
