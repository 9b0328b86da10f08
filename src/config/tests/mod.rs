//! What is right, what is wrong, and what is said of it.

mod entries;
mod operations;
pub(super) mod sample;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use super::{PatientData, Snapshot, StoreTls, StoreUrl, UpstreamAuth, load, load_str, load_str_at};
use crate::fhir::ResourceType;

const RIGHT: &str = r#"[server]
listen = ["127.0.0.1:8080"]
public_url = "https://gate.example.org"

[admin]
listen = ["127.0.0.1:9090"]

[fhir]
upstream = "http://127.0.0.1:8090/fhir"

[enforcement]

[store]

[tokens]

[audit]

[log]

[limits]
"#;

const CLIENT: &str =
    "id = \"c\"\nkind = \"public\"\nredirect_uris = [\"https://a.example/cb\"]\nscopes = [\"patient/*.rs\"]\n";
const ISSUER: &str =
    "issuer = \"https://idp.example\"\naudience = [\"x\"]\ndiscovery = true\nscopes = [\"patient/*.rs\"]\n";
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c21hcnRnYXRlLXNhbXBsZQ$3SBXz8SjDfkwUzXUYhLobrB/ybSnmQIwZ1T+dye/pAk";

fn user() -> String {
    format!("username = \"amy\"\npassword_hash = \"{HASH}\"\nfhir_user = \"Patient/example\"\n")
}

/// The right configuration with more lines in one of its sections, whose own lines of the same key they replace.
fn with(section: &str, lines: &str) -> String {
    let keys: Vec<&str> = lines.lines().filter_map(|line| line.split_once(" =")).map(|(key, _)| key).collect();
    let header = format!("[{section}]");
    let (before, after) = RIGHT.split_once(&header).unwrap();
    let (own, rest) = after.split_once("\n\n").unwrap_or((after, ""));
    let own: Vec<&str> =
        own.lines().filter(|line| !keys.iter().any(|key| line.starts_with(&format!("{key} =")))).collect();
    format!("{before}{header}\n{lines}{}\n\n{rest}", own.join("\n"))
}

fn load_in(folder: &Path, main: &str) -> Result<Snapshot, Vec<String>> {
    load_str(main, folder).map(|loaded| loaded.snapshot).map_err(|errors| errors.lines().collect())
}

fn right(main: &str) -> Snapshot {
    let folder = TempDir::new().unwrap();
    load_in(folder.path(), main).unwrap_or_else(|errors| panic!("{errors:#?}\n{main}"))
}

fn errors(main: &str) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    let prefix = format!("{}/", folder.path().display());
    let errors = load_in(folder.path(), main).err().unwrap_or_else(|| panic!("this was accepted:\n{main}"));
    errors.into_iter().map(|line| line.replace(&prefix, "")).collect()
}

#[test]
fn little_is_enough_and_the_rest_has_defaults() {
    let snapshot = right(RIGHT);
    assert_eq!(snapshot.generation, 1);
    assert_eq!(snapshot.fhir.public_base, "https://gate.example.org/fhir");
    assert_eq!(snapshot.tokens.access_lifetime, Duration::from_secs(600));
    assert_eq!(snapshot.fhir.patient_data, PatientData::Subject);
    assert_eq!(&snapshot.fhir.shared_types, snapshot.fhir.tables.default_shared());
    assert_eq!(snapshot.server.drain_delay, Duration::from_secs(5));
}

