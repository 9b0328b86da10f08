//! When to read the configuration again: on SIGHUP, when something happens in a folder it is read from, and now and then.
//!
//! Folders are watched and not files: an editor's rename or a ConfigMap's `..data` swap puts another file in a file's
//! place, and a watch on the file would stay with the old one. For the same reason nothing depends on which path an event
//! names; what counts is whether the bytes changed. Mounts that send no events are what the polling is for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::{Reloader, Sources};

/// How long nothing may happen before the files are read.
const QUIET: Duration = Duration::from_millis(250);
/// How long they are left unread at most, whatever goes on happening.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often they are read though nothing seems to have happened.
const POLL: Duration = Duration::from_secs(30);

impl Reloader {
    /// Keeps the configuration up to date until `shutdown` turns true.
    pub async fn watch(&self, mut shutdown: watch::Receiver<bool>) {
        let (happened, mut happenings) = mpsc::channel(1);
        let mut folders = Folders::new(happened);
        let mut hangup = hangup();
        let mut burst: Option<Burst> = None;
        self.settle(&mut folders).await;
        let mut poll = Instant::now() + POLL;
        loop {
            tokio::select! {
                () = ended(&mut shutdown) => return,
                () = hung_up(&mut hangup) => {
                    self.reload().await;
                }
                Some(()) = happenings.recv() => {
                    burst = Some(Burst::goes_on(burst));
                    continue;
                }
                () = sleep_until(burst.as_ref().map_or(poll, |burst| burst.due().min(poll))) => {
                    self.reload_if_changed().await;
                }
            }
            self.settle(&mut folders).await;
            burst = None;
            poll = Instant::now() + POLL;
        }
    }

    /// Watches where the configuration was read from; what changed between reading and watching is found by reading once
    /// more.
    async fn settle(&self, folders: &mut Folders) {
        while folders.follow(&self.sources().await) {
            self.reload_if_changed().await;
        }
    }
}

/// Things happening one after another.
struct Burst {
    first: Instant,
    last: Instant,
}

impl Burst {
    fn goes_on(burst: Option<Self>) -> Self {
        let now = Instant::now();
        Self { first: burst.map_or(now, |burst| burst.first), last: now }
    }

    fn due(&self) -> Instant {
        (self.last + QUIET).min(self.first + PATIENCE)
    }
}

/// The folders being watched.
struct Folders {
    /// None where the system gives no watcher.
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

impl Folders {
    fn new(happened: mpsc::Sender<()>) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            match event {
                // Reading a file is an event too, our own reading as well.
                Ok(event) if matches!(event.kind, EventKind::Access(_)) => return,
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "watching the configuration failed; reading it to be sure"),
            }
            // A full channel already says that something happened.
            let _ = happened.try_send(());
        });
        let watcher = watcher.map_err(|error| tracing::warn!(%error, "the configuration is polled, not watched")).ok();
        Self { watcher, watched: BTreeSet::new() }
    }

    /// Watches the folders of `sources` and no others, and says whether some were not watched before. A folder that is
    /// watched already is watched anew, because another may have taken its place.
    fn follow(&mut self, sources: &Sources) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let wanted = folders_of(sources);
        for folder in self.watched.difference(&wanted) {
            // It may be gone, which is as good.
            let _ = watcher.unwatch(folder);
        }
        let mut watched = BTreeSet::new();
        for folder in wanted {
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    watched.insert(folder);
                }
                Err(error) if self.watched.contains(&folder) || folder.is_dir() => {
                    tracing::warn!(%error, folder = %folder.display(), "the folder is polled, not watched");
                }
                Err(_) => {}
            }
        }
        let more = !watched.is_subset(&self.watched);
        self.watched = watched;
        more
    }
}

/// The folders in which a change would show: those of the files as written, those of the files behind symbolic links, and
/// the drop-in folders.
fn folders_of(sources: &Sources) -> BTreeSet<PathBuf> {
    let parent = |path: &Path| match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Some(PathBuf::from(".")),
        Some(parent) => Some(parent.to_owned()),
        None => None,
    };
    let written = sources.files().filter_map(&parent);
    let behind = sources.files().filter_map(|file| parent(&file.canonicalize().ok()?));
    let drop_ins = sources.folders().filter(|folder| folder.is_dir()).map(Path::to_owned);
    written.chain(behind).chain(drop_ins).collect()
}

fn hangup() -> Option<Signal> {
    signal(SignalKind::hangup()).map_err(|error| tracing::warn!(%error, "SIGHUP does not reload")).ok()
}

async fn ended(shutdown: &mut watch::Receiver<bool>) {
    // An error means that nobody is left who could end it: it has ended.
    let _ = shutdown.wait_for(|ended| *ended).await;
}

async fn hung_up(hangup: &mut Option<Signal>) {
    match hangup {
        Some(hangup) => {
            hangup.recv().await;
        }
        None => std::future::pending().await,
    }
}
