//! Listening: every address is bound before anything is served, so that a taken port is one clear line and not a process that
//! hears nothing.
//!
//! The accept loop is the gate's own: pingora's counts no connections, reads nothing before plain HTTP, and builds its TLS once.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use listenfd::ListenFd;
use pingora::apps::ServerApp;
use pingora::server::ShutdownWatch;
use pingora::services::listening::Service;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::connection::Connection;
use super::entrance::Entrance;

/// How long to wait when nothing can be accepted, because the process has no more descriptors for instance.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long an operator's connection may be in the way of an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long connections are read once nothing more is accepted: a request may be on its way on each of them.
pub const LAST_CALL: Duration = Duration::from_secs(1);

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {why}")]
pub struct BindError {
    address: SocketAddr,
    why: std::io::Error,
}

/// Sockets that were open before the process: whoever started it holds them too, so that connections wait in their queue while one
/// process takes another's place (sd_listen_fds(3)).
#[derive(Default)]
pub struct Inherited(Vec<TcpListener>);

impl Inherited {
    /// Those that the environment tells of; it tells only once, and before other threads look at it.
    pub fn take() -> Self {
        let mut sockets = ListenFd::from_env();
        Self((0..sockets.len()).filter_map(|at| sockets.take_tcp_listener(at).ok().flatten()).collect())
    }

    fn of(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let at = self.0.iter().position(|socket| socket.local_addr().is_ok_and(|bound| bound == address))?;
        Some(self.0.swap_remove(at))
    }

    /// The address of one that nobody wanted.
    pub fn left(&self) -> Option<SocketAddr> {
        self.0.first().and_then(|socket| socket.local_addr().ok())
    }
}

/// Bound addresses of one service.
pub struct Listeners {
    bound: Vec<(SocketAddr, TcpListener)>,
}

/// How a service ends. Both turn true once.
#[derive(Clone)]
pub struct Ending {
    /// The gate drains: what is served is served on, and connections are told not to expect more.
    pub draining: ShutdownWatch,
    /// No connection is accepted any more.
    pub closing: ShutdownWatch,
}

impl Ending {
    /// Comes to pass when who has a connection has had time enough to ask for something after all.
    pub(super) async fn last_call(&self) {
        let mut closing = self.closing.clone();
        // The sender is gone only where all is over anyway.
        let _ = closing.wait_for(|closing| *closing).await;
        sleep(LAST_CALL).await;
    }
}

impl From<ShutdownWatch> for Ending {
    /// An end without draining.
    fn from(closing: ShutdownWatch) -> Self {
        Self { draining: closing.clone(), closing }
    }
}

impl Listeners {
    /// Binds every address that is not among `inherited`; port 0 takes a free one.
    ///
    /// # Errors
    /// The first address that cannot be bound.
    pub fn bind(addresses: &[SocketAddr], inherited: &mut Inherited) -> Result<Self, BindError> {
        let bound = addresses
            .iter()
            .map(|address| {
                let failed = |why| BindError { address: *address, why };
                let listener = match inherited.of(*address) {
                    Some(listener) => listener,
                    None => TcpListener::bind(address).map_err(failed)?,
                };
                listener.set_nonblocking(true).map_err(failed)?;
                Ok((listener.local_addr().map_err(failed)?, listener))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { bound })
    }

    /// The addresses as they are bound.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.bound.iter().map(|(address, _)| *address).collect()
    }

    /// Serves `app` on these addresses, to those whom `entrance` lets in, until `ending` closes. Connections live on; they end with
    /// their clients, their last request, or the runtime.
    pub async fn serve<A>(self, app: A, entrance: Option<Arc<Entrance>>, ending: Ending)
    where
        A: ServerApp + Send + Sync + 'static,
    {
        let app = Arc::new(app);
        let mut loops = JoinSet::new();
        for (address, listener) in self.bound {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => {
                    loops.spawn(accept_all(listener, app.clone(), entrance.clone(), ending.clone()));
                }
                Err(error) => tracing::error!(%error, %address, "cannot listen"),
            }
        }
        loops.join_all().await;
        app.cleanup().await;
    }
}

async fn accept_all<A>(
    listener: tokio::net::TcpListener,
    app: Arc<A>,
    entrance: Option<Arc<Entrance>>,
    mut ending: Ending,
) where
    A: ServerApp + Send + Sync + 'static,
{
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = ending.closing.wait_for(|closing| *closing) => return,
        };
        match accepted {
            Ok((socket, peer)) => {
                // Whoever comes while the gate drains is no less welcome, and hears of the end when it is there.
                let draining = *ending.draining.borrow();
                let end = if draining { &ending.closing } else { &ending.draining };
                let serve = serve_one(socket, peer, app.clone(), entrance.clone(), end.clone());
                tokio::spawn(serve);
            }
            // The client was gone before it was its turn.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::error!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_one<A>(
    socket: TcpStream,
    peer: SocketAddr,
    app: Arc<A>,
    entrance: Option<Arc<Entrance>>,
    end: ShutdownWatch,
) where
    A: ServerApp + Send + Sync + 'static,
{
    let stream = match entrance {
        None => Some(Box::new(Connection::new(socket, peer, PATIENCE, None)) as _),
        // Boxed: what a handshake needs is gone when it is over, and not held as long as the connection.
        Some(entrance) => Box::pin(entrance.admit(socket, peer)).await,
    };
    if let Some(stream) = stream {
        Service::handle_event(stream, app, end).await;
    }
}