#[test]
fn every_error_is_told_at_once_with_file_and_line() {
    let main = "[server]\npublic_url = \"http://x/\"\n[fhir]\nupstream = \"ftp://x\"\nupstrem = 1\n[tokens]\naccess_lifetime = 5\n";
    assert_eq!(
        errors(main),
        [
            "smartgate.toml:1: [admin] listen: is missing; write for example listen = [\"127.0.0.1:9090\"]",
            "smartgate.toml:1: [server] listen: is missing; write for example listen = [\"127.0.0.1:8080\"]",
            "smartgate.toml:2: [server] public_url: \"http://x/\" is no origin (scheme, host and port only); write \"http://x\"",
            "smartgate.toml:4: [fhir] upstream: \"ftp://x\" is no http or https URL; \
             write for example \"http://127.0.0.1:8090/fhir\"",
            "smartgate.toml:5: [fhir] upstrem: there is no such key, perhaps upstream; there are base_path, version, patient_data, narrowing, \
             narrowing_by_type, shared_types, unpinned_writes, upsert, upstream, upstream_auth, ca_file, client_cert, tls_min, \
             connect_timeout, read_timeout, idle_timeout, exchange_timeout, max_concurrent, max_waiting, max_wait, health, bulk_hosts, \
             identity_headers",
            "smartgate.toml:7: [tokens] access_lifetime: is a whole number; write for example \"500ms\", \"30s\", \"10m\" or \"1h\"",
        ]
    );
}

