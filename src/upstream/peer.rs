//! Where the FHIR server is: its name resolved now and then, its certificate authority, its time limits.

use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use pingora::listeners::ALPN;
use pingora::protocols::l4::ext::TcpKeepalive;
use pingora::upstreams::peer::{HttpPeer, Peer as _};
use pingora::utils::tls::{WrappedX509, parse_x509};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::time::Instant;

use super::UpstreamError;
use super::pool::Pool;
use crate::config::Upstream;

/// How long a resolved name is used.
const RESOLVED_FOR: Duration = Duration::from_secs(30);

/// The server in use.
#[derive(Default)]
pub(super) struct Peers {
    current: ArcSwapOption<Server>,
    hasher: RandomState,
}

/// One FHIR server at one address.
pub(super) struct Server {
    /// What the peer was made for.
    base: String,
    ca: Option<Vec<u8>>,
    connect_timeout: Duration,
    until: Option<Instant>,
    pub(super) peer: HttpPeer,
    pub(super) pool: Arc<Pool>,
}

impl Peers {
    /// The server of `upstream`; a name is looked up when that is due, and the last address serves while it cannot be.
    pub(super) async fn of(&self, upstream: &Upstream) -> Result<Arc<Server>, UpstreamError> {
        let known = self.current.load_full().filter(|server| server.fits(upstream));
        if let Some(server) = &known
            && server.until.is_none_or(|until| Instant::now() < until)
        {
            return Ok(server.clone());
        }
        match (Box::pin(self.make(upstream, known.as_deref())).await, known) {
            (Ok(made), _) => {
                let made = Arc::new(made);
                self.current.store(Some(made.clone()));
                Ok(made)
            }
            (Err(error), Some(known)) => {
                tracing::warn!(%error, "the FHIR server's last known address stays in use");
                Ok(known)
            }
            (Err(error), None) => Err(error),
        }
    }

    /// The address did not answer: look it up again the next time.
    pub(super) fn forget(&self) {
        self.current.store(None);
    }

    /// A server at the address that the name has now; at the same one as `known`, its connections go on.
    async fn make(&self, upstream: &Upstream, known: Option<&Server>) -> Result<Server, UpstreamError> {
        let literal = upstream.host.trim_matches(['[', ']']).parse().ok();
        let (address, until) = match literal {
            Some(ip) => (SocketAddr::new(ip, upstream.port), None),
            None => (resolve(upstream).await?, Some(Instant::now() + RESOLVED_FOR)),
        };
        // An empty server name would switch certificate verification off.
        let name = upstream.host.trim_matches(['[', ']']).to_owned();
        let mut peer = HttpPeer::new(address, upstream.tls, name);
        let options = &mut peer.options;
        options.connection_timeout = Some(upstream.connect_timeout);
        options.total_connection_timeout = Some(upstream.connect_timeout * 2);
        options.read_timeout = Some(upstream.read_timeout);
        options.write_timeout = Some(upstream.read_timeout);
        options.idle_timeout = Some(upstream.idle_timeout);
        options.alpn = ALPN::H1;
        options.tcp_keepalive = Some(TcpKeepalive {
            idle: Duration::from_secs(60),
            interval: Duration::from_secs(10),
            count: 3,
            #[cfg(target_os = "linux")]
            user_timeout: Duration::ZERO,
        });
        if upstream.tls
            && let Some(pem) = &upstream.ca
        {
            options.ca = Some(certificate_authority(pem)?);
            // The pool does not tell authorities apart by itself.
            peer.group_key = self.hasher.hash_one(pem);
        }
        let same = known.filter(|known| known.peer.reuse_hash() == peer.reuse_hash());
        let pool = same.map_or_else(Pool::start, |known| known.pool.clone());
        Ok(Server {
            base: upstream.base.clone(),
            ca: upstream.ca.clone(),
            connect_timeout: upstream.connect_timeout,
            until,
            peer,
            pool,
        })
    }
}

impl Server {
    fn fits(&self, upstream: &Upstream) -> bool {
        self.base == upstream.base && self.ca == upstream.ca && self.connect_timeout == upstream.connect_timeout
    }
}

async fn resolve(upstream: &Upstream) -> Result<SocketAddr, UpstreamError> {
    let failed = |why: String| UpstreamError::Unreachable(format!("`{}` does not resolve: {why}", upstream.host));
    let lookup = tokio::net::lookup_host((upstream.host.as_str(), upstream.port));
    let mut addresses = tokio::time::timeout(upstream.connect_timeout, lookup)
        .await
        .map_err(|_| UpstreamError::Timeout)?
        .map_err(|error| failed(error.to_string()))?
        .collect::<Vec<_>>();
    // `localhost` is both; servers that listen on one of them usually mean IPv4.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses.first().copied().ok_or_else(|| failed("no address".to_owned()))
}

/// Trusted certificates in PEM.
fn certificate_authority(pem: &[u8]) -> Result<Arc<[WrappedX509]>, UpstreamError> {
    let failed = |why: String| UpstreamError::Unreachable(format!("the certificate authority cannot be used: {why}"));
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed(error.to_string()))?;
    certificates
        .into_iter()
        .map(|certificate| {
            let der = certificate.to_vec();
            // `parse_x509` panics on what this refuses.
            x509_parser::parse_x509_certificate(&der).map_err(|error| failed(error.to_string()))?;
            Ok(WrappedX509::new(der, parse_x509))
        })
        .collect()
}
