use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Reloader;
use crate::config::load;
use crate::telemetry::{Metrics, ReloadOutcome};

/// Bound on failure only; what is waited for comes after the watcher's quiet time.
const SOON: Duration = Duration::from_secs(20);

fn main_file(access_lifetime: &str) -> String {
    format!(
        "[server]\nlisten = [\"127.0.0.1:8080\"]\npublic_url = \"https://gate.example.org\"\n\
         [admin]\nlisten = [\"127.0.0.1:9090\"]\n[fhir]\nupstream = \"http://127.0.0.1:8090/fhir\"\n\
         [tokens]\naccess_lifetime = \"{access_lifetime}\"\n"
    )
}

const CLIENT: &str =
    "id = \"c\"\nkind = \"public\"\nredirect_uris = [\"https://a.example/cb\"]\nscopes = [\"patient/*.rs\"]\n";

/// A folder with a configuration and what keeps it in effect.
struct Gate {
    folder: TempDir,
    reloader: Arc<Reloader>,
    outcomes: broadcast::Receiver<ReloadOutcome>,
}

impl Gate {
    fn new() -> Self {
        Self::laid_out(|folder| {
            let path = folder.join("smartgate.toml");
            std::fs::write(&path, main_file("10m")).unwrap();
            path
        })
    }

    /// `lay_out` makes the files and says which is the main one.
    fn laid_out(lay_out: impl FnOnce(&Path) -> PathBuf) -> Self {
        let folder = TempDir::new().unwrap();
        let path = lay_out(folder.path());
        let loaded = load(&path).unwrap_or_else(|errors| panic!("{errors}"));
        let reloader = Arc::new(Reloader::new(path, loaded, Metrics::new().unwrap()));
        let outcomes = reloader.outcomes();
        Self { folder, reloader, outcomes }
    }

