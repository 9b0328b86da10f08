//! What stands before the first section.

use super::sections;

sections! {
    /// # Configuration
    ///
    /// One TOML file (`--config`, `SMARTGATE_CONFIG`, default `conf/smartgate.toml`) and drop-in folders beside it: `clients.d/`, `users.d/`,
    /// `issuers.d/`, one entry a file (`*.toml`, read in the order of their names), its keys at the top of the file.
    /// [`conf/smartgate.toml`](../conf/smartgate.toml) is a sample with every key.
    ///
    /// - **Checked as a whole.** `smartgate check` prints every error at once with file, line and what would be right, and exits 1. Unknown keys are
    ///   errors.
    /// - **Paths** are relative to the folder of the file they stand in, the store's too: where the configuration is mounted read-only, give the
    ///   store an absolute path.
    /// - **Secrets** are never written in the configuration, only where they are: `"file:PATH"` (a line end at the end is taken off) or `"env:NAME"`.
    /// - **Lengths of time** are `"500ms"`, `"30s"`, `"10m"`, `"1h"`, `"30d"`; sizes are bytes.
    /// - **In an editor.** `#:schema smartgate.schema.json` in the first line of the main file has editors that know TOML (Even Better TOML, taplo)
    ///   complete keys, explain them and mark mistakes; the file is in [`conf`](../conf/smartgate.schema.json). `smartgate check` finds more.
    ///
    /// ## Reload
    ///
    /// A running gate reads the configuration again when something happens in a folder that it was read from, on SIGHUP, and every 30 s to be sure; every
    /// file that a key names (certificates, keys, JWK sets, secrets behind `file:`, the logo) belongs to it. A new configuration takes effect whole or not
    /// at all: one with errors is logged and counted, and the last good one stays. A request sees one configuration from its first byte to its last.
    /// Editors' rename-saves and Kubernetes' ConfigMap swaps work; mounts by `subPath` change only by restart. An environment variable that an `env:` names
    /// is read with the configuration, but a running process does not see it change.
    ///
    /// Some keys need a restart. Where one of them changed, the last good configuration stays as a whole until then, and the log names the key:
    "" {
    }
}
