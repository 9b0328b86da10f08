use proptest::prelude::*;

use super::*;
use crate::address::{Networks, network};

fn trusted(header: ForwardedHeader) -> Forwarded {
    Forwarded {
        from: ["10.0.0.0/8", "fd00::/8"].iter().map(|text| network(text).unwrap()).collect::<Networks>(),
        header,
    }
}

fn found(peer: &str, header: ForwardedHeader, values: &[&str]) -> String {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(header.name(), value.parse().unwrap());
    }
    let peer = ClientAddress::new(peer.parse().unwrap());
    client(peer, &headers, Some(&trusted(header))).to_string()
}

#[test]
fn the_rightmost_hop_that_is_not_trusted_is_the_client() {
    for (peer, values, client) in [
        ("10.0.0.1", &["192.0.2.1"][..], "192.0.2.1"),
        ("10.0.0.1", &["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", &["203.0.113.9, 192.0.2.1, 10.0.0.2"], "192.0.2.1"),
        ("10.0.0.1", &["203.0.113.9", "192.0.2.1", "10.0.0.2,10.0.0.3"], "192.0.2.1"),
        ("10.0.0.1", &["10.0.0.9, 10.0.0.8"], "10.0.0.9"),
        ("10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
        ("fd00::1", &["[2001:db8::1]:4711"], "2001:db8::1"),
        ("10.0.0.1", &["192.0.2.1:8080"], "192.0.2.1"),
        ("10.0.0.1", &[], "10.0.0.1"),
    ] {
        assert_eq!(found(peer, ForwardedHeader::XForwardedFor, values), client, "{values:?}");
    }
}

#[test]
fn the_word_of_a_stranger_counts_for_nothing() {
    assert_eq!(found("192.0.2.5", ForwardedHeader::XForwardedFor, &["10.0.0.7", "127.0.0.1"]), "192.0.2.5");
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-for", "127.0.0.1".parse().unwrap());
    let peer = ClientAddress::new("10.0.0.1".parse().unwrap());
    assert_eq!(client(peer, &headers, None), peer, "nothing is trusted that is not configured");
    let other = trusted(ForwardedHeader::Forwarded);
    assert_eq!(client(peer, &headers, Some(&other)), peer, "one header is read, not both");
}

#[test]
fn a_hop_that_names_no_address_ends_the_chain() {
    for value in ["192.0.2.1, unknown", "192.0.2.1,", "192.0.2.1, 10.0.0.256", "192.0.2.1, _hidden, 10.0.0.2"] {
        let found = found("10.0.0.1", ForwardedHeader::XForwardedFor, &[value]);
        assert!(found.starts_with("10.0.0."), "{value}: {found}");
    }
}

#[test]
fn forwarded_is_read_as_rfc_7239_writes_it() {
    for (value, client) in [
        ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
        ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
        ("for=198.51.100.1, for=192.0.2.43", "192.0.2.43"),
        ("for=192.0.2.43, proto=https;for=10.9.9.9", "192.0.2.43"),
        ("host=\"a,for=198.51.100.1\";for=192.0.2.43", "192.0.2.43"),
        ("for=192.0.2.43, for=_SEVKISEK", "10.0.0.1"),
        ("for=unknown", "10.0.0.1"),
        ("proto=https", "10.0.0.1"),
    ] {
        assert_eq!(found("10.0.0.1", ForwardedHeader::Forwarded, &[value]), client, "{value}");
    }
}

proptest! {
    /// Whatever a client writes to the left, the hop that the last proxy saw stays.
    #[test]
    fn nothing_a_client_writes_changes_what_the_proxy_saw(forged in "[ -~]{0,40}") {
        let value = format!("{forged}, 192.0.2.1");
        prop_assert_eq!(found("10.0.0.1", ForwardedHeader::XForwardedFor, &[&value]), "192.0.2.1");
        let value = format!("{forged}, for=192.0.2.1;proto=https");
        prop_assert_eq!(found("10.0.0.1", ForwardedHeader::Forwarded, &[&value]), "192.0.2.1");
    }
}
