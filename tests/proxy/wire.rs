//! HTTP as bytes: what a client library would tidy up is sent as it stands.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest wait for an answer; far beyond every limit of the gate under test.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub status: u16,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Sends `request` on a connection of its own and reads until the gate closes it.
pub(crate) async fn exchange(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let talk = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is the gate closing on bytes it did not want.
        let _ = stream.read_to_end(&mut answer).await;
        answer
    };
    tokio::time::timeout(PATIENCE, talk).await.expect("the gate answers in time")
}

/// Sends one request that asks for the connection to be closed.
pub(crate) async fn send(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Reply {
    let mut request = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    let named = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    if !named("host") {
        request.extend_from_slice(b"Host: p\r\n");
    }
    request.extend_from_slice(b"Connection: close\r\n");
    for (name, value) in headers {
        request.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if !body.is_empty() && !named("content-length") && !named("transfer-encoding") {
        request.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    request.extend_from_slice(b"\r\n");
    request.extend_from_slice(body);
    Reply::parse(&exchange(address, &request).await).unwrap_or_else(|| panic!("no answer to {method} {target}"))
}

/// Where the head of a message ends.
pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// The header lines of a head, without its first line.
pub(crate) fn header_lines(head: &str) -> Vec<(String, String)> {
    head.split("\r\n")
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect()
}

impl Reply {
    /// Reads the first answer in `bytes`; none if there is none.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let end = head_end(bytes)?;
        let head = std::str::from_utf8(&bytes[..end]).ok()?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let headers = header_lines(head);
        let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
        let body = if chunked { dechunk(&bytes[end..]) } else { bytes[end..].to_vec() };
        Some(Self { status, headers, body })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The rule that an OperationOutcome names.
    pub(crate) fn rule(&self) -> Option<String> {
        let code = &self.json()["issue"][0]["details"]["coding"][0]["code"];
        code.as_str().map(str::to_owned)
    }

    /// `Type/id` of the resource, or of each entry's resource.
    pub(crate) fn resources(&self) -> Vec<String> {
        let name = |resource: &Value| {
            format!("{}/{}", resource["resourceType"].as_str().unwrap_or("?"), resource["id"].as_str().unwrap_or("?"))
        };
        let body = self.json();
        match body["resourceType"].as_str() {
            Some("Bundle") => {
                let entries = body["entry"].as_array().map(Vec::as_slice).unwrap_or_default();
                entries.iter().map(|entry| name(&entry["resource"])).collect()
            }
            Some("OperationOutcome") | None => Vec::new(),
            Some(_) => vec![name(&body)],
        }
    }

    /// The URL of a Bundle's link.
    pub(crate) fn link(&self, relation: &str) -> Option<String> {
        let body = self.json();
        let links = body["link"].as_array()?;
        let link = links.iter().find(|link| link["relation"] == relation)?;
        link["url"].as_str().map(str::to_owned)
    }
}

fn dechunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let Some(line) = bytes.windows(2).position(|window| window == b"\r\n") else { return body };
        let size = std::str::from_utf8(&bytes[..line]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let Some(size) = size.filter(|size| *size > 0 && line + 2 + size <= bytes.len()) else { return body };
        body.extend_from_slice(&bytes[line + 2..line + 2 + size]);
        bytes = bytes.get(line + 2 + size + 2..).unwrap_or_default();
    }
}
