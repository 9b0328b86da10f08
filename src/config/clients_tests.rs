use std::collections::HashMap;

use super::super::{
    ClientAuth, Consent, GrantType, KeySource, RegisteredAuth, Registration, Snapshot, UserGrantType, load_str,
};
use crate::scope::{Context, Scopes};

const RIGHT: &str = "[server]\nlisten = [\"127.0.0.1:0\"]\npublic_url = \"https://gate.example.org\"\n[admin]\nlisten = [\"127.0.0.1:0\"]\n\
    [fhir]\nupstream = \"http://127.0.0.1:9/fhir\"\n";
const REGISTRATION: &str = "[registration]\ntokens = []\nscopes = [\"openid\", \"patient/*.rs\"]\n";

fn snapshot(more: &str) -> Snapshot {
    let folder = tempfile::tempdir().unwrap();
    load_str(&format!("{RIGHT}{more}"), folder.path()).unwrap().snapshot
}

fn registration() -> Registration {
    Registration {
        registered: 5,
        name: Some("An app".to_owned()),
        auth: RegisteredAuth::Public,
        redirect_uris: vec!["https://app.example/cb".to_owned()],
        scopes: ["openid", "fhirUser", "patient/Observation.cruds", "user/*.rs", "system/*.rs"]
            .map(str::to_owned)
            .to_vec(),
        grant_types: vec![UserGrantType::AuthorizationCode, UserGrantType::RefreshToken],
        about: Default::default(),
    }
}

fn put(snapshot: &Snapshot, registrations: &[(&str, Registration)]) {
    let registrations: HashMap<_, _> = registrations.iter().map(|(id, it)| ((*id).to_owned(), it.clone())).collect();
    snapshot.put_registered(registrations.into());
}

#[test]
fn a_registered_app_has_less_than_any_other() {
    let mut snapshot = snapshot(REGISTRATION);
    // No configuration says so; it would not help either.
    let limits = Scopes::parse(snapshot.fhir.version, ["openid", "patient/*.rs", "system/*.rs"]);
    snapshot.registration.as_mut().unwrap().scopes = limits;
    put(&snapshot, &[("app-1", registration())]);
    let client = snapshot.clients.get("app-1").unwrap();
    assert!(client.enabled && client.self_registered && client.enforced);
    assert!(!client.may_introspect && client.launcher.is_none() && client.launch_uris.is_empty());
    assert_eq!(client.consent, Consent::Ask);
    assert_eq!(client.grant_types, [GrantType::AuthorizationCode, GrantType::RefreshToken]);
    assert!(client.scopes.has("openid") && !client.scopes.has("fhirUser"));
    assert!(client.scopes.fhir.iter().all(|scope| scope.context == Context::Patient), "{:?}", client.scopes.fhir);
    let [scope] = client.scopes.fhir.as_slice() else { panic!("{:?}", client.scopes.fhir) };
    assert!(crate::scope::Scope::parse(snapshot.fhir.version, "patient/Observation.rs").unwrap().covers(scope));
    assert!(snapshot.knows_origin("https://app.example") && !snapshot.knows_origin("https://other.example"));
}

#[test]
fn without_the_section_nobody_is_registered() {
    let snapshot = snapshot("");
    put(&snapshot, &[("app-1", registration())]);
    assert!(snapshot.clients.get("app-1").is_none() && !snapshot.knows_origin("https://app.example"));
}

#[test]
fn a_row_rules_over_a_registration() {
    let row = |more: &str| {
        format!(
            "{REGISTRATION}[[clients]]\nid = \"app-1\"\nkind = \"public\"\nredirect_uris = [\"https://row.example/cb\"]\n\
             scopes = [\"patient/*.cruds\"]\nconsent = \"granted\"\n{more}"
        )
    };
    let approved = snapshot(&row(""));
    put(&approved, &[("app-1", registration())]);
    let client = approved.clients.get("app-1").unwrap();
    assert!(!client.self_registered && client.consent == Consent::Granted);
    assert!(approved.knows_origin("https://row.example") && !approved.knows_origin("https://app.example"));
    put(&approved, &[]);
    assert!(approved.clients.get("app-1").unwrap().enabled, "the registration is of no use to it any more");

    let shut_out = snapshot(&row("enabled = false"));
    put(&shut_out, &[("app-1", registration())]);
    assert!(!shut_out.clients.get("app-1").unwrap().enabled);
}

