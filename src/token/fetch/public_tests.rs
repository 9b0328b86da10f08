use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::token::fetch::download::{builder, get};
use crate::token::testing::Server;

const CLOSED: &[&str] = &[
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::8.8.8.8",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
];

const PUBLIC: &[&str] = &[
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "126.0.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "192.0.1.1",
    "198.17.0.1",
    "198.20.0.1",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2606:4700::1111",
    "2a00:1450::1",
];

#[test]
fn row_222_only_public_addresses_are_public() {
    for text in CLOSED {
        assert!(!is_public(text.parse().unwrap()), "{text}");
    }
    for text in PUBLIC {
        assert!(is_public(text.parse().unwrap()), "{text}");
    }
}

#[test]
fn an_address_in_a_url_is_checked_however_it_is_written() {
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "10.0.0.1:8443",
        "1２7.0.0.1",
    ] {
        assert!(check(&format!("https://{host}/jwks")).is_err(), "{host}");
    }
    for url in ["http://app.example.org/jwks", "ftp://app.example.org/", "file:///etc/passwd", "https:", "jwks", ""] {
        assert!(check(url).is_err(), "{url}");
    }
    for url in ["https://app.example.org/jwks", "https://8.8.8.8:8443/jwks", "https://[2606:4700::1111]/"] {
        assert_eq!(check(url), Ok(()), "{url}");
    }
}

/// Answers what it is told, one list after the other, and counts.
struct Script {
    answers: Vec<Vec<&'static str>>,
    asked: AtomicUsize,
}

impl Script {
    fn of(answers: &[&[&'static str]]) -> Arc<Self> {
        Arc::new(Self { answers: answers.iter().map(|list| list.to_vec()).collect(), asked: AtomicUsize::default() })
    }
}

impl Resolve for Script {
    fn resolve(&self, _: Name) -> Resolving {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst);
        let list = self.answers[turn.min(self.answers.len() - 1)].clone();
        let found: Vec<SocketAddr> = list.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect();
        Box::pin(async move { Ok(Box::new(found.into_iter()) as Addrs) })
    }
}

async fn resolve(answers: &[&'static str]) -> Result<Vec<String>, String> {
    let guarded = PublicOnly::new(Script::of(&[answers]));
    let found = guarded.resolve("app.example.org".parse().unwrap()).await.map_err(|error| error.to_string())?;
    Ok(found.map(|address| address.ip().to_string()).collect())
}

#[tokio::test]
async fn row_222_a_name_with_an_address_that_is_not_public_has_none() {
    assert_eq!(resolve(&["8.8.8.8", "2606:4700::1111"]).await.unwrap(), ["8.8.8.8", "2606:4700::1111"]);
    for text in CLOSED {
        assert!(resolve(&[text]).await.is_err(), "{text}");
        assert!(resolve(&["8.8.8.8", text]).await.is_err(), "{text} among public ones");
    }
}

/// For this test one address of this machine stands for the public internet.
fn only_one(address: IpAddr) -> bool {
    address == IpAddr::V4(Ipv4Addr::LOCALHOST)
}

#[tokio::test]
async fn row_222_the_connection_goes_to_the_address_that_was_checked() {
    crate::token::install_crypto();
    let server = Server::start().await;
    server.answers("", "{}");
    let url = server.url.replace("127.0.0.1", "rebinding.example.org") + "/jwks";
    let script = Script::of(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let client = builder().dns_resolver(PublicOnly { resolver: script.clone(), is_public: only_one }).build().unwrap();
    assert!(get(&client, &url).await.is_ok());
    assert_eq!(script.asked.load(Ordering::SeqCst), 1, "what was checked is not asked for again");
    let error = get(&client, &url).await.unwrap_err();
    assert!(error.contains("no public address"), "{error}");
    assert_eq!(server.seen(), 1);
}
