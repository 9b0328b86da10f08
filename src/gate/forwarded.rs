//! The address that trusted proxies tell of in a header: `X-Forwarded-For`, or `Forwarded` (RFC 7239).
//!
//! Each proxy adds whom it heard from at the right. Read from there, hops that are trusted are passed over; the first that is not is
//! the client, and what stands to its left is the client's own word and counts for nothing.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

use crate::address::ClientAddress;
use crate::config::{Forwarded, ForwardedHeader};

/// Who asks on a connection from `peer`.
pub(super) fn client(peer: ClientAddress, headers: &HeaderMap, trusted: Option<&Forwarded>) -> ClientAddress {
    let Some(trusted) = trusted else { return peer };
    let mut hop = peer;
    for value in headers.get_all(trusted.header.name()).iter().rev() {
        let Ok(text) = value.to_str() else { return hop };
        for element in parts(text, ',', trusted.header == ForwardedHeader::Forwarded) {
            if !trusted.from.contain(hop) {
                return hop;
            }
            let node = match trusted.header {
                ForwardedHeader::XForwardedFor => Some(element),
                ForwardedHeader::Forwarded => said_for(element),
            };
            // A hop that names no address is the end of what is known.
            let Some(next) = node.and_then(address) else { return hop };
            hop = next;
        }
    }
    hop
}

/// The `for` of one element of `Forwarded`.
fn said_for(element: &str) -> Option<&str> {
    parts(element, ';', true).find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
    })
}

/// The parts of a list from the right; with `quotes`, what is between them is one piece. A quote that a client left open to the left
/// of what a proxy wrote changes nothing of that.
fn parts(text: &str, separator: char, quotes: bool) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.rsplit(move |c: char| {
        quoted ^= quotes && c == '"';
        !quoted && c == separator
    })
}

/// An address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<ClientAddress> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let ip = bare.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|it| it.ip()));
    ip.map(ClientAddress::new)
}

#[cfg(test)]
#[path = "forwarded_tests.rs"]
mod tests;
