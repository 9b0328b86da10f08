//! Hashes for the configuration.

use std::io::{BufRead as _, IsTerminal as _};

use crate::auth::{hash_password, hash_secret};

use super::Failure;

/// Shortest client secret that its plain SHA-256 protects: it must be random.
const MIN_SECRET: usize = 32;

pub(super) fn hash(secret: bool) -> Result<(), Failure> {
    if std::io::stdin().is_terminal() {
        eprintln!("type it and press Enter (it is shown):");
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(Failure::new)?;
    let text = line.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Failure::new("nothing was read from standard input"));
    }
    if !secret {
        println!("{}", hash_password(text, &crate::ambient::Ambient::system()).map_err(Failure::new)?);
        return Ok(());
    }
    if text.len() < MIN_SECRET {
        return Err(Failure::new(format!("a client secret has at least {MIN_SECRET} random characters")));
    }
    println!("{}", hash_secret(text));
    Ok(())
}
