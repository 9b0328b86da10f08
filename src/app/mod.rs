//! The command line, and the wiring of one gate.

mod background;
mod check;
mod clients;
mod explain;
mod issuers;
mod keys;
mod password;
mod ready;
mod run;
mod serve;
mod statement;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::telemetry::version;
use crate::token::install_crypto;

pub use serve::{Running, start};

/// SMART on FHIR in front of any FHIR server.
#[derive(Parser, Debug)]
#[command(version = version(), about, disable_help_subcommand = true)]
pub struct CommandLine {
    /// The configuration file
    #[arg(long, global = true, env = "SMARTGATE_CONFIG", default_value = "conf/smartgate.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Serve until stopped; SIGHUP reads the configuration again, SIGTERM drains and stops
    Run,
    /// Check the configuration: every error at once, with file, line and what would be right
    Check {
        /// Hold it against the FHIR server, too, which gets a resource to try out `If-Match` on
        #[arg(long)]
        upstream: bool,
        /// Try out, too, whether the other authorization servers are reached: their keys, and introspection with a made-up token
        #[arg(long)]
        issuers: bool,
    },
    /// Exit 0 if the gate that runs with this configuration is ready, as `/readyz` says
    Ready,
    /// Print the decision on one request, its rule and what would be sent to the FHIR server
    Explain(Box<explain::Asked>),
    /// Hash a password read from standard input, for `[[users]]`; with --secret a client secret, for `[[clients]]`
    HashPassword {
        /// Hash a client secret of at least 32 random characters instead of a person's password
        #[arg(long)]
        secret: bool,
    },
    /// List or rotate the gate's own keys
    Keys {
        #[command(subcommand)]
        action: keys::Action,
    },
    /// List, export or remove apps that registered themselves
    Clients {
        #[command(subcommand)]
        action: clients::Action,
    },
}

/// Why a command could not be carried out, in a line for people.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(String);

impl Failure {
    fn new(error: impl Display) -> Self {
        Self(error.to_string())
    }
}

/// Carries out a command.
///
/// # Errors
/// What went wrong; the process then exits 1.
pub fn execute(line: CommandLine) -> Result<(), Failure> {
    install_crypto();
    match line.command {
        Command::Run => run::run(&line.config),
        Command::Check { upstream, issuers } => check::check(&line.config, upstream, issuers),
        Command::Ready => ready::ready(&line.config),
        Command::Explain(asked) => explain::explain(&line.config, &asked),
        Command::HashPassword { secret } => password::hash(secret),
        Command::Clients { action } => clients::clients(&line.config, &action),
        Command::Keys { action } => keys::keys(&line.config, &action),
    }
}

/// Prints a line. A reader that has seen enough (`| head -1`) is no failure.
fn say(line: impl Display) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Prints a line to standard error, if that can still be written.
pub fn complain(line: impl Display) {
    drop(writeln!(io::stderr(), "{line}"));
}

/// A runtime for commands that finish by themselves.
fn small_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::new)
}
