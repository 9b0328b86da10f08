use proptest::prelude::*;

use super::*;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What is read of `bytes`, and what is left.
fn read_of(bytes: &[u8]) -> (Result<Option<SocketAddr>, ErrorKind>, Vec<u8>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut rest = bytes;
    let found = runtime.block_on(read(&mut rest)).map_err(|error| error.kind());
    (found, rest.to_vec())
}

/// A header of version 2.
fn binary(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[0x20 | command, family], &length, payload].concat()
}

#[test]
fn both_versions_say_who_connects_and_leave_the_rest_alone() {
    let v4 = [192, 0, 2, 1, 10, 0, 0, 1, 0x30, 0x39, 0x01, 0xbb];
    let mut v6 = [0; 36];
    v6[..16].copy_from_slice(&"2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
    v6[32..].copy_from_slice(&[0x30, 0x39, 0x01, 0xbb]);
    let told = [&v4[..], &[0x20, 0, 3, 1, 2, 3]].concat();
    for (header, address) in [
        (b"PROXY TCP4 192.0.2.1 10.0.0.1 12345 443\r\n".to_vec(), Some("192.0.2.1:12345")),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 12345 443\r\n".to_vec(), Some("[2001:db8::1]:12345")),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (b"PROXY UNKNOWN ffff:f...f:ffff 65535 65535\r\n".to_vec(), None),
        (binary(1, 0x11, &v4), Some("192.0.2.1:12345")),
        (binary(1, 0x21, &v6), Some("[2001:db8::1]:12345")),
        (binary(1, 0x11, &told), Some("192.0.2.1:12345")),
        (binary(0, 0x00, &[]), None),
    ] {
        let (found, rest) = read_of(&[&header[..], b"GET / HTTP/1.1\r\n\r\n"].concat());
        assert_eq!(found, Ok(address.map(|text| text.parse().unwrap())), "{header:?}");
        assert_eq!(rest, b"GET / HTTP/1.1\r\n\r\n", "{header:?}");
    }
}

#[test]
fn whatever_else_is_no_connection() {
    let long = format!("PROXY TCP4 {}", "1".repeat(200));
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: p\r\n\r\n"[..],
        b"PROXY TCP4 192.0.2.1 10.0.0.1 12345\r\n",
        b"PROXY TCP4 192.0.2.1 10.0.0.1 123456 443\r\n",
        b"PROXY TCP9 192.0.2.1 10.0.0.1 1 443\r\n",
        b"PROXY",
        b"",
        long.as_bytes(),
        &binary(1, 0x12, &[0; 12]),
        &binary(1, 0x11, &[0; 4]),
        &binary(7, 0x11, &[0; 12]),
        &binary(1, 0x11, &[0; 4000]),
    ] {
        assert!(read_of(bytes).0.is_err(), "{:?}", String::from_utf8_lossy(bytes));
    }
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0..3) {
        let begin: &[u8] = match kind { 0 => b"", 1 => b"PROXY ", _ => SIGNATURE };
        let _ = read_of(&[begin, &bytes].concat());
    }
}
