//! The file: made for its owner only, recognised before it is touched, brought up to date step by step.

use std::fs::{self, DirBuilder, OpenOptions};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::super::StoreError;

/// `SmGt`; tells this program's files from others (SQLite, `PRAGMA application_id`).
const APPLICATION_ID: i32 = 0x536D_4774;

/// How long to wait for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Most that a connection keeps of the file in memory, in KiB: one row at a time is read and written here, and the system has the
/// file in memory anyway.
const CACHE_KIB: i32 = 256;

/// Each step leads to the version before it, in order; `PRAGMA user_version` says which was the last.
const MIGRATIONS: &[(u32, &str)] = &[
    (
        1,
        "
    CREATE TABLE keys (
        id TEXT PRIMARY KEY,
        purpose INTEGER NOT NULL,
        algorithm TEXT NOT NULL,
        secret BLOB NOT NULL,
        created INTEGER NOT NULL,
        active_from INTEGER NOT NULL,
        retired INTEGER
    ) STRICT;
    CREATE TABLE pending (
        handle BLOB PRIMARY KEY,
        state TEXT NOT NULL,
        expires INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX pending_expires ON pending (expires);
    CREATE TABLE codes (
        code BLOB PRIMARY KEY,
        grant_id TEXT NOT NULL,
        payload TEXT NOT NULL,
        expires INTEGER NOT NULL,
        spent INTEGER,
        kept_until INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX codes_kept_until ON codes (kept_until);
    CREATE TABLE seen (
        issuer TEXT NOT NULL,
        id TEXT NOT NULL,
        expires INTEGER NOT NULL,
        PRIMARY KEY (issuer, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX seen_expires ON seen (expires);
    -- AUTOINCREMENT: a sequence is never given twice, even when its row was swept; others read on from where they were.
    CREATE TABLE revocations (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        kind INTEGER NOT NULL,
        issuer TEXT NOT NULL,
        id TEXT NOT NULL,
        expires INTEGER NOT NULL,
        UNIQUE (kind, issuer, id)
    ) STRICT;
    CREATE INDEX revocations_expires ON revocations (expires);
    ",
    ),
    (
        2,
        "
    CREATE TABLE grants (
        id TEXT PRIMARY KEY,
        client TEXT NOT NULL,
        username TEXT NOT NULL,
        payload TEXT NOT NULL,
        used INTEGER NOT NULL,
        expires INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX grants_username ON grants (username);
    CREATE INDEX grants_expires ON grants (expires);
    CREATE TABLE refresh_tokens (
        token BLOB PRIMARY KEY,
        grant_id TEXT NOT NULL,
        expires INTEGER NOT NULL,
        exchanged INTEGER,
        successor BLOB
    ) STRICT;
    CREATE INDEX refresh_tokens_grant ON refresh_tokens (grant_id);
    CREATE INDEX refresh_tokens_expires ON refresh_tokens (expires);
    -- A grant with two live tokens would be two grants.
    CREATE UNIQUE INDEX refresh_tokens_live ON refresh_tokens (grant_id) WHERE exchanged IS NULL;
    ",
    ),
    (
        3,
        "
    CREATE TABLE probes (
        upstream TEXT PRIMARY KEY,
        found TEXT NOT NULL
    ) STRICT;
    ",
    ),
    (
        4,
        "
    -- AUTOINCREMENT: a sequence is never given twice, so that count and largest sequence tell one state from another.
    CREATE TABLE clients (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        payload TEXT NOT NULL
    ) STRICT;
    ",
    ),
    (
        5,
        "
    CREATE TABLE failures (
        name BLOB PRIMARY KEY,
        count INTEGER NOT NULL,
        last INTEGER NOT NULL,
        pause_until INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX failures_last ON failures (last);
    CREATE INDEX failures_pause ON failures (pause_until);
    ",
    ),
    (6, "ALTER TABLE failures ADD COLUMN tried INTEGER NOT NULL DEFAULT 0;"),
];

/// The version that this program writes.
const LATEST: u32 = 6;

/// Opens the file for writing, and makes or updates it as needed.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let at = |error: String| StoreError(format!("`{}`: {error}", path.display()));
    make(path).map_err(|error| at(error.to_string()))?;
    let mut connection = connect(path).map_err(|error| at(error.to_string()))?;
    let version = recognise(&connection).map_err(&at)?;
    prepare(&mut connection, version).map_err(|error| at(error.to_string()))?;
    Ok(connection)
}

/// Opens a file that [`open`] has opened, for reading.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    connect(path)
        .and_then(|connection| connection.pragma_update(None, "query_only", true).map(|()| connection))
        .map_err(|error| StoreError(format!("`{}`: {error}", path.display())))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    Ok(connection)
}

/// SQLite gives its side files the mode of the main file, so that only this one has to be made private.
fn make(path: &Path) -> std::io::Result<()> {
    let mut folder = DirBuilder::new();
    let mut file = OpenOptions::new();
    folder.recursive(true);
    file.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        folder.mode(0o700);
        file.mode(0o600);
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        folder.create(parent)?;
    }
    file.open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if let Err(error) = fs::set_permissions(path, fs::Permissions::from_mode(0o600)) {
            tracing::warn!(file = %path.display(), %error, "the store's file keeps the mode it has");
        }
    }
    Ok(())
}

/// The file's version; an error when it is another program's, or of a later version of this one.
fn recognise(connection: &Connection) -> Result<u32, String> {
    // In one statement: another process may be making it at this moment.
    let facts = "SELECT (SELECT count(*) FROM sqlite_schema), (SELECT application_id FROM pragma_application_id),
                        (SELECT user_version FROM pragma_user_version)";
    let read: rusqlite::Result<(i64, i32, u32)> =
        connection.query_row(facts, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    match read.map_err(|error| error.to_string())? {
        (0, 0, 0) => Ok(0),
        (_, APPLICATION_ID, version @ ..=LATEST) => Ok(version),
        (_, APPLICATION_ID, version) => {
            Err(format!("it was made by a later version of Smartgate (its version is {version}, this one's {LATEST})"))
        }
        _ => Err("it is a database of another program".to_owned()),
    }
}

fn prepare(connection: &mut Connection, version: u32) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Keys that are forgotten must not stay readable in free pages.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    if version == LATEST {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    let done: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (_, migration) in MIGRATIONS.iter().filter(|(version, _)| *version > done) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", LATEST)?;
    transaction.commit()
}
