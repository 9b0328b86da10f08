//! The load generator: keep-alive connections that send prepared requests in turn and compare every answer, byte for byte, with
//! the one that is expected. It reads the proxy's CPU time and memory at both ends of the measured interval, and prints a line
//! of JSON.

mod connection;
mod response;
mod run;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Parser;

use response::Expected;
use run::{Phase, Run};
use smartgate_compare::sample::Sample;

/// Sends requests and checks the answers.
#[derive(Parser)]
#[command(args_override_self = true)]
struct Arguments {
    /// Where the proxy listens
    #[arg(long)]
    address: SocketAddr,
    /// Requests as they go on the wire, with a NUL after each
    #[arg(long)]
    requests: PathBuf,
    /// Each request is sent once at most
    #[arg(long)]
    once: bool,
    /// The body that every answer has
    #[arg(long)]
    body: PathBuf,
    /// How much of it must be the same; the rest must be as long
    #[arg(long, default_value_t = usize::MAX)]
    same: usize,
    #[arg(long, default_value_t = 200)]
    status: u16,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Connections that are opened besides, send one request and are then idle
    #[arg(long, default_value_t = 0)]
    idle: usize,
    /// Seconds before the measured interval
    #[arg(long, default_value_t = 1.0)]
    settle: f64,
    /// Seconds of the measured interval
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Requests a second, evenly spaced; without, each connection sends as soon as it was answered
    #[arg(long)]
    rate: Option<f64>,
    /// The proxy's processes
    #[arg(long, value_delimiter = ',')]
    processes: Vec<u32>,
    /// Cores whose idle time is read
    #[arg(long, value_delimiter = ',')]
    cores: Vec<usize>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let requests = requests(&arguments.requests)?;
    let body = fs::read(&arguments.body).with_context(|| arguments.body.display().to_string())?;
    let expected = Expected { status: arguments.status, same: body.len().min(arguments.same), body };
    let mut run = Run::new(arguments.address, arguments.connections)?;
    let quiet = if arguments.idle > 0 { Some(run::idle(arguments.address, arguments.idle, &requests)?) } else { None };
    let phase = |seconds| Phase {
        expected: &expected,
        once: arguments.once,
        limit: Duration::from_secs_f64(seconds),
        rate: arguments.rate,
    };
    run.phase(&requests, &phase(arguments.settle))?;
    let before = Sample::take(&arguments.processes, &arguments.cores)?;
    let measured = run.phase(&requests, &phase(arguments.seconds))?;
    let after = Sample::take(&arguments.processes, &arguments.cores)?;
    drop(quiet);
    println!("{}", serde_json::to_string(&measured.report(&before, &after))?);
    Ok(())
}

fn requests(path: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    let requests: Vec<Vec<u8>> = bytes.split(|b| *b == 0).filter(|one| !one.is_empty()).map(<[u8]>::to_vec).collect();
    ensure!(!requests.is_empty(), "no requests in {}", path.display());
    Ok(requests)
}