#[test]
fn what_is_no_toml_has_file_and_line_and_is_not_quoted() {
    let found = errors("[server]\nlisten = [\"127.0.0.1:8080\"]\npassword = sesame\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("smartgate.toml:3: this is not TOML: "), "{found:?}");
    assert!(!found[0].contains("sesame"), "{found:?}");
    let twice = errors("[log]\nlevel = \"info\"\nlevel = \"debug\"\n");
    assert!(twice[0].starts_with("smartgate.toml:3: this is not TOML: "), "{twice:?}");
}

/// Section, lines put into it, and what the one error says.
const WRONG: &[(&str, &str, &str)] = &[
    ("server", "listen = []", "[server] listen: is empty"),
    ("server", "listen = [\"localhost\"]", "\"localhost\" is no address and port"),
    ("server", "listen = [\"127.0.0.1:80\", \"127.0.0.1:80\"]", "already taken"),
    ("server", "public_url = \"https://gate.example.org/\"", "write \"https://gate.example.org\""),
    ("server", "public_url = \"https://gate.example.org/x\"", "is no origin"),
    ("server", "public_url = \"https://gate.example.org:443\"", "write \"https://gate.example.org\""),
    ("server", "public_url = \"https://user:sesame@gate.example.org\"", "must not have a user or password"),
    ("server", "threads = 0", "a whole number from 1"),
    ("server", "drain_delay = \"5\"", "is no length of time"),
    ("server", "drain_delay = \"99d\"", "is not from \"0s\" to \"1h\""),
    ("server", "tls = { cert = \"none.pem\" }", "[server] tls.key: is missing"),
    ("server", "tls = \"x\"", "write a table: tls = { … }"),
    ("fhir", "version = 4", "is a whole number; write one of \"R4\", \"R4B\", \"R5\""),
    ("fhir", "upstream = \"http://localhost:8080/fhir\"", "is the gate itself; write where the FHIR server is"),
    (
        "fhir",
        "upstream = [\"http://a/fhir\", \"http://127.0.0.1:8080\"]",
        "\"http://127.0.0.1:8080\" is the gate itself",
    ),
    ("admin", "listen = [\"0.0.0.0:8080\"]", "already taken by \"127.0.0.1:8080\""),
    ("admin", "token = \"sesame\"", "[admin] token: a secret is not written here"),
    ("admin", "token = \"file:nowhere\"", "cannot be read"),
    ("admin", "token = \"env:SMARTGATE_NO_SUCH_VARIABLE\"", "no variable `SMARTGATE_NO_SUCH_VARIABLE`"),
    ("fhir", "upstream = []", "has no address"),
    ("fhir", "upstream = [\"http://a/fhir\", \"http://a/fhir/\"]", "is there twice"),
    ("fhir", "health = { fall = 0 }", "a whole number from 1"),
    ("fhir", "health = { check = \"ping\" }", "is none of"),
    ("fhir", "upstream = \"http://a/fhir?x=1\"", "has a query"),
    ("fhir", "bulk_hosts = [\"https://files.example.org/x\"]", "is no origin"),
    ("fhir", "bulk_hosts = [\"files.example.org\"]", "is no http or https URL"),
    ("fhir", "base_path = \"fhir\"", "is no path"),
    ("fhir", "base_path = \"/fhir/\"", "is no path"),
    ("fhir", "base_path = \"/a/../b\"", "is no path"),
    ("fhir", "base_path = \"/auth/fhir\"", "is the authorization server's"),
    ("fhir", "version = \"r4\"", "is none of \"R4\", \"R4B\", \"R5\""),
    ("fhir", "patient_data = \"compartment\"", "[fhir] narrowing: \"parameter\" cannot find all"),
    ("fhir", "narrowing_by_type = { Appointmen = \"actor\" }", "is no resource type of R4"),
    ("fhir", "narrowing_by_type = { Appointment = \"date\" }", "leads to a Patient"),
    ("fhir", "narrowing_by_type = { Observation = \"performer\" }", "does not look at every element"),
    ("fhir", "shared_types = [\"Observation\"]", "would show one patient's to another"),
    ("fhir", "shared_types = [\"Patient\"]", "would show one patient's to another"),
    ("fhir", "shared_types = [\"Provenance\"]", "cannot be shared"),
    ("fhir", "shared_types = [\"Binary\"]", "cannot be shared"),
    ("fhir", "upstream_auth = { kind = \"bearer\" }", "[fhir] upstream_auth.token: is missing"),
    ("fhir", "upstream_auth = { kind = \"none\", token = \"file:x\" }", "means nothing with kind = \"none\""),
    (
        "fhir",
        "upstream_auth = { kind = \"client_credentials\", token_url = \"https://i/t\", client_id = \"g\" }",
        "client_secret: is missing",
    ),
    (
        "fhir",
        "upstream_auth = { kind = \"client_credentials\", token_url = \"http://i/t\", client_id = \"g\", client_secret = \"env:HOME\" }",
        "is http",
    ),
    ("fhir", "tls_min = \"1.1\"", "is none of"),
    ("fhir", "client_cert = { cert = \"a\" }\nupstream = \"https://a/fhir\"", "client_cert.key: is missing"),
    ("fhir", "upstream_auth = { kind = \"digest\" }", "is none of"),
    ("fhir", "identity_headers = { user = \"Authorization\" }", "has a meaning of its own"),
    ("fhir", "identity_headers = { user = \"X-Forwarded-User\" }", "has a meaning of its own"),
    ("fhir", "identity_headers = { user = \"a b\" }", "is no name of a header"),
    ("fhir", "identity_headers = { user = \"X-A\", patient = \"x-a\" }", "is used twice"),
    ("fhir", "ca_file = \"ca.pem\"\nupstream = \"https://a/fhir\"", "cannot be read"),
    ("fhir", "unpinned_writes = [\"PATCH\"]", "is none of \"PUT\", \"DELETE\""),
    ("enforcement", "mode = \"report\"", "[enforcement] report_until: is missing"),
    ("enforcement", "mode = \"off\"", "is none of \"enforce\", \"report\""),
    ("enforcement", "mode = \"report\"\nreport_until = \"9999-01-01\"", "is more than 90 days ahead"),
    ("enforcement", "mode = \"report\"\nreport_until = \"2026-02-30\"", "is no day"),
    ("enforcement", "report_until = \"2026-2-3\"", "is no day"),
    ("enforcement", "report_until = 2027-01-31", "write a string in quotes"),
    ("store", "url = \"postgres://u:sesame@h/db\"", "has a password in it, which is not written here"),
    ("store", "url = \"postgres://u@h/db?password=sesame\"", "has a password in it, which is not written here"),
    ("store", "url = \"postgres://u@h:port/db\"", "is no URL of PostgreSQL (invalid connection string"),
    ("store", "url = \"postgres://u@h/db?sslmode=verify-ca\"", "write one of disable, prefer, require, verify-full"),
    (
        "store",
        "url = \"postgres://u@h/db?sslmode=disable\"\nca_file = \"ca.pem\"",
        "sslmode=disable and sockets do without",
    ),
    ("store", "url = \"postgres:///db\"", "names no host"),
    ("store", "connections = 5", "[store] connections: is for PostgreSQL; leave it out"),
    ("store", "url = \"redis://h\"", "is no store"),
    ("store", "url = \"sqlite::memory:\"", "is no store"),
    ("tokens", "algorithm = \"HS256\"", "is none of \"ES256\""),
    ("tokens", "code_lifetime = \"1h\"", "is not from \"1s\" to \"10m\""),
    ("tokens", "refresh_lifetime = \"1s\"", "is not from \"1m\""),
    ("tokens", "session_lifetime = \"30d\"", "is not from \"1m\" to \"7d\""),
    ("audit", "on_full = \"drop\"", "is none of \"block\", \"shed\""),
    ("audit", "search_values = 1", "write true or false"),
    ("log", "level = \"info,[=\"", "is no filter"),
    ("log", "level = \"warning\"", "\"warning\" is no level"),
    ("log", "level = \"info,smartgate::token\"", "\"smartgate::token\" is no level"),
    ("limits", "json_depth = 100000", "a whole number from 8 to 127"),
    ("limits", "count = -1", "a whole number from 1"),
];

#[test]
fn one_wrong_value_is_one_error() {
    for (section, lines, expected) in WRONG {
        let found = errors(&with(section, &format!("{lines}\n")));
        assert!(found.len() == 1 && found[0].contains(expected), "{lines}: {found:#?}");
        assert!(!found[0].contains("sesame"), "{lines}: a secret was quoted: {found:?}");
    }
}

#[test]
fn names_are_unique_across_files() {
    let folder = TempDir::new().unwrap();
    for (drop_in, text) in [("clients.d", CLIENT.to_owned()), ("issuers.d", ISSUER.to_owned()), ("users.d", user())] {
        std::fs::create_dir(folder.path().join(drop_in)).unwrap();
        for file in ["1.toml", "2.toml", ".hidden.toml", "notes.txt"] {
            std::fs::write(folder.path().join(drop_in).join(file), &text).unwrap();
        }
    }
    let links = "\n[[links]]\nperson = \"Person/a\"\npatients = [\"1\"]\n".repeat(2);
    let found = load_in(folder.path(), &format!("{RIGHT}{links}")).err().unwrap();
    assert_eq!(found.len(), 4, "{found:#?}");
    for (line, place) in found.iter().zip([
        "clients.d/2.toml:1: id",
        "issuers.d/2.toml:1: issuer",
        "smartgate.toml:",
        "users.d/2.toml:1: username",
    ]) {
        assert!(line.contains(place), "{line}");
    }
    assert!(found[0].contains("clients.d/1.toml:1"), "{found:?}");
}

#[test]
fn drop_ins_report_their_own_file_and_line() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("clients.d")).unwrap();
    let file = folder.path().join("clients.d/app.toml");
    std::fs::write(&file, format!("{CLIENT}launch = 1\n")).unwrap();
    let found = load_in(folder.path(), &with("fhir", "version = \"R9\"\n")).err().unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with(&format!("{}:5: launch: there is no such key; there are id, name", file.display())));
    std::fs::write(&file, format!("[[clients]]\n{CLIENT}")).unwrap();
    let found = load_in(folder.path(), RIGHT).err().unwrap();
    let leave_out = "clients: a file of clients.d is one entry; leave [[clients]] out";
    assert_eq!(found, [format!("{}:1: {leave_out}", file.display())]);
}

