//! The PROXY protocol (HAProxy's proxy-protocol.txt, versions 1 and 2): what a load balancer says of a connection before its first byte.
//!
//! Exactly the header's own bytes are read, so that what follows is TLS or HTTP as it would be without.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;

use proxy_header::{ParseConfig, Protocol, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bytes that every header has at least: those of `PROXY UNKNOWN` and its line end.
const LEAST: usize = 15;

/// Longest header of version 1 (proxy-protocol.txt §2.1).
const MAX_TEXT: usize = 107;

/// Longest header of version 2 that is taken; addresses need 52 bytes, what else it tells is skipped.
const MAX_BINARY: usize = 2048;

/// Bytes of a version 2 header before its addresses; the last two are the length of what follows (§2.2).
const BINARY_HEAD: usize = 16;

/// The address that the connection comes from; none where the load balancer speaks for itself, as in a health check.
///
/// # Errors
/// The connection ends, or does not begin with such a header.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>, Error> {
    let mut header = vec![0; LEAST];
    stream.read_exact(&mut header).await?;
    if header.starts_with(b"PROXY ") {
        while !header.ends_with(b"\n") && header.len() < MAX_TEXT {
            header.push(stream.read_u8().await?);
        }
    } else if header.starts_with(b"\r\n\r\n\0\r\nQUIT\n") {
        header.push(stream.read_u8().await?);
        let length = header.last_chunk::<2>().map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
        if BINARY_HEAD + length > MAX_BINARY {
            return Err(ErrorKind::InvalidData.into());
        }
        header.resize(BINARY_HEAD + length, 0);
        let rest = header.get_mut(BINARY_HEAD..).unwrap_or_default();
        stream.read_exact(rest).await?;
    }
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    let (parsed, _) = ProxyHeader::parse(&header, config).map_err(|_| ErrorKind::InvalidData)?;
    match parsed.proxied_address() {
        Some(told) if told.protocol != Protocol::Stream => Err(ErrorKind::InvalidData.into()),
        told => Ok(told.map(|told| told.source)),
    }
}

#[cfg(test)]
#[path = "proxied_tests.rs"]
mod tests;
