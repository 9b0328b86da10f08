//! `[[clients]]` and `clients.d/`: the apps that may ask for access.

use url::Url;

use super::process::rate;
use super::{Named, keys, scopes};
use crate::config::table::Table;
use crate::config::typed::OneOrMany;
use crate::config::{Client, ClientAuth, Consent, GrantType, LaunchBinding, LaunchUsers, Launcher, value};
use crate::fhir::FhirVersion;
use crate::scope::{Context, Scopes};

const MAX_ID_BYTES: usize = 255;
/// What `smartgate hash-password --secret` writes before the digits.
const SECRET_HASH_PREFIX: &str = "sha256:";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Public,
    Symmetric,
    Asymmetric,
}

/// Reads one client; `report` says whether report mode is configured, which a client may be exempt from.
pub(super) fn client<'a>(table: &mut Table<'a>, version: FhirVersion, report: bool) -> Named<'a, Client> {
    let id = table.required("id", "\"growth-chart\"");
    let checked = id.clone().and_then(|found| found.parse(client_id));
    let name = table.text("name").map(|found| found.it.to_owned());
    let kinds = [
        ("public", Kind::Public),
        ("confidential-symmetric", Kind::Symmetric),
        ("confidential-asymmetric", Kind::Asymmetric),
    ];
    let kind = table.required_choice("kind", "\"public\"", &kinds);
    let auth = auth(table, kind);
    let redirect_uris = table.texts("redirect_uris");
    let redirects = table.has("redirect_uris") && redirect_uris.as_ref().is_none_or(|uris| !uris.is_empty());
    let redirect_uris = redirect_uris.into_iter().flatten();
    let redirect_uris: Vec<String> = redirect_uris.filter_map(|found| found.parse(redirect_uri)).collect();
    // An EHR that does nothing but launch apps needs none.
    let only_launches = table.has("may_launch") && !table.has("scopes");
    let scopes = if only_launches { Some(Scopes::default()) } else { scopes::scopes(table, version) };
    let launch_uris = table.texts("launch_uris").into_iter().flatten();
    let launch_uris: Vec<String> = launch_uris.filter_map(|found| found.parse(launch_uri)).collect();
    let may_introspect = table.flag("may_introspect", false);
    let launcher = launcher(table, kind);
    let grant_types = grant_types(table, kind, scopes.as_ref(), redirects, may_introspect || launcher.is_some());
    let origins = table.texts("origins").map_or_else(|| origins_of(&redirect_uris), scopes::origins);
    let consent = table.choice("consent", Consent::Ask, &[("ask", Consent::Ask), ("granted", Consent::Granted)]);
    let enabled = table.flag("enabled", true);
    let enforced = enforced(table, report);
    let rate = rate(table, "rate");
    let client = || {
        let id = checked?;
        Some(Client {
            name: name.unwrap_or_else(|| id.clone()),
            id,
            auth: auth?,
            redirect_uris,
            launch_uris,
            scopes: scopes?,
            grant_types,
            origins,
            consent,
            may_introspect,
            rate,
            launcher,
            enforced,
            self_registered: false,
            enabled,
        })
    };
    (id, client())
}

/// A client's own mode, which can only be stricter (enforcement.md §9).
fn enforced(table: &mut Table<'_>, report: bool) -> bool {
    let own = table.choice("mode", None, &[("enforce", Some(true)), ("report", Some(false))]);
    if own == Some(false) && !report {
        table
            .place("mode")
            .wrong("a client can only be stricter than [enforcement] mode; write \"enforce\", or leave it out");
    }
    own == Some(true)
}

/// RFC 6749 appendix A.1: visible ASCII.
fn client_id(text: &str) -> Result<String, String> {
    if (1..=MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{text:?} is no client id (1 to {MAX_ID_BYTES} visible ASCII characters); write for example \"growth-chart\""
    ))
}

