//! What the FHIR server may do wrong on the wire: each has a clear answer, an end, and is forgotten when it is well again
//! (docs/faults.md).

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::resources::observation;
use crate::wire::{self, Reply, head_end};
use crate::world::World;

/// A step of an answer.
#[derive(Clone)]
enum Step {
    Send(String),
    /// These bytes again and again, with a pause before each.
    Drip(&'static str),
    /// So many megabytes of spaces.
    Flood(usize),
    /// Nothing more, and the connection stays open.
    Hang,
    /// Nothing more is sent; what comes is read on.
    HalfClose,
}

use Step::{Drip, Flood, HalfClose, Hang, Send};

/// A FHIR server that answers every request by the same steps, and then closes the connection.
struct Faulty {
    base: String,
    steps: Arc<Mutex<Vec<Step>>>,
    _serving: JoinSet<()>,
}

impl Faulty {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/fhir", listener.local_addr().unwrap());
        let steps = Arc::new(Mutex::new(Vec::new()));
        let told = steps.clone();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(connection(stream, told.clone()));
            }
        });
        Self { base, steps, _serving: serving }
    }

    fn answer(&self, steps: &[Step]) {
        *self.steps.lock() = steps.to_vec();
    }
}

async fn connection(mut stream: TcpStream, steps: Arc<Mutex<Vec<Step>>>) {
    let mut request = Vec::new();
    while head_end(&request).is_none() {
        if !stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
            return;
        }
    }
    let steps = steps.lock().clone();
    for step in steps {
        let sent = match step {
            Send(text) => stream.write_all(text.as_bytes()).await,
            Drip(text) => loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if let Err(error) = stream.write_all(text.as_bytes()).await {
                    break Err(error);
                }
            },
            Flood(megabytes) => {
                let spaces = vec![b' '; 1 << 20];
                let mut sent = Ok(());
                for _ in 0..megabytes {
                    sent = sent.and(stream.write_all(&spaces).await);
                    if sent.is_err() {
                        break;
                    }
                }
                sent
            }
            Hang => std::future::pending().await,
            HalfClose => stream.shutdown().await.and(stream.read_buf(&mut Vec::new()).await.map(|_| ())),
        };
        if sent.is_err() {
            return;
        }
    }
}

fn head(more: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\n{more}\r\n")
}

fn body() -> String {
    observation("a1", "A", "x").to_string()
}

fn whole() -> Step {
    Send(format!("{}{}", head(&format!("Content-Length: {}\r\n", body().len())), body()))
}

/// A gate before a server with such faults, with short waits.
async fn faulty() -> (World, Faulty) {
    faulty_for("600ms").await
}

/// The same, where an exchange may take so long.
async fn faulty_for(exchange: &str) -> (World, Faulty) {
    let world = World::start("", "").await;
    let server = Faulty::start().await;
    let times = format!("exchange_timeout = \"{exchange}\"\nhealth = {{ check = \"none\" }}\n");
    world.reload_to_all(&[&server.base], &times);
    (world, server)
}

fn tokens(world: &World) -> [String; 2] {
    let claims = json!({ "scope": "system/*.cruds", "sub": "service", "client_id": "service" });
    [world.patient_token("patient/*.rs", "A"), world.token(claims.as_object().unwrap())]
}

const READ: &str = "/fhir/Observation/a1";

/// Both ways, held and flowing, get this; and what follows is answered as if nothing had been.
async fn refused(world: &World, server: &Faulty, what: &str, steps: &[Step], status: u16, rule: &str) {
    for token in tokens(world) {
        server.answer(steps);
        let reply = world.get(&token, READ).await;
        assert_eq!((reply.status, reply.rule().as_deref()), (status, Some(rule)), "{what}: {}", reply.text());
        server.answer(&[whole()]);
        assert_eq!(world.get(&token, READ).await.status, 200, "{what}: after it");
    }
    assert!(world.metrics().contains(&format!("smartgate_refusals_total{{rule=\"{rule}\"}}")), "{what}");
}

#[tokio::test]
async fn a_server_that_closes_before_it_answers_is_unreachable() {
    let (world, server) = faulty().await;
    for (what, steps) in [
        ("closed", vec![]),
        ("half-closed", vec![HalfClose]),
        ("closed in the head", vec![Send("HTTP/1.1 200 OK\r\nContent-Le".to_owned())]),
    ] {
        refused(&world, &server, what, &steps, 502, "upstream-unreachable").await;
    }
}

