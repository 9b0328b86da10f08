//! Clients and servers that are slow, silent or gone (attacks.md 210, 211): each wait ends, nothing is sent twice, and the audit log
//! has a line.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::double::{Manners, Seen};
use crate::wire::{self, Reply};
use crate::world::World;

/// How long the gates of these tests wait for a client.
const TIMES: &str = "idle_timeout = \"1s\"\nclient_timeout = \"200ms\"\nrequest_timeout = \"600ms\"";
const BODY: &str = "{\"resourceType\":\"Observation\"}";

async fn impatient() -> World {
    let world = World::start("", "").await;
    world.reload_serving(TIMES);
    world
}

fn service(world: &World) -> String {
    let claims = json!({ "scope": "system/*.cruds", "sub": "service", "client_id": "service" });
    world.token(claims.as_object().unwrap())
}

fn post(world: &World, more: &str) -> String {
    let token = service(world);
    format!(
        "POST /fhir/Observation HTTP/1.1\r\nHost: p\r\nAuthorization: Bearer {token}\r\nContent-Type: application/fhir+json\r\n{more}"
    )
}

fn lines(seen: &[Seen]) -> Vec<String> {
    seen.iter().map(Seen::line).collect()
}

/// The first audit line; it is written when the request has ended.
async fn audited(world: &World) -> Value {
    loop {
        if let Some(line) = world.audit().await.into_iter().next() {
            return line;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn row_210_a_body_that_does_not_come_is_not_waited_for() {
    let world = impatient().await;
    let silent = post(&world, &format!("Content-Length: {}\r\n\r\n{}", BODY.len(), &BODY[..5]));
    let never = post(&world, "Transfer-Encoding: chunked\r\n\r\n");
    let promised = post(&world, "Content-Length: 30\r\nExpect: 100-continue\r\n\r\n");
    for request in [silent, never, promised] {
        let answer = wire::exchange(world.address(), request.as_bytes()).await;
        let text = String::from_utf8_lossy(&answer).replace("HTTP/1.1 100 Continue\r\n\r\n", "");
        let reply = Reply::parse(text.as_bytes()).unwrap();
        assert_eq!((reply.status, reply.rule().as_deref()), (400, Some("body-unreadable")));
        assert!(world.upstream.take().is_empty());
    }
}

/// A client that sends a byte now and then is not silent, and still has to come to an end.
#[tokio::test]
async fn row_210_a_body_that_drips_is_not_waited_for() {
    let world = impatient().await;
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    stream.write_all(post(&world, "Content-Length: 100000\r\n\r\n").as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let drip = async {
        let mut every = tokio::time::interval(Duration::from_millis(50));
        while write.write_all(b" ").await.is_ok() {
            every.tick().await;
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = drip => {}
        _ = async { while !answer.ends_with(b"}") && read.read_buf(&mut answer).await.is_ok_and(|read| read > 0) {} } => {}
    }
    assert_eq!(Reply::parse(&answer).map(|reply| reply.status), Some(400));
    assert!(world.upstream.take().is_empty());
}

#[tokio::test]
async fn row_210_a_head_that_does_not_come_is_not_waited_for() {
    let world = impatient().await;
    for begun in ["", "GET /fhir/Observation/a1 HTTP/1.1\r\nHost: p\r\nX-"] {
        let answer = wire::exchange(world.address(), begun.as_bytes()).await;
        assert!(Reply::parse(&answer).is_none_or(|reply| reply.status >= 400), "{}", String::from_utf8_lossy(&answer));
    }
    assert!(world.upstream.take().is_empty());
}

#[tokio::test]
async fn row_210_a_server_that_hangs_is_a_504_that_says_so() {
    let world = impatient().await;
    world.upstream.behave(Manners::Slow);
    let patient = world.patient_token("patient/*.cruds", "A");
    for (token, target) in [
        (&patient, "/fhir/Observation/a1"),
        (&patient, "/fhir/Observation"),
        (&service(&world), "/fhir/Observation/b1"),
    ] {
        let reply = world.get(token, target).await;
        assert_eq!((reply.status, reply.rule().as_deref()), (504, Some("upstream-timeout")), "{target}");
        assert_eq!(lines(&world.upstream.take()).len(), 1, "{target}: tried again");
    }
}

#[tokio::test]
async fn row_211_a_client_that_leaves_is_audited_and_its_write_goes_up_once() {
    for manners in [Manners::Slow, Manners::ClosesEarly, Manners::Good] {
        let world = impatient().await;
        world.upstream.behave(manners);
        let request = post(&world, &format!("Content-Length: {}\r\n\r\n{BODY}", BODY.len()));
        let mut stream = TcpStream::connect(world.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        drop(stream);
        let line = audited(&world).await;
        assert_eq!(
            (line["interaction"].as_str(), line["subject"].as_str()),
            (Some("create"), Some("service")),
            "{line}"
        );
        assert_eq!(lines(&world.upstream.take()), ["POST /fhir/Observation"], "{manners:?}");
    }
}

#[tokio::test]
async fn row_211_half_a_write_does_not_go_up() {
    let world = impatient().await;
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    let request = post(&world, &format!("Content-Length: {}\r\n\r\n{}", BODY.len() + 1, BODY));
    stream.write_all(request.as_bytes()).await.unwrap();
    drop(stream);
    let line = audited(&world).await;
    assert_eq!((line["decision"].as_str(), line["rule"].as_str()), (Some("refuse"), Some("body-unreadable")), "{line}");
    assert!(world.upstream.take().is_empty());
}
