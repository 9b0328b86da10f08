//! The `smartgate` command.

use std::process::ExitCode;

use clap::Parser as _;
use smartgate::app::{CommandLine, complain, execute};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match execute(CommandLine::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(format_args!("smartgate: {failure}"));
            ExitCode::FAILURE
        }
    }
}