#[test]
fn secrets_that_everybody_can_read_are_warned_of_with_their_place() {
    let folder = TempDir::new().unwrap();
    let (path, token) = (folder.path().join("smartgate.toml"), folder.path().join("token"));
    std::fs::write(&path, with("admin", "token = \"file:token\"\n")).unwrap();
    std::fs::write(&token, "sesame").unwrap();
    let exposed = |of_folder, of_file| {
        let mode = std::fs::Permissions::from_mode;
        std::fs::set_permissions(folder.path(), mode(of_folder)).unwrap();
        std::fs::set_permissions(&token, mode(of_file)).unwrap();
        load(&path).map(|loaded| loaded.sources.warnings).unwrap()
    };
    assert_eq!(exposed(0o755, 0o640), []);
    assert_eq!(exposed(0o700, 0o644), []);
    let noted = exposed(0o755, 0o644);
    // Where temporary files are private, nobody else gets there.
    let is_open = |folder: &Path| folder.metadata().unwrap().permissions().mode() & 0o001 != 0;
    if folder.path().canonicalize().unwrap().ancestors().all(is_open) {
        let text = format!("every user of this machine can read `{0}`; try chmod o= {0}", token.display());
        assert_eq!(noted, [(format!("{}:6", path.display()), text)]);
    }
}

