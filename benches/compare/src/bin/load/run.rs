//! The loop: who sends what and when.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use super::connection::{Connection, Progress};
use super::response::{Expected, Response};
use smartgate_compare::sample::Measured;

/// What one read can bring.
const BUFFER: usize = 256 * 1024;

/// How often the loop looks whether a request is due or time is up.
const TICK: Duration = Duration::from_millis(1);

/// The loop of requests as fast as may be never sleeps. A peer that sleeps must be woken, and on one machine the proxy pays for that: the
/// slower it is the more often, so that it would be measured slower than it is.
const AT_ONCE: Duration = Duration::ZERO;

/// A part of a run.
pub struct Phase<'e> {
    /// What answers are compared with.
    pub expected: &'e Expected,
    /// Whether it ends when each request was sent once.
    pub once: bool,
    pub limit: Duration,
    /// Requests a second.
    pub rate: Option<f64>,
}

pub struct Run {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    /// The request that is sent next; phases go on where the one before ended.
    next: usize,
}

impl Run {
    pub fn new(address: SocketAddr, connections: usize) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let connections = (0..connections)
            .map(|index| Connection::open(address, Token(index), poll.registry()))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { poll, events: Events::with_capacity(1024), connections, buffer: vec![0; BUFFER], next: 0 })
    }

    /// Sends requests until time is up; with `once` until there are none left. The answers that are then under way are
    /// waited for.
    pub fn phase(&mut self, requests: &[Vec<u8>], phase: &Phase<'_>) -> anyhow::Result<Measured> {
        let begun = Instant::now();
        let (mut times, mut sent, mut ended) = (Vec::with_capacity(1 << 20), 0_usize, None);
        let reconnects_before = self.reconnects();
        loop {
            let now = Instant::now();
            let over = now - begun >= phase.limit || (phase.once && self.next >= requests.len());
            if over && ended.is_none() {
                ended = Some((now, times.len()));
            }
            if ended.is_some() && self.connections.iter().all(Connection::is_free) {
                break;
            }
            if ended.is_none() {
                let due = phase.rate.map_or(usize::MAX, |rate| ((now - begun).as_secs_f64() * rate) as usize);
                self.start(requests, phase, due, &mut sent)?;
            }
            self.poll.poll(&mut self.events, Some(if phase.rate.is_some() { TICK } else { AT_ONCE }))?;
            if self.events.is_empty() {
                // To the FHIR server, which is on the same core.
                thread::yield_now();
            }
            self.happened(requests, phase, ended.is_some(), &mut times, &mut sent)?;
        }
        let (end, count) = ended.unwrap_or((Instant::now(), times.len()));
        let answered = times.len();
        times.truncate(count);
        let (seconds, reconnects) = ((end - begun).as_secs_f64(), self.reconnects() - reconnects_before);
        Ok(Measured { times, answered, seconds, reconnects })
    }

    fn reconnects(&self) -> u64 {
        self.connections.iter().map(|connection| connection.reconnects).sum()
    }

    /// Sends on connections that are free, as long as requests are due.
    fn start(&mut self, requests: &[Vec<u8>], phase: &Phase<'_>, due: usize, sent: &mut usize) -> anyhow::Result<()> {
        for connection in self.connections.iter_mut().filter(|connection| connection.is_free()) {
            let Some(index) = next(&mut self.next, requests, phase).filter(|_| *sent < due) else { break };
            self.next += 1;
            *sent += 1;
            connection.send(index, Instant::now(), requests)?;
        }
        Ok(())
    }

    fn happened(
        &mut self,
        requests: &[Vec<u8>],
        phase: &Phase<'_>,
        ended: bool,
        times: &mut Vec<u32>,
        sent: &mut usize,
    ) -> anyhow::Result<()> {
        for event in &self.events {
            let connection = &mut self.connections[event.token().0];
            if event.is_writable() {
                connection.write(requests)?;
            }
            if !event.is_readable() && !event.is_read_closed() {
                continue;
            }
            match connection.read(&mut self.buffer, phase.expected)? {
                Progress::Waiting => {}
                Progress::Closed => {
                    connection.reopen(self.poll.registry())?;
                    connection.write(requests)?;
                }
                Progress::Answered => {
                    let now = Instant::now();
                    times.push(u32::try_from((now - connection.since).as_micros()).unwrap_or(u32::MAX));
                    if !ended
                        && phase.rate.is_none()
                        && let Some(index) = next(&mut self.next, requests, phase)
                    {
                        self.next += 1;
                        *sent += 1;
                        connection.send(index, now, requests)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn next(next: &mut usize, requests: &[Vec<u8>], phase: &Phase<'_>) -> Option<usize> {
    if *next >= requests.len() && !phase.once {
        *next = 0;
    }
    (*next < requests.len()).then_some(*next)
}

/// Opens connections that send one request each and are then silent.
pub fn idle(address: SocketAddr, count: usize, requests: &[Vec<u8>]) -> anyhow::Result<Vec<TcpStream>> {
    let mut open = Vec::with_capacity(count);
    let mut buffer = vec![0; BUFFER];
    for index in 0..count {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(&requests[index % requests.len()])?;
        let mut response = Response::new();
        loop {
            let read = stream.read(&mut buffer)?;
            anyhow::ensure!(read > 0, "connection {index} was closed");
            if response.take(&buffer[..read], None)? {
                break;
            }
        }
        open.push(stream);
    }
    Ok(open)
}