#[tokio::test]
async fn a_server_that_is_slow_is_a_timeout_however_it_drips() {
    let (world, server) = faulty().await;
    for (what, steps) in [
        ("silent", vec![Hang]),
        ("silent in the head", vec![Send("HTTP/1.1 200 OK\r\nX".to_owned()), Hang]),
        ("a head that drips", vec![Send("HTTP/1.1 200 OK\r\nX-A: ".to_owned()), Drip("a")]),
    ] {
        refused(&world, &server, what, &steps, 504, "upstream-timeout").await;
    }
}

#[tokio::test]
async fn what_is_no_http_is_not_passed_on() {
    let (world, server) = faulty().await;
    for (what, text) in [
        ("no HTTP", "SSH-2.0-OpenSSH_9.9\r\n\r\n".to_owned()),
        ("TLS", "\u{16}\u{3}\u{1}\0\u{5}hello\r\n\r\n".to_owned()),
        ("no status", "HTTP/1.1 twohundred OK\r\n\r\n".to_owned()),
        ("a thousand headers", format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-A: b\r\n".repeat(1000))),
        ("a header of two megabytes", format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "b".repeat(2 << 20))),
        ("two lengths", format!("{}x", head("Content-Length: 1\r\nContent-Length: 2\r\n"))),
        ("a length that is none", format!("{}x", head("Content-Length: many\r\n"))),
    ] {
        refused(&world, &server, what, &[Send(text)], 502, "upstream-unreachable").await;
    }
}

/// A held answer is refused; one that flows has begun and is cut off, which the client sees by its length or its chunks.
#[tokio::test]
async fn a_body_that_does_not_end_well_is_refused_or_cut_off() {
    let (world, server) = faulty().await;
    let begun = &body()[..20];
    let [patient, service] = tokens(&world);
    for (what, steps, status, rule) in [
        (
            "closed in the body",
            vec![Send(format!("{}{begun}", head("Content-Length: 500\r\n")))],
            502,
            "upstream-unreachable",
        ),
        (
            "a broken chunk",
            vec![Send(format!("{}zz\r\n{begun}", head("Transfer-Encoding: chunked\r\n")))],
            502,
            "upstream-unreachable",
        ),
        (
            "chunks that end",
            vec![Send(format!("{}14\r\n{begun}\r\n", head("Transfer-Encoding: chunked\r\n")))],
            502,
            "upstream-unreachable",
        ),
        (
            "a silent body",
            vec![Send(format!("{}{begun}", head("Content-Length: 500\r\n"))), Hang],
            504,
            "upstream-timeout",
        ),
        ("a body that drips", vec![Send(head("Content-Length: 500000\r\n")), Drip(" ")], 504, "upstream-timeout"),
    ] {
        server.answer(&steps);
        let held = world.get(&patient, READ).await;
        assert_eq!((held.status, held.rule().as_deref()), (status, Some(rule)), "{what}: {}", held.text());
        let flowing = wire::exchange(
            world.address(),
            format!("GET {READ} HTTP/1.1\r\nHost: p\r\nAuthorization: Bearer {service}\r\n\r\n").as_bytes(),
        )
        .await;
        let text = String::from_utf8_lossy(&flowing).into_owned();
        let reply = Reply::parse(&flowing).unwrap();
        let promised = reply.header("content-length").and_then(|length| length.parse::<usize>().ok());
        let incomplete = promised.map_or(!text.ends_with("0\r\n\r\n"), |promised| reply.body.len() < promised);
        assert!(incomplete || reply.status >= 500, "{what}: {text}");
        server.answer(&[whole()]);
        for token in [&patient, &service] {
            assert_eq!(world.get(token, READ).await.status, 200, "{what}: after it");
        }
    }
}

#[tokio::test]
async fn an_answer_without_end_is_held_up_to_the_limit() {
    let (world, server) = faulty_for("30s").await;
    let [patient, service] = tokens(&world);
    for more in ["Content-Length: 104857600\r\n", ""] {
        server.answer(&[Send(head(more)), Flood(100)]);
        let held = world.get(&patient, READ).await;
        assert_eq!((held.status, held.rule().as_deref()), (502, Some("upstream-unreadable")), "{more:?}");
        let search = world.get(&patient, "/fhir/Observation").await;
        assert_eq!((search.status, search.rule().as_deref()), (502, Some("upstream-unreadable")), "{more:?}");
    }
    server.answer(&[Send(head("Content-Length: 33554432\r\n")), Flood(32)]);
    assert_eq!(world.get(&service, READ).await.body.len(), 32 << 20);
}

