use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use super::*;
use crate::config::UpstreamAuth;
use crate::decide::{capabilities_lookup, patients_lookup};

/// A FHIR server that answers each connection with a script, one answer a request, and closes it at the end.
struct Scripted {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    async fn start(connections: Vec<Vec<&'static str>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        tokio::spawn(async move {
            for answers in connections {
                let (mut stream, _) = listener.accept().await.unwrap();
                for answer in answers {
                    log.lock().await.push(request(&mut stream).await);
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        });
        Self { address, seen }
    }

    fn upstream(&self) -> Upstream {
        upstream_at(&format!("http://{}/fhir", self.address))
    }
}

/// An upstream with this base and short waits.
pub(super) fn upstream_at(base: &str) -> Upstream {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\npublic_url = \"http://p\"\n[admin]\nlisten = [\"127.0.0.1:0\"]\n\
         [fhir]\nupstream = \"{base}\"\nconnect_timeout = \"5s\"\nread_timeout = \"5s\"\n"
    );
    let snapshot = crate::config::load_str(&text, folder.path()).unwrap_or_else(|errors| panic!("{errors}")).snapshot;
    Upstream::clone(&snapshot.fhir.upstream)
}

async fn request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

async fn get(client: &UpstreamClient, upstream: &Upstream) -> Result<Bytes, UpstreamError> {
    let upstream = Arc::new(upstream.clone());
    client.send(&upstream, &capabilities_lookup(), HeaderMap::new(), None, None).await?.collect(1000).await
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let server = Scripted::start(vec![vec![HELLO, HELLO]]).await;
    let client = UpstreamClient::new();
    for _ in 0..2 {
        assert_eq!(get(&client, &server.upstream()).await.unwrap(), "hello");
    }
    let seen = server.seen.lock().await;
    assert!(seen[0].starts_with("GET /fhir/metadata HTTP/1.1\r\n"), "{}", seen[0]);
    let lower = seen[0].to_lowercase();
    assert!(lower.contains("accept-encoding: identity\r\n"));
    assert!(lower.contains(&format!("host: {}\r\n", server.address)));
    assert!(!lower.contains("content-length") && !lower.contains("transfer-encoding"), "{lower}");
}

#[tokio::test]
async fn a_read_is_repeated_on_a_dead_pooled_connection() {
    let server = Scripted::start(vec![vec![HELLO], vec![HELLO]]).await;
    let client = UpstreamClient::new();
    for _ in 0..2 {
        assert_eq!(get(&client, &server.upstream()).await.unwrap(), "hello");
    }
}

#[tokio::test]
async fn credentials_are_the_gates_own() {
    let server = Scripted::start(vec![vec![HELLO, HELLO]]).await;
    let client = UpstreamClient::new();
    let mut upstream = server.upstream();
    upstream.auth = UpstreamAuth::Basic { username: "gate".to_owned(), password: SecretString::from("secret") };
    get(&client, &upstream).await.unwrap();
    upstream.auth = UpstreamAuth::Bearer(SecretString::from("t0ken"));
    get(&client, &upstream).await.unwrap();
    let seen = server.seen.lock().await;
    assert!(seen[0].to_lowercase().contains("authorization: basic z2f0ztpzzwnyzxq=\r\n"), "{}", seen[0]);
    assert!(seen[1].contains("Bearer t0ken\r\n"), "{}", seen[1]);
}

#[tokio::test]
async fn interim_answers_are_waited_out() {
    let answer = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let server = Scripted::start(vec![vec![answer]]).await;
    assert_eq!(get(&UpstreamClient::new(), &server.upstream()).await.unwrap(), "ok");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nContent-Le",
    ] {
        let server = Scripted::start(vec![vec![answer]]).await;
        assert!(get(&UpstreamClient::new(), &server.upstream()).await.is_err(), "{answer}");
    }
}

#[tokio::test]
async fn what_is_too_large_or_compressed_is_not_held() {
    let server = Scripted::start(vec![vec!["HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"]]).await;
    assert!(matches!(get(&UpstreamClient::new(), &server.upstream()).await, Err(UpstreamError::TooLarge)));
    let server =
        Scripted::start(vec![vec!["HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx"]]).await;
    assert!(matches!(get(&UpstreamClient::new(), &server.upstream()).await, Err(UpstreamError::Encoded)));
}

#[tokio::test]
async fn silence_is_a_timeout_and_nobody_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut upstream = upstream_at(&format!("http://{}/fhir", listener.local_addr().unwrap()));
    upstream.read_timeout = Duration::from_millis(50);
    let client = UpstreamClient::new();
    assert!(matches!(get(&client, &upstream).await, Err(UpstreamError::Timeout)));
    drop(listener);
    assert!(matches!(get(&client, &upstream).await, Err(UpstreamError::Unreachable(_))));
}

#[tokio::test]
async fn names_are_resolved() {
    let server = Scripted::start(vec![vec![HELLO]]).await;
    let named = upstream_at(&format!("http://localhost:{}/fhir", server.address.port()));
    assert_eq!(get(&UpstreamClient::new(), &named).await.unwrap(), "hello");
    let unknown = upstream_at("http://does-not-exist.invalid/fhir");
    assert!(matches!(get(&UpstreamClient::new(), &unknown).await, Err(UpstreamError::Unreachable(_))));
}

#[tokio::test]
async fn search_values_are_encoded_on_the_wire() {
    let server = Scripted::start(vec![vec![HELLO]]).await;
    let parameters = [crate::fhir::search::Parameter::plain("name", "A&_id=B c#é")];
    let request = patients_lookup(&parameters);
    UpstreamClient::new().send(&Arc::new(server.upstream()), &request, HeaderMap::new(), None, None).await.unwrap();
    let seen = server.seen.lock().await;
    assert!(seen[0].starts_with("GET /fhir/Patient?name=A%26_id%3DB%20c%23%C3%A9 HTTP/1.1\r\n"), "{}", seen[0]);
}

#[tokio::test]
async fn only_listed_headers_come_in_and_travel_on() {
    let server = Scripted::start(vec![vec![
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: W/\"1\"\r\nETag: W/\"2\"\r\nServer: x\r\nSet-Cookie: x\r\nX-Powered-By: x\r\n\
         Expires: x\r\nLink: x\r\nAccess-Control-Allow-Origin: *\r\n\r\n",
    ]])
    .await;
    let asked = (Arc::new(server.upstream()), capabilities_lookup());
    let mut answer = UpstreamClient::new().send(&asked.0, &asked.1, HeaderMap::new(), None, None).await.unwrap();
    let names = |headers: &HeaderMap| {
        let mut names: Vec<_> = headers.keys().map(|name| name.to_string()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&answer.headers), ["content-length", "etag", "expires"]);
    let travel = answer.take_headers();
    assert_eq!(names(&travel), ["content-length", "etag"]);
    assert_eq!(travel["etag"], "W/\"1\"");
}

#[tokio::test]
async fn a_broken_certificate_authority_is_an_error() {
    let mut upstream = upstream_at("https://127.0.0.1:1/fhir");
    upstream.tls.ca = Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec());
    assert!(
        matches!(get(&UpstreamClient::new(), &upstream).await, Err(UpstreamError::Unreachable(why)) if why.contains("TLS"))
    );
}
