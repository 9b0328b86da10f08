//! Configuration: files, checked and compiled as a whole into an immutable snapshot; reload while running.

#[cfg(test)]
mod asked;
mod brands;
mod certificates;
mod clients;
mod color;
mod compile;
mod document;
mod errors;
mod introspection;
mod oidc;
mod pages;
mod reading;
#[cfg(test)]
mod reference;
mod registered;
mod reload;
mod restart;
mod secret;
mod snapshot;
mod table;
mod typed;
mod value;
mod watch;

use std::path::Path;

pub use brands::{BrandIdentifier, Brands};
pub use clients::Clients;
pub use compile::{check_key_set, redirect_uri};
pub use errors::ConfigErrors;
pub use introspection::{Introspection, IntrospectionAuth};
pub use oidc::{FhirUser, Oidc, USER_TYPES};
pub use pages::{Language, Link, Logo, Pages};
pub use reading::{Fingerprint, Sources};
pub use registered::{About, RegisteredAuth, Registration, RegistrationRules, UserGrantType, client_key_url};
pub use reload::Reloader;
pub use snapshot::*;

use crate::ambient::{Ambient, UnixSeconds};
use reading::Reading;

/// A configuration that was read and found right.
pub struct Loaded {
    pub snapshot: Snapshot,
    /// What it was read from.
    pub sources: Sources,
}

/// Reads, checks and compiles the configuration.
///
/// # Errors
/// All that is wrong, at once.
pub fn load(path: &Path) -> Result<Loaded, ConfigErrors> {
    let (sources, snapshot) = attempt(path);
    Ok(Loaded { snapshot: snapshot?, sources })
}

/// As [`load`] at the moment `now`, with the text of the main file as if it were `smartgate.toml` in `folder`.
///
/// # Errors
/// All that is wrong, at once.
pub fn load_str_at(main: &str, folder: &Path, now: UnixSeconds) -> Result<Loaded, ConfigErrors> {
    let reading = Reading::at(now);
    let path = folder.join("smartgate.toml");
    let snapshot = compile::main_file(&reading, &path, main);
    let (sources, snapshot) = reading.finish(snapshot);
    Ok(Loaded { snapshot: snapshot?, sources })
}

/// As [`load_str_at`], at the present moment.
///
/// # Errors
/// All that is wrong, at once.
pub fn load_str(main: &str, folder: &Path) -> Result<Loaded, ConfigErrors> {
    load_str_at(main, folder, Ambient::system().now())
}

/// Reads the configuration, and says what it was read from even where it is wrong.
fn attempt(path: &Path) -> (Sources, Result<Snapshot, ConfigErrors>) {
    let reading = Reading::at(Ambient::system().now());
    let snapshot = match reading.text(path) {
        Ok(text) => compile::main_file(&reading, path, &text),
        Err(what) => {
            reading.problem(path, None, format!("{what}; --config or SMARTGATE_CONFIG names another file"));
            None
        }
    };
    reading.finish(snapshot)
}

#[cfg(test)]
mod tests;
