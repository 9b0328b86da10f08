use tempfile::TempDir;

use crate::config::{Loaded, load_str, load_str_at};

/// Made for these tests, for `CN=gate.example.org`; used nowhere.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBjDCCATOgAwIBAgIUVUZqBtF/czroHmouF+G6bMbFtNIwCgYIKoZIzj0EAwIw
GzEZMBcGA1UEAwwQZ2F0ZS5leGFtcGxlLm9yZzAgFw0yNjExMjUwMzQxMjZaGA8y
MTI2MTEwMTAzNDEyNlowGzEZMBcGA1UEAwwQZ2F0ZS5leGFtcGxlLm9yZzBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABK514j/voUGrlx+gxB4SkwHTIdvWsUXuFIxz
wpzqLeYkOhQ54I1s4bzzdeOHOyInIA+p1gdaYOLZvkVQDROznRujUzBRMB0GA1Ud
DgQWBBT9OV1ItM4yFvuQyB/nN4FRWD2LVTAfBgNVHSMEGDAWgBT9OV1ItM4yFvuQ
yB/nN4FRWD2LVTAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIDq4
n1hogbCXbnazv4WOJUSLJqpa/+xsXDPMA5RlGYKDAiBi/UnsuV46k6SRhS/TjmXJ
yWPjsoOp2JNr4CtOms1ZKA==
-----END CERTIFICATE-----";
/// Its `notAfter`.
const UNTIL: i64 = 4_949_178_086;
const ITS_KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgztQB261ey0hJjiN8
pRCRA2xK2hTKIFZdQ0aPg5IlCmChRANCAASudeI/76FBq5cfoMQeEpMB0yHb1rFF
7hSMc8Kc6i3mJDoUOeCNbOG883XjhzsiJyAPqdYHWmDi2b5FUA0Ts50b
-----END PRIVATE KEY-----";
const ANOTHER_KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgdl1FtaBwhy9WO340
5WosIgDZubgLPD9GVnQDs6BqTIihRANCAAQOb7UqcimdpoyqAJqjE/iA5scSyUJq
6P7u9C8tRs92OiznTvjELCfLCg649ucIsW+/sYZV+bywEF8tTLTC9i7n
-----END PRIVATE KEY-----";

const MAIN: &str = "[server]\nlisten = [\"127.0.0.1:8080\"]\npublic_url = \"https://gate.example.org\"\n\
                    tls = { cert = \"a.crt\", key = \"a.key\" }\n[admin]\nlisten = [\"127.0.0.1:9090\"]\n\
                    [fhir]\nupstream = \"http://127.0.0.1:8090/fhir\"\n";

/// What loading says of a certificate file and a key file; empty where all is right.
fn load(cert: &str, key: &str) -> String {
    let folder = folder(cert, key);
    match load_str(MAIN, folder.path()) {
        Ok(loaded) => {
            let tls = loaded.snapshot.server.tls.unwrap();
            assert_eq!(tls.server.alpn_protocols, [&b"h2"[..], b"http/1.1"]);
            assert_eq!(tls.not_after, Some(UNTIL));
            assert!(
                ["a.crt", "a.key"].iter().all(|file| loaded.sources.files().any(|it| it == folder.path().join(file)))
            );
            String::new()
        }
        Err(errors) => {
            assert_eq!(errors.lines().count(), 1, "{errors}");
            errors.to_string()
        }
    }
}

fn folder(cert: &str, key: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("a.crt"), cert).unwrap();
    std::fs::write(folder.path().join("a.key"), key).unwrap();
    folder
}

#[test]
fn a_certificate_that_nobody_takes_today_is_warned_of() {
    let folder = folder(CERTIFICATE, ITS_KEY);
    let warnings = |now| {
        let Loaded { sources, .. } = load_str_at(MAIN, folder.path(), now).unwrap();
        let texts = sources.warnings.into_iter().map(|(_, text)| text);
        // Whether others can read the key is another matter, and the machine's.
        texts.filter(|text| text.starts_with("the certificate")).collect::<Vec<_>>()
    };
    let (from, until) = (1_795_578_086, UNTIL);
    assert_eq!(warnings(from - 1), ["the certificate is not good before 2026-11-25T03:41:26Z"]);
    assert_eq!(warnings(from), [""; 0]);
    assert_eq!(warnings(until), [""; 0]);
    assert_eq!(warnings(until + 1), ["the certificate was good until 2126-11-01T03:41:26Z"]);
}

#[test]
fn a_certificate_is_read_with_its_key() {
    assert_eq!(load(CERTIFICATE, ITS_KEY), "");
}

#[test]
fn a_key_of_another_certificate_is_an_error() {
    let error = load(CERTIFICATE, ANOTHER_KEY);
    assert!(
        error.contains("smartgate.toml:4: [server] tls.cert: certificate and key cannot be used together"),
        "{error}"
    );
}

#[test]
fn files_without_what_they_should_hold_are_errors_and_not_quoted() {
    for (cert, key, expected) in [
        ("", ITS_KEY, "tls.cert: has no certificate in PEM"),
        ("sesame", ITS_KEY, "tls.cert: has no certificate in PEM"),
        (CERTIFICATE, "sesame", "tls.key: has no private key in PEM"),
        (CERTIFICATE, CERTIFICATE, "tls.key: has no private key in PEM"),
        (
            CERTIFICATE.split_at(300).0,
            ITS_KEY,
            "tls.cert: has no certificate in PEM (it ends before the line \"-----END\")",
        ),
        (
            CERTIFICATE,
            ITS_KEY.split_at(100).0,
            "tls.key: has no private key in PEM (it ends before the line \"-----END\")",
        ),
        (CERTIFICATE, &ITS_KEY.replace("PRIVATE", "ENCRYPTED PRIVATE"), "`openssl pkey -in OLD -out NEW` takes it off"),
        (
            CERTIFICATE,
            "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n",
            "tls.key: has a private key with a passphrase",
        ),
    ] {
        let error = load(cert, key);
        assert!(error.contains(expected) && !error.contains("sesame"), "{error}");
    }
}