fn auth(table: &mut Table<'_>, kind: Option<Kind>) -> Option<ClientAuth> {
    let hash = table.text("secret_hash");
    let allow_http = table.flag("allow_http", false);
    let has_keys = keys::KEYS.iter().any(|key| table.has(key));
    if kind != Some(Kind::Asymmetric) {
        for key in keys::KEYS {
            if kind.is_some() && table.has(key) {
                table.place(key).wrong("is for kind = \"confidential-asymmetric\"; leave it out, or change the kind");
            }
            table.text(key);
        }
    }
    if let (Some(Kind::Public | Kind::Asymmetric), Some(hash)) = (kind, &hash) {
        hash.place.wrong("is for kind = \"confidential-symmetric\"; leave it out, or change the kind");
    }
    match kind? {
        Kind::Public => (hash.is_none() && !has_keys).then_some(ClientAuth::Public),
        Kind::Symmetric => {
            if !table.has("secret_hash") {
                table.missing("secret_hash", "\"sha256:…\", made by `smartgate hash-password --secret`");
            }
            hash?.parse(secret_hash).map(ClientAuth::Secret)
        }
        Kind::Asymmetric => keys::key_source(table, allow_http, None).map(ClientAuth::PrivateKeyJwt),
    }
}

/// `sha256:` and 64 hexadecimal digits; what was written may be the secret itself and is not quoted.
pub(in crate::config) fn secret_hash(text: &str) -> Result<[u8; 32], String> {
    let wrong =
        || "is no hash; write what `smartgate hash-password --secret` prints: \"sha256:\" and 64 digits".to_owned();
    let digits = text.strip_prefix(SECRET_HASH_PREFIX).ok_or_else(wrong)?;
    let nibbles: Option<Vec<u8>> =
        digits.chars().map(|digit| digit.to_digit(16).and_then(|nibble| u8::try_from(nibble).ok())).collect();
    let bytes: Vec<u8> = match nibbles {
        Some(nibbles) if nibbles.len() == 64 => {
            nibbles.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, nibble| byte << 4 | nibble)).collect()
        }
        _ => return Err(wrong()),
    };
    bytes.try_into().map_err(|_| wrong())
}

