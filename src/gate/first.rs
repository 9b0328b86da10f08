//! The wait for a request's first bytes, of each request on a connection: nothing is kept for who is silent.
//!
//! pingora makes a session before it waits for its request, with buffers and all; ten thousand silent connections would hold them.
//! And without TLS it tells HTTP/2 from HTTP/1 by as many bytes as HTTP/2 begins with, and waits for them without limit. Here a
//! connection that waits is a socket and two timers, and only what came begins a session.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::ready;

use async_trait::async_trait;
use bytes::BytesMut;
use pingora::apps::{HttpServerApp as _, ServerApp};
use pingora::protocols::http::ServerSession;
use pingora::protocols::{ALPN, Stream};
use pingora::server::ShutdownWatch;
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::Gate;

/// What HTTP/2 begins with (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Room for the first bytes. A head that fits is read and parsed once, also that of a token with hundreds of scopes.
const FIRST_READ: usize = 16 * 1024;

thread_local! {
    /// Where first bytes are read to: only as many as came are kept, since heads that stand so far apart would be in each other's way
    /// in the processor's caches.
    static ROOM: RefCell<Box<[u8]>> = RefCell::new(vec![0; FIRST_READ].into_boxed_slice());
}

/// A gate that closes connections on which nothing comes.
pub struct FirstBytes(Arc<Gate>);

impl FirstBytes {
    /// `gate`, behind the wait.
    pub fn of(gate: Gate) -> Self {
        Self(Arc::new(gate))
    }

    /// Whether the connection speaks HTTP/2; none where it is over before that can be said.
    async fn is_http2(&self, stream: &mut Stream) -> Option<bool> {
        if stream.get_ssl_digest().is_some() {
            return Some(stream.selected_alpn_proto() == Some(ALPN::H2));
        }
        let mut first = [0; PREFACE.len()];
        tokio::select! {
            came = timeout(self.idle_timeout(), stream.try_peek(&mut first)) => came.ok()?.ok()?,
            () = self.0.ending.last_call() => return None,
        };
        Some(first == *PREFACE)
    }

    /// Answers one HTTP/1 request after another.
    async fn turns(&self, mut stream: Stream, end: &ShutdownWatch) {
        let mut closed = pin!(self.0.ending.last_call());
        let mut alarm = pin!(sleep_until(Instant::now() + self.idle_timeout()));
        loop {
            let until = Instant::now() + self.idle_timeout();
            let began = tokio::select! {
                biased;
                began = first_bytes(&mut stream) => began,
                () = closed.as_mut() => return,
                () = silence(alarm.as_mut(), until) => return,
            };
            let Some(began) = began.ok().filter(|began| !began.is_empty()) else { return };
            let mut session = ServerSession::new_http1(stream);
            session.set_pipelined_prefix(began);
            match self.0.process_new_http(session, end).await {
                Some(reused) => (stream, _) = reused.consume(),
                None => return,
            }
        }
    }

    fn idle_timeout(&self) -> std::time::Duration {
        self.0.parts.config.load().server.idle_timeout
    }
}

/// Reads what comes first. There is no buffer before something comes.
async fn first_bytes(stream: &mut Stream) -> io::Result<BytesMut> {
    poll_fn(|context| {
        ROOM.with_borrow_mut(|room| {
            let mut began = ReadBuf::new(room);
            ready!(Pin::new(&mut *stream).poll_read(context, &mut began))?;
            io::Result::Ok(BytesMut::from(began.filled())).into()
        })
    })
    .await
}

/// Ends at `until`. `alarm` is set anew only when it went off too early: most requests come long before, and leave it alone.
async fn silence(mut alarm: Pin<&mut Sleep>, until: Instant) {
    loop {
        alarm.as_mut().await;
        if Instant::now() >= until {
            return;
        }
        alarm.as_mut().reset(until);
    }
}

#[async_trait]
impl ServerApp for FirstBytes {
    async fn process_new(self: &Arc<Self>, mut stream: Stream, end: &ShutdownWatch) -> Option<Stream> {
        if self.is_http2(&mut stream).await? {
            return self.0.process_new(stream, end).await;
        }
        self.turns(stream, end).await;
        None
    }

    async fn cleanup(&self) {
        ServerApp::cleanup(&*self.0).await;
    }
}