#[test]
fn paths_and_secrets_are_found_from_the_file_that_names_them() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("token"), "upstream-token\n").unwrap();
    let main = with("fhir", "upstream_auth = { kind = \"bearer\", token = \"file:token\" }\n");
    let snapshot = load_in(folder.path(), &main).unwrap();
    assert!(
        matches!(&snapshot.fhir.upstream.auth, UpstreamAuth::Bearer(token) if token.expose_secret() == "upstream-token")
    );
    assert!(snapshot.store.url == StoreUrl::Sqlite(folder.path().join("state/smartgate.db")));
    let main = with("store", "url = \"postgres://u@h/db\"\npassword = \"file:token\"\n");
    let StoreUrl::Postgres(store) = load_in(folder.path(), &main).unwrap().store.url else { panic!("{main}") };
    assert_eq!((store.config.get_password(), store.tls), (Some(&b"upstream-token"[..]), StoreTls::VerifyFull));
    let socket = right(&with("store", "url = \"postgres://u@%2Frun%2Fpostgresql/db\"\n"));
    assert!(
        matches!(socket.store.url, StoreUrl::Postgres(store) if store.tls == StoreTls::Disable),
        "a socket needs none"
    );
    let main = with("fhir", "upstream_auth = { kind = \"bearer\", token = \"file:token\" }\n");
    std::fs::write(folder.path().join("token"), "two\nlines").unwrap();
    let found = load_in(folder.path(), &main).err().unwrap();
    assert!(found[0].contains("no header may have") && !found[0].contains("lines"), "{found:?}");
}

#[test]
fn the_upstream_is_taken_apart() {
    let upstream = |url: &str| {
        let upstream = right(&with("fhir", &format!("upstream = \"{url}\"\n"))).fhir.upstream;
        upstream.addresses.first.clone()
    };
    let plain = upstream("http://[::1]:8090/fhir/");
    assert_eq!((&*plain.base, &*plain.authority), ("http://[::1]:8090/fhir", "[::1]:8090"));
    assert_eq!((&*plain.host, plain.port, plain.tls, &*plain.base_path), ("::1", 8090, false, "/fhir"));
    let several = right(&with("fhir", "upstream = [\"http://a/fhir\", \"http://b:81/r4\"]\n")).fhir;
    assert_eq!(several.bases().as_slice(), ["http://a/fhir", "http://b:81/r4", "https://gate.example.org/fhir"]);
    let addresses = &several.upstream.addresses;
    assert_eq!(addresses.below("http://b:81/r4/Patient/1"), Some("/Patient/1"));
    assert_eq!(addresses.below("http://b:81/r45/Patient/1"), None);
    assert_ne!(addresses.first.key, addresses.others[0].key);
    let root = upstream("https://fhir.example.org");
    assert_eq!((&*root.base, &*root.authority), ("https://fhir.example.org", "fhir.example.org"));
    assert_eq!((root.port, root.tls, &*root.base_path), (443, true, ""));
}

#[test]
fn types_are_narrowed_and_shared_as_configured() {
    let fhir =
        right(&with("fhir", "narrowing_by_type = { Appointment = \"actor\" }\nshared_types = [\"Location\"]\n")).fhir;
    let of = |name| ResourceType::parse(fhir.version, name).unwrap();
    assert_eq!(fhir.narrowing_by_type[&of("Appointment")], "actor");
    assert!(fhir.shared_types.contains(of("Location")) && !fhir.shared_types.contains(of("Medication")));
}

