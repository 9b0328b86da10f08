//! Which build this is: the package's version, and what the builder said of the source.
//!
//! `make build`, the Dockerfile and `tools/image` set `SMARTGATE_COMMIT` and `SOURCE_DATE_EPOCH` (the commit's time, no
//! clock's), so that two builds of one commit are the same bytes. A plain `cargo build` sets neither.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub(super) const NUMBER: &str = env!("CARGO_PKG_VERSION");

/// The commit, `-dirty` behind it where files were changed; empty where the builder did not say.
pub(super) const COMMIT: &str = match option_env!("SMARTGATE_COMMIT") {
    Some(commit) => commit,
    None => "",
};

/// What `smartgate --version` says: `0.1.0 (8a43d6fc1b2c, 2026-11-26)`.
pub fn version() -> &'static str {
    static LINE: LazyLock<String> = LazyLock::new(|| line(NUMBER, COMMIT, option_env!("SOURCE_DATE_EPOCH")));
    &LINE
}

fn line(number: &str, commit: &str, epoch: Option<&str>) -> String {
    let date = epoch
        .and_then(|seconds| Timestamp::from_second(seconds.parse().ok()?).ok())
        .map(|time| TimeZone::UTC.to_datetime(time).date().to_string());
    let known: Vec<&str> = [commit, date.as_deref().unwrap_or("")].into_iter().filter(|it| !it.is_empty()).collect();
    if known.is_empty() { number.to_owned() } else { format!("{number} ({})", known.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_version_says_what_the_builder_said() {
        assert_eq!(line("0.1.0", "", None), "0.1.0");
        assert_eq!(line("0.1.0", "8a43d6fc1b2c-dirty", None), "0.1.0 (8a43d6fc1b2c-dirty)");
        assert_eq!(line("0.1.0", "8a43d6fc1b2c", Some("1795651200")), "0.1.0 (8a43d6fc1b2c, 2026-11-26)");
        assert_eq!(line("0.1.0", "8a43d6fc1b2c", Some("yesterday")), "0.1.0 (8a43d6fc1b2c)");
        assert_eq!(line("0.1.0", "", Some("9223372036854775807")), "0.1.0");
    }
}
