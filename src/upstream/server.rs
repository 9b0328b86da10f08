//! One address of the FHIR server: the places that its name stands for, and connections to them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use pingora::protocols::l4::ext::{TcpKeepalive, set_tcp_keepalive};
use pingora::protocols::l4::stream::Stream as TcpSocket;
use pingora::protocols::tls::client::handshake;
use pingora::tls::TlsConnector;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::UpstreamError;
use super::circuit::Circuit;
use super::pool::{Connection, Pool};
use super::tls::connector;
use crate::config::{Address, UpstreamTls};

/// How long a resolved name is used, and how long an old one that cannot be resolved again.
const RESOLVED_FOR: Duration = Duration::from_secs(30);
const RESOLVE_AGAIN: Duration = Duration::from_secs(5);

/// Addresses of one name that are used, and that one request tries.
const MAX_PLACES: usize = 32;
const TRIES: usize = 3;

/// A server that went away without a word is noticed.
const KEEPALIVE: TcpKeepalive = TcpKeepalive {
    idle: Duration::from_secs(60),
    interval: Duration::from_secs(10),
    count: 3,
    #[cfg(target_os = "linux")]
    user_timeout: Duration::ZERO,
};

/// One address.
pub(super) struct Server {
    pub(super) address: Address,
    /// What it was made with.
    tls: UpstreamTls,
    connector: Option<TlsConnector>,
    places: ArcSwapOption<Places>,
    resolving: Mutex<()>,
    pub(super) pool: Arc<Pool>,
    pub(super) circuit: Circuit,
    /// Why it was last left out.
    pub(super) fault: ArcSwapOption<String>,
}

/// What a name stands for.
struct Places {
    all: Vec<SocketAddr>,
    /// When the name is to be looked up again; never for what is no name.
    until: Option<Instant>,
    /// None of them could be reached.
    stale: AtomicBool,
    turn: AtomicUsize,
    /// Those that could not be reached, as bits: they are tried last.
    unreached: AtomicU32,
}

impl Server {
    /// A server without connections.
    pub(super) fn new(address: &Address, tls: &UpstreamTls) -> Result<Self, UpstreamError> {
        Ok(Self {
            address: address.clone(),
            tls: tls.clone(),
            connector: address.tls.then(|| connector(tls)).transpose()?,
            places: ArcSwapOption::empty(),
            resolving: Mutex::default(),
            pool: Pool::start(),
            circuit: Circuit::default(),
            fault: ArcSwapOption::empty(),
        })
    }

    /// Whether connections of this server are what `address` and `tls` ask for.
    pub(super) fn fits(&self, address: &Address, tls: &UpstreamTls) -> bool {
        self.address == *address && (!address.tls || self.tls == *tls)
    }

