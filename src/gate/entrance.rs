//! Who may come in: what happens to a connection between the socket and its first request.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora::listeners::tls::Acceptor;
use pingora::protocols::Stream;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connection::Connection;
use super::crowd::{Crowd, Place};
use super::proxied;
use crate::address::ClientAddress;
use crate::config::{Server, Snapshot};
use crate::telemetry::{Metrics, TurnedAway};

/// The way in for apps: limits, the PROXY protocol, TLS. Everything is as the present configuration says, for each connection anew.
pub struct Entrance {
    config: Arc<ArcSwap<Snapshot>>,
    crowd: Crowd,
    metrics: Metrics,
}

impl Entrance {
    pub fn new(config: Arc<ArcSwap<Snapshot>>, metrics: Metrics) -> Self {
        Self { config, crowd: Crowd::new(metrics.clone()), metrics }
    }

    /// The connection, ready for HTTP. One that may not come in is closed without a word, which costs least.
    pub(super) async fn admit(&self, socket: TcpStream, peer: SocketAddr) -> Option<Stream> {
        let snapshot = self.config.load_full();
        let server = &snapshot.server;
        let admitted = match self.crowd.enter(server.max_connections) {
            None => Err(TurnedAway::Full),
            Some(place) => timeout(server.client_timeout, greet(server, socket, peer, place))
                .await
                .unwrap_or(Err(TurnedAway::Slow)),
        };
        admitted
            .inspect_err(|why| {
                tracing::debug!(why = why.label(), "a connection was turned away");
                self.metrics.turned_away(*why);
            })
            .ok()
    }
}

async fn greet(
    server: &Server,
    mut socket: TcpStream,
    peer: SocketAddr,
    mut place: Place,
) -> Result<Stream, TurnedAway> {
    let balancer = ClientAddress::new(peer.ip());
    let mut client = peer;
    let mut shared = server.forwarded.as_ref().is_some_and(|forwarded| forwarded.from.contain(balancer));
    if server.proxy_protocol.contain(balancer) {
        match proxied::read(&mut socket).await.map_err(|_| TurnedAway::Proxy)? {
            Some(told) => client = told,
            None => shared = true,
        }
    }
    // Behind the address of a load balancer is everybody.
    if !shared && !place.of(ClientAddress::new(client.ip()), server.max_connections_per_address) {
        return Err(TurnedAway::Address);
    }
    let connection = Connection::new(socket, client, server.client_timeout, Some(place));
    let Some(tls) = &server.tls else { return Ok(Box::new(connection)) };
    let gathers = connection.at_once();
    match Acceptor::from_server_config(tls.server.clone()).tls_handshake(connection).await {
        Ok(stream) => {
            gathers.begin();
            Ok(Box::new(stream))
        }
        Err(error) => {
            tracing::debug!(%error, "no TLS was agreed on");
            Err(TurnedAway::Tls)
        }
    }
}
