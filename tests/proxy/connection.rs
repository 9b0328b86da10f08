//! What only bytes can show: framing that two readers read differently, connections that carry more than one request.

use crate::wire::{self, Reply};
use crate::world::World;

async fn world() -> World {
    World::start("", "").await
}

/// How many answers there are in `bytes`.
fn answers(bytes: &[u8]) -> usize {
    String::from_utf8_lossy(bytes).matches("HTTP/1.1 ").count()
}

fn bearer(world: &World) -> String {
    format!("Authorization: Bearer {}\r\n", world.patient_token("patient/*.cruds", "A"))
}

/// attacks.md 206, 208: each is refused or its connection closed, and nothing of it goes up.
#[tokio::test]
async fn framing_that_is_read_in_two_ways_is_not_read() {
    let world = world().await;
    let token = bearer(&world);
    let head = |rest: &str| format!("POST /fhir/Observation/_search HTTP/1.1\r\nHost: p\r\n{token}{rest}");
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    for (what, request) in [
        ("two lengths", head(&format!("{form}Content-Length: 6\r\nContent-Length: 7\r\n\r\ncode=x"))),
        ("a list of lengths", head(&format!("{form}Content-Length: 6, 6\r\n\r\ncode=x"))),
        ("a signed length", head(&format!("{form}Content-Length: +6\r\n\r\ncode=x"))),
        ("a negative length", head(&format!("{form}Content-Length: -1\r\n\r\ncode=x"))),
        ("a length that is none", head(&format!("{form}Content-Length: x\r\n\r\ncode=x"))),
        ("an unknown coding", head(&format!("{form}Transfer-Encoding: xchunked\r\n\r\n6\r\ncode=x\r\n0\r\n\r\n"))),
        (
            "chunks and something else",
            head(&format!("{form}Transfer-Encoding: chunked, gzip\r\n\r\n6\r\ncode=x\r\n0\r\n\r\n")),
        ),
        (
            "two codings",
            head(&format!(
                "{form}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n6\r\ncode=x\r\n0\r\n\r\n"
            )),
        ),
        (
            "chunks in HTTP/1.0",
            head(&format!("{form}Transfer-Encoding: chunked\r\n\r\n6\r\ncode=x\r\n0\r\n\r\n"))
                .replace("HTTP/1.1", "HTTP/1.0"),
        ),
        ("a folded header", head("X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n")),
        ("a space before the colon", head("Content-Length : 6\r\n\r\ncode=x")),
        ("NUL in a header", head("X-A: b\0c\r\n\r\n")),
        ("a bare CR in a header", head("X-A: b\rX-B: c\r\n\r\n")),
        ("a tab in the method", format!("G\tET /fhir/Observation HTTP/1.1\r\nHost: p\r\n{token}\r\n")),
        ("no method", " /fhir/Observation HTTP/1.1\r\nHost: p\r\n\r\n".to_owned()),
        ("two spaces", format!("GET  /fhir/Observation HTTP/1.1\r\nHost: p\r\n{token}\r\n")),
        ("no host", format!("GET /fhir/Observation HTTP/1.1\r\n{token}\r\n")),
        (
            "an empty line in the headers' place",
            format!("GET /fhir/Observation HTTP/1.1\r\nHost: p\r\n: x\r\n{token}\r\n"),
        ),
        ("a thousand headers", head(&"X-A: b\r\n".repeat(1000)) + "\r\n"),
        ("a version that is none", format!("GET /fhir/Observation HTTP/9.9\r\nHost: p\r\n{token}\r\n")),
    ] {
        // Only what the gate answers by itself counts; whether it closes at once is the next test's matter.
        let request = request.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        let answer = wire::exchange(world.address(), request.as_bytes()).await;
        if let Some(reply) = Reply::parse(&answer) {
            assert!((400..500).contains(&reply.status) || reply.status == 505, "{what}: {}", reply.status);
        }
        assert!(answers(&answer) <= 1, "{what}: {}", String::from_utf8_lossy(&answer));
        let seen = world.upstream.take();
        assert!(seen.is_empty(), "{what}: {seen:?}");
    }
}

/// The HTTP server reads a space in a target as `%20`; what goes up is printed anew, so nobody reads it as the end of the line.
#[tokio::test]
async fn a_space_in_a_target_is_a_space() {
    let world = world().await;
    let token = bearer(&world);
    let request = format!("GET /fhir/Observation?code=x y HTTP/1.1\r\nHost: p\r\nConnection: close\r\n{token}\r\n");
    let answer = wire::exchange(world.address(), request.as_bytes()).await;
    assert_eq!(Reply::parse(&answer).map(|reply| reply.status), Some(200));
    let sent: Vec<String> = world.upstream.take().iter().map(crate::double::Seen::line).collect();
    assert_eq!(sent, ["GET /fhir/Observation?code=x%20y&patient=Patient/A"]);
}