#[tokio::test]
async fn answers_that_mean_something_else_than_was_asked_are_not_passed_on() {
    let (world, server) = faulty().await;
    let [patient, service] = tokens(&world);
    for (status, more) in [
        ("304 Not Modified", ""),
        ("206 Partial Content", ""),
        ("301 Moved Permanently", "Location: http://elsewhere.example/fhir/Observation/a1\r\n"),
        ("307 Temporary Redirect", "Location: http://elsewhere.example/fhir/Observation/a1\r\n"),
        ("500 Internal Server Error", ""),
        ("503 Service Unavailable", "Retry-After: 1\r\n"),
    ] {
        server.answer(&[Send(format!("HTTP/1.1 {status}\r\n{more}Content-Length: 0\r\n\r\n"))]);
        for (token, flows) in [(&patient, false), (&service, true)] {
            let reply = world.get(token, READ).await;
            assert!(!reply.text().contains("elsewhere") && reply.header("location").is_none(), "{status}");
            // What flows carries the client's own conditions, so that a 304 is an answer to them.
            let allowed = flows && (status.starts_with("304") || status.starts_with("206"));
            assert!(allowed || reply.status == 502 || reply.status == 504, "{status} {flows}: {}", reply.status);
        }
    }
}

#[tokio::test]
async fn interim_answers_are_not_the_answer() {
    let (world, server) = faulty().await;
    for interim in ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"] {
        server.answer(&[Send(interim.to_owned()), whole()]);
        for token in tokens(&world) {
            let reply = world.get(&token, READ).await;
            assert_eq!(reply.status, 200, "{interim}");
            assert!(reply.header("link").is_none());
        }
        refused(&world, &server, interim, &[Send(interim.repeat(9))], 502, "upstream-unreachable").await;
    }
}

/// Nobody answers the connection itself: the queue of the listener is full.
#[tokio::test]
async fn a_connection_that_does_not_come_about_is_a_timeout() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut filling = Vec::new();
    while let Ok(stream) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        filling.push(stream);
    }
    let world = World::start("", "").await;
    world.reload_to_all(
        &[&format!("http://{address}/fhir")],
        "connect_timeout = \"200ms\"\nhealth = { check = \"none\" }",
    );
    for token in tokens(&world) {
        let reply = world.get(&token, READ).await;
        assert_eq!((reply.status, reply.rule().as_deref()), (504, Some("upstream-timeout")));
    }
}

/// Nobody is there; then somebody is.
#[tokio::test]
async fn a_server_that_is_away_is_unreachable_until_it_is_back() {
    let world = World::start("", "").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    world.reload_to_all(&[&format!("http://{address}/fhir")], "health = { check = \"none\" }");
    let [patient, _] = tokens(&world);
    for _ in 0..8 {
        let reply = world.get(&patient, READ).await;
        assert_eq!((reply.status, reply.rule().as_deref()), (502, Some("upstream-unreachable")));
    }
    let listener = TcpListener::bind(address).await.unwrap();
    let steps = Arc::new(Mutex::new(vec![whole()]));
    let serving = async {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            connection(stream, steps.clone()).await;
        }
    };
    tokio::select! {
        () = serving => {}
        reply = world.get(&patient, READ) => assert_eq!(reply.status, 200),
    }
}

/// One with another status would go by what is looked at on its way.
#[tokio::test]
async fn a_bundle_comes_with_200_only() {
    let world = World::start("", "").await;
    let claims = json!({ "scope": "system/Observation.rs" });
    let token = world.token(claims.as_object().unwrap());
    let entry = json!({ "resource": { "resourceType": "Patient", "id": "B" } });
    let bundle = json!({ "resourceType": "Bundle", "type": "searchset", "entry": [entry] }).to_string();
    for status in [201, 203, 206, 226] {
        world.upstream.script("GET /fhir/Observation", status, &[("Content-Type", "application/fhir+json")], &bundle);
        let reply = world.get(&token, "/fhir/Observation").await;
        assert_eq!((reply.status, reply.rule().as_deref()), (502, Some("upstream-error")), "{status}");
    }
}
