//! Clients that do not wait for an answer: the FHIR server is not kept busy for them, and the audit log says so.

use http::Request;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

use crate::wire::head_end;
use crate::world::World;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: 1000\r\n\r\n{";

/// What the FHIR server saw of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Saw {
    Request,
    End,
}

/// A FHIR server that begins answers, or does not even that, and ends none.
struct Endless {
    base: String,
    saw: UnboundedReceiver<Saw>,
    _serving: JoinSet<()>,
}

impl Endless {
    async fn start(begin: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/fhir", listener.local_addr().unwrap());
        let (tell, saw) = unbounded_channel();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let tell = tell.clone();
                connections.spawn(async move {
                    let mut request = Vec::new();
                    while head_end(&request).is_none() && stream.read_buf(&mut request).await.is_ok_and(|read| read > 0)
                    {
                    }
                    // And not what the gate asks for itself.
                    if request.windows(11).any(|part| part == b"Observation") {
                        let _ = tell.send(Saw::Request);
                        let _ = stream.write_all(begin).await;
                        while stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {}
                        let _ = tell.send(Saw::End);
                    }
                });
            }
        });
        Self { base, saw, _serving: serving }
    }

    async fn next(&mut self) -> Saw {
        self.saw.recv().await.unwrap()
    }
}

/// A gate that waits for its FHIR server as long as that takes.
async fn patient(begin: &'static [u8]) -> (World, Endless) {
    let (world, server) = (World::start("", "").await, Endless::start(begin).await);
    world.reload_patient(&server.base);
    (world, server)
}

fn service(world: &World) -> String {
    let claims = json!({ "scope": "system/*.cruds", "sub": "service", "client_id": "service" });
    world.token(claims.as_object().unwrap())
}

async fn ask(world: &World, token: &str, line: &str, more: &str) -> TcpStream {
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    let request = format!("{line} HTTP/1.1\r\nHost: p\r\nAuthorization: Bearer {token}\r\n{more}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// The last audit line, when there are so many.
async fn audited(world: &World, lines: usize) -> Value {
    loop {
        let mut audit = world.audit().await;
        if audit.len() >= lines {
            return audit.swap_remove(lines - 1);
        }
        tokio::task::yield_now().await;
    }
}

fn left(line: &Value) -> (Option<&str>, Option<&str>) {
    (line["rule"].as_str(), line["detail"].as_str())
}

const LEFT: (Option<&str>, Option<&str>) = (Some("answer-cut-off"), Some("the client went away"));

#[tokio::test]
async fn row_211_a_read_whose_client_leaves_ends_at_the_fhir_server_too() {
    // Not begun, and begun: one is held, one flows.
    for begin in [&b""[..], HEAD] {
        let (world, mut server) = patient(begin).await;
        let (amy, all) = (world.patient_token("patient/*.rs", "A"), service(&world));
        let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n";
        let asked = [
            (&amy, "GET /fhir/Observation/a1", ""),
            (&amy, "GET /fhir/Observation", ""),
            (&amy, "POST /fhir/Observation/_search", form),
            (&all, "GET /fhir/Observation/a1", ""),
        ];
        for (number, (token, line, more)) in asked.into_iter().enumerate() {
            let stream = ask(&world, token, line, more).await;
            assert_eq!(server.next().await, Saw::Request, "{line}");
            drop(stream);
            assert_eq!(server.next().await, Saw::End, "{line}");
            let audited = audited(&world, number + 1).await;
            assert_eq!(left(&audited), LEFT, "{line}: {audited}");
            let begun = begin == HEAD && token == &all;
            assert_eq!(audited["status"], if begun { 200 } else { 499 }, "{line}");
        }
        while !world.metrics().contains("smartgate_requests_in_flight 0\n") {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn row_211_so_does_one_whose_stream_is_reset() {
    let (world, mut server) = patient(b"").await;
    let stream = TcpStream::connect(world.address()).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    for number in 1..3 {
        let request = Request::get("http://p/fhir/Observation/a1").version(http::Version::HTTP_2);
        let token = world.patient_token("patient/*.rs", "A");
        let request = request.header("authorization", format!("Bearer {token}")).body(()).unwrap();
        client = client.ready().await.unwrap();
        let (response, mut stream) = client.send_request(request, true).unwrap();
        assert_eq!(server.next().await, Saw::Request);
        if number == 1 {
            stream.send_reset(h2::Reason::CANCEL);
        } else {
            connection.abort();
        }
        assert_eq!(server.next().await, Saw::End);
        let audited = audited(&world, number).await;
        assert_eq!(left(&audited), LEFT, "{audited}");
        drop(response);
    }
}

/// Who sends more before the answer is there has not left.
#[tokio::test]
async fn a_client_that_sends_more_is_waited_for() {
    let world = World::start("", "").await;
    let token = world.patient_token("patient/*.rs", "A");
    let mut stream = ask(&world, &token, "GET /fhir/Observation/a1", "").await;
    let again = format!(
        "GET /fhir/Observation/a1 HTTP/1.1\r\nHost: p\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let _ = stream.write_all(again.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer));
}