/// attacks.md 206 says 400. The HTTP server takes the chunks, as RFC 9112 §6.1 has it, and closes; since the gate frames what it
/// sends by itself, the FHIR server cannot read it otherwise.
#[tokio::test]
async fn a_length_beside_chunks_counts_for_nothing() {
    let world = world().await;
    let token = bearer(&world);
    let request = format!(
        "POST /fhir/Observation/_search HTTP/1.1\r\nHost: p\r\n{token}Content-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: 11\r\nTransfer-Encoding: chunked\r\n\r\n6\r\ncode=y\r\n0\r\n\r\n\
         GET /fhir/Observation/a1 HTTP/1.1\r\nHost: p\r\n{token}\r\n"
    );
    let answer = wire::exchange(world.address(), request.as_bytes()).await;
    assert_eq!(answers(&answer), 1, "{}", String::from_utf8_lossy(&answer));
    let sent: Vec<String> = world.upstream.take().iter().map(crate::double::Seen::line).collect();
    assert_eq!(sent, ["GET /fhir/Observation?code=y&patient=Patient/A"]);
}

/// attacks.md 207: a body that nobody read is not the next request.
#[tokio::test]
async fn a_body_that_was_not_read_is_no_request() {
    let world = world().await;
    let token = bearer(&world);
    let smuggled = format!("GET /fhir/Observation/a1 HTTP/1.1\r\nHost: p\r\n{token}\r\n");
    let length = smuggled.len();
    let follow_up = "GET /fhir/Patient/A HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n";
    for (what, head, status) in [
        ("no token", "POST /fhir/Observation HTTP/1.1\r\nHost: p\r\n".to_owned(), 401),
        ("no scope", format!("POST /fhir/Subscription HTTP/1.1\r\nHost: p\r\n{token}"), 403),
        ("no FHIR", format!("POST /nowhere HTTP/1.1\r\nHost: p\r\n{token}"), 404),
        ("bad target", format!("POST /fhir/../x HTTP/1.1\r\nHost: p\r\n{token}"), 400),
        ("a body where none belongs", format!("GET /fhir/Observation/a1 HTTP/1.1\r\nHost: p\r\n{token}"), 400),
        (
            "an upgrade",
            format!("POST /fhir/Observation HTTP/1.1\r\nHost: p\r\nUpgrade: foo\r\nConnection: upgrade\r\n{token}"),
            400,
        ),
    ] {
        let request = format!("{head}Content-Length: {length}\r\n\r\n{smuggled}{follow_up}");
        let answer = wire::exchange(world.address(), request.as_bytes()).await;
        assert_eq!(Reply::parse(&answer).map(|reply| reply.status), Some(status), "{what}");
        // The one request, and where the connection is kept the one behind it, which has no token.
        assert!(answers(&answer) <= 2, "{what}: {}", String::from_utf8_lossy(&answer));
        assert!(world.upstream.take().is_empty(), "{what}");
    }
}

#[tokio::test]
async fn one_connection_serves_one_request_after_another() {
    let world = world().await;
    let token = bearer(&world);
    let one = format!("GET /fhir/Observation/a1 HTTP/1.1\r\nHost: p\r\n{token}");
    let request = format!("{one}\r\n");
    // Not pipelined: the second is sent when the first is answered.
    let mut stream = tokio::net::TcpStream::connect(world.address()).await.unwrap();
    for _ in 0..3 {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let read = stream.read_buf(&mut answer).await.unwrap();
            assert!(read > 0, "the connection was closed");
        }
        assert_eq!(Reply::parse(&answer).unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_no_chunks() {
    let world = world().await;
    let mut claims = serde_json::Map::new();
    claims.insert("scope".to_owned(), "system/Observation.rs".into());
    let token = world.token(&claims);
    let request = format!("GET /fhir/Observation?code=x HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n");
    let answer = wire::exchange(world.address(), request.as_bytes()).await;
    let reply = Reply::parse(&answer).unwrap();
    assert_eq!((reply.status, reply.header("transfer-encoding")), (200, None));
    assert_eq!(reply.json()["resourceType"], "Bundle");
}

/// attacks.md 209: what comes behind a body is no header.
#[tokio::test]
async fn trailers_are_dropped() {
    let world = world().await;
    let mut claims = serde_json::Map::new();
    claims.insert("scope".to_owned(), "system/Observation.cruds".into());
    let token = world.token(&claims);
    let body = "{\"resourceType\":\"Observation\"}";
    let request = format!(
        "POST /fhir/Observation HTTP/1.1\r\nHost: p\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/fhir+json\r\nTransfer-Encoding: chunked\r\nTrailer: If-None-Exist\r\n\r\n\
         {:x}\r\n{body}\r\n0\r\nIf-None-Exist: code=x\r\nAuthorization: Bearer x\r\n\r\n",
        body.len()
    );
    let answer = wire::exchange(world.address(), request.as_bytes()).await;
    let seen = world.upstream.take();
    if Reply::parse(&answer).is_some_and(|reply| reply.status == 201) {
        assert_eq!(seen[0].body, body);
    }
    assert!(seen.iter().all(|seen| seen.header("if-none-exist").is_none() && seen.header("authorization").is_none()));
}
