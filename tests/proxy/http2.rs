//! The same over HTTP/2 (attacks.md 205 to 209): one decision whatever carries it, and no way around it by what only HTTP/2 has.

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use serde_json::json;
use tokio::net::TcpStream;

use crate::double::Seen;
use crate::world::World;

async fn connect(world: &World) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(world.address()).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client
}

fn request(method: Method, target: &str, token: &str) -> Request<()> {
    let request = Request::builder().method(method).uri(format!("http://p{target}")).version(http::Version::HTTP_2);
    request.header("authorization", format!("Bearer {token}")).body(()).unwrap()
}

/// The status and the body; none where the stream was refused.
async fn send(
    client: &SendRequest<Bytes>,
    request: Request<()>,
    body: Option<&str>,
    trailers: Option<HeaderMap>,
) -> Option<(u16, String)> {
    let mut client = client.clone().ready().await.ok()?;
    let bare = body.is_none() && trailers.is_none();
    let (response, mut stream) = client.send_request(request, bare).ok()?;
    if !bare {
        let text = Bytes::copy_from_slice(body.unwrap_or_default().as_bytes());
        let sent = stream.send_data(text, trailers.is_none());
        // The gate may have refused already.
        if let (Ok(()), Some(trailers)) = (sent, trailers) {
            let _ = stream.send_trailers(trailers);
        }
    }
    let (parts, mut answer): (_, h2::RecvStream) = response.await.map(Response::into_parts).ok()?;
    let mut text = Vec::new();
    while let Some(part) = answer.data().await {
        let part = part.ok()?;
        let _ = answer.flow_control().release_capacity(part.len());
        text.extend_from_slice(&part);
    }
    Some((parts.status.as_u16(), String::from_utf8_lossy(&text).into_owned()))
}

fn service(world: &World) -> String {
    let claims = json!({ "scope": "system/*.cruds", "sub": "service", "client_id": "service" });
    world.token(claims.as_object().unwrap())
}

fn lines(world: &World) -> Vec<String> {
    world.upstream.take().iter().map(Seen::line).collect()
}

#[tokio::test]
async fn row_205_the_same_decision_and_the_same_bytes_as_over_http_1() {
    let world = World::start("", "").await;
    let client = connect(&world).await;
    let token = world.patient_token("patient/Observation.rs", "A");
    for target in [
        "/fhir/Observation/a1",
        "/fhir/Observation/b1",
        "/fhir/Observation",
        "/fhir/Patient/A",
        "/fhir/Observation?_filter=x",
        "/fhir//x",
    ] {
        let one = world.get(&token, target).await;
        let sent = lines(&world);
        let two = send(&client, request(Method::GET, target, &token), None, None).await.unwrap();
        assert_eq!(two, (one.status, one.text()), "{target}");
        assert_eq!(lines(&world), sent, "{target}");
    }
}

#[tokio::test]
async fn row_205_there_are_no_tunnels() {
    let world = World::start("", "").await;
    let client = connect(&world).await;
    let token = service(&world);
    let mut tunnel = Request::builder().method(Method::CONNECT).uri("p:443").body(()).unwrap();
    tunnel.headers_mut().insert("authorization", HeaderValue::try_from(format!("Bearer {token}")).unwrap());
    let refused = send(&client, tunnel, None, None).await;
    assert!(refused.as_ref().is_none_or(|(status, _)| (400..500).contains(status)), "{refused:?}");
    for method in ["TRACE", "PROPFIND", "get"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let refused = send(&client, request(method, "/fhir/Observation/a1", &token), None, None).await;
        assert_eq!(refused.map(|(status, _)| status), Some(405));
    }
    assert!(lines(&world).is_empty());
}

#[tokio::test]
async fn row_206_and_208_what_is_ambiguous_or_too_much_is_refused() {
    let world = World::start("", "").await;
    let token = service(&world);
    type Change = fn(&mut HeaderMap);
    let changes: [(&str, Change); 7] = [
        ("two tokens", |headers| {
            headers.append("authorization", HeaderValue::from_static("Bearer x"));
        }),
        ("two conditions", |headers| {
            headers.append("if-none-exist", HeaderValue::from_static("code=x"));
            headers.append("if-none-exist", HeaderValue::from_static("code=y"));
        }),
        ("another length", |headers| {
            headers.insert("content-length", HeaderValue::from_static("5"));
        }),
        ("two lengths", |headers| {
            headers.append("content-length", HeaderValue::from_static("30"));
            headers.append("content-length", HeaderValue::from_static("5"));
        }),
        ("a header of 63 kB and more", |headers| {
            headers.insert("x-long", HeaderValue::try_from("x".repeat(63 * 1024)).unwrap());
            headers.insert("x-longer", HeaderValue::try_from("x".repeat(2 * 1024)).unwrap());
        }),
        ("two media types", |headers| {
            headers.append("content-type", HeaderValue::from_static("text/plain"));
        }),
        ("a condition that is no text", |headers| {
            headers.insert("if-none-exist", HeaderValue::from_bytes(b"code=\xff").unwrap());
        }),
    ];
    for (what, change) in changes {
        let client = connect(&world).await;
        let mut post = request(Method::POST, "/fhir/Observation", &token);
        post.headers_mut().insert("content-type", HeaderValue::from_static("application/fhir+json"));
        change(post.headers_mut());
        let answer = send(&client, post, Some("{\"resourceType\":\"Observation\"}"), None).await;
        assert!(answer.as_ref().is_none_or(|(status, _)| (400..500).contains(status)), "{what}: {answer:?}");
        assert!(lines(&world).is_empty(), "{what}");
    }
}

/// attacks.md 207: what is refused before its body is read leaves the connection as it was.
#[tokio::test]
async fn row_207_a_refusal_before_the_body_harms_no_other_stream() {
    let world = World::start("", "").await;
    let client = connect(&world).await;
    let (patient, nobody) = (world.patient_token("patient/Observation.rs", "A"), "none");
    let body = "x".repeat(200_000);
    for (token, target, status) in
        [(nobody, "/fhir/Observation", 401), (&*patient, "/fhir/Subscription", 403), (&*patient, "/nowhere", 404)]
    {
        let refused = send(&client, request(Method::POST, target, token), Some(&body), None).await;
        assert!(refused.as_ref().is_none_or(|(given, _)| *given == status), "{target}: {refused:?}");
        let next = send(&client, request(Method::GET, "/fhir/Observation/a1", &patient), None, None).await;
        assert_eq!(next.map(|(status, _)| status), Some(200), "{target}");
    }
    assert_eq!(lines(&world), ["GET /fhir/Observation/a1"; 3]);
}

#[tokio::test]
async fn row_209_trailers_are_dropped() {
    let world = World::start("", "").await;
    let client = connect(&world).await;
    let mut post = request(Method::POST, "/fhir/Observation", &service(&world));
    post.headers_mut().insert("content-type", HeaderValue::from_static("application/fhir+json"));
    let mut trailers = HeaderMap::new();
    trailers.insert("if-none-exist", HeaderValue::from_static("code=x"));
    trailers.insert("authorization", HeaderValue::from_static("Bearer x"));
    let answer = send(&client, post, Some("{\"resourceType\":\"Observation\"}"), Some(trailers)).await;
    assert_eq!(answer.map(|(status, _)| status), Some(201));
    let seen = world.upstream.take();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].header("if-none-exist").is_none() && seen[0].header("authorization").is_none());
}
