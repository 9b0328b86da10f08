//! One keep-alive connection: a request out, its answer in.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::bail;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::response::{Expected, Response};

/// Times that a connection may be closed without an answer before that is an error.
const MAX_RECONNECTS: u64 = 1000;

/// What became of a connection after something happened on it.
pub enum Progress {
    Waiting,
    /// The answer is complete.
    Answered,
    /// The server closed it before it began to answer.
    Closed,
}

pub struct Connection {
    address: SocketAddr,
    token: Token,
    stream: TcpStream,
    /// The request on its way, and how much of it is written.
    request: Option<(usize, usize)>,
    pub since: Instant,
    response: Response,
    pub reconnects: u64,
}

impl Connection {
    pub fn open(address: SocketAddr, token: Token, registry: &Registry) -> anyhow::Result<Self> {
        let stream = connect(address, token, registry)?;
        let (request, since, response) = (None, Instant::now(), Response::new());
        Ok(Self { address, token, stream, request, since, response, reconnects: 0 })
    }

    pub fn is_free(&self) -> bool {
        self.request.is_none()
    }

    /// Sends the request of this index; its time counts from `since`.
    pub fn send(&mut self, index: usize, since: Instant, requests: &[Vec<u8>]) -> anyhow::Result<()> {
        self.since = since;
        self.request = Some((index, 0));
        self.write(requests)
    }

    /// Writes what is left of the request.
    pub fn write(&mut self, requests: &[Vec<u8>]) -> anyhow::Result<()> {
        let Some((index, written)) = &mut self.request else { return Ok(()) };
        let bytes = &requests[*index];
        while *written < bytes.len() {
            match self.stream.write(&bytes[*written..]) {
                Ok(count) => *written += count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // What became of the connection shows when it is read.
                Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads what has come.
    pub fn read(&mut self, buffer: &mut [u8], expected: &Expected) -> anyhow::Result<Progress> {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(count) => count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return Ok(Progress::Waiting);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
                Err(error) => return Err(error.into()),
            };
            if count == 0 {
                if !self.response.is_untouched() {
                    bail!("the connection ended within an answer");
                }
                return Ok(Progress::Closed);
            }
            if self.request.is_none() {
                bail!("an answer to no request: {}", buffer[..count].escape_ascii());
            }
            if self.response.take(&buffer[..count], Some(expected))? {
                self.request = None;
                return Ok(Progress::Answered);
            }
            // A short read has emptied the socket: what comes next is another event (epoll(7)).
            if count < buffer.len() {
                return Ok(Progress::Waiting);
            }
        }
    }

    /// Connects again; the request on its way is sent again.
    pub fn reopen(&mut self, registry: &Registry) -> anyhow::Result<()> {
        self.reconnects += 1;
        if self.reconnects > MAX_RECONNECTS {
            bail!("the server closes connections without answering");
        }
        self.stream = connect(self.address, self.token, registry)?;
        self.response = Response::new();
        if let Some((_, written)) = &mut self.request {
            *written = 0;
        }
        Ok(())
    }
}

fn connect(address: SocketAddr, token: Token, registry: &Registry) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
    Ok(stream)
}
