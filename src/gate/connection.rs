//! One connection as pingora takes it: a socket, whose it is, and its place among all.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::crowd::Place;

/// Bytes that are gathered before they are sent, so that the head of a short answer and its body are one packet.
const WRITE_BUFFER: usize = 1460;

/// Whether what is sent is gathered.
#[derive(Clone)]
pub(super) struct Gathers(Arc<AtomicBool>);

impl Gathers {
    /// From now on it is.
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn now(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection; reads are not buffered here, since whoever reads has a buffer.
pub(super) struct Connection {
    stream: BufWriter<Stream>,
    gathers: Gathers,
    /// How long what is left to be sent may wait for the client to take it. pingora bounds writes, not the flush behind them.
    patience: Duration,
    stuck: Option<Pin<Box<Sleep>>>,
    _place: Option<Place>,
}

impl Connection {
    /// A connection that comes from `client`, whoever the socket's peer is.
    pub(super) fn new(socket: TcpStream, client: SocketAddr, patience: Duration, place: Option<Place>) -> Self {
        // Without it an answer may wait for the client's acknowledgement of the one before; it is slower then, nothing worse.
        let _ = socket.set_nodelay(true);
        let digest = SocketDigest::from_raw_fd(socket.as_raw_fd());
        // A digest that was just made has no peer yet.
        let _ = digest.peer_addr.set(Some(client.into()));
        let mut stream = Stream::from(socket);
        stream.set_socket_digest(digest);
        let gathers = Gathers(Arc::new(AtomicBool::new(true)));
        Self { stream: BufWriter::with_capacity(WRITE_BUFFER, stream), gathers, patience, stuck: None, _place: place }
    }

    /// Sends at once until the handle says otherwise: a TLS handshake that fails ends with an alert that nobody flushes.
    pub(super) fn at_once(&self) -> Gathers {
        self.gathers.0.store(false, Ordering::Relaxed);
        self.gathers.clone()
    }

    /// What `step` comes to, or an error when that takes too long.
    fn patiently(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        step: impl FnOnce(Pin<&mut BufWriter<Stream>>, &mut Context<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Poll::Ready(done) = step(Pin::new(&mut this.stream), cx) {
            this.stuck = None;
            return Poll::Ready(done);
        }
        let patience = this.patience;
        ready!(this.stuck.get_or_insert_with(|| Box::pin(sleep(patience))).as_mut().poll(cx));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }

    fn pinned(self: Pin<&mut Self>) -> Pin<&mut BufWriter<Stream>> {
        Pin::new(&mut self.get_mut().stream)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.pinned().poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.gathers.now() {
            return self.pinned().poll_write(cx, buf);
        }
        // Nothing is gathered yet that would have to go first.
        Pin::new(self.get_mut().stream.get_mut()).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.patiently(cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.patiently(cx, |stream, cx| stream.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.gathers.now() {
            return self.pinned().poll_write_vectored(cx, bufs);
        }
        Pin::new(self.get_mut().stream.get_mut()).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for Connection {
    async fn shutdown(&mut self) {
        if let Err(error) = AsyncWriteExt::shutdown(self).await {
            tracing::debug!(%error, "a connection did not end in order");
        }
    }
}

#[async_trait]
impl Peek for Connection {
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        self.stream.get_mut().try_peek(buf).await
    }
}

impl UniqueID for Connection {
    fn id(&self) -> UniqueIDType {
        self.stream.get_ref().id()
    }
}

impl Ssl for Connection {}

impl GetSocketDigest for Connection {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_ref().get_socket_digest()
    }
}

impl GetTimingDigest for Connection {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_ref().get_timing_digest()
    }
}

impl GetProxyDigest for Connection {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}
