//! Hashes for the configuration.

use std::io::{BufRead as _, IsTerminal as _};

use crate::auth::{hash_password, hash_secret};

use super::{Failure, complain, say};

/// Shortest client secret that its plain SHA-256 protects: it must be random.
const MIN_SECRET: usize = 32;

pub(super) fn hash(secret: bool) -> Result<(), Failure> {
    if std::io::stdin().is_terminal() {
        complain("type it and press Enter (it is shown):");
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(Failure::new)?;
    let text = line.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Failure::new("nothing was read from standard input"));
    }
    if !secret {
        return say(hash_password(text, &crate::ambient::Ambient::system()).map_err(Failure::new)?);
    }
    if text.len() < MIN_SECRET {
        return Err(Failure::new(format!("a client secret has at least {MIN_SECRET} random characters")));
    }
    say(hash_secret(text))
}