#[test]
fn another_configuration_keeps_them_within_its_own_bounds() {
    let before = snapshot(REGISTRATION);
    put(&before, &[("app-1", registration())]);
    let narrower = snapshot("[registration]\ntokens = []\nscopes = [\"openid\"]\n");
    narrower.keep_registered(&before);
    assert!(narrower.clients.get("app-1").unwrap().scopes.fhir.is_empty());
    let off = snapshot("");
    off.keep_registered(&narrower);
    assert!(off.clients.get("app-1").is_none());
    let on = snapshot(REGISTRATION);
    on.keep_registered(&off);
    assert_eq!(on.clients.get("app-1").unwrap().scopes.fhir.len(), 1);
}

#[test]
fn what_was_concluded_stands_until_one_is_gone_or_another() {
    let snapshot = snapshot(REGISTRATION);
    let generation = || snapshot.clients.generation();
    let mut seen = vec![generation()];
    put(&snapshot, &[("app-1", registration())]);
    put(&snapshot, &[("app-1", registration()), ("app-2", registration())]);
    assert_eq!(generation(), seen[0], "a new one changes nothing for others");
    put(&snapshot, &[("app-2", registration())]);
    seen.push(generation());
    put(&snapshot, &[("app-2", Registration { name: None, ..registration() })]);
    seen.push(generation());
    put(&snapshot, &[]);
    seen.push(generation());
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
}

#[test]
fn a_key_url_of_an_app_is_the_operators_only_where_the_operator_says_so() {
    let by_url = |url: &str| Registration { auth: RegisteredAuth::KeysUrl(url.to_owned()), ..registration() };
    let source = |snapshot: &Snapshot, url: &str| {
        put(snapshot, &[("app-1", by_url(url))]);
        snapshot.clients.get("app-1").map(|client| match &client.auth {
            ClientAuth::PrivateKeyJwt(source) => source.clone(),
            _ => panic!(),
        })
    };
    let (inside, here) = ("https://jwks.internal.example:8443/a", "http://127.0.0.1:1/jwks");
    let allowing = snapshot(&format!(
        "{REGISTRATION}[auth]\nfetch_allow = [\"https://jwks.internal.example:8443\", \"http://127.0.0.1:1\"]\n"
    ));
    for url in [inside, here] {
        assert_eq!(source(&allowing, url), Some(KeySource::Url(url.to_owned())));
    }
    let other = "https://jwks.internal.example/a";
    assert_eq!(
        source(&allowing, other),
        Some(KeySource::ClientUrl(other.to_owned())),
        "another port is another origin"
    );
    let plain = snapshot(REGISTRATION);
    assert_eq!(source(&plain, inside), Some(KeySource::ClientUrl(inside.to_owned())));
    assert_eq!(source(&plain, here), None);
}

#[tokio::test]
async fn what_was_read_earlier_does_not_take_the_place_of_what_was_read_later() {
    let snapshot = snapshot(REGISTRATION);
    let read = |turns: usize, ids: &'static [&'static str]| {
        snapshot.follow_registered(async move {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            Ok::<_, ()>(ids.iter().map(|id| ((*id).to_owned(), registration())).collect())
        })
    };
    let (slow, quick) = tokio::join!(read(9, &["removed", "kept"]), read(0, &["kept"]));
    assert_eq!((slow, quick), (Ok(()), Ok(())));
    assert!(snapshot.clients.get("removed").is_none() && snapshot.clients.get("kept").is_some());
    assert_eq!(snapshot.follow_registered(async { Err("the store is down") }).await, Err("the store is down"));
    assert!(snapshot.clients.get("kept").is_some());
}
