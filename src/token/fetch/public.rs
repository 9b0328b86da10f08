//! Where a URL that came from a client may lead: to the public internet, over https.
//!
//! A name is resolved once and each of its addresses checked; the connection goes to one of these very addresses, so that a
//! name whose second answer is another leads nowhere else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use ipnet::{Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use url::{Host, Url};

/// Networks that are not public (IANA IPv4 Special-Purpose Address Registry, RFC 6890), multicast and what is reserved.
const CLOSED_V4: [Ipv4Net; 15] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
];

/// All that is public is in here (RFC 4291 §2.4) ...
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0], 3);

/// ... but for these: IETF protocols with Teredo and benchmarking, documentation, 6to4, documentation (IANA IPv6
/// Special-Purpose Address Registry).
const CLOSED_V6: [Ipv6Net; 4] =
    [v6([0x2001, 0], 23), v6([0x2001, 0xdb8], 32), v6([0x2002, 0], 16), v6([0x3fff, 0], 20)];

/// IPv4 behind NAT64 (RFC 6052 §2.1).
const NAT64: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

const fn v4(address: [u8; 4], length: u8) -> Ipv4Net {
    let [a, b, c, d] = address;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(address: [u16; 2], length: u8) -> Ipv6Net {
    let [a, b] = address;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), length)
}

/// Whether `address` is one of the public internet, whichever way an IPv4 address is written in it.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => !CLOSED_V4.iter().any(|closed| closed.contains(&address)),
        IpAddr::V6(address) if NAT64.contains(&address) => {
            let [.., a, b, c, d] = address.octets();
            is_public(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
        }
        IpAddr::V6(address) => {
            GLOBAL_V6.contains(&address) && !CLOSED_V6.iter().any(|closed| closed.contains(&address))
        }
    }
}

/// Whether a client's `url` may be tried: https, and if its host is an address, a public one. Names are checked when they are
/// resolved.
pub(super) fn check(url: &str) -> Result<(), String> {
    let parsed = Url::parse(url).map_err(|error| format!("`{url}`: {error}"))?;
    if parsed.scheme() != "https" {
        return Err(format!("`{url}` is not https"));
    }
    let address = match parsed.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain(_)) => return Ok(()),
        None => return Err(format!("`{url}` has no host")),
    };
    if is_public(address) { Ok(()) } else { Err(format!("`{url}` is at no public address")) }
}

/// Whether a client's `url` may be tried; for when it is registered.
pub fn is_public_url(url: &str) -> bool {
    check(url).is_ok()
}

/// Lookups at a time. Each holds a thread until the name servers answer, also when nobody waits for it any more, and who owns
/// a name can let them wait.
const LOOKUPS: usize = 16;

/// The machine's own resolver.
pub(super) struct System(Arc<Semaphore>);

impl System {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(LOOKUPS)))
    }
}

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        let turns = self.0.clone();
        Box::pin(async move {
            let turn = turns.acquire_owned().await?;
            let look_up = move || {
                let _turn = turn;
                (name.as_str(), 0).to_socket_addrs()
            };
            Ok(Box::new(spawn_blocking(look_up).await??) as Addrs)
        })
    }
}

/// Gives out the addresses of a name only if all of them are public.
pub(super) struct PublicOnly {
    resolver: Arc<dyn Resolve>,
    is_public: fn(IpAddr) -> bool,
}

impl PublicOnly {
    pub(super) fn new(resolver: Arc<dyn Resolve>) -> Self {
        Self { resolver, is_public }
    }
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let (found, is_public) = (self.resolver.resolve(name), self.is_public);
        Box::pin(async move {
            let found: Vec<SocketAddr> = found.await?.collect();
            if found.iter().all(|address| is_public(address.ip())) {
                Ok(Box::new(found.into_iter()) as Addrs)
            } else {
                Err(format!("`{host}` is at no public address").into())
            }
        })
    }
}

#[cfg(test)]
#[path = "public_tests.rs"]
mod tests;
