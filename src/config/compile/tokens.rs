//! `[tokens]`: what the gate issues.

use std::time::Duration;

use crate::config::table::Table;
use crate::config::{SigningAlgorithm, Tokens};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);

pub(super) fn tokens(mut table: Table<'_>) -> Tokens {
    let algorithms = [
        ("ES256", SigningAlgorithm::Es256),
        ("ES384", SigningAlgorithm::Es384),
        ("RS256", SigningAlgorithm::Rs256),
        ("RS384", SigningAlgorithm::Rs384),
    ];
    let tokens = Tokens {
        algorithm: table.choice("algorithm", SigningAlgorithm::Es256, &algorithms),
        access_lifetime: table.duration("access_lifetime", 10 * MINUTE, SECOND..=DAY),
        backend_lifetime: table.duration("backend_lifetime", 5 * MINUTE, SECOND..=HOUR),
        // RFC 6749 §4.1.2 recommends ten minutes at most.
        code_lifetime: table.duration("code_lifetime", MINUTE, SECOND..=10 * MINUTE),
        refresh_lifetime: table.duration("refresh_lifetime", 30 * DAY, MINUTE..=YEAR),
        session_lifetime: table.duration("session_lifetime", 8 * HOUR, MINUTE..=7 * DAY),
        key_overlap: table.duration("key_overlap", 10 * MINUTE, Duration::ZERO..=7 * DAY),
    };
    table.finish();
    tokens
}
