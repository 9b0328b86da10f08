//! `smartgate keys`.

use std::path::Path;
use std::sync::Arc;

use clap::Subcommand;

use super::{Failure, say, small_runtime};
use crate::ambient::Ambient;
use crate::config::{self, StoreUrl};
use crate::store::{PostgresStore, SharedStore, SqliteStore, StoreError};
use crate::token::GateKeys;

#[derive(Subcommand, Debug)]
pub(super) enum Action {
    /// Every key: id, purpose, algorithm, since when it is used, until when
    List,
    /// Make new signing keys; they are published at once and sign after `[tokens] key_overlap`
    Rotate {
        /// Use them at once and trust the old keys no more, as after a backup was lost or restored: it ends every access and refresh
        /// token, code, login under way, launch, visit of the page of apps, and links to pages and exports. Everybody logs in again
        #[arg(long)]
        now: bool,
    },
}

pub(super) fn keys(path: &Path, action: &Action) -> Result<(), Failure> {
    let loaded = config::load(path).map_err(Failure::new)?;
    let ambient = Ambient::system();
    small_runtime()?.block_on(async {
        let store = open_store(&loaded.snapshot.store.url).await.map_err(Failure::new)?;
        let tokens = &loaded.snapshot.tokens;
        match action {
            Action::List => {}
            Action::Rotate { now: false } => {
                GateKeys::rotate(&*store, &ambient, tokens).await.map_err(Failure::new)?;
            }
            Action::Rotate { now: true } => {
                GateKeys::replace(&*store, &ambient, tokens).await.map_err(Failure::new)?;
            }
        }
        for key in store.keys().await.map_err(Failure::new)? {
            let time = |at: i64| jiff::Timestamp::from_second(at).map(|at| at.to_string()).unwrap_or_default();
            let until = key.retired.map_or_else(|| "-".to_owned(), time);
            let (purpose, since) = (key.purpose, time(key.active_from));
            say(format!("{}\t{purpose:?}\t{}\tused from {since}\tretired {until}", key.id, key.algorithm))?;
        }
        Ok(())
    })
}

/// Opens the configured store.
pub(super) async fn open_store(url: &StoreUrl) -> Result<SharedStore, StoreError> {
    match url {
        StoreUrl::Sqlite(path) => Ok(Arc::new(SqliteStore::open(path)?)),
        StoreUrl::Postgres(settings) => match PostgresStore::open(settings).await {
            Ok(store) => Ok(Arc::new(store)),
            Err(StoreError(why)) => Err(StoreError(format!("[store] url: {why}"))),
        },
    }
}
