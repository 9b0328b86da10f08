//! Where a request comes from: one type wherever an address counts.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

/// The address of whoever asks: the connection's, or what a trusted proxy told of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    /// An address; IPv4 that is written as IPv6 is IPv4.
    pub fn new(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    /// As wide as one owner may have it: an IPv4 address, or the first 64 bits of IPv6.
    pub fn block(self) -> IpAddr {
        match self.0 {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
            address => address,
        }
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IpAddr::V4(address) = self.0 else { return self.0.fmt(f) };
        // A line of the audit log has one: number by number is a tenth of the work of a format string.
        let [first, rest @ ..] = address.octets();
        f.write_str(itoa::Buffer::new().format(first))?;
        rest.into_iter().try_for_each(|octet| {
            f.write_str(".")?;
            f.write_str(itoa::Buffer::new().format(octet))
        })
    }
}

/// A list of networks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    pub fn contain(&self, address: ClientAddress) -> bool {
        self.0.iter().any(|network| network.contains(&address.0))
    }

    /// Whether everybody is in one of them.
    pub fn everybody(&self) -> bool {
        self.0.iter().any(|network| network.prefix_len() == 0)
    }
}

impl FromIterator<IpNet> for Networks {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

/// `10.0.0.0/8`, or one address.
///
/// # Errors
/// What would be right.
pub fn network(text: &str) -> Result<IpNet, String> {
    let network = IpNet::from_str(text).or_else(|_| IpAddr::from_str(text).map(IpNet::from));
    network.map(|network| network.trunc()).map_err(|_| {
        format!("{text:?} is no network and no address; write for example \"10.0.0.0/8\" or \"2001:db8::1\"")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> ClientAddress {
        ClientAddress::new(text.parse().unwrap())
    }

    #[test]
    fn a_block_is_what_one_owner_has() {
        for (given, block) in
            [("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::")]
        {
            assert_eq!(address(given).block().to_string(), block);
        }
    }

    #[test]
    fn networks_contain_what_is_in_them() {
        let networks: Networks = ["10.1.2.3/8", "2001:db8::1"].iter().map(|text| network(text).unwrap()).collect();
        for (given, inside) in [
            ("10.255.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("11.0.0.1", false),
            ("2001:db8::1", true),
            ("::1", false),
        ] {
            assert_eq!(networks.contain(address(given)), inside, "{given}");
        }
        assert!(!networks.everybody());
        assert!(Networks::from_iter([network("::/0").unwrap()]).everybody());
        assert!(network("10.0.0.0/33").is_err() && network("localhost").is_err());
    }
}
