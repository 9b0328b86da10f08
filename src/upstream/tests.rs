use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use super::*;
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
        Upstream {
            base: format!("http://{}/fhir", self.address),
            authority: self.address.to_string(),
            host: self.address.ip().to_string(),
            port: self.address.port(),
            tls: false,
            base_path: "/fhir".to_owned(),
            auth: UpstreamAuth::None,
            ca: None,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(30),
        }
    }
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
    client.send(upstream, &capabilities_lookup(), HeaderMap::new(), None).await?.collect(1000).await
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
    let mut upstream = Scripted::start(vec![]).await.upstream();
    upstream.port = listener.local_addr().unwrap().port();
    upstream.base = format!("http://127.0.0.1:{}/fhir", upstream.port);
    upstream.read_timeout = Duration::from_millis(50);
    let client = UpstreamClient::new();
    assert!(matches!(get(&client, &upstream).await, Err(UpstreamError::Timeout)));
    drop(listener);
    assert!(matches!(get(&client, &upstream).await, Err(UpstreamError::Unreachable(_))));
}

#[tokio::test]
async fn names_are_resolved() {
    let server = Scripted::start(vec![vec![HELLO]]).await;
    let mut upstream = server.upstream();
    upstream.host = "localhost".to_owned();
    assert_eq!(get(&UpstreamClient::new(), &upstream).await.unwrap(), "hello");
    upstream.host = "does-not-exist.invalid".to_owned();
    upstream.base = "http://does-not-exist.invalid/fhir".to_owned();
    assert!(matches!(get(&UpstreamClient::new(), &upstream).await, Err(UpstreamError::Unreachable(_))));
}

#[tokio::test]
async fn search_values_are_encoded_on_the_wire() {
    let server = Scripted::start(vec![vec![HELLO]]).await;
    let parameters = [crate::fhir::search::Parameter::plain("name", "A&_id=B c#é")];
    let request = patients_lookup(&parameters);
    UpstreamClient::new().send(&server.upstream(), &request, HeaderMap::new(), None).await.unwrap();
    let seen = server.seen.lock().await;
    assert!(seen[0].starts_with("GET /fhir/Patient?name=A%26_id%3DB%20c%23%C3%A9 HTTP/1.1\r\n"), "{}", seen[0]);
}

#[test]
fn only_listed_headers_travel_on() {
    let mut headers = HeaderMap::new();
    for name in ["content-type", "etag", "server", "set-cookie", "x-powered-by", "link", "access-control-allow-origin"]
    {
        headers.insert(name, HeaderValue::from_static("x"));
    }
    let mut passed: Vec<_> = response_headers(&headers).keys().map(|name| name.to_string()).collect();
    passed.sort();
    assert_eq!(passed, ["content-type", "etag"]);
}

#[test]
fn a_broken_certificate_authority_is_an_error() {
    let upstream = Upstream {
        tls: true,
        ca: Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec()),
        base: String::new(),
        authority: String::new(),
        host: "127.0.0.1".to_owned(),
        port: 1,
        base_path: String::new(),
        auth: UpstreamAuth::None,
        connect_timeout: Duration::from_secs(1),
        read_timeout: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(1),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(runtime.block_on(Peers::default().of(&upstream)).is_err());
}
