//! The `smartgate` command.

use std::process::ExitCode;

use clap::Parser as _;
use smartgate::app::{CommandLine, complain, execute};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    small_pages();
    match execute(CommandLine::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(format_args!("smartgate: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// Memory is taken from the system in pages of 4 KiB. Of a huge one a little that is kept holds 2 MiB, and the kernel joins small ones to
/// huge ones as time goes by: what is resident would grow for hours though nothing leaks.
#[cfg(target_os = "linux")]
fn small_pages() {
    // Where the kernel has no such switch, the gate is a little larger.
    let _ = nix::sys::prctl::set_thp_disable(true);
}