#[test]
fn default_shared_types_are_no_patients() {
    for version in ["R4", "R4B", "R5"] {
        let fhir = right(&with("fhir", &format!("version = \"{version}\"\n"))).fhir;
        let both: Vec<_> = fhir.shared_types.iter().filter(|of| fhir.tables.subject(*of).is_some()).collect();
        assert!(both.is_empty(), "{version}: {both:?}");
    }
}

#[test]
fn a_section_that_nobody_knows_is_an_error() {
    let found = errors(&format!("{RIGHT}\n[fire]\n"));
    assert!(found[0].contains("fire: there is no such key; there are server, admin"), "{found:?}");
}

#[test]
fn the_fingerprint_is_of_every_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("smartgate.toml");
    std::fs::write(&path, with("admin", "token = \"file:token\"\n")).unwrap();
    std::fs::write(folder.path().join("token"), "one").unwrap();
    let sources = || load(&path).map(|loaded| loaded.sources).unwrap();
    let first = sources();
    assert!(first.are_as_read());
    assert_eq!(first, sources());
    std::fs::write(folder.path().join("token"), "two").unwrap();
    assert!(!first.are_as_read());
    let second = sources();
    assert_ne!(first.fingerprint, second.fingerprint);
    std::fs::create_dir(folder.path().join("clients.d")).unwrap();
    assert!(second.are_as_read());
    std::fs::write(folder.path().join("clients.d/c.toml"), CLIENT).unwrap();
    assert!(!second.are_as_read());
    assert_ne!(second.fingerprint, sources().fingerprint);
    assert_eq!(sources().files().count(), 3);
    std::fs::remove_file(folder.path().join("clients.d/c.toml")).unwrap();
    assert!(second.are_as_read());
}

#[test]
fn what_is_not_utf_8_is_told_with_its_line() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("smartgate.toml");
    std::fs::write(&path, b"# one\n# two\nname = \"Caf\xe9\"\n").unwrap();
    let errors = load(&path).err().unwrap().to_string();
    assert!(errors.contains(&format!("line 3 of `{}` is not UTF-8", path.display())), "{errors}");
}

#[test]
fn a_missing_main_file_is_an_error_that_names_it() {
    let errors = load(Path::new("/nowhere/smartgate.toml")).err().unwrap().to_string();
    assert!(errors.contains("/nowhere/smartgate.toml: `/nowhere/smartgate.toml` cannot be read"), "{errors}");
    assert!(errors.contains("SMARTGATE_CONFIG names another file"), "{errors}");
}

/// 2027-01-31T00:00:00Z.
const REPORT_UNTIL: i64 = 1_801_353_600;

#[test]
fn report_mode_lasts_ninety_days_at_most_and_may_be_over() {
    let folder = TempDir::new().unwrap();
    let text = with("enforcement", "mode = \"report\"\nreport_until = \"2027-01-31\"\n");
    let until = |now: i64| {
        let loaded = load_str_at(&text, folder.path(), now).map_err(|errors| errors.lines().collect::<Vec<_>>());
        loaded.map(|loaded| loaded.snapshot.enforcement.report.map(|report| report.until))
    };
    let earliest = REPORT_UNTIL - 90 * 86_400;
    assert_eq!(until(earliest), Ok(Some(REPORT_UNTIL)));
    let errors = until(earliest - 1).unwrap_err();
    assert!(errors.len() == 1 && errors[0].contains("smartgate.toml:13: [enforcement] report_until:"), "{errors:?}");
    assert_eq!(until(REPORT_UNTIL + 1), Ok(Some(REPORT_UNTIL)), "a restart after the day must work");
}

#[test]
fn a_day_without_report_mode_is_no_report_mode() {
    let snapshot = right(&with("enforcement", "report_until = \"2027-01-31\"\n"));
    assert_eq!(snapshot.enforcement.report, None);
}
