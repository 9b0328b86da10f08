//! `smartgate ready`: asks the running gate, for health checks of images without a shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use super::{Failure, small_runtime};
use crate::config;
use crate::token::root_cause;

/// Longer than the store is waited for, shorter than what orchestrators give a health check.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Succeeds where `/readyz` of the gate with this configuration is 200.
pub(super) fn ready(path: &Path) -> Result<(), Failure> {
    let loaded = config::load(path).map_err(Failure::new)?;
    let address = loaded.snapshot.admin.listen.first().ok_or_else(|| Failure::new("[admin] listen is empty"))?;
    let url = format!("http://{}/readyz", reachable(*address));
    let (status, body) = small_runtime()?
        .block_on(async {
            let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
            let answer = client.get(&url).send().await?;
            let status = answer.status();
            answer.text().await.map(|body| (status, body))
        })
        .map_err(|error| Failure::new(format!("{url}: {}", root_cause(&error))))?;
    if status.is_success() { Ok(()) } else { Err(Failure::new(format!("{url}: {status} {body}"))) }
}

/// Where a listener is reached from the same machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::reachable;

    #[test]
    fn a_listener_on_all_addresses_is_asked_on_this_machine() {
        for (listens, asked) in
            [("0.0.0.0:9090", "127.0.0.1:9090"), ("[::]:9090", "[::1]:9090"), ("10.0.0.7:9090", "10.0.0.7:9090")]
        {
            assert_eq!(reachable(listens.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