    /// Puts a file in place at once, as editors do, so that no reading finds half of it.
    fn write(&self, file: &str, text: &str) {
        let path = self.folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let new = path.with_extension("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    fn lifetime(&self) -> u64 {
        self.reloader.current().load().tokens.access_lifetime.as_secs()
    }

    fn generation(&self) -> u64 {
        self.reloader.current().load().generation
    }

    /// Starts watching; the sender ends it.
    ///
    /// The task runs whenever a test waits, and never between two writes of one.
    fn watched(&self) -> (watch::Sender<bool>, JoinHandle<()>) {
        let (stop, stopped) = watch::channel(false);
        let reloader = self.reloader.clone();
        (stop, tokio::spawn(async move { reloader.watch(stopped).await }))
    }

    async fn outcome(&mut self) -> ReloadOutcome {
        timeout(SOON, self.outcomes.recv()).await.expect("nothing was noticed").unwrap()
    }
}

#[tokio::test]
async fn row_236_a_new_configuration_takes_effect_whole_with_the_next_generation() {
    let gate = Gate::new();
    let before = gate.reloader.current().load_full();
    gate.write("smartgate.toml", &main_file("20m"));
    assert_eq!(gate.reloader.reload().await, ReloadOutcome::Applied);
    assert_eq!((gate.lifetime(), gate.generation()), (1200, 2));
    assert_eq!((before.tokens.access_lifetime.as_secs(), before.generation), (600, 1));
}

#[tokio::test]
async fn the_same_bytes_change_nothing() {
    let gate = Gate::new();
    let before = gate.reloader.current().load_full();
    gate.write("smartgate.toml", &main_file("10m"));
    assert_eq!(gate.reloader.reload().await, ReloadOutcome::Unchanged);
    assert!(Arc::ptr_eq(&before, &gate.reloader.current().load_full()));
}

#[tokio::test]
async fn row_236_a_bad_file_keeps_the_last_good_configuration() {
    let gate = Gate::new();
    gate.write("smartgate.toml", "[server");
    assert_eq!(gate.reloader.reload().await, ReloadOutcome::Rejected);
    assert_eq!((gate.lifetime(), gate.generation()), (600, 1));
    // Asked again it says so again.
    assert_eq!(gate.reloader.reload().await, ReloadOutcome::Rejected);
    gate.write("smartgate.toml", &main_file("20m"));
    assert_eq!(gate.reloader.reload().await, ReloadOutcome::Applied);
    gate.write("smartgate.toml", &main_file("x"));
    assert_eq!(gate.reloader.reload().await, ReloadOutcome::Rejected);
    gate.write("smartgate.toml", &main_file("20m"));
    assert_eq!(gate.reloader.reload().await, ReloadOutcome::Unchanged);
    assert_eq!((gate.lifetime(), gate.generation()), (1200, 2));
}

#[tokio::test]
async fn keys_that_need_a_restart_keep_everything_as_it_was() {
    for change in [
        "[log]\nlevel = \"debug\"\n",
        "[store]\nurl = \"sqlite:other.db\"\n",
        "[audit]\nfile = \"audit.log\"\n",
        "[audit]\non_full = \"shed\"\n",
        "[limits]\ntoken_cache = 7\n",
    ] {
        let gate = Gate::new();
        gate.write("smartgate.toml", &format!("{}{change}", main_file("20m")));
        assert_eq!(gate.reloader.reload().await, ReloadOutcome::NeedsRestart, "{change}");
        assert_eq!((gate.lifetime(), gate.generation()), (600, 1), "{change}");
    }
    let gate = Gate::new();
    gate.write("smartgate.toml", &main_file("20m").replace("8080", "8081"));
    assert_eq!(gate.reloader.reload().await, ReloadOutcome::NeedsRestart);
}

#[tokio::test]
async fn what_was_told_once_is_not_told_again_by_polling() {
    let mut gate = Gate::new();
    gate.write("smartgate.toml", "[server");
    gate.reloader.reload_if_changed().await;
    assert_eq!(gate.outcome().await, ReloadOutcome::Rejected);
    gate.reloader.reload_if_changed().await;
    assert!(gate.outcomes.try_recv().is_err());
    // Going back to what is in effect ends the failure and is told.
    gate.write("smartgate.toml", &main_file("10m"));
    gate.reloader.reload_if_changed().await;
    assert_eq!(gate.outcome().await, ReloadOutcome::Unchanged);
}

#[tokio::test]
async fn rename_saves_are_seen_again_and_again() {
    let mut gate = Gate::new();
    let (_stop, _task) = gate.watched();
    for (generation, minutes) in (2..).zip([20, 30, 40]) {
        gate.write("smartgate.toml", &main_file(&format!("{minutes}m")));
        assert_eq!(gate.outcome().await, ReloadOutcome::Applied);
        assert_eq!((gate.lifetime(), gate.generation()), (minutes * 60, generation));
    }
}

#[tokio::test]
async fn config_map_swaps_are_seen_again_and_again() {
    let version = |folder: &Path, name: &str, lifetime: &str| {
        std::fs::create_dir(folder.join(name)).unwrap();
        std::fs::write(folder.join(name).join("smartgate.toml"), main_file(lifetime)).unwrap();
        symlink(name, folder.join("..data_tmp")).unwrap();
        std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    };
    let mut gate = Gate::laid_out(|folder| {
        version(folder, "..v1", "10m");
        symlink("..data/smartgate.toml", folder.join("smartgate.toml")).unwrap();
        folder.join("smartgate.toml")
    });
    let (_stop, _task) = gate.watched();
    for (number, minutes) in (2..).zip([20, 30, 40]) {
        version(gate.folder.path(), &format!("..v{number}"), &format!("{minutes}m"));
        std::fs::remove_dir_all(gate.folder.path().join(format!("..v{}", number - 1))).unwrap();
        assert_eq!(gate.outcome().await, ReloadOutcome::Applied);
        assert_eq!(gate.lifetime(), minutes * 60);
    }
}

#[tokio::test]
async fn drop_ins_come_and_go_and_their_folder_too() {
    let mut gate = Gate::new();
    let (_stop, _task) = gate.watched();
    let clients = |gate: &Gate| gate.reloader.current().load().clients.configured.len();
    gate.write("clients.d/c.toml", CLIENT);
    assert_eq!(gate.outcome().await, ReloadOutcome::Applied);
    assert_eq!(clients(&gate), 1);
    gate.write("clients.d/d.toml", &CLIENT.replace("\"c\"", "\"d\""));
    assert_eq!(gate.outcome().await, ReloadOutcome::Applied);
    assert_eq!(clients(&gate), 2);
    std::fs::remove_file(gate.folder.path().join("clients.d/c.toml")).unwrap();
    assert_eq!(gate.outcome().await, ReloadOutcome::Applied);
    assert_eq!(clients(&gate), 1);
    std::fs::remove_dir_all(gate.folder.path().join("clients.d")).unwrap();
    assert_eq!(gate.outcome().await, ReloadOutcome::Applied);
    assert_eq!(clients(&gate), 0);
    gate.write("clients.d/c.toml", CLIENT);
    assert_eq!(gate.outcome().await, ReloadOutcome::Applied);
    assert_eq!(clients(&gate), 1);
}

#[tokio::test]
async fn a_file_that_a_reload_refers_to_is_watched_from_then_on_even_while_it_is_missing() {
    let mut gate = Gate::new();
    let (_stop, _task) = gate.watched();
    std::fs::create_dir(gate.folder.path().join("secrets")).unwrap();
    let with_token = main_file("10m").replace("[admin]\n", "[admin]\ntoken = \"file:secrets/admin\"\n");
    gate.write("smartgate.toml", &with_token);
    assert_eq!(gate.outcome().await, ReloadOutcome::Rejected);
    gate.write("secrets/admin", "one");
    assert_eq!(gate.outcome().await, ReloadOutcome::Applied);
    gate.write("secrets/admin", "two");
    assert_eq!(gate.outcome().await, ReloadOutcome::Applied);
}

#[tokio::test]
async fn watching_ends_with_the_gate() {
    let gate = Gate::new();
    let (stop, task) = gate.watched();
    stop.send(true).unwrap();
    timeout(SOON, task).await.unwrap().unwrap();
}