    /// A new connection, to any of the places that the name stands for.
    pub(super) async fn connect(self: &Arc<Self>, within: Duration) -> Result<Connection, UpstreamError> {
        let places = self.places(within).await?;
        let mut failed = UpstreamError::Unreachable("no address".to_owned());
        for index in places.in_turn().take(TRIES) {
            let Some(place) = places.all.get(index).copied() else { continue };
            match self.connect_to(place, within).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failed = error,
            }
            places.unreached.fetch_or(1 << index, Ordering::Relaxed);
        }
        places.stale.store(true, Ordering::Relaxed);
        Err(failed)
    }

    async fn connect_to(&self, place: SocketAddr, within: Duration) -> Result<Connection, UpstreamError> {
        let unreachable = |why: String| UpstreamError::Unreachable(format!("{place}: {why}"));
        let stream = timeout(within, TcpStream::connect(place)).await.map_err(|_| UpstreamError::Timeout)?;
        let stream = stream.map_err(|error| unreachable(error.to_string()))?;
        stream.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
        set_tcp_keepalive(&stream, &KEEPALIVE)?;
        let stream = TcpSocket::from(stream);
        let Some(connector) = &self.connector else { return Ok(Connection { stream: Box::new(stream), place }) };
        let shaken = timeout(within, handshake(connector, self.name(), stream)).await;
        let shaken = shaken.map_err(|_| UpstreamError::Timeout)?;
        let stream = shaken.map_err(|error| unreachable(format!("TLS: {}", innermost(&error))))?;
        Ok(Connection { stream: Box::new(stream), place })
    }

    /// The host as a certificate has it.
    fn name(&self) -> &str {
        self.address.host.trim_matches(['[', ']'])
    }

    /// What the name stands for now. It is looked up beside the requests when that is due, and before them where nothing is known or
    /// nothing could be reached; what is known serves while it cannot be.
    async fn places(self: &Arc<Self>, within: Duration) -> Result<Arc<Places>, UpstreamError> {
        match self.places.load_full() {
            Some(known) if known.are_fresh() => Ok(known),
            Some(known) if !known.stale.load(Ordering::Relaxed) => {
                let server = self.clone();
                tokio::spawn(async move {
                    if let Ok(_turn) = server.resolving.try_lock() {
                        // What comes of it is found in `places`.
                        drop(server.resolve(within).await);
                    }
                });
                Ok(known)
            }
            _ => {
                let _turn = self.resolving.lock().await;
                self.resolve(within).await
            }
        }
    }

    async fn resolve(&self, within: Duration) -> Result<Arc<Places>, UpstreamError> {
        let known = self.places.load_full();
        if let Some(known) = known.as_ref().filter(|known| known.are_fresh()) {
            return Ok(known.clone());
        }
        let places = match (self.look_up(within).await, known) {
            (Ok(places), known) => {
                if known.is_some_and(|known| known.all != places.all) {
                    tracing::info!(
                        upstream = self.address.base,
                        "the FHIR server's name stands for other addresses now"
                    );
                }
                if places.until.is_some() {
                    self.pool.keep_to(&places.all);
                }
                places
            }
            (Err(error), Some(known)) => {
                tracing::warn!(upstream = self.address.base, %error, "the FHIR server's last known addresses stay in use");
                Places::of(known.all.clone(), Some(RESOLVE_AGAIN))
            }
            (Err(error), None) => return Err(error),
        };
        let places = Arc::new(places);
        self.places.store(Some(places.clone()));
        Ok(places)
    }

    async fn look_up(&self, within: Duration) -> Result<Places, UpstreamError> {
        let Address { host, port, .. } = &self.address;
        if let Ok(ip) = self.name().parse() {
            return Ok(Places::of(vec![SocketAddr::new(ip, *port)], None));
        }
        let failed = |why: String| UpstreamError::Unreachable(format!("`{host}` does not resolve: {why}"));
        let found = timeout(within, tokio::net::lookup_host((host.as_str(), *port)));
        let found = found.await.map_err(|_| UpstreamError::Timeout)?.map_err(|error| failed(error.to_string()))?;
        let mut all: Vec<SocketAddr> = found.take(MAX_PLACES).collect();
        // In an order of their own, so that the same are known as the same.
        all.sort_unstable();
        all.dedup();
        if all.is_empty() { Err(failed("no address".to_owned())) } else { Ok(Places::of(all, Some(RESOLVED_FOR))) }
    }
}

/// What the TLS library says, without what the layers above it say before.
fn innermost(error: &pingora::Error) -> String {
    let whole = error.to_string();
    whole.rsplit_once(" cause: ").map_or(whole.as_str(), |(_, said)| said).to_owned()
}

impl Places {
    fn of(all: Vec<SocketAddr>, lifetime: Option<Duration>) -> Self {
        Self {
            all,
            until: lifetime.map(|lifetime| Instant::now() + lifetime),
            stale: AtomicBool::new(false),
            turn: AtomicUsize::new(0),
            unreached: AtomicU32::new(0),
        }
    }

    fn are_fresh(&self) -> bool {
        match self.until {
            None => true,
            Some(until) => !self.stale.load(Ordering::Relaxed) && Instant::now() < until,
        }
    }

    /// Their indices, from another one each time, those last that could not be reached.
    fn in_turn(&self) -> impl Iterator<Item = usize> {
        let (count, unreached) = (self.all.len(), self.unreached.load(Ordering::Relaxed));
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % count.max(1);
        let turned = move |index: usize| (first + index) % count.max(1);
        let reached = move |index: &usize| unreached & (1 << index) == 0;
        let last = (0..count).map(turned).filter(move |index| !reached(index));
        (0..count).map(turned).filter(reached).chain(last)
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
