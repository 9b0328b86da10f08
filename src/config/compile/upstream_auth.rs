//! `[fhir] upstream_auth`: how the gate proves itself at the FHIR server.

use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use secrecy::SecretSlice;

use super::login::filled;
use super::tls;
use crate::config::document::Found;
use crate::config::secret::{header_secret, secret};
use crate::config::table::Table;
use crate::config::{ClientProof, ServiceClient, SigningAlgorithm, UpstreamAuth, value};

/// A key of the table, an example of its value, the kind it belongs to and whether that needs it.
const KEYS: [(&str, &str, &str, bool); 10] = [
    ("token", "\"file:upstream-token\"", "bearer", true),
    ("username", "\"smartgate\"", "basic", true),
    ("password", "\"file:upstream-password\"", "basic", true),
    ("token_url", "\"https://idp.example.org/token\"", "client_credentials", true),
    ("client_id", "\"smartgate\"", "client_credentials", true),
    ("client_secret", "\"file:upstream-secret\"", "client_credentials", false),
    ("key_file", "\"upstream-key.pem\"", "client_credentials", false),
    ("key_id", "\"smartgate-1\"", "client_credentials", false),
    ("algorithm", "\"ES384\"", "client_credentials", false),
    ("scope", "\"system/*.cruds\"", "client_credentials", false),
];

/// Kinds that need no app's token and whose credentials are always the same, and every kind.
pub(super) const FIXED: [&str; 3] = ["none", "bearer", "basic"];
pub(super) const EVERY: [&str; 5] = ["none", "passthrough", "bearer", "basic", TOKENS];
const TOKENS: &str = "client_credentials";

/// Reads a table of one of these kinds.
pub(super) fn upstream_auth(mut table: Table<'_>, kinds: &[&'static str]) -> Option<UpstreamAuth> {
    let choices: Vec<_> = kinds.iter().map(|kind| (*kind, *kind)).collect();
    let kind = table.required_choice("kind", "\"bearer\"", &choices);
    let token = table.text("token");
    let username = table.text("username");
    let password = table.text("password");
    let client = kinds.contains(&TOKENS).then(|| service_client(&mut table, kind == Some(TOKENS))).flatten();
    for (key, example, of, needed) in KEYS.into_iter().filter(|(_, _, of, _)| kinds.contains(of)) {
        match (kind, table.has(key)) {
            (Some(kind), true) if kind != of => {
                table.place(key).wrong(format!("means nothing with kind = \"{kind}\"; leave it out"));
            }
            (Some(kind), false) if kind == of && needed => table.missing(key, example),
            _ => {}
        }
    }
    table.finish();
    match kind? {
        "passthrough" => Some(UpstreamAuth::Passthrough),
        "bearer" => token.and_then(header_secret).map(UpstreamAuth::Bearer),
        "basic" => {
            let username = username.and_then(|found| found.parse(basic_user));
            let password = password.and_then(secret);
            Some(UpstreamAuth::Basic { username: username?, password: password? })
        }
        TOKENS => client.map(|client| UpstreamAuth::ClientCredentials(Arc::new(client))),
        _ => Some(UpstreamAuth::None),
    }
}

fn service_client(table: &mut Table<'_>, meant: bool) -> Option<ServiceClient> {
    let token_url = table.text("token_url");
    let client_id = table.text("client_id");
    let client_secret = table.text("client_secret");
    let key_file = table.text("key_file");
    let id = table.text("key_id");
    let algorithms = [
        ("ES256", SigningAlgorithm::Es256),
        ("ES384", SigningAlgorithm::Es384),
        ("RS256", SigningAlgorithm::Rs256),
        ("RS384", SigningAlgorithm::Rs384),
    ];
    let algorithm = table.choice("algorithm", SigningAlgorithm::Es384, &algorithms);
    let scope = table.text("scope");
    if !meant {
        return None;
    }
    let proof = match (client_secret, key_file) {
        (Some(found), None) => secret(found).map(ClientProof::Secret),
        (None, Some(found)) => {
            if id.is_none() {
                table.missing("key_id", "\"smartgate-1\", the `kid` of the key as it is registered");
            }
            let id = id.and_then(|found| found.parse(filled));
            private_key(found).and_then(|der| Some(ClientProof::Key { der, id: id?, algorithm }))
        }
        (None, None) => {
            table.missing("client_secret", "\"file:upstream-secret\" (or key_file)");
            None
        }
        (Some(_), Some(found)) => {
            found.place.wrong("there is also client_secret; leave one of them out");
            None
        }
    };
    let token_url = token_url.and_then(|found| found.parse(|text| value::key_url(text, false)));
    let client_id = client_id.and_then(|found| found.parse(filled));
    let has_scope = scope.is_some();
    let scope = scope.and_then(|found| found.parse(filled));
    (scope.is_some() || !has_scope).then_some(())?;
    Some(ServiceClient { token_url: token_url?, client_id: client_id?, scope, proof: proof? })
}

fn private_key(found: Found<'_, &str>) -> Option<SecretSlice<u8>> {
    let place = found.place.clone();
    found.parse(|path| {
        let path = place.document.folder().join(path);
        place.document.reading.secret(&path, &place);
        let pem = place.document.reading.bytes(&path)?;
        match tls::private_key(&pem)? {
            PrivateKeyDer::Pkcs8(key) => Ok(key.secret_pkcs8_der().to_vec().into()),
            _ => {
                Err("is no key in PKCS#8 (\"BEGIN PRIVATE KEY\"); `openssl pkcs8 -topk8 -nocrypt` makes it one"
                    .to_owned())
            }
        }
    })
}

/// RFC 7617 §2: no colon and no control characters.
fn basic_user(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(':') || text.chars().any(char::is_control) {
        return Err(format!("{text:?} is no user name for Basic; it must not be empty or have \":\" in it"));
    }
    Ok(text.to_owned())
}