/// RFC 6749 §3.1.2, RFC 8252 §7: https, http on this machine, or a scheme of the app's own; compared exactly later.
///
/// # Errors
/// What is wrong with it.
pub fn redirect_uri(text: &str) -> Result<String, String> {
    let example = "write for example \"https://app.example.org/callback\"";
    let url = Url::parse(text).map_err(|_| format!("{text:?} is no absolute URL; {example}"))?;
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains('*') {
        return Err(format!("{text:?} has characters that cannot be compared exactly (no wildcards); {example}"));
    }
    if url.fragment().is_some() {
        return Err(format!("{text:?} has a fragment, which no redirect URI may have; {example}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("a redirect URI must not have a user or password in it; {example}"));
    }
    match url.scheme() {
        "https" => Ok(text.to_owned()),
        "http" if value::is_loopback(&url) => Ok(text.to_owned()),
        "http" => Err(format!(
            "{text:?} would send the code in the clear; write https (http only for 127.0.0.1, [::1], localhost)"
        )),
        scheme if scheme.contains('.') => Ok(text.to_owned()),
        scheme => Err(format!(
            "the scheme {scheme:?} may be another app's; write https, or a domain of yours in reverse: \"org.example.app:/callback\""
        )),
    }
}

/// Where an EHR launch sends the browser: as a redirect URI, but always a page of the web.
fn launch_uri(text: &str) -> Result<String, String> {
    let uri = redirect_uri(text)?;
    if uri.starts_with("https:") || uri.starts_with("http:") {
        return Ok(uri);
    }
    Err(format!("{text:?} is no web page; write for example \"https://app.example.org/launch\""))
}

fn launcher(table: &mut Table<'_>, kind: Option<Kind>) -> Option<Launcher> {
    let place = table.place("may_launch").name();
    let may_launch = table.flag("may_launch", false);
    let users = table.one_or_many("launch_users");
    let bindings = [("cookie", LaunchBinding::Cookie), ("none", LaunchBinding::None)];
    let binding = table.choice("launch_binding", LaunchBinding::Cookie, &bindings);
    let frame_ancestors = table.texts("frame_ancestors").map(scopes::origins).unwrap_or_default();
    if !may_launch {
        for key in ["launch_users", "launch_binding", "frame_ancestors"].into_iter().filter(|key| table.has(key)) {
            table.place(key).wrong("is for an EHR with may_launch = true; write that too, or leave it out");
        }
        return None;
    }
    if kind == Some(Kind::Public) {
        table.place("may_launch").wrong("is not for public clients, which cannot prove who they are; leave it out");
    }
    let Some(users) = users else {
        table.missing("launch_users", "[\"carter\"], or \"any\"");
        return None;
    };
    let users = match users {
        OneOrMany::One(found) => found.parse(|text| match text {
            "any" => Ok(LaunchUsers::Any),
            other => {
                Err(format!("{other:?} is neither \"any\" nor a list of user names; write for example [\"carter\"]"))
            }
        })?,
        OneOrMany::Many(_, names) => LaunchUsers::These(names.into_iter().map(|found| found.it.to_owned()).collect()),
    };
    Some(Launcher { place, users, binding, frame_ancestors })
}

/// The origins that the app's own pages have, as far as its redirect URIs tell.
pub(in crate::config) fn origins_of(redirect_uris: &[String]) -> Vec<String> {
    let urls = redirect_uris.iter().filter_map(|uri| Url::parse(uri).ok());
    let mut origins: Vec<String> = urls
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .map(|url| url.origin().ascii_serialization())
        .collect();
    origins.sort();
    origins.dedup();
    origins
}

fn grant_types(
    table: &mut Table<'_>,
    kind: Option<Kind>,
    scopes: Option<&Scopes>,
    redirects: bool,
    needs_no_token: bool,
) -> Vec<GrantType> {
    let system = |scopes: &Scopes| scopes.fhir.iter().filter(|scope| scope.context == Context::System).count();
    let Some(written) = table.texts("grant_types") else {
        let only_system = scopes.is_some_and(|scopes| !scopes.fhir.is_empty() && system(scopes) == scopes.fhir.len());
        let service = only_system && kind != Some(Kind::Public);
        if !redirects && !service && !needs_no_token && kind.is_some() && scopes.is_some() {
            table.place("grant_types").wrong(
                "the client has no way to get a token; write redirect_uris, or make it confidential with system/ \
                 scopes only",
            );
        }
        let code = redirects.then_some(GrantType::AuthorizationCode);
        let refresh = (redirects && scopes.is_some_and(lasts)).then_some(GrantType::RefreshToken);
        return code.into_iter().chain(refresh).chain(service.then_some(GrantType::ClientCredentials)).collect();
    };
    let mut types = Vec::new();
    for found in written {
        let checked = found.parse(|text| match grant_type(text)? {
            GrantType::AuthorizationCode if !redirects => {
                Err(format!("{text:?} needs redirect_uris; write them, or leave it out"))
            }
            GrantType::RefreshToken if !redirects => {
                Err(format!("{text:?} needs redirect_uris: only a person's access is refreshed; write them, or leave it out"))
            }
            GrantType::RefreshToken if !scopes.is_none_or(lasts) => Err(format!(
                "{text:?} needs the scope \"offline_access\" or \"online_access\"; write one of them into scopes, or leave it out"
            )),
            GrantType::ClientCredentials if kind == Some(Kind::Public) => {
                Err(format!("{text:?} is not for public clients, which cannot prove who they are; leave it out"))
            }
            GrantType::ClientCredentials if scopes.is_some_and(|scopes| system(scopes) == 0) => {
                Err(format!("{text:?} needs a system/ scope; write for example scopes = [\"system/*.rs\"]"))
            }
            grant => Ok(grant),
        });
        types.extend(checked.filter(|grant| !types.contains(grant)));
    }
    types
}

/// Whether access may go on after the first token.
fn lasts(scopes: &Scopes) -> bool {
    scopes.has("offline_access") || scopes.has("online_access")
}

fn grant_type(text: &str) -> Result<GrantType, String> {
    match text {
        "authorization_code" => Ok(GrantType::AuthorizationCode),
        "client_credentials" => Ok(GrantType::ClientCredentials),
        "refresh_token" => Ok(GrantType::RefreshToken),
        other => Err(format!("{other:?} is none of \"authorization_code\", \"refresh_token\", \"client_credentials\"")),
    }
}
