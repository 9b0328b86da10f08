//! Structured logs to standard error.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

/// From which level on others are heard. pingora reports every client that goes away and every connection that it makes;
/// what the gate needs of that it logs itself, without the request's target. notify warns of each folder that was deleted.
const CAPPED: [(&str, &str); 2] = [("pingora", "warn"), ("notify", "error")];

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    Json,
    Text,
}

/// Sends `tracing` and `log` to standard error; `filter` as in `RUST_LOG`. Calling it twice keeps the first.
pub fn init_logging(format: LogFormat, filter: &str) {
    let lines = tracing_subscriber::fmt().with_env_filter(parse(filter)).with_writer(io::stderr);
    // They would be told on standard error, too, with a panic: a full disk, or a reader that went away, ends the log alone.
    let lines = lines.log_internal_errors(false);
    // `try_init` also takes over the `log` crate, which pingora and rustls write to.
    let kept = match format {
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init(),
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).finish().try_init(),
    };
    if kept.is_err() {
        tracing::debug!("logging was set up before; that stays");
    }
}

/// The filter, `info` where it names no level, with the noisy targets capped unless it names them.
fn parse(filter: &str) -> EnvFilter {
    let capped = CAPPED.iter().filter(|(target, _)| !filter.contains(target));
    let capped: String = capped.map(|(target, level)| format!("{target}={level},")).collect();
    EnvFilter::builder().parse_lossy(format!("info,{capped}{filter}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pingora_is_capped_unless_it_is_named() {
        assert_eq!(parse("debug").to_string(), "pingora=warn,notify=error,debug");
        assert_eq!(parse("info,pingora_core=debug").to_string(), "pingora_core=debug,notify=error,info");
    }

    #[test]
    fn a_filter_that_is_no_filter_means_info() {
        for filter in ["", "=!?="] {
            assert_eq!(parse(filter).to_string(), "pingora=warn,notify=error,info", "{filter}");
        }
    }

    #[test]
    fn a_second_call_keeps_the_first() {
        init_logging(LogFormat::Text, "off");
        init_logging(LogFormat::Json, "trace");
        assert!(!tracing::enabled!(tracing::Level::ERROR));
    }
}
