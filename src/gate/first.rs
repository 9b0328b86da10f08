//! The wait for a connection's first bytes, which must have an end.
//!
//! Without TLS pingora tells HTTP/2 from HTTP/1 by as many bytes as HTTP/2 begins with, and waits for them without limit: who
//! connects and says nothing would be kept for ever.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;
use tokio::time::timeout;

use super::Gate;

/// Bytes of the HTTP/2 preface (RFC 9113 §3.4).
const PREFACE: usize = 24;

/// A gate that closes connections on which nothing comes.
pub struct FirstBytes(Arc<Gate>);

impl FirstBytes {
    /// `gate`, behind the wait.
    pub fn of(gate: Gate) -> Self {
        Self(Arc::new(gate))
    }
}

#[async_trait]
impl ServerApp for FirstBytes {
    async fn process_new(self: &Arc<Self>, mut stream: Stream, end: &ShutdownWatch) -> Option<Stream> {
        if stream.get_ssl_digest().is_none() {
            let within = self.0.parts.config.load().server.idle_timeout;
            let mut first = [0; PREFACE];
            tokio::select! {
                came = timeout(within, stream.try_peek(&mut first)) => came.ok()?.ok()?,
                () = self.0.ending.last_call() => return None,
            };
        }
        self.0.process_new(stream, end).await
    }

    async fn cleanup(&self) {
        ServerApp::cleanup(&*self.0).await;
    }
}
