//! The server on a port of its own, one request after another on each connection.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Request, Server};
use crate::wire::{head_end, header_lines};

pub(crate) struct Listening {
    pub server: Arc<Mutex<Server>>,
    pub base: String,
    _serving: JoinSet<()>,
}

pub(crate) async fn start() -> Listening {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/fhir", listener.local_addr().unwrap());
    let server = Arc::new(Mutex::new(Server::new(base.clone())));
    let mut serving = JoinSet::new();
    let shared = server.clone();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            connections.spawn(connection(stream, shared.clone()));
        }
    });
    Listening { server, base, _serving: serving }
}

async fn connection(mut stream: TcpStream, server: Arc<Mutex<Server>>) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await {
        let answer = server.lock().answer(&request);
        let body = answer.body.map(|body| body.to_string()).unwrap_or_default();
        let mut printed = format!("HTTP/1.1 {} -\r\n", answer.status);
        for (name, value) in &answer.headers {
            printed.push_str(&format!("{name}: {value}\r\n"));
        }
        if !matches!(answer.status, 204 | 304) {
            let length = body.len();
            printed.push_str(&format!("Content-Type: application/fhir+json\r\nContent-Length: {length}\r\n"));
        }
        printed.push_str("\r\n");
        if request.method != "HEAD" {
            printed.push_str(&body);
        }
        if stream.write_all(printed.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    let end = loop {
        if let Some(end) = head_end(buffer) {
            break end;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer[..end].to_vec()).ok()?;
    let headers = header_lines(&head);
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let until = end + length.unwrap_or(0);
    while buffer.len() < until {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let mut words = head.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let request = Request::new(method, target.strip_prefix("/fhir")?, headers, &buffer[end..until]);
    buffer.drain(..until);
    Some(request)
}
